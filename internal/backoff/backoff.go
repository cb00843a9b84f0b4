// Package backoff spaces out retries: exponentially, bounded, and with jitter. With jitter many
// sites do not return to one hub in step.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is one series of attempts. The zero value is not usable: set both bounds. It is not for
// concurrent use.
type Backoff struct {
	Min, Max time.Duration
	next     time.Duration
}

// Next returns the wait before the next attempt: half of the current step, plus up to another half
// at random. The step doubles from Min to Max.
func (b *Backoff) Next() time.Duration {
	b.next = min(max(b.next*2, b.Min), b.Max)
	return b.next/2 + rand.N(b.next/2+1)
}

// Reset starts again at Min; call it after a success.
func (b *Backoff) Reset() { b.next = 0 }

// After returns Next. If the other side asked for a pause, after, it returns that pause plus a
// random quarter at most, and ignores the step.
func (b *Backoff) After(after time.Duration) time.Duration {
	if after > 0 {
		b.Reset()
		return after + rand.N(after/4+1)
	}
	return b.Next()
}

// Wait waits for After, or until the context ends.
func (b *Backoff) Wait(ctx context.Context, after time.Duration) error {
	return Sleep(ctx, b.After(after))
}

// Sleep waits for d, or until the context ends, and then returns the context's error.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
