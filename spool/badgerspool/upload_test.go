package badgerspool

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"sealpost/spool"
	"sealpost/spool/badgerspool/disk"
)

// TestUploadRestsOfACrash: the states in which a crash can leave an upload.
func TestUploadRestsOfACrash(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	body := filler(spool.SmallSize + 10)
	e := testEnvelope(body)
	up := uploadOf(e)
	st, err := s.Stage(t.Context(), up)
	must(t, err)
	must(t, putPart(t.Context(), st, 0, body))
	u := st.(*staging).u
	must(t, s.content.link(u.path, e.ID)) // published but for the commit
	must(t, os.WriteFile(filepath.Join(s.content.staging, "FL-LAB.stray"), body, 0o600))
	must(t, s.Close())

	s = mustOpen(t, dir, Options{}, realSeams())
	st, err = s.Stage(t.Context(), up)
	must(t, err)
	if len(st.Missing()) != 0 {
		t.Fatal("the parts are to be sent again")
	}
	if _, err := os.Stat(filepath.Join(s.content.staging, "FL-LAB.stray")); err == nil {
		t.Error("a file without an upload stays")
	}
	must(t, publishAny(t.Context(), s, e, body))
	must(t, s.Close())

	must(t, os.WriteFile(u.path, body, 0o600)) // published, but the rest not yet cleared away
	s = mustOpen(t, dir, Options{}, realSeams())
	if _, err := os.Stat(u.path); err == nil {
		t.Error("the file of a published upload stays")
	}
	f := testEnvelope(filler(spool.SmallSize + 20))
	st, err = s.Stage(t.Context(), uploadOf(f))
	must(t, err)
	must(t, s.Close())
	must(t, os.Remove(st.(*staging).u.path)) // the note is there, its file is not
	s = mustOpen(t, dir, Options{}, realSeams())
	must(t, publishAny(t.Context(), s, f, filler(spool.SmallSize+20)))
	mustAudit(t, s)
}

// TestAnUploadWithAnnouncedChecksums: an earlier version kept them in the row of the upload.
func TestAnUploadWithAnnouncedChecksums(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	body := filler(2*spool.PartSize + 9)
	e := testEnvelope(body)
	st, err := s.Stage(t.Context(), uploadOf(e))
	must(t, err)
	must(t, putPart(t.Context(), st, 0, body[:spool.PartSize]))
	must(t, putPart(t.Context(), st, 2, body[2*spool.PartSize:]))
	u := st.(*staging).u
	must(t, s.submit(u.change(t.Context(), func(g *group) error {
		var row encoder
		row.int(u.size)
		row.raw(encodeSums(e.CRC32C))
		g.next()
		g.set(uploadKey(keyUpload, u.name), row)
		g.del(partSumsKey(u.name, 0))
		return nil
	})))
	must(t, s.Close())
	for missing := 1; missing >= 0; missing-- {
		s = mustOpen(t, dir, Options{}, realSeams())
		if st, err = s.Stage(t.Context(), uploadOf(e)); err != nil || len(st.Missing()) != missing {
			t.Fatalf("missing %v, %v", st.Missing(), err)
		}
		mustAudit(t, s)
		must(t, putPart(t.Context(), st, 1, body[spool.PartSize:2*spool.PartSize]))
		must(t, s.Close())
	}
	s = mustOpen(t, dir, Options{}, realSeams())
	_, err = s.Publish(t.Context(), e)
	must(t, err)
	mustAudit(t, s)
}

// TestSyncFailureTakesNeighboursAlong: a failed sync may have lost the bytes of any part.
func TestSyncFailureTakesNeighboursAlong(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{}, realSeams())
	body := filler(spool.PartSize + 10)
	e := testEnvelope(body)
	st, err := s.Stage(t.Context(), uploadOf(e))
	must(t, err)
	hold := &pausing{Reader: bytes.NewReader(body[:spool.PartSize]), paused: make(chan struct{}),
		resume: make(chan struct{})}
	first := make(chan error, 1)
	go func() { first <- st.Put(context.Background(), 0, e.CRC32C[0], hold) }()
	<-hold.paused
	s.content.disk = (&faultyDisk{at: 4}).do // allocate, open, write, sync
	if err := putPart(t.Context(), st, 1, body[spool.PartSize:]); !errors.Is(err,
		errInjected) {
		t.Fatalf("the failed sync says %v", err)
	}
	s.content.disk = disk.Real
	close(hold.resume)
	if err := <-first; err == nil {
		t.Fatal("the neighbour was taken for durable")
	}
	if len(st.Missing()) != 2 {
		t.Fatalf("missing %v", st.Missing())
	}
	must(t, publishAny(t.Context(), s, e, body))
}

// pausing stops once in the middle.
type pausing struct {
	*bytes.Reader
	once           sync.Once
	paused, resume chan struct{}
}

func (p *pausing) Read(b []byte) (int, error) {
	p.once.Do(func() { close(p.paused); <-p.resume })
	return p.Reader.Read(b)
}

// TestARepeatedPartTakesNothingFromTheFirst: a call has written its part when a second call of the
// same part takes over, and is cut. The part is never noted without its bytes.
func TestARepeatedPartTakesNothingFromTheFirst(t *testing.T) {
	sm := realSeams()
	held, resume := make(chan struct{}), make(chan struct{})
	var hold atomic.Bool
	sm.disk = func(op, path string, f func() error) error {
		err := f()
		if op == "sync" && hold.CompareAndSwap(true, false) {
			close(held)
			<-resume
		}
		return err
	}
	s := mustOpen(t, t.TempDir(), Options{}, sm)
	body := filler(spool.SmallSize + 10)
	e := testEnvelope(body)
	st, err := s.Stage(t.Context(), uploadOf(e))
	must(t, err)
	hold.Store(true)
	first := make(chan error, 1)
	go func() { first <- putPart(context.Background(), st, 0, body) }()
	<-held
	cut := &pausing{Reader: bytes.NewReader(body[:9]), paused: make(chan struct{}),
		resume: make(chan struct{})}
	second := make(chan error, 1)
	go func() { second <- st.Put(context.Background(), 0, e.CRC32C[0], cut) }()
	<-cut.paused
	close(resume) // the first is written and synced, and no longer the owner
	close(cut.resume)
	if err := <-second; err == nil {
		t.Fatal("a cut part was taken")
	}
	if err := <-first; err == nil || len(st.Missing()) != 1 {
		t.Fatalf("the first says %v, missing %v", err, st.Missing())
	}
	must(t, publishAny(t.Context(), s, e, body))
	mustAudit(t, s)
}
