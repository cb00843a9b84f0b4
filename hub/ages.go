package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sealpost/internal/strictjson"
	"sealpost/spool"
)

const (
	agesInterval = time.Minute
	agesStored   = 10 * time.Minute // between two writes of the time
	leapLeast    = time.Hour        // between two looks at the clock: a leap
	leapPause    = 24 * time.Hour   // the longest pause after a leap
)

// kindClock has one item, under keySeen: the last look at the clock.
const (
	kindClock = "clock"
	keySeen   = "seen"
)

// glance is a look at the clock.
type glance struct {
	Seen   time.Time `json:"seen"`
	Paused time.Time `json:"paused_until,omitzero"` // until then nothing ends
}

// ages watches the clock by which deliveries end. After a leap forward, nothing ends for as long as
// the leap, at most leapPause: an admin can correct the clock, and sites can fetch their deliveries
// after the hub was off.
type ages struct {
	mu   sync.Mutex // guards last
	last glance

	round   sync.Mutex // held by a round; guards the fields below
	stored  glance     // in the registry
	version uint64     // of the stored one
}

func (a *ages) pausedUntil() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last.Paused
}

// look takes the present time. It returns the leap of the clock since the last look; 0: there was
// none.
func (a *ages) look(now time.Time) (leap time.Duration, g glance) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g = glance{now, a.last.Paused}
	passed := now.Sub(a.last.Seen)
	switch {
	case a.last.Seen.IsZero():
	case passed < 0: // set back, perhaps to the right time: the pause was measured by the wrong one
		g.Paused = time.Time{}
	case passed >= leapLeast:
		leap = passed
		g.Paused = now.Add(min(passed, leapPause))
	}
	if !now.Before(g.Paused) {
		g.Paused = time.Time{}
	}
	a.last = g
	return leap, g
}

// readAges reads the time at which the hub last ran.
func (h *Hub) readAges(ctx context.Context) error {
	item, err := h.spool.Get(ctx, kindClock, keySeen)
	if errors.Is(err, spool.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the time of the last run: %w", err)
	}
	h.ages.version = item.Version
	if err := strictjson.Unmarshal(item.Value, &h.ages.stored); err != nil {
		return fmt.Errorf("the time of the last run: %w", err)
	}
	h.ages.last = h.ages.stored
	return nil
}

// endDeliveries ends old deliveries, dead letters and records, once a minute.
func (h *Hub) endDeliveries(ctx context.Context) error {
	tick := time.NewTicker(agesInterval)
	defer tick.Stop()
	for {
		if err := h.endOld(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("nothing ended for its age; it will be retried", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// endOld is one round. It stores the time before it ends anything.
func (h *Hub) endOld(ctx context.Context) error {
	h.ages.round.Lock()
	defer h.ages.round.Unlock()
	now := h.now().UTC().Round(0)
	leap, g := h.ages.look(now)
	if leap > 0 {
		h.log.Warn("the clock has leapt, or the hub was off; nothing ends for its age",
			"leap", leap, "until", g.Paused)
	}
	if since := now.Sub(h.ages.stored.Seen); since < 0 || since >= agesStored ||
		!g.Paused.Equal(h.ages.stored.Paused) {
		text, err := strictjson.Marshal(g)
		if err != nil {
			return err
		}
		if h.ages.version, err = h.spool.Put(ctx, kindClock, keySeen, h.ages.version,
			text); err != nil {
			return fmt.Errorf("store the time: %w", err)
		}
		h.ages.stored = g
	}
	if !g.Paused.IsZero() {
		return nil
	}
	d := h.deliveries.Load()
	t := h.dir.view()
	for name, q := range t.queues {
		s := t.sites[q.Site]
		if s.Hold != nil {
			continue // the site could not fetch them
		}
		for code, bound := range map[string]spool.Bound{
			deadExpired:  {Before: s.Held.before(now, h.expiresAfter(s))},
			deadAttempts: {Attempts: d.MaxAttempts},
		} {
			n, err := h.spool.Expire(ctx, name, bound, code)
			if n > 0 {
				h.log.Warn("deliveries ended", "queue", name, "code", code, "deliveries", n)
			}
			if err != nil {
				return err
			}
		}
	}
	n, err := h.spool.DiscardBefore(ctx, now.Add(-time.Duration(d.DeadKeep)))
	if n > 0 {
		h.log.Info("dead letters discarded for their age", "envelopes", n)
	}
	if err != nil {
		return err
	}
	return h.forgetRecords(ctx, now)
}
