package inbox

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

// maxReasons limits the released deliveries with a stored reason.
const maxReasons = 1000

const (
	releaseWorkers = 8
	releaseTries   = 3
)

// errFull means that the inbox's volume has no space beyond its reserve.
var errFull = reason.Err("inbox-no-room")

// localError marks a failure of this site's own disk.
type localError struct{ error }

func (e localError) Unwrap() error { return e.error }

// releaseAfter returns the release of a delivery after a failure. It decides the code, the delay,
// and whether this was an attempt.
func releaseAfter(err error, attempts int, size int64) api.ReleaseRequest {
	var local localError
	var unusable unusableError
	var limit envelope.LimitError
	switch {
	case errors.Is(err, context.Canceled):
		return api.ReleaseRequest{Code: api.ReleaseStopped, NotAttempted: true}
	case errors.As(err, &local) && errors.Is(err, errFull): // while its entries were written
		return api.ReleaseRequest{Code: api.ReleaseFull, Delay: retryDelay(attempts, size)}
	case errors.Is(err, errFull):
		return api.ReleaseRequest{Code: api.ReleaseFull, Delay: 20 * time.Second,
			NotAttempted: true}
	case errors.As(err, &unusable):
		return api.ReleaseRequest{Code: api.ReleaseLocal, Delay: 20 * time.Second,
			NotAttempted: true}
	case errors.Is(err, trust.ErrPin):
		return api.ReleaseRequest{Code: api.ReleasePin, Delay: 2 * time.Minute, NotAttempted: true}
	case errors.Is(err, certs.ErrNotValidNow):
		return api.ReleaseRequest{Code: api.ReleaseClock, Delay: 2 * time.Minute}
	case errors.As(err, &limit):
		return api.ReleaseRequest{Code: api.ReleaseTooLarge, Delay: time.Hour}
	case errors.As(err, &local) && trouble.IsNoRoom(err):
		return api.ReleaseRequest{Code: api.ReleaseFull, Delay: retryDelay(attempts, size)}
	case errors.As(err, &local):
		return api.ReleaseRequest{Code: api.ReleaseLocal, Delay: retryDelay(attempts, size)}
	}
	return api.ReleaseRequest{Code: api.ReleaseTransport, Delay: retryDelay(attempts, size)}
}

// overLimit returns the reason of an envelope above max_size: its sender, messages, size and limit.
// The names of its files are known only after it is opened.
func overLimit(d *delivery, limit envelope.LimitError) error {
	messages := make([]string, 0, len(d.Messages))
	for _, m := range d.Messages {
		messages = append(messages, string(m.ID))
	}
	return reason.Err("over-max-size", "sender", d.Sender, "messages", messages,
		"size", reason.Size(limit.Size), "limit", reason.Size(limit.Limit))
}

// rereadRate limits the bytes per second of repeated reading, so that a large envelope waits
// longer.
const rereadRate = 16 << 20

// retryDelay returns a delay that doubles with each attempt, from two seconds to a minute. For a
// large envelope the maximum is up to an hour. Attempts that ended with a kill of the agent count.
func retryDelay(attempts int, size int64) time.Duration {
	most := min(max(time.Minute, time.Duration(size/rereadRate)*time.Second), time.Hour)
	return min(time.Second<<min(max(attempts, 1), 12), most)
}

// noteFailure stores and logs the failure that holds up a held delivery.
func (b *Inbox) noteFailure(d *delivery, cause error) {
	b.mu.Lock()
	if b.held[d.Envelope] == d && len(b.reasons) < maxReasons {
		b.reasons[d.Envelope] = reason.New("content-not-given", "why", cause)
	}
	b.mu.Unlock()
	b.log.Warn("content not read", "envelope", d.Envelope, "sender", d.Sender, "error", cause)
}

// release returns a delivery to the hub, to be offered again later. It stores the reason after
// that.
func (b *Inbox) release(ctx context.Context, d *delivery, r api.ReleaseRequest, cause error) {
	b.mu.Lock()
	r.Token, d.isReleased = d.Token, true
	b.mu.Unlock()
	if r.NotAttempted {
		err := b.ledger.Update(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
			return tx.Forgive(d.Envelope)
		})
		if err != nil {
			b.log.Error("attempt not forgiven", "envelope", d.Envelope, "error", err)
		}
	}
	if err := b.sendRelease(ctx, r); err != nil {
		b.log.Debug("not released", "envelope", d.Envelope, "error", err)
	}
	b.noteTrouble(d, cause)
	b.mu.Lock()
	if cause != nil && r.Code != api.ReleaseStopped && b.held[d.Envelope] == d &&
		len(b.reasons) < maxReasons {
		b.reasons[d.Envelope] = b.whyReleased(cause)
	}
	b.mu.Unlock()
	if cause != nil {
		b.log.Warn("released", "envelope", d.Envelope, "sender", d.Sender, "code", r.Code,
			"delay", r.Delay, "attempts", d.attempts, "error", cause)
	}
	b.drop(d)
}

// whyReleased returns the reason of a release: the cause, if this site's own disk has failed.
func (b *Inbox) whyReleased(cause error) reason.Reason {
	_, hasReason := errors.AsType[*reason.Error](cause)
	if errors.As(cause, new(localError)) && !hasReason {
		if why := trouble.Of(cause, b.cfg.Dir); !why.IsZero() {
			return why
		}
	}
	return reason.Of(cause)
}

// sendRelease sends a release, and retries without an answer: a lost release costs the rest of the
// lease. If only the answer was lost, the retry is stale, and that is no error.
func (b *Inbox) sendRelease(ctx context.Context, r api.ReleaseRequest) error {
	pause := backoff.Backoff{Min: 200 * time.Millisecond, Max: time.Second}
	for tries := 1; ; tries++ {
		err := b.hub.Release(ctx, r)
		if errors.Is(err, api.ErrStale) {
			return nil
		}
		if err == nil || tries == releaseTries ||
			pause.Wait(ctx, min(api.RetryAfter(err), pause.Max)) != nil {
			return err
		}
	}
}

// releaseAll releases deliveries, some concurrently, and returns after the last.
func (b *Inbox) releaseAll(ctx context.Context, list []*delivery,
	how func(*delivery) api.ReleaseRequest, cause error) {
	var g errgroup.Group
	g.SetLimit(releaseWorkers)
	for _, d := range list {
		g.Go(func() error {
			b.release(ctx, d, how(d), cause)
			return nil
		})
	}
	g.Wait() //nolint:errcheck // none returns an error
}
