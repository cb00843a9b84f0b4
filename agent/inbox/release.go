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
	"sealpost/internal/words"
)

// maxTrouble bounds the deliveries of which people are told why they were handed back.
const maxTrouble = 1000

const (
	releasesAtOnce = 8
	releaseTries   = 3
)

// errFull says that the inbox's volume has no room beyond its reserve.
var errFull = errors.New(words.NoRoomInInbox)

// localError is a failure of this site's own disk.
type localError struct{ error }

func (e localError) Unwrap() error { return e.error }

// handing decides how a delivery that could not be opened is handed back: with which code, for how long, and whether it
// counts as an attempt.
func handing(err error, attempts int, size int64) api.ReleaseRequest {
	var local localError
	var away awayError
	switch {
	case errors.Is(err, context.Canceled):
		return api.ReleaseRequest{Code: api.ReleaseStopped, NotAttempted: true}
	case errors.Is(err, errFull):
		return api.ReleaseRequest{Code: api.ReleaseFull, Delay: 20 * time.Second, NotAttempted: true}
	case errors.As(err, &away):
		return api.ReleaseRequest{Code: api.ReleaseLocal, Delay: 20 * time.Second, NotAttempted: true}
	case errors.Is(err, trust.ErrPin):
		return api.ReleaseRequest{Code: api.ReleasePin, Delay: 2 * time.Minute, NotAttempted: true}
	case errors.Is(err, certs.ErrNotValidNow):
		return api.ReleaseRequest{Code: api.ReleaseClock, Delay: 2 * time.Minute}
	case errors.Is(err, envelope.ErrTooLarge):
		return api.ReleaseRequest{Code: api.ReleaseTooLarge, Delay: time.Hour}
	case errors.As(err, &local):
		return api.ReleaseRequest{Code: api.ReleaseLocal, Delay: growing(attempts, size)}
	}
	return api.ReleaseRequest{Code: api.ReleaseTransport, Delay: growing(attempts, size)}
}

// rereadRate is how many bytes a second may be read in vain, so that a large envelope waits longer.
const rereadRate = 16 << 20

// growing returns a delay that doubles with each attempt, from two seconds to a minute, or for a large envelope up to an
// hour. Attempts include those that a kill of the agent ended.
func growing(attempts int, size int64) time.Duration {
	most := min(max(time.Minute, time.Duration(size/rereadRate)*time.Second), time.Hour)
	return min(time.Second<<min(max(attempts, 1), 12), most)
}

// explain tells people why a delivery that this site still has does not get on.
func (b *Inbox) explain(d *delivery, cause error) {
	b.mu.Lock()
	if b.held[d.Envelope] == d && len(b.trouble) < maxTrouble {
		b.trouble[d.Envelope] = words.ContentNotGiven(cause)
	}
	b.mu.Unlock()
	b.log.Warn("content not read; asking again", "envelope", d.Envelope, "sender", d.Sender, "error", cause)
}

// release hands a delivery back to be offered again later, and tells people why once that is done.
func (b *Inbox) release(ctx context.Context, d *delivery, r api.ReleaseRequest, cause error) {
	b.mu.Lock()
	r.Token, d.released = d.Token, true
	b.mu.Unlock()
	if r.NotAttempted {
		err := b.ledger.Update(context.WithoutCancel(ctx), func(tx *ledger.Tx) error { return tx.Forgive(d.Envelope) })
		if err != nil {
			b.log.Error("an attempt is counted that was none", "envelope", d.Envelope, "error", err)
		}
	}
	if err := b.tellReleased(ctx, r); err != nil {
		b.log.Debug("not handed back; the lease will run out", "envelope", d.Envelope, "error", err)
	}
	b.mu.Lock()
	if cause != nil && r.Code != api.ReleaseStopped && b.held[d.Envelope] == d && len(b.trouble) < maxTrouble {
		b.trouble[d.Envelope] = cause.Error()
	}
	b.mu.Unlock()
	if cause != nil {
		b.log.Warn("released", "envelope", d.Envelope, "sender", d.Sender, "code", r.Code, "delay", r.Delay, "attempts", d.attempts, "error", cause)
	}
	b.letGo(d)
}

// tellReleased tells the hub, and tells it again when no answer came: a word that is lost costs the rest of the lease. If it was
// the answer that was lost, the second word is stale.
func (b *Inbox) tellReleased(ctx context.Context, r api.ReleaseRequest) error {
	pause := backoff.Backoff{Min: 200 * time.Millisecond, Max: time.Second}
	for tries := 1; ; tries++ {
		err := b.hub.Release(ctx, r)
		if errors.Is(err, api.ErrStale) {
			return nil
		}
		if err == nil || tries == releaseTries || pause.Wait(ctx, min(api.RetryAfter(err), pause.Max)) != nil {
			return err
		}
	}
}

// releaseAll hands several deliveries back, some at a time, and returns when that is done.
func (b *Inbox) releaseAll(ctx context.Context, list []*delivery, how func(*delivery) api.ReleaseRequest, cause error) {
	var g errgroup.Group
	g.SetLimit(releasesAtOnce)
	for _, d := range list {
		g.Go(func() error {
			b.release(ctx, d, how(d), cause)
			return nil
		})
	}
	g.Wait() //nolint:errcheck // none returns one
}
