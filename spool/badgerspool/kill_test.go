package badgerspool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

const (
	killLanes      = 4
	killsPerFolder = 12 // a large store makes the rounds slow
)

// TestKill kills processes at random instants while they open a store, publish and settle in one
// folder, near their quotas. Every acknowledged change must be there afterwards, the store must be
// whole, and its counters must be exact.
func TestKill(t *testing.T) {
	rounds := 100
	if soak() {
		rounds = 4000
	}
	var published, settled, refused atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d rounds, %d publishes and %d settlements acknowledged, %d publishes refused",
			rounds, published.Load(), settled.Load(), refused.Load())
		if published.Load() == 0 || settled.Load() == 0 || refused.Load() == 0 {
			t.Error("no child came so far as to be told anything")
		}
	})
	for lane := range killLanes {
		t.Run(strconv.Itoa(lane), func(t *testing.T) {
			t.Parallel()
			killLane(t, rounds/killLanes, &published, &settled, &refused)
		})
	}
}

func killLane(t *testing.T, rounds int, published, settled, refused *atomic.Int64) {
	dir := ""
	for n := range rounds {
		if n%killsPerFolder == 0 {
			must(t, os.RemoveAll(dir))
			dir = filepath.Join(t.TempDir(), "spool")
		}
		kill := killAtReady
		if n%2 == 0 {
			kill = killAtStart
		}
		r := kill(t, dir)
		if r.failed != "" {
			t.Fatalf("the child of round %d failed: %s", n, r.failed)
		}
		published.Add(int64(len(r.published)))
		settled.Add(int64(len(r.settled)))
		for _, n := range r.refused {
			refused.Add(int64(n))
		}
		checkRound(t, dir, r)
	}
}

// killAtStart kills a child some time after its start.
func killAtStart(t *testing.T, dir string) killRound {
	t.Helper()
	cmd := child(t.Context(), dir, storyEndless)
	return listen(t, cmd, func() { killWithin(cmd, 150*time.Millisecond) }, func() {})
}

// killAtReady kills a child some time after it has opened its store.
func killAtReady(t *testing.T, dir string) killRound {
	t.Helper()
	cmd := child(t.Context(), dir, storyEndless)
	return listen(t, cmd, func() {}, func() { killWithin(cmd, 60*time.Millisecond) })
}

func killWithin(cmd *exec.Cmd, within time.Duration) {
	time.AfterFunc(rand.N(within), func() { cmd.Process.Kill() })
}

// checkRound opens the store that a child left.
func checkRound(t *testing.T, dir string, r killRound) {
	t.Helper()
	s, err := openUnlocked(dir)
	must(t, err)
	defer s.Close()
	mustAudit(t, s)
	known := make(map[id.Envelope]spool.Known)
	ks, err := s.Known(t.Context(), "FL-LAB", append(r.published, settledIDs(r)...))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range ks {
		known[k.Envelope] = k
		if k.State == spool.StateUnknown {
			t.Fatalf("%s was acknowledged and is unknown", k.Envelope)
		}
	}
	for _, st := range r.settled {
		found := known[id.Envelope(st[0])].State == spool.StateForgotten
		for _, res := range known[id.Envelope(st[0])].Results {
			found = found || res.Receipt == "receipt "+st[0]+st[1]
		}
		if !found {
			t.Fatalf("the settlement of %s in %s was acknowledged and is lost", st[0], st[1])
		}
	}
	used := atTheLimit(t, s)
	for _, queue := range []string{"ca_rc_queue", "sf_rc_queue"} {
		drain(t, s, queue)
	}
	belowTheLimit(t, s, used)
	for _, before := range []time.Time{time.Now(), time.Now().Add(time.Hour)} {
		_, err := s.Forget(t.Context(), spool.Retention{Before: before,
			IsGone: func(id.Site) bool { return true }})
		must(t, err)
		mustAudit(t, s)
	}
}

// atTheLimit sets each limit of the sender to its present count, and checks that it gets no more.
func atTheLimit(t *testing.T, s *Spool) spool.Usage {
	t.Helper()
	usages, err := s.Usage(t.Context())
	must(t, err)
	used := usages.Sites["FL-LAB"]
	if used == (spool.Usage{}) {
		return used
	}
	all := spool.Quota(used)
	all.Bytes += all.Reserved // which it limits too
	must(t, s.Limit(t.Context(), spool.Quotas{Dead: 1 << 20,
		Sites: map[id.Site]spool.Quota{"FL-LAB": all}}))
	if _, err := s.Publish(t.Context(), smallKillEnvelope()); !errors.Is(err, spool.ErrQuota) {
		t.Fatalf("above %+v an envelope gets %v", used, err)
	}
	return used
}

// belowTheLimit ends the uploads of a sender at its limits. Then it has room for as much as was
// settled, but for the metadata of the day.
func belowTheLimit(t *testing.T, s *Spool, used spool.Usage) {
	t.Helper()
	ctx := t.Context()
	open, err := s.AbortUploads(ctx, "FL-LAB")
	must(t, err)
	if int64(open) != used.Uploads {
		t.Fatalf("%d uploads were open, and %d were counted", open, used.Uploads)
	}
	mustAudit(t, s)
	usages, err := s.Usage(ctx)
	must(t, err)
	now := usages.Sites["FL-LAB"]
	if now.Reserved != 0 || now.Uploads != 0 || now.Metadata != used.Metadata {
		t.Fatalf("after the end of all uploads the counts are %+v, before %+v", now, used)
	}
	if used.Envelopes <= now.Envelopes || used.Bytes-now.Bytes < 300+256 {
		return // nothing was settled that leaves room
	}
	room := spool.Quota(used)
	room.Metadata = 0
	must(t, s.Limit(ctx, spool.Quotas{Dead: 1 << 20, Sites: map[id.Site]spool.Quota{
		"FL-LAB": room}}))
	_, err = s.Publish(ctx, smallKillEnvelope())
	must(t, err)
}

// smallKillEnvelope returns an envelope of at most 555 bytes.
func smallKillEnvelope() spool.Envelope {
	for {
		if e, content := killEnvelope(); len(content) < 556 {
			return e
		}
	}
}

func settledIDs(r killRound) (ids []id.Envelope) {
	for _, st := range r.settled {
		ids = append(ids, id.Envelope(st[0]))
	}
	return ids
}

// drain reads and settles everything that waits but the last few.
func drain(t *testing.T, s *Spool, queue string) {
	t.Helper()
	for {
		infos, err := s.Queues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiting := int64(0)
		for _, info := range infos {
			if info.Name == queue {
				waiting = info.Waiting - info.Leased
			}
		}
		if waiting <= 3 {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		ds, err := s.Lease(ctx, spool.LeaseRequest{Queue: queue, Session: "parent", Max: 64,
			MaxBytes: 4 << 20, Duration: time.Hour})
		cancel()
		if err != nil || len(ds) == 0 {
			t.Fatalf("%d wait in %s, got %d, %v", waiting, queue, len(ds), err)
		}
		for _, d := range ds {
			readWhole(t, s, d)
			if err := settleOne(t.Context(), s, d); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func readWhole(t *testing.T, s *Spool, d spool.Delivery) {
	t.Helper()
	got := d.Content
	if got == nil {
		rc, err := s.Open(t.Context(), d.DeliveryID, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer rc.Close()
		if got, err = io.ReadAll(rc); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, killContent(d.Envelope)) {
		t.Fatalf("%s holds %d other bytes", d.Envelope, len(got))
	}
}
