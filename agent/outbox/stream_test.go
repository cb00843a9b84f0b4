package outbox

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// fileHub is a hub in memory that keeps the parts of one envelope in a file.
type fileHub struct {
	*modelHub
	file *os.File
	puts map[int]int       // by part
	fail func(n int) error // of a part that has arrived; the test changes it between rounds
}

func newFileHub(t *testing.T) *fileHub {
	f, err := os.Create(filepath.Join(t.TempDir(), "parts"))
	testkit.Must(t, err)
	t.Cleanup(func() { f.Close() })
	h := &fileHub{modelHub: &modelHub{}, file: f, puts: map[int]int{},
		fail: func(int) error { return nil }}
	h.forget()
	return h
}

func (h *fileHub) PutPart(ctx context.Context, e id.Envelope, n int, sum uint32, r io.Reader,
	size int64) error {
	to := io.NewOffsetWriter(h.file, int64(n)*api.PartSize)
	err := h.modelHub.PutPart(ctx, e, n, sum, io.TeeReader(r, to), size)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.puts[n]++
	return errors.Join(err, h.fail(n))
}

// digest returns the digest of the one file in the ciphertext, as stock tools read it.
func (h *fileHub) digest(t *testing.T, out *sealed, key age.Identity) id.Hash {
	t.Helper()
	const segment = envelope.SegmentParts * api.PartSize
	var all []io.Reader
	for at := int64(0); at < out.Size; at += segment {
		plain, err := age.Decrypt(io.NewSectionReader(h.file, at, min(segment, out.Size-at)), key)
		testkit.Must(t, err)
		all = append(all, plain)
	}
	archive := tar.NewReader(io.MultiReader(all...))
	for {
		head, err := archive.Next()
		testkit.Must(t, err)
		name, isContent := strings.CutPrefix(head.Name, "content/0/")
		if !isContent {
			continue
		}
		content := sha256.New()
		_, err = io.Copy(content, archive)
		testkit.Must(t, err)
		sum := sha256.Sum256(envelope.AppendEntry(nil, name, false, false, head.ModTime, head.Size,
			[32]byte(content.Sum(nil))))
		_, err = archive.Next()
		testkit.Must(t, err) // the signature
		return id.Hash(hex.EncodeToString(sum[:]))
	}
}

// large claims a file of zeros with a mark in it.
func (s *sealer) large(size, mark int64) ledger.Outgoing {
	s.t.Helper()
	path := put(s.t, s.at("outbox"), "large.dat")
	testkit.Must(s.t, os.Truncate(path, size))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	testkit.Must(s.t, err)
	_, err = f.WriteAt([]byte("a mark"), mark)
	testkit.Must(s.t, errors.Join(err, f.Close()))
	past := time.Now().Add(-time.Hour)
	testkit.Must(s.t, os.Chtimes(path, past, past))
	s.claimAll(newFinder(s.tray))
	return s.last()
}

// found returns an envelope as the next process finds it.
func (s *sealer) found(e id.Envelope) *sealed {
	s.t.Helper()
	s.desk.tell(func() { delete(s.desk.envelopes, e) })
	left, err := s.compareKnown(s.t.Context(), ledger.EnvelopeSealed,
		api.KnownEnvelope{Envelope: e, State: api.StateUnknown})
	testkit.Must(s.t, err)
	return left
}

func keyOfCentre(t *testing.T) (*decision, age.Identity) {
	key, err := age.GenerateX25519Identity()
	testkit.Must(t, err)
	return routeTo(key.Recipient().String()), key
}

