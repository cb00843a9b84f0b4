package agent

import (
	"context"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/backoff"
)

const (
	agesLook  = 5 * time.Second // between two looks at the clock
	agesEvery = time.Hour       // between two deletions
	// leapLeast is the least time between two looks that counts as a leap of the clock. The
	// computer may have slept. Nothing is deleted for its age until leapPause has passed.
	leapLeast, leapPause = time.Hour, time.Hour
	// forgetShare is the rest between two deletions of rows, as a multiple of the time of one.
	forgetShare = 20
)

// ages decides when the clock is good enough to delete something for its age.
type ages struct {
	seen, paused, last time.Time // the last look, the end of a pause, and the last deletion
}

// isDue reports whether things that are too old may be deleted now. The hub's clock must agree with
// this one, and neither may have leapt.
func (g *ages) isDue(now time.Time, link Link) bool {
	passed := now.Sub(g.seen)
	switch {
	case g.seen.IsZero(), passed > -leapLeast && passed < leapLeast:
	default:
		g.paused = now.Add(leapPause)
	}
	g.seen = now
	if !link.Connected || !link.Clock.IsZero() || now.Before(g.paused) ||
		!g.last.IsZero() && now.Sub(g.last) < agesEvery {
		return false
	}
	g.last = now
	return true
}

// keepAges deletes old history from the ledger, and old content from delivered/.
func (a *Agent) keepAges(ctx context.Context) error {
	var g ages
	for backoff.Sleep(ctx, agesLook) == nil {
		a.mu.Lock()
		link := a.link
		a.mu.Unlock()
		now := a.now()
		if !g.isDue(now.Round(0), link) {
			continue
		}
		if err := a.forget(ctx, now); err != nil && ctx.Err() == nil {
			a.log.Warn("old history not deleted; it will be retried", "error", err)
		}
		if a.outbox == nil {
			continue
		}
		if err := a.outbox.Clear(ctx, now, restAfter(ctx)); err != nil && ctx.Err() == nil {
			a.log.Warn("old content not removed; it will be retried", "error", err)
		}
	}
	return nil
}

// restAfter returns the rest between two deletions.
func restAfter(ctx context.Context) func(time.Duration) error {
	return func(took time.Duration) error { return backoff.Sleep(ctx, forgetShare*took) }
}

// forget deletes the ledger's rows of messages that ended before keep_history.
func (a *Agent) forget(ctx context.Context, now time.Time) error {
	keep := time.Duration(a.cfg.KeepHistory)
	if keep == 0 {
		return nil
	}
	n, err := a.ledger.Forget(ctx, now.Add(-keep), restAfter(ctx))
	if n != (ledger.Forgotten{}) {
		a.log.Info("history deleted for its age", "sent", n.Sent, "received", n.Received,
			"envelopes", n.Envelopes+n.Deliveries)
	}
	return err
}

// history returns the time before which the ledger may have no rows of ended messages, or zero.
func (a *Agent) history(ctx context.Context) (since time.Time, err error) {
	err = a.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		since, err = tx.History()
		return err
	})
	return since, err
}
