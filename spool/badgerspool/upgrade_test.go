package badgerspool

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// TestUpgrade opens a store of format 1: it has no counts, and it keeps the content of the dead.
// Afterwards each row and file is as in a new store. A crash before the end changes nothing.
func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	ctx := t.Context()
	for n := range 150 {
		e := testEnvelope(filler(500 + n))
		e.Sender = []id.Site{"FL-LAB", "PA-LAB", "NY-LAB"}[n%3]
		if n%3 == 2 {
			e.Deliveries = e.Deliveries[1:]
		}
		must(t, publishAny(ctx, s, e, nil))
	}
	large := filler(spool.PartSize + 5)
	must(t, publishAny(ctx, s, testEnvelope(large), large))
	must(t, settleAll(ctx, s, "ca_rc_queue", 70))
	ds, err := s.Lease(ctx, spool.LeaseRequest{Queue: "sf_rc_queue", Session: "a", Max: 5,
		Duration: time.Hour})
	must(t, err)
	for _, d := range ds {
		must(t, s.Release(ctx, d.Token, spool.Nack{Delay: time.Hour}))
	}
	want, err := s.Usage(ctx)
	must(t, err)
	was := s.Incarnation()
	older(t, s)
	must(t, s.Close())
	stamp, err := os.ReadFile(s.stampPath())
	must(t, err)
	stamp = bytes.Replace(stamp, []byte(`"format":3`), []byte(`"format":1`), 1)
	must(t, os.WriteFile(s.stampPath(), stamp, 0o600))

	sm := realSeams()
	sm.commit = func(*badger.Txn, uint64) error { return errInjected }
	if _, err := open(dir, Options{}, sm); err == nil {
		t.Fatal("it opens although nothing could be written")
	}
	s = mustOpen(t, dir, Options{}, realSeams())
	if s.Incarnation() != was {
		t.Error("the incarnation changed")
	}
	got, err := s.Usage(ctx)
	must(t, err)
	if got.Hub != want.Hub || len(got.Sites) != 3 || got.Sites["PA-LAB"] != want.Sites["PA-LAB"] {
		t.Errorf("counts are %+v, want %+v", got, want)
	}
	mustAudit(t, s)
	must(t, publishAny(ctx, s, testEnvelope(filler(77)), nil))
	must(t, s.Close())
	if stamp, err = os.ReadFile(s.stampPath()); !strings.Contains(string(stamp), `"format":3`) {
		t.Errorf("the stamp is %s, %v", stamp, err)
	}
	mustAudit(t, mustOpen(t, dir, Options{}, realSeams()))
}

// older writes the rows of figures as format 1 did.
func older(t *testing.T, s *Spool) {
	t.Helper()
	g := s.newGroup()
	defer g.txn.Discard()
	for _, q := range all(s, s.queues) {
		f, _ := q.load()
		b := make(encoder, 0, 64)
		b.uint(f.commit)
		b.uint(f.Last)
		b.uint(f.Head)
		b.int(f.RetryHead.Due)
		b.uint(f.RetryHead.Seq)
		for _, n := range []int64{f.waiting, f.released, f.settled, f.dead, f.envelopes, 12345} {
			b.int(n)
		}
		g.set(figuresKey(q.name), b)
	}
	for _, st := range all(s, s.sites) {
		f := st.load()
		if f.last == 0 {
			g.del(siteKey(st.name)) // it was written with events only
			continue
		}
		var b encoder
		b.uint(f.commit)
		b.uint(f.last)
		g.set(siteKey(st.name), b)
	}
	must(t, s.view(func(txn *badger.Txn) error {
		return each(txn, keyPack, func(name string, _ []byte) error {
			d := decoder{data: []byte(name)}
			g.set(packKey(d.fixed()), u64(nil, 99)) // with the dead
			return nil
		})
	}))
	must(t, s.seams.commit(g.txn, g.version))
	s.db.SetDiscardTs(s.snapshots.advance(g.version))
}
