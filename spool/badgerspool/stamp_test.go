package badgerspool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/spool"
)

var must = testkit.Must

func TestNewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir, Options{}, realSeams()).Close()
	stampFile := filepath.Join(dir, "stamp.json")
	was, err := os.ReadFile(stampFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, stamp := range []string{
		strings.Replace(string(was), `"format":5`, `"format":6`, 1),
		strings.Replace(string(was), `badgerspool`, `otherspool`, 1),
	} {
		if err := os.WriteFile(stampFile, []byte(stamp), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); err == nil ||
			!strings.Contains(err.Error(), "newer sealpost") {
			t.Errorf("%s: %v", stamp, err)
		}
	}
	if err := os.WriteFile(stampFile, was, 0o600); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, Options{}, realSeams())
}

func TestDamagedStamp(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir, Options{}, realSeams()).Close()
	if err := os.WriteFile(filepath.Join(dir, "stamp.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "stamp.json") {
		t.Fatalf("it says %v", err)
	}
}

func TestOpenedOnce(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir, Options{}, realSeams())
	if _, err := Open(dir, Options{}); !errors.Is(err, durable.ErrLocked) {
		t.Fatalf("the second open says %v", err)
	}
}

// TestLostCommits restores an older state of Badger, as a damaged log or a copied folder does. The
// store notices and takes a new incarnation, so that senders publish again.
func TestLostCommits(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	old := testEnvelope(filler(500))
	must(t, publishAny(t.Context(), s, old, nil))
	was := s.Incarnation()
	must(t, s.Close())
	older := filepath.Join(t.TempDir(), "badger")
	must(t, os.CopyFS(older, os.DirFS(filepath.Join(dir, "badger"))))

	s = mustOpen(t, dir, Options{}, realSeams())
	if s.Incarnation() != was {
		t.Fatal("the incarnation changed without a reason")
	}
	lost := testEnvelope(filler(600))
	p, err := s.Publish(t.Context(), lost)
	must(t, err)
	must(t, s.Close())
	must(t, os.RemoveAll(filepath.Join(dir, "badger")))
	must(t, os.CopyFS(filepath.Join(dir, "badger"), os.DirFS(older)))

	s = mustOpen(t, dir, Options{}, realSeams())
	if s.Incarnation() == was || s.Incarnation() == "" {
		t.Fatal("senders cannot see that commits were lost")
	}
	ks, err := s.Known(t.Context(), lost.Sender, []id.Envelope{old.ID, lost.ID})
	must(t, err)
	if ks[0].State != spool.StateWaiting || ks[1].State != spool.StateUnknown {
		t.Fatalf("known are %+v", ks)
	}
	second, err := s.Publish(t.Context(), lost)
	must(t, err)
	if second.Incarnation != s.Incarnation() || second.Sequence <= p.Sequence {
		t.Fatalf("published again as %+v, before it was %+v", second, p)
	}
	now := s.Incarnation()
	var found *spool.Loss
	for n := range 2 {
		info, err := s.Info(t.Context())
		must(t, err)
		if info.Lost == nil || info.Lost.Commits != 1 || n > 0 && *info.Lost != *found {
			t.Errorf("start %d reports %+v as lost", n, info.Lost)
		}
		found = info.Lost
		must(t, s.Close())
		if s = mustOpen(t, dir, Options{}, realSeams()); s.Incarnation() != now {
			t.Fatal("the new incarnation did not last")
		}
	}
	for range 2 {
		must(t, s.AcknowledgeLoss(t.Context()))
		info, err := s.Info(t.Context())
		must(t, err)
		if info.Lost != nil {
			t.Errorf("acknowledged, it reports %+v", info.Lost)
		}
		mustAudit(t, s)
		must(t, s.Close())
		s = mustOpen(t, dir, Options{}, realSeams())
	}
}

// TestBadgerGone: with Badger's folder deleted the store is a new one.
func TestBadgerGone(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	must(t, publishAny(t.Context(), s, testEnvelope(filler(spool.InlineSize+1)), nil))
	was := s.Incarnation()
	must(t, s.Close())
	must(t, os.RemoveAll(filepath.Join(dir, "badger")))
	s = mustOpen(t, dir, Options{}, realSeams())
	if s.Incarnation() == was {
		t.Fatal("it claims to be the same")
	}
	expectEmpty(t, s)
	mustAudit(t, s)
}

// TestInterruptedCreation: a store that never got its stamp is finished by the next start.
func TestInterruptedCreation(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir, Options{}, realSeams()).Close()
	must(t, os.Remove(filepath.Join(dir, "stamp.json")))
	s := mustOpen(t, dir, Options{}, realSeams())
	if _, err := id.Parse128[id.Incarnation](string(s.Incarnation())); err != nil {
		t.Fatal(err)
	}
	must(t, publishAny(t.Context(), s, testEnvelope(filler(500)), nil))
}
