package inbox

import (
	"context"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

// A site decides from whom it takes deliveries, and how many bytes of each sender in a day. The hub
// keeps the others and tells their senders. Each lease names the senders, so a delivery that waits
// costs no download.

// unaskedDelay is the delay of a delivery that the hub has handed out in spite of the lease.
const unaskedDelay = 30 * time.Second

// daily counts the bytes that were taken from each sender on one day (UTC).
type daily struct {
	day   time.Time // its beginning
	bytes map[id.Site]int64
}

// of returns the count of a day, which is empty for a new one.
func (d *daily) of(now time.Time) map[id.Site]int64 {
	if day := now.UTC().Truncate(24 * time.Hour); d.bytes == nil || !day.Equal(d.day) {
		*d = daily{day, map[id.Site]int64{}}
	}
	return d.bytes
}

// loadToday reads from the ledger how much was taken since the day began.
func (b *Inbox) loadToday(ctx context.Context) error {
	if b.cfg.PerDay == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := b.today.of(b.cfg.Now())
	return b.ledger.View(ctx, func(tx *ledger.Tx) error {
		sums, err := tx.ReceivedSince(b.today.day)
		for sender, bytes := range sums {
			counts[sender] = bytes
		}
		return err
	})
}

// count adds placed deliveries to the count of the day. It hands back the waiting deliveries of
// a sender that has reached the limit.
func (b *Inbox) count(ctx context.Context, placed []*placement) {
	if b.cfg.PerDay == 0 {
		return
	}
	b.mu.Lock()
	counts := b.today.of(b.cfg.Now())
	before := limited(counts, b.cfg.PerDay)
	for _, p := range placed {
		if !p.isKnown && p.code == "" {
			counts[p.Sender] += p.Size
		}
	}
	after := limited(counts, b.cfg.PerDay)
	b.mu.Unlock()
	if len(after) == len(before) {
		return
	}
	b.leaseAgain()
	for _, sender := range after {
		if !slices.Contains(before, sender) {
			b.log.Warn("no more is taken today", "sender", sender, "bytes", b.cfg.PerDay)
			b.handBack(ctx, append(b.small.drop(sender), b.large.drop(sender)...))
		}
	}
}

// limited lists the senders that have reached the limit, in order.
func limited(counts map[id.Site]int64, most int64) (list []id.Site) {
	for sender, bytes := range counts {
		if bytes >= most {
			list = append(list, sender)
		}
	}
	slices.Sort(list)
	return list
}

// admit limits a lease to the senders from which this site takes deliveries now.
func (b *Inbox) admit(ctx context.Context, ask *api.LeaseRequest) (err error) {
	ask.Limited, ask.Only = nil, nil
	if ask.Blocked, err = b.turnedAway(ctx); err != nil {
		return err
	}
	if b.cfg.PerDay > 0 {
		b.mu.Lock()
		ask.Limited = limited(b.today.of(b.cfg.Now()), b.cfg.PerDay)
		b.mu.Unlock()
		room := api.MaxExcept - len(ask.Blocked) - len(ask.Except)
		ask.Limited = ask.Limited[:min(len(ask.Limited), max(0, room))]
	}
	if b.cfg.OnlyCompared {
		ask.Only = &api.Senders{}
		ask.Only.Sites, err = b.cfg.Trust.ComparedSites(ctx)
	}
	return err
}

// takes reports whether a lease asks for the deliveries of a sender.
func takes(ask api.LeaseRequest, sender id.Site) bool {
	return !slices.Contains(ask.Blocked, sender) && !slices.Contains(ask.Limited, sender) &&
		(ask.Only == nil || slices.Contains(ask.Only.Sites, sender))
}
