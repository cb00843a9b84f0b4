// Package backoff spaces out repeated attempts: exponentially, bounded, and with jitter so that many sites that lost one
// hub do not come back in step.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is one series of attempts. The zero value is not usable: set both bounds. It is not for concurrent use.
type Backoff struct {
	Min, Max time.Duration
	next     time.Duration
}

// Next returns how long to wait before the next attempt: half of the current step plus up to as much again at random.
// The step doubles from Min to Max.
func (b *Backoff) Next() time.Duration {
	b.next = min(max(b.next*2, b.Min), b.Max)
	return b.next/2 + rand.N(b.next/2+1)
}

// Reset starts again at Min; call it after a success.
func (b *Backoff) Reset() { b.next = 0 }

// After returns Next. Where the other side said when to come again, after, that counts and nothing else: that time plus up
// to a quarter at random, however often it was said before.
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

// Sleep waits for d or until the context ends, and returns the context's error then.
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
