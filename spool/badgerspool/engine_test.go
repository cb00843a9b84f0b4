package badgerspool

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/internal/testkit"
	"sealpost/spool"
)

// counted lets a test see the commits, and hold them up.
type counted struct {
	commits atomic.Int64
	gate    chan struct{} // nil: open; otherwise each commit takes a value first
}

func (c *counted) seams() seams {
	sm := realSeams()
	sm.commit = func(txn *badger.Txn, version uint64) error {
		if c.gate != nil {
			<-c.gate
		}
		c.commits.Add(1)
		return commit(txn, version)
	}
	return sm
}

// largestEnvelope has as many messages and recipients as one can have, with names as long as they
// can be.
func largestEnvelope() spool.Envelope {
	e := testEnvelope(filler(spool.InlineSize))
	e.Messages, e.Deliveries = nil, nil
	e.Sender = id.Site(strings.Repeat("S", 32))
	e.Address = id.Address{RoutingKey: strings.Repeat("k", 255)}
	for i := range spool.MaxMessages {
		e.Messages = append(e.Messages, spool.Message{
			ID:  id.FormatMessage(e.Sender, "ABCDEFGH", time.Now(), 1e17+int64(i)),
			UID: id.Random128[id.UID](), Sent: time.Now(),
		})
	}
	for i := range spool.MaxRecipients {
		site := id.Site(fmt.Sprintf("%s-%02d", strings.Repeat("R", 29), i))
		e.Deliveries = append(e.Deliveries, spool.Target{Site: site, Queue: site.Queue()})
	}
	return e
}

// TestKeysPerPublish holds the budget: at most 4 keys for each message and 4 for each recipient.
// A commit has one block of the audit chain beside them.
func TestKeysPerPublish(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{
		Now: func() time.Time { return time.Unix(1760000000, 0) }}, realSeams())
	one := testEnvelope(filler(500))
	one.Deliveries = one.Deliveries[:1]
	many := largestEnvelope()
	// the row that is written once an hour
	must(t, publishAny(t.Context(), s, testEnvelope(filler(500)), nil))
	for _, e := range []spool.Envelope{one, testEnvelope(filler(500)), many} {
		before := rowVersions(t, s)
		must(t, publishAny(t.Context(), s, e, nil))
		budget := 4*len(e.Messages) + 4*len(e.Deliveries) + 1
		if n := rowVersions(t, s) - before; n > budget {
			t.Errorf("%d messages for %d recipients take %d keys, the budget is %d",
				len(e.Messages), len(e.Deliveries), n, budget)
		}
	}
}

// rowVersions counts every version of every key that was ever written.
func rowVersions(t *testing.T, s *Spool) (n int) {
	t.Helper()
	must(t, s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{AllVersions: true})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return nil
	}))
	return n
}

// TestGroups lets many large and small changes wait behind one commit. They go into few groups, and
// none is too big for Badger.
func TestGroups(t *testing.T) {
	c := &counted{gate: make(chan struct{}, 1)}
	s := mustOpenGated(t, c)
	const large, small = 30, 200
	var wg sync.WaitGroup
	publish := func(e spool.Envelope) {
		wg.Go(func() {
			if err := publishAny(context.Background(), s, e, nil); err != nil {
				t.Error(err)
			}
		})
	}
	for range small {
		publish(testEnvelope(filler(500)))
	}
	for range large {
		publish(largestEnvelope())
	}
	before := c.commits.Load()
	open := sync.OnceFunc(func() { close(c.gate) })
	defer open()
	testkit.Eventually(t, "all wait for the first commit",
		func() bool { return s.packs.Pending() == large+small })
	open()
	wg.Wait()
	if n := c.commits.Load() - before; n > (large+small)/2 {
		t.Errorf("%d publishes took %d commits", large+small, n)
	}
	mustAudit(t, s)
}

func mustOpenGated(t *testing.T, c *counted) *Spool {
	t.Helper()
	c.gate <- struct{}{} // the incarnation's commit
	return mustOpen(t, t.TempDir(), Options{}, c.seams())
}