// A large file is sealed on its way, with no copy on the disk. A cut line costs no second seal, a
// restart that of the segment under way, and a loss at the hub that of the lost segment.
func TestALargeFileIsSealedOnItsWay(t *testing.T) {
	s := newSealer(t)
	hub := newFileHub(t)
	s.hub = hub
	route, key := keyOfCentre(t)
	m := s.large(2*envelope.SegmentParts*api.PartSize+20<<20, 300<<20)
	out, err := s.seal(t.Context(), *newJob(route, []ledger.Outgoing{m}))
	testkit.Must(t, err)
	if got := s.state(m); got != ledger.Sealed || out.stream == nil || len(out.CRC32C) > 0 {
		t.Fatalf("it is %s, %+v", got, out)
	}

	cut := true
	hub.fail = func(n int) error { // its answer does not arrive
		if n == 20 && cut {
			cut = false
			return errCut
		}
		return nil
	}
	if err := out.stream.upload(t.Context()); !errors.Is(err, errCut) {
		t.Fatalf("cut: %v", err)
	}
	sums := out.stream.sums[:20]
	hub.fail = func(n int) error {
		if n >= 25 {
			return errCut
		}
		return nil
	}
	if err := out.stream.upload(t.Context()); !errors.Is(err, errCut) {
		t.Fatalf("cut again: %v", err)
	}
	now, err := s.Status(t.Context(), 1)
	testkit.Must(t, err)
	if n := now.OnTheWay(); n != 1 || now.Uploads[0].Done != 16*16<<20 ||
		now.Latest[0].Stands().Code != "state-on-the-way" {
		t.Errorf("%d are on the way: %+v", n, now.Uploads)
	}
	for n := range 25 {
		want := 1
		if n == 20 {
			want = 2
		}
		if hub.puts[n] != want || n < 20 && sums[n] != hub.parts[out.ID][n] {
			t.Errorf("part %d was sent %d times, want %d", n, hub.puts[n], want)
		}
	}
	out.free()

	next := func() {
		t.Helper()
		out = s.found(out.ID)
		if out == nil || len(out.segments) != 2 {
			t.Fatalf("after a restart: %+v", out)
		}
		testkit.Must(t, s.reopen(t.Context(), job{decision: route, sealed: out}))
	}
	next()
	hub.fail = func(int) error { return nil }
	clear(hub.puts)
	delete(hub.parts[out.ID], 3) // lost by the hub, which makes the first segment incomplete
	testkit.Must(t, out.stream.upload(t.Context()))
	for n := range 34 {
		if hub.puts[n] != 1 {
			t.Errorf("part %d was sent %d times", n, hub.puts[n])
		}
	}
	out.free()

	out = s.found(out.ID)
	testkit.Must(t, s.reopen(t.Context(), job{decision: route, sealed: out}))
	if out.stream != nil || len(out.CRC32C) != 34 {
		t.Fatalf("it is sealed again: %+v", out)
	}
	if waits, err := s.publish(t.Context(), out); waits || err != nil {
		t.Fatal(waits, err)
	}
	digest := hub.digest(t, out, key)
	if row := s.last(); row.State != ledger.Published || row.Digest != digest {
		t.Errorf("it is %s with the digest %s, sealed is %s", row.State, row.Digest, digest)
	}
	if left := s.noted(); len(left) > 0 {
		t.Errorf("uploads are noted: %v", left)
	}
}

// After a restart in the second segment, no part of the first one is sent again. The certificate
// may have been renewed meanwhile.
func TestARestartKeepsWholeSegments(t *testing.T) {
	s := newSealer(t)
	hub := newFileHub(t)
	s.hub = hub
	route, key := keyOfCentre(t)
	m := s.large((envelope.SegmentParts+4)*api.PartSize, 270<<20)
	out, err := s.seal(t.Context(), *newJob(route, []ledger.Outgoing{m}))
	testkit.Must(t, err)
	hub.fail = func(n int) error {
		if n >= envelope.SegmentParts+2 {
			return errCut
		}
		return nil
	}
	if err := out.stream.upload(t.Context()); !errors.Is(err, errCut) {
		t.Fatalf("cut: %v", err)
	}
	out.free()
	before := hub.parts[out.ID][envelope.SegmentParts]
	csr, err := s.lab.CSR()
	testkit.Must(t, err)
	chain, err := s.lab.authority.IssueSite(csr, s.site, time.Now())
	testkit.Must(t, err)
	testkit.Must(t, s.lab.SetChain(chain, s.lab.network, time.Now()))
	out = s.found(out.ID)
	testkit.Must(t, s.reopen(t.Context(), job{decision: route, sealed: out}))
	defer out.free()
	clear(hub.puts)
	hub.fail = func(int) error { return nil }
	if waits, err := s.publish(t.Context(), out); waits || err != nil {
		t.Fatal(waits, err)
	}
	for n := range out.CRC32C {
		if want := n >= envelope.SegmentParts; (hub.puts[n] > 0) != want {
			t.Errorf("part %d was sent %d times", n, hub.puts[n])
		}
	}
	if hub.parts[out.ID][envelope.SegmentParts] == before {
		t.Error("a part that was sealed again has the bytes of before")
	}
	if row, digest := s.last(), hub.digest(t, out, key); row.Digest != digest {
		t.Errorf("the digest is %s, sealed is %s", row.Digest, digest)
	}
}

