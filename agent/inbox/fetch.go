package inbox

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/backoff"
)

// rangesAhead is the number of ranges of one envelope to read ahead.
const rangesAhead = 4

var rangeBuffers = sync.Pool{New: func() any { b := make([]byte, api.RangeSize); return &b }}

// fetcher reads a large ciphertext in ranges, several ahead, and returns it in order. It retries a
// range while that may help; a returned error is final for this attempt.
type fetcher struct {
	hub      *api.Client
	onRetry  func(error) // gets each failure that is retried
	delivery api.DeliveryID
	from     int64
	size     int64
	ctx      context.Context
	cancel   context.CancelFunc
	ranges   chan chan piece // in order
	work     sync.WaitGroup
	current  piece
	read     int // of the current piece
	err      error
}

type piece struct {
	data *[]byte
	n    int
	err  error
}

// fetch starts to read a ciphertext at an offset. The caller must stop the fetcher.
func fetch(ctx context.Context, hub *api.Client, d api.DeliveryID, from, size int64,
	failing func(error)) *fetcher {
	f := &fetcher{hub: hub, onRetry: failing, delivery: d, from: from, size: size,
		ranges: make(chan chan piece, rangesAhead-1)}
	f.ctx, f.cancel = context.WithCancel(ctx)
	f.work.Go(f.start)
	return f
}

// stop cancels the requests under way and waits for them.
func (f *fetcher) stop() {
	f.cancel()
	f.work.Wait()
}

// start requests one range after the other, as far ahead as the reader allows.
func (f *fetcher) start() {
	defer close(f.ranges)
	for offset := f.from; offset < f.size; offset += api.RangeSize {
		result := make(chan piece, 1)
		select {
		case f.ranges <- result:
		case <-f.ctx.Done():
			return
		}
		f.work.Go(func() { result <- f.get(offset) })
	}
}

// get reads one range. It retries until the error is final or the context ends.
func (f *fetcher) get(offset int64) piece {
	p := piece{data: rangeBuffers.Get().(*[]byte), n: int(min(api.RangeSize, f.size-offset))}
	pause := backoff.Backoff{Min: 200 * time.Millisecond, Max: 10 * time.Second}
	for {
		p.err = f.try((*p.data)[:p.n], offset)
		if p.err == nil || !api.Retry(p.err) || f.ctx.Err() != nil {
			return p
		}
		f.onRetry(p.err)
		if err := pause.Wait(f.ctx, api.RetryAfter(p.err)); err != nil {
			return p
		}
	}
}

func (f *fetcher) try(buf []byte, offset int64) error {
	body, err := f.hub.Content(f.ctx, api.ContentRequest{Delivery: f.delivery, Offset: offset,
		Length: int64(len(buf))})
	if err != nil {
		return fmt.Errorf("read at %d: %w", offset, err)
	}
	defer body.Close()
	if _, err := io.ReadFull(body, buf); err != nil {
		return fmt.Errorf("read at %d: %w", offset, err)
	}
	return nil
}

func (f *fetcher) Read(p []byte) (int, error) {
	for f.err == nil && f.read == f.current.n {
		f.next()
	}
	if f.err != nil {
		return 0, f.err
	}
	n := copy(p, (*f.current.data)[f.read:f.current.n])
	f.read += n
	return n, nil
}

// next waits for the next range, and returns the buffer of the last one to the pool.
func (f *fetcher) next() {
	if f.current.data != nil {
		rangeBuffers.Put(f.current.data)
		f.current, f.read = piece{}, 0
	}
	result, more := <-f.ranges
	switch {
	case !more && f.ctx.Err() != nil:
		f.err = f.ctx.Err()
	case !more:
		f.err = io.EOF
	default:
		f.current = <-result
		f.err = f.current.err
	}
}
