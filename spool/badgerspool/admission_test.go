package badgerspool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/spool"
)

const mib = 1 << 20

// fullness is a disk as full as a test wants it.
func fullness() (seams, *atomic.Int64) {
	free := new(atomic.Int64)
	free.Store(1 << 40)
	sm := realSeams()
	sm.free = func(string) (int64, error) { return free.Load(), nil }
	return sm, free
}

func TestAdmission(t *testing.T) {
	sm, free := fullness()
	s := mustOpen(t, t.TempDir(), Options{Reserve: 1000 * mib, Floor: 100 * mib}, sm)
	ctx := t.Context()
	staged := filler(spool.SmallSize + 1)
	large := testEnvelope(staged)
	st, err := s.Stage(ctx, uploadOf(large))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := publishAny(ctx, s, testEnvelope(filler(500)), nil); err != nil {
			t.Fatal(err)
		}
	}
	ds, err := s.Lease(ctx, spool.LeaseRequest{Queue: "ca_rc_queue", Session: "a", Max: 3,
		Duration: time.Hour})
	if err != nil || len(ds) != 3 {
		t.Fatal(len(ds), err)
	}

	free.Store(1000*mib - 1) // below the reserve: nothing new, but stored content goes on
	expectFull(t, "publish", publishAny(ctx, s, testEnvelope(filler(500)), nil))
	expectFull(t, "publish a file", publishAny(ctx, s,
		testEnvelope(filler(spool.InlineSize+1)), nil))
	other := testEnvelope(filler(spool.SmallSize + 2))
	expectFull(t, "stage", publishAny(ctx, s, other, filler(spool.SmallSize+2)))
	expectRoom(t, "put a part that has its room", putPart(ctx, st, 0, staged))
	expectRoom(t, "settle", settleOne(ctx, s, ds[0]))
	expectRoom(t, "release", s.Release(ctx, ds[1].Token, spool.Nack{Delay: time.Hour}))
	_, err = s.Put(ctx, "site", "a", 0, []byte("x"))
	expectRoom(t, "put an item", err)

	free.Store(100*mib - 1) // below the floor: nothing at all
	expectFull(t, "settle", settleOne(ctx, s, ds[2]))
	expectFull(t, "release", s.Release(ctx, ds[2].Token, spool.Nack{}))
	_, err = s.Put(ctx, "site", "b", 0, []byte("x"))
	expectFull(t, "put an item", err)
	if _, err := s.Extend(ctx, ds[2].Token); err != nil {
		t.Errorf("a refused release took the lease: %v", err)
	}

	free.Store(1000*mib + 1 + spool.SmallSize)
	expectFull(t, "stage what would pass the reserve",
		publishAny(ctx, s, other, filler(spool.SmallSize+2)))
	free.Store(1 << 40)
	expectRoom(t, "settle", settleOne(ctx, s, ds[2]))
	expectRoom(t, "publish", publishAny(ctx, s, large, staged))
	expectRoom(t, "stage", publishAny(ctx, s, other, filler(spool.SmallSize+2)))
	mustAudit(t, s)
}

func expectFull(t *testing.T, step string, err error) {
	t.Helper()
	if !errors.Is(err, spool.ErrFull) {
		t.Errorf("%s: %v, want ErrFull", step, err)
	}
}

func expectRoom(t *testing.T, step string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", step, err)
	}
}

// TestStatfsFails: while the free space is unknown, the store promises nothing.
func TestStatfsFails(t *testing.T) {
	sm := realSeams()
	var broken atomic.Bool
	sm.free = func(string) (int64, error) {
		if broken.Load() {
			return 0, errInjected
		}
		return 1 << 40, nil
	}
	s := mustOpen(t, t.TempDir(), Options{}, sm)
	broken.Store(true)
	if err := publishAny(t.Context(), s, testEnvelope(filler(500)),
		nil); !errors.Is(err, errInjected) {
		t.Errorf("publish: %v", err)
	}
	broken.Store(false)
	if err := publishAny(t.Context(), s, testEnvelope(filler(500)), nil); err != nil {
		t.Errorf("publish: %v", err)
	}
}

func TestBallast(t *testing.T) {
	dir := t.TempDir()
	sm, free := fullness()
	opts := Options{Reserve: 100 * mib, Floor: 50 * mib, Ballast: 10 * mib}
	ballast := filepath.Join(dir, "ballast")
	present := func() bool {
		info, err := os.Stat(ballast)
		return err == nil && info.Size() == opts.Ballast
	}
	sm.free = func(string) (int64, error) { // the file's bytes are not free
		if present() {
			return free.Load() - opts.Ballast, nil
		}
		return free.Load(), nil
	}
	s := mustOpen(t, dir, opts, sm)
	if !present() {
		t.Fatal("there is room, and no ballast")
	}
	s.Close()

	free.Store(openNeeds + 5*mib) // with the ballast there is too little
	s = mustOpen(t, dir, opts, sm)
	if present() {
		t.Fatal("the ballast was not given up")
	}
	if err := s.loadBallast(); err != nil || present() {
		t.Fatalf("it was made again without room: %v", err)
	}
	free.Store(1 << 40)
	if err := s.loadBallast(); err != nil || !present() {
		t.Fatalf("it was not made again: %v", err)
	}
	s.Close()

	free.Store(openNeeds - 1)
	_, err := open(dir, opts, sm)
	if !errors.Is(err, spool.ErrFull) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("a disk too full to open: %v", err)
	}
	free.Store(1 << 40)
	mustOpen(t, dir, opts, sm)
}