// A large envelope that cannot be sealed to its end is given up, with its parts, and sealed anew.
func TestALargeFileIsSealedAnew(t *testing.T) {
	size := int64(3 * api.PartSize)
	for name, c := range map[string]struct {
		change func(s *sealer, route *decision, path string)
		state  ledger.State
		why    reason.Code
	}{
		"its content has changed": {func(s *sealer, _ *decision, path string) {
			testkit.Must(t, os.Chtimes(path, time.Now(), time.Now()))
		}, ledger.Claimed, "changed-while-sent"},
		"it is gone": {func(s *sealer, _ *decision, path string) {
			testkit.Must(t, os.Remove(path))
		}, ledger.Withdrawn, ""},
		"the route has changed": {func(_ *sealer, d *decision, _ string) {
			d.version = "another"
		}, ledger.Taken, ""},
		"a key has changed": {func(s *sealer, d *decision, _ string) {
			d.recipients = s.route().recipients
		}, ledger.Taken, ""},
		"nothing is sent there now": {func(_ *sealer, d *decision, _ string) {
			d.blocked = reason.Text("waits for approval")
		}, ledger.Taken, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			hub := newFileHub(t)
			s.hub = hub
			m := s.large(size, 1)
			route := s.route()
			out, err := s.seal(t.Context(), *newJob(route, []ledger.Outgoing{m}))
			testkit.Must(t, err)
			hub.fail = func(n int) error {
				if n == 1 {
					return errCut
				}
				return nil
			}
			if err := out.stream.upload(t.Context()); !errors.Is(err, errCut) {
				t.Fatalf("cut: %v", err)
			}
			out.free()
			hub.fail = func(int) error { return nil }
			c.change(s, route, s.at(sourceAt(m)))
			left := s.found(out.ID)
			next, err := s.send(t.Context(), job{envelope: left.ID, decision: route,
				messages: left.messages, sealed: left})
			if row := s.last(); err != nil || !next.waiting || row.State != c.state ||
				c.why != "" && row.Reason.Code != c.why {
				t.Errorf("it is %s (%s), %+v, %v", row.State, row.Reason, next, err)
			}
			if n := len(hub.parts[out.ID]); n > 0 {
				t.Errorf("%d of its parts are left at the hub", n)
			}
		})
	}
}

// A source that changes while it is sealed is found before the publish.
func TestALargeFileThatChangesIsNotPublished(t *testing.T) {
	s := newSealer(t)
	hub := newFileHub(t)
	s.hub = hub
	m := s.large(3*api.PartSize, 1)
	hub.fail = func(n int) error {
		if n == 0 {
			now := time.Now()
			return os.Chtimes(s.at(sourceAt(m)), now, now)
		}
		return nil
	}
	next, err := s.send(t.Context(), *newJob(s.route(), []ledger.Outgoing{m}))
	if row := s.last(); err != nil || !next.waiting || row.State != ledger.Claimed ||
		row.Reason.Code != "changed-while-sent" || len(hub.published) > 0 {
		t.Errorf("it is %s (%s), %+v, %v", row.State, row.Reason, next, err)
	}
}

// An earlier version sealed into files. They are removed, and sealed again under other ids.
func TestSealedFilesOfAnEarlierVersion(t *testing.T) {
	s := newSealer(t)
	hub := newFileHub(t)
	s.hub = hub
	m := s.large(2*api.PartSize, 1)
	old := ledger.Envelope{ID: id.Random128[id.Envelope](), Address: m.Address, Size: m.Source.Size,
		CRC32C: []uint32{1, 2}, File: "its id"}
	s.update(func(tx *ledger.Tx) error {
		return tx.Seal(old, []ledger.SealedMessage{{Seq: m.Seq, UID: m.UID, Digest: "d"}}, m.State)
	})
	path := filepath.Join(s.cfg.State, sealedFolder, string(old.ID))
	testkit.Must(t, os.WriteFile(path, []byte("ciphertext"), 0o600))
	testkit.Must(t, s.tidy(t.Context()))
	if info, err := os.Stat(path); err != nil || info.Size() > 0 || len(s.orphans) > 0 {
		t.Errorf("its space is not freed: %v, %v, %v", info, err, s.orphans)
	}
	if left := s.found(old.ID); left != nil || s.state(m) != ledger.Taken {
		t.Errorf("the message is %s", s.state(m))
	}
	next, err := s.send(t.Context(), *newJob(s.route(), []ledger.Outgoing{s.last()}))
	if row := s.last(); err != nil || next.waiting || row.State != ledger.Published ||
		row.Envelope == old.ID || len(s.noted()) > 0 {
		t.Errorf("it is %s in %s, %v, noted %v", row.State, row.Envelope, err, s.noted())
	}
}

