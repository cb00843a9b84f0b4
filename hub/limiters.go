package hub

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxLimiters bounds the limiters of one kind.
const maxLimiters = 10_000

// limiters holds one limiter for each key, such as an address. Memory is bounded: above maxLimiters
// a new key takes the place of the one with the most tokens among a few.
type limiters[K comparable] struct {
	limit rate.Limit // per second
	burst int

	mu sync.Mutex // guards by
	by map[K]*rate.Limiter
}

func newLimiters[K comparable](limit rate.Limit, burst int) *limiters[K] {
	return &limiters[K]{limit: limit, burst: burst, by: map[K]*rate.Limiter{}}
}

// allow takes one token of the key, and reports whether there was one.
func (l *limiters[K]) allow(key K, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of(key, now).AllowN(now, 1)
}

// charge takes n tokens of the key, at most a burst. The key may then owe tokens, at most a burst.
func (l *limiters[K]) charge(key K, n int, now time.Time) {
	if n <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.of(key, now)
	owed := max(0, int(-of.TokensAt(now)))
	of.ReserveN(now, min(n, max(0, l.burst-owed)))
}

// has reports whether the key has a token.
func (l *limiters[K]) has(key K, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.by[key]
	return of == nil || of.TokensAt(now) >= 1
}

// of returns the limiter of the key. The caller holds l.mu.
func (l *limiters[K]) of(key K, now time.Time) *rate.Limiter {
	of := l.by[key]
	if of == nil {
		if len(l.by) >= maxLimiters {
			l.drop(now)
		}
		of = rate.NewLimiter(l.limit, l.burst)
		l.by[key] = of
	}
	return of
}

// drop deletes the limiter with the most tokens among a few. So the keys that ask the most keep
// theirs.
func (l *limiters[K]) drop(now time.Time) {
	const looked = 8
	var fullest K
	most, n := 0.0, 0
	for key, of := range l.by {
		if tokens := of.TokensAt(now); n == 0 || tokens > most {
			fullest, most = key, tokens
		}
		if n++; n == looked {
			break
		}
	}
	delete(l.by, fullest)
}
