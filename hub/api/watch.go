package api

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrStalled ends a request on which no byte moves.
var ErrStalled = errors.New("the hub does not answer")

// watch ends a request's context when no byte has moved for the stall time. The first timeout is
// longer by the requested wait.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func newWatch(ctx context.Context, first time.Duration) *watch {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{ctx: ctx, cancel: cancel}
	w.timer = time.AfterFunc(first, func() { cancel(ErrStalled) })
	return w
}

func (w *watch) moved(stall time.Duration) { w.timer.Reset(stall) }

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// why replaces the bare "context canceled" of a stalled request by the reason.
func (w *watch) why(err error) error {
	if err != nil && errors.Is(err, context.Canceled) && context.Cause(w.ctx) == ErrStalled {
		return ErrStalled
	}
	return err
}

// watchedReader resets the watch at each byte that moves.
type watchedReader struct {
	io.Reader
	watch *watch
	stall time.Duration
}

func (r watchedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.watch.moved(r.stall)
	}
	return n, r.watch.why(err)
}

// watchedBody is an answer's body. Closing it ends the watch.
type watchedBody struct {
	watchedReader
	body io.Closer
}

func (b watchedBody) Close() error {
	err := b.body.Close()
	b.watch.stop()
	return err
}

// closers closes a body and frees its context.
type closers struct {
	io.Closer
	cancel context.CancelFunc
}

func (c closers) Close() error {
	defer c.cancel()
	return c.Closer.Close()
}