// The parts of a given-up envelope are deleted. The agent may stop before it asks the hub, or lose
// its ledger.
func TestPartsOfAGivenUpEnvelopeAreDeleted(t *testing.T) {
	s := newSealer(t) // its hub does not answer
	m := s.large(2*api.PartSize, 1)
	out, err := s.seal(t.Context(), *newJob(s.route(), []ledger.Outgoing{m}))
	testkit.Must(t, err)
	testkit.Must(t, s.drop(t.Context(), out, "a test"))
	out.free()
	lost := id.Random128[id.Envelope]()
	testkit.Must(t, s.Outbox.mark(lost))
	hub := newFileHub(t)
	hub.parts[out.ID], hub.parts[lost] = map[int]uint32{0: 1}, map[int]uint32{0: 1}
	s.hub = hub
	for range 2 { // as after a restart
		s.orphans = nil
		testkit.Must(t, s.tidy(t.Context()))
		for _, e := range s.orphans {
			s.abandon(t.Context(), e)
		}
		if len(hub.parts) > 0 || len(s.noted()) > 0 {
			t.Errorf("left are %v, noted %v", hub.parts, s.noted())
		}
	}
	if hub.calls != 2 {
		t.Errorf("the hub was asked %d times", hub.calls)
	}
}

// noted lists the uploads of which the hub may have parts.
func (s *sealer) noted() (names []string) {
	s.t.Helper()
	all, err := os.ReadDir(filepath.Join(s.cfg.State, sealedFolder))
	testkit.Must(s.t, err)
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// A large envelope has a buffer of its own, and all share the others. A request that is read after
// its answer reads no other part.
func TestBuffersOfParts(t *testing.T) {
	p := newPartMemory()
	one, other := make(chan struct{}, 1), make(chan struct{}, 1)
	var taken []*buffer
	for range 1 + sharedBuffers {
		b, err := p.take(t.Context(), one, p.shared)
		testkit.Must(t, err)
		taken = append(taken, b)
	}
	short, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if _, err := p.take(short, one, p.shared); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more: %v", err)
	}
	own, err := p.take(t.Context(), other, p.shared)
	testkit.Must(t, err)
	taken[0].data = append(taken[0].space[:0], "content"...)
	reader := &bufferReader{of: taken[0]}
	if n, err := reader.Read(make([]byte, 3)); n != 3 || err != nil {
		t.Error(n, err)
	}
	for _, b := range append(taken, own) {
		testkit.Must(t, b.end())
	}
	if _, err := reader.Read(make([]byte, 3)); !errors.Is(err, errEnded) {
		t.Errorf("read late: %v", err)
	}
	if len(p.free) > 0 || p.lent != 0 {
		t.Errorf("%d buffers are kept, %d are lent", len(p.free), p.lent)
	}
}

// fullHub is a hub without room for another part.
type fullHub struct{ *fileHub }

func (fullHub) OpenUpload(context.Context, api.UploadRequest) (api.UploadState, error) {
	return api.UploadState{}, &api.Error{Code: api.CodeFull}
}

// A file that has ended its sealing is not sealed on before the hub has room.
func TestALargeFileIsNotSealedForAFullHub(t *testing.T) {
	s := newSealer(t)
	hub := newFileHub(t)
	s.hub = hub
	m := s.large(5*api.PartSize, 1)
	out, err := s.seal(t.Context(), *newJob(s.route(), []ledger.Outgoing{m}))
	testkit.Must(t, err)
	defer out.free()
	hub.fail = func(n int) error {
		if n >= 2 {
			return &api.Error{Code: api.CodeFull}
		}
		return nil
	}
	if err := out.stream.upload(t.Context()); !errors.Is(err, api.ErrFull) {
		t.Fatal(err)
	}
	out.stream.halt()
	s.hub = fullHub{hub}
	for range 3 {
		if err := out.stream.upload(t.Context()); !errors.Is(err, api.ErrFull) ||
			out.stream.stop != nil || s.memory.lent > 0 {
			t.Fatalf("%d parts are in memory, %v", s.memory.lent, err)
		}
	}
	s.hub = hub
	hub.fail = func(int) error { return nil }
	testkit.Must(t, out.stream.upload(t.Context()))
}
