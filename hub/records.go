package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// forgetTime bounds one round. With many old records the next round goes on.
const forgetTime = agesInterval / 2

// records has the result of the last round that forgot old records.
type records struct {
	mu   sync.Mutex // guards last
	last Records
}

// Records is the state of the records of envelopes at the hub.
type Records struct {
	Keep   time.Duration `json:"keep_ns"`         // keep_metadata; 0: for ever
	Oldest time.Time     `json:"oldest,omitzero"` // of the oldest outcome with its record
	Next   time.Time     `json:"next,omitzero"`   // when the hub looks for older ones again
	// envelopes whose records were deleted since the hub's start
	Forgotten int64 `json:"forgotten"`
	// sites that have not read older outcomes; their records stay
	Unread []id.Site `json:"unread,omitempty"`
}

// now returns the state for an answer.
func (r *records) now(keep time.Duration, paused time.Time) Records {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.last
	if out.Keep = keep; keep == 0 {
		out.Next = time.Time{}
	} else if paused.After(out.Next) {
		out.Next = paused
	}
	return out
}

// forgetRecords forgets records that are older than keep_metadata. A removed site needs none.
func (h *Hub) forgetRecords(ctx context.Context, now time.Time) error {
	t := h.dir.view()
	var before time.Time // nothing is old
	if keep := *h.keepMetadata.Load(); keep > 0 {
		before = now.Add(-time.Duration(keep))
	}
	within, cancel := context.WithTimeout(ctx, forgetTime)
	defer cancel()
	out, err := h.spool.Forget(within, spool.Retention{
		Before: before,
		IsGone: func(name id.Site) bool {
			s, known := t.sites[name]
			return !known || s.isRemoved()
		},
	})
	if out.Events > 0 {
		h.log.Info("old records deleted", "envelopes", out.Envelopes, "events", out.Events)
	}
	isCut := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
	if err != nil && !isCut {
		return err
	}
	h.records.mu.Lock()
	defer h.records.mu.Unlock()
	last := &h.records.last
	last.Forgotten += int64(out.Envelopes)
	last.Next = now.Add(agesInterval)
	if !isCut {
		last.Oldest, last.Unread = out.Oldest, out.Unread
	}
	return nil
}

// LossReason returns the report of lost commits.
func LossReason(l spool.Loss) reason.Reason {
	var commits any
	if l.Commits > 0 {
		commits = l.Commits
	}
	return reason.New("hub-lost", "found", l.Found, "commits", commits)
}

// acknowledge ends the report of lost commits.
func (h *Hub) acknowledge(ctx context.Context, _ Nothing) (Changed, error) {
	info, err := h.spool.Info(ctx)
	if err != nil || info.Lost == nil {
		return Changed{}, err
	}
	if err := h.spool.AcknowledgeLoss(context.WithoutCancel(ctx)); err != nil {
		return Changed{}, err
	}
	h.log.Info("lost commits acknowledged", "found", info.Lost.Found, "commits", info.Lost.Commits)
	return Changed{Changed: true}, nil
}
