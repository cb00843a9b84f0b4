package badgerspool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// TestUpgrade opens a store of an older format. Format 1 has no counts, and keeps the content of
// the dead. Up to format 3 all have one line for all senders. Up to format 4 no envelope has the
// number of its newest event. Afterwards each row and file is as in a new store.
// A crash after any commit leaves the older stamp, and the next start begins anew.
func TestUpgrade(t *testing.T) {
	for _, format := range []int{1, 2, 3, 4} {
		t.Run(fmt.Sprint("format ", format), func(t *testing.T) { upgradeFrom(t, format) })
	}
}

func upgradeFrom(t *testing.T, format int) {
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
	letters := 0
	if format >= 3 {
		must(t, s.Limit(ctx, spool.Quotas{Dead: 1 << 30}))
		letters, err = s.Kill(ctx, "ca_rc_queue", "removed")
		must(t, err)
	}
	want, err := s.Usage(ctx)
	must(t, err)
	was := s.Incarnation()
	older(t, s, format)
	must(t, s.Close())
	stamp, err := os.ReadFile(s.stampPath())
	must(t, err)
	stamp = bytes.Replace(stamp, []byte(`"format":5`), fmt.Appendf(nil, `"format":%d`, format), 1)
	must(t, os.WriteFile(s.stampPath(), stamp, 0o600))

	for attempts := 0; ; attempts++ {
		sm, made := realSeams(), 0
		sm.commit = func(txn *badger.Txn, version uint64) error {
			if made++; made > attempts {
				return errInjected
			}
			return commit(txn, version)
		}
		opened, err := open(dir, Options{}, sm)
		if err == nil {
			must(t, opened.Close())
			break
		}
		if !errors.Is(err, errInjected) {
			t.Fatalf("after %d commits: %v", attempts, err)
		}
		if got, err := os.ReadFile(s.stampPath()); attempts < 3 &&
			(err != nil || !bytes.Equal(got, stamp)) {
			t.Fatalf("after %d commits the stamp is %s, %v", attempts, got, err)
		}
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
	kept, _, err := s.DeadLetters(ctx, 0, 1000)
	must(t, err)
	if len(kept) != letters {
		t.Errorf("%d dead letters are left of %d", len(kept), letters)
	}
	for _, l := range kept[:min(2, letters)] {
		must(t, s.Requeue(ctx, l.Letter))
	}
	mustAudit(t, s)
	must(t, publishAny(ctx, s, testEnvelope(filler(77)), nil))
	old, err := s.Forget(ctx, spool.Retention{Before: time.Now().Add(time.Hour),
		IsGone: func(id.Site) bool { return true }})
	if err != nil || old.Events == 0 {
		t.Errorf("forgotten were %+v, %v", old, err)
	}
	mustAudit(t, s)
	must(t, s.Close())
	if stamp, err = os.ReadFile(s.stampPath()); !strings.Contains(string(stamp), `"format":5`) {
		t.Errorf("the stamp is %s, %v", stamp, err)
	}
	mustAudit(t, mustOpen(t, dir, Options{}, realSeams()))
}

// older writes the rows of figures and of waiting deliveries as an older format did.
func older(t *testing.T, s *Spool, format int) {
	t.Helper()
	g := s.newGroup()
	defer g.txn.Discard()
	for _, q := range all(s, s.queues) {
		f, _ := q.load()
		b := make(encoder, 0, 64)
		b.uint(f.commit)
		b.uint(f.last)
		b.uint(uint64(min(1, 4-format)))
		b.int(0)
		b.uint(0)
		held := []int64{f.bytes, f.messages}
		if format == 1 {
			held = []int64{12345}
		}
		for _, n := range append([]int64{f.waiting, f.released, f.settled, f.dead, f.envelopes},
			held...) {
			b.int(n)
		}
		g.set(figuresKey(q.name), b)
		if format == 4 {
			continue
		}
		for _, from := range q.Senders() {
			g.del(laneKey(q.name, from))
			for _, o := range []queue.Order{queue.BySequence, queue.ByTime} {
				must(t, deliveries{g.txn, q.name}.Scan(o, queue.Position{From: from},
					func(p queue.Position, value []byte) (bool, error) {
						olderEntry(g, q.name, p, value)
						return true, nil
					}))
			}
		}
	}
	if format == 1 {
		olderCounts(t, g)
	} else {
		must(t, each(g.txn, keySite, func(name string, row []byte) error {
			g.set(siteKey(id.Site(name)), row[:len(row)-2]) // both are 0
			return nil
		}))
	}
	must(t, each(g.txn, keyFinals, func(seq string, row []byte) error {
		g.set([]byte(string(keyFinals)+seq), row[:len(row)-8])
		return nil
	}))
	must(t, g.failed)
	must(t, s.seams.commit(g.txn, g.version))
	s.db.SetDiscardTs(s.snapshots.advance(g.version))
}

// olderEntry replaces the row of a waiting delivery by one of format 2.
func olderEntry(g *group, name string, p queue.Position, value []byte) {
	en, _ := decodeEntry(value)
	var b encoder
	b.raw(en.id[:])
	b.uint(uint64(en.target))
	b.uint(uint64(en.attempts))
	b.string(string(p.From))
	g.del(entryAt(name, p))
	if p.Due == 0 {
		g.set(u64(named(oldEntry, name), p.Seq), b)
		return
	}
	g.set(u64(u64(named(oldRetry, name), uint64(p.Due)), p.Seq), b)
}

// olderCounts writes the rows of sites and packs as format 1 did.
func olderCounts(t *testing.T, g *group) {
	t.Helper()
	s := g.s
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
}
