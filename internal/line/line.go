// Package line limits the bytes that pass in one direction in a second, and decides the order.
//
// Small things pass first. A large body, such as a part of a file, waits for a place before it
// begins, and then passes in chunks between the others. So a body that has begun never stands
// still for longer than patience, and is never slower than the hub accepts. Each byte counts: those
// that wait for nothing, such as receipts, make others wait for longer. When the limit falls,
// bodies that have begun end at 32 KiB a second each, beside the new limit.
//
// The package knows no files and no network.
package line

import (
	"context"
	"io"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	chunk = 64 << 10 // bytes of a body that pass at a time

	// patience is the longest wait of a chunk while small things pass. The hub ends a request on
	// which nothing moves for 20 seconds, or that has less than 16 KiB in a second.
	patience = 2 * time.Second

	// bodyRate is the bytes in a second of one body. Another one may begin for each of them.
	bodyRate = 256 << 10

	interval = time.Second // between two looks at the limit while something waits
)

// Line is one direction. A nil Line has no limit.
type Line struct {
	limit func(time.Time) int64

	mu       sync.Mutex // guards everything below
	bucket   *rate.Limiter
	bodies   int       // that have begun
	starting []*waiter // bodies without a place
	small    []*waiter
	chunks   []*waiter
	timer    *time.Timer // serves those that wait; nil: nothing has waited yet
}

// waiter is a call that waits, oldest first in its list.
type waiter struct {
	bytes  int64
	since  time.Time
	ready  chan struct{} // closed when it may pass
	isGone bool          // its context has ended
}

// New returns a line with a limit of bytes in a second, as it is at a time; 0: none. The limit must
// be 64 KiB at least.
func New(limit func(time.Time) int64) *Line {
	return &Line{limit: limit, bucket: rate.NewLimiter(rate.Inf, chunk)}
}

// Count counts bytes that pass without a wait.
func (l *Line) Count(bytes int64) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.follow(now)
	l.pay(now, bytes)
}

// First waits until something small may pass, before all bodies, and counts its bytes.
func (l *Line) First(ctx context.Context, bytes int64) error {
	if l == nil {
		return ctx.Err()
	}
	return l.wait(ctx, &l.small, bytes)
}

// Begin waits for the place of a body. The caller must end the body.
func (l *Line) Begin(ctx context.Context) (Body, error) {
	if l == nil {
		return Body{}, ctx.Err()
	}
	if err := l.wait(ctx, &l.starting, 0); err != nil {
		return Body{}, err
	}
	return Body{l}, nil
}

// Body is a body that has begun.
type Body struct{ line *Line }

// Reader returns a reader of the body. Its calls wait until the bytes that they have read may pass.
func (b Body) Reader(ctx context.Context, r io.Reader) io.Reader {
	if b.line == nil {
		return r
	}
	return pacedReader{ctx, b.line, r}
}

// End gives the place to another body.
func (b Body) End() {
	if l := b.line; l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.bodies--
		l.serve()
	}
}

type pacedReader struct {
	ctx  context.Context
	line *Line
	r    io.Reader
}

func (p pacedReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b[:min(len(b), chunk)])
	if n > 0 {
		if ended := p.line.wait(p.ctx, &p.line.chunks, int64(n)); ended != nil {
			return 0, ended
		}
	}
	return n, err
}

// wait adds a waiter to a list, and waits until it may pass.
func (l *Line) wait(ctx context.Context, list *[]*waiter, bytes int64) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w := &waiter{bytes: bytes, since: time.Now(), ready: make(chan struct{})}
	l.mu.Lock()
	*list = append(*list, w)
	l.serve()
	l.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	default:
	}
	w.isGone = true
	return ctx.Err()
}

// serve lets pass all that may, and plans the next look.
func (l *Line) serve() {
	now := time.Now()
	limit := l.follow(now)
	for w := head(&l.starting); w != nil; w = head(&l.starting) {
		if limit > 0 && int64(l.bodies) > limit/bodyRate {
			break
		}
		l.bodies++
		pass(&l.starting)
	}
	for {
		list := &l.small
		c := head(&l.chunks)
		isLate := c != nil && now.Sub(c.since) >= patience
		if isLate || head(list) == nil {
			list = &l.chunks
		}
		w := head(list)
		if w == nil || !isLate && l.debt(now, limit) > 0 {
			break
		}
		if !isLate || int64(l.bodies) <= 1+limit/bodyRate {
			l.pay(now, w.bytes)
		} // else the limit has fallen, and paying for so many bodies would stop the small things
		pass(list)
	}
	l.plan(now, limit)
}

// plan sets the timer for the first of those that wait.
func (l *Line) plan(now time.Time, limit int64) {
	chunk := head(&l.chunks)
	if chunk == nil && head(&l.small) == nil && head(&l.starting) == nil {
		if l.timer != nil {
			l.timer.Stop()
		}
		return
	}
	pause := interval
	if chunk != nil || head(&l.small) != nil {
		pause = min(pause, l.debt(now, limit))
	}
	if chunk != nil {
		pause = min(pause, chunk.since.Add(patience).Sub(now))
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(pause, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.serve()
		})
		return
	}
	l.timer.Reset(pause)
}

// follow sets the limit of now, and returns it.
func (l *Line) follow(now time.Time) int64 {
	limit := l.limit(now)
	per := rate.Inf
	if limit > 0 {
		per = rate.Limit(limit)
	}
	if l.bucket.Limit() != per {
		l.bucket.SetLimitAt(now, per)
	}
	return limit
}

// pay takes bytes out of the bucket, which may owe them.
func (l *Line) pay(now time.Time, bytes int64) {
	for bytes > 0 {
		some := min(bytes, chunk)
		l.bucket.ReserveN(now, int(some))
		bytes -= some
	}
}

// debt returns the time until the bucket owes nothing.
func (l *Line) debt(now time.Time, limit int64) time.Duration {
	tokens := l.bucket.TokensAt(now)
	if limit == 0 || tokens >= 0 {
		return 0
	}
	return max(time.Duration(-tokens/float64(limit)*float64(time.Second)), time.Microsecond)
}

// head returns the first waiter of a list, without those that are gone; nil: none waits.
func head(list *[]*waiter) *waiter {
	for len(*list) > 0 && (*list)[0].isGone {
		*list = (*list)[1:]
	}
	if len(*list) == 0 {
		return nil
	}
	return (*list)[0]
}

// pass lets the first waiter of a list pass.
func pass(list *[]*waiter) {
	close((*list)[0].ready)
	*list = (*list)[1:]
}