// TestReadersDoNotWait reads while a commit is held up.
func TestReadersDoNotWait(t *testing.T) {
	c := &counted{gate: make(chan struct{}, 10)}
	s := mustOpenGated(t, c)
	e := testEnvelope(filler(500))
	c.gate <- struct{}{}
	must(t, publishAny(t.Context(), s, e, nil))
	published := make(chan error, 1)
	go func() { published <- publishAny(context.Background(), s, testEnvelope(filler(600)), nil) }()
	ds, err := s.Lease(t.Context(), spool.LeaseRequest{Queue: "ca_rc_queue", Session: "a", Max: 10,
		MaxBytes: 1000, Duration: time.Hour})
	must(t, err)
	if len(ds) != 1 || ds[0].Envelope != e.ID {
		t.Errorf("leased %d", len(ds))
	}
	if ks, err := s.Known(t.Context(), e.Sender, []id.Envelope{e.ID}); err != nil ||
		ks[0].State != spool.StateWaiting {
		t.Errorf("known are %+v, %v", ks, err)
	}
	close(c.gate)
	must(t, <-published)
}

// TestValueLogStaysEmpty: Badger never frees the room of a value in its log.
func TestValueLogStaysEmpty(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	for _, size := range []int{1, 4096, spool.InlineSize, spool.InlineSize + 1} {
		must(t, publishAny(t.Context(), s, testEnvelope(filler(size)), nil))
	}
	must(t, publishAny(t.Context(), s, largestEnvelope(), nil))
	_, err := s.Put(t.Context(), "site", "a", 0, make([]byte, maxItem))
	must(t, err)
	must(t, settleAll(t.Context(), s, "ca_rc_queue", 4))
	must(t, s.Close())
	logs, err := filepath.Glob(filepath.Join(dir, "badger", "*.vlog"))
	must(t, err)
	if len(logs) == 0 {
		t.Fatal("Badger has no value log; this test looks in the wrong place")
	}
	for _, name := range logs {
		data, err := os.ReadFile(name)
		must(t, err)
		if len(data) > 20 && len(bytes.Trim(data[20:], "\x00")) > 0 { // a header of 20 bytes
			t.Errorf("%s holds values", name)
		}
	}
}

// TestHeadMoves: the stored cursor follows settlements and releases, also out of order. A restart
// begins there.
func TestHeadMoves(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{}, realSeams())
	const n = replayed + 40
	for range n {
		must(t, publishAny(t.Context(), s, testEnvelope(filler(100)), nil))
	}
	ds, err := s.Lease(t.Context(), spool.LeaseRequest{Queue: "ca_rc_queue", Session: "a", Max: n,
		Duration: time.Hour})
	must(t, err)
	for i := len(ds) - 1; i > 0; i-- {
		must(t, settleOne(t.Context(), s, ds[i]))
	}
	if head := storedHead(s); head > ds[0].Sequence {
		t.Fatalf("the cursor is at %d, and %d still waits", head, ds[0].Sequence)
	}
	must(t, s.Release(t.Context(), ds[0].Token, spool.Nack{Delay: time.Hour}))
	// cursors are stored after some commits
	for range replayed {
		must(t, publishAny(t.Context(), s, testEnvelope(filler(100)), nil))
		must(t, settleAll(t.Context(), s, "ca_rc_queue", 1))
	}
	must(t, s.Close())
	s = mustOpen(t, dir, Options{}, realSeams())
	if head := storedHead(s); head <= ds[n-1-replayed].Sequence {
		t.Fatalf("the cursor is at %d, and nothing waits up to %d", head, ds[n-1].Sequence)
	}
}

// storedHead returns the stored cursor of the sender of all test envelopes.
func storedHead(s *Spool) uint64 {
	return s.queue("ca_rc_queue").rows[testEnvelope(filler(1)).Sender].Head
}

// TestSnapshots: Badger may drop the versions that no reader can see, and no others.
func TestSnapshots(t *testing.T) {
	n := &snapshots{}
	if got := n.advance(5); got != 5 {
		t.Fatalf("nobody reads, and %d is kept", got)
	}
	a := n.begin()
	n.advance(6)
	b := n.begin()
	c := n.begin()
	for _, step := range []struct {
		end  uint64
		want uint64
	}{{b, 5}, {a, 6}, {c, 9}} {
		n.end(step.end)
		if got := n.advance(n.newest() + 1); got != step.want {
			t.Fatalf("after %d ended, %d is kept, want %d", step.end, got, step.want)
		}
	}
}
