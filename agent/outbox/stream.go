package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/line"
	"sealpost/internal/progress"
)

// stream seals a large envelope while its parts are uploaded, and keeps nothing of it on the disk.
// A goroutine seals, and fills a few buffers; the rounds of a publish send them. The ledger has a
// row for each segment whose parts are durable at the hub, and the sealing goes on behind the last.
//
// A round may fail at any part. The sealing continues with the free buffers, and the next round
// sends the rest.
type stream struct {
	o    *Outbox
	s    *sealed
	plan *envelope.Plan
	from *sources
	own  chan struct{} // of partMemory
	line *line.Line    // of the tray

	// The sealing under way; nil: none.
	stop  context.CancelFunc
	parts chan *part    // sealed ones, in order
	ended chan struct{} // closed when the sealing has returned
	err   error         // its error, after ended

	mu       sync.Mutex       // guards everything below
	segments []ledger.Segment // in the ledger: the start, and those that are durable
	next     int              // part to be sealed
	pending  []*part          // sealed, and not durable
	have     []bool           // parts that are durable
	sums     []uint32         // of the sealed parts
	crossed  map[int]string   // checkpoints behind segments that are not recorded yet
	digest   id.Hash          // of the message, once it is sealed
	recorded sync.Mutex       // is held while segments are recorded
}

// part is one part in memory.
type part struct {
	*buffer
	n   int
	sum uint32
}

func (o *Outbox) newStream(s *sealed, plan *envelope.Plan, from *sources) *stream {
	parts := int((plan.Size + api.PartSize - 1) / api.PartSize)
	return &stream{o: o, s: s, plan: plan, from: from, own: make(chan struct{}, 1),
		line: o.line(s.messages[0].Tray), have: make([]bool, parts),
		sums: make([]uint32, parts), crossed: map[int]string{},
		segments: []ledger.Segment{{Checkpoint: "{}"}}}
}

// unsealedError is the error of a source, not of the line.
type unsealedError struct{ error }

func (e unsealedError) Unwrap() error { return e.error }

// close ends the sealing and frees its memory.
func (st *stream) close() {
	st.halt()
	st.from.close()
}

// halt ends the sealing, and frees its memory.
func (st *stream) halt() {
	if st.stop == nil {
		return
	}
	st.stop()
	for isOpen := true; isOpen; {
		select {
		case p := <-st.parts:
			st.pending = append(st.pending, p)
		case <-st.ended:
			isOpen = false
		}
	}
	st.stop = nil
	for _, p := range st.pending {
		st.free(p.buffer)
	}
	st.pending = nil
}

func (st *stream) free(b *buffer) {
	if err := b.end(); err != nil {
		st.o.log.Warn("memory of a part not freed", "envelope", st.s.ID, "error", err)
	}
}

// last returns the number of segments in the ledger.
func (st *stream) last() int { return len(st.segments) - 1 }

// isDone reports whether all segments are in the ledger.
func (st *stream) isDone() bool {
	return st.last() == (len(st.have)+envelope.SegmentParts-1)/envelope.SegmentParts
}

// start starts the sealing behind the last segment in the ledger.
func (st *stream) start(ctx context.Context) error {
	var at envelope.Checkpoint
	if err := json.Unmarshal([]byte(st.segments[st.last()].Checkpoint), &at); err != nil {
		return err
	}
	st.next = st.last() * envelope.SegmentParts
	for i, s := range st.segments[1:] {
		copy(st.sums[i*envelope.SegmentParts:], s.CRC32C)
	}
	for n := range st.have {
		st.have[n] = n < st.next
	}
	clear(st.crossed)
	st.digest = ""
	ctx, st.stop = context.WithCancel(ctx)
	st.parts, st.ended, st.err = make(chan *part), make(chan struct{}), nil
	go func() {
		defer close(st.ended)
		to := &sealing{ctx: ctx, stream: st}
		digest, err := st.plan.Seal(at, to)
		if to.buffer != nil {
			st.free(to.buffer)
		}
		if err != nil {
			st.err = err
			return
		}
		st.mu.Lock()
		defer st.mu.Unlock()
		st.digest = digest
	}()
	return nil
}

// sealing gives the parts of one sealing to the rounds.
type sealing struct {
	ctx    context.Context
	stream *stream
	buffer *buffer // being filled
}

func (g *sealing) Next() (_ []byte, err error) {
	st := g.stream
	shared := st.o.memory.shared
	if st.line != nil {
		shared = nil
	}
	g.buffer, err = st.o.memory.take(g.ctx, st.own, shared)
	if err != nil {
		return nil, err
	}
	return g.buffer.space[:0], nil
}

func (g *sealing) Full(n int, content []byte, sum uint32) error {
	st, p := g.stream, &part{g.buffer, n, sum}
	p.data = content
	st.mu.Lock()
	st.next, st.sums[n] = n+1, sum
	st.mu.Unlock()
	select {
	case st.parts <- p:
		g.buffer = nil
		return nil
	case <-g.ctx.Done():
		return g.ctx.Err()
	}
}

func (g *sealing) Crossed(at envelope.Checkpoint) {
	encoded, err := json.Marshal(at)
	if err != nil {
		panic(err) // strings and bytes always encode
	}
	g.stream.mu.Lock()
	defer g.stream.mu.Unlock()
	g.stream.crossed[g.stream.plan.Segments(at)] = string(encoded)
}

// upload seals and sends the parts that the hub misses, several at once, each durable on its own.
func (st *stream) upload(ctx context.Context) error {
	s := st.s
	state, err := st.o.hub.OpenUpload(ctx, api.UploadRequest{Envelope: s.ID, Size: s.Size})
	if err != nil {
		return err
	}
	if err := st.compare(ctx, state.Missing); err != nil {
		return err
	}
	if st.isDone() {
		return nil
	}
	if st.stop == nil {
		if err := st.start(ctx); err != nil {
			return err
		}
	}
	done := st.done()
	if s.meter == nil {
		s.meter = progress.Start(s.Size, done, time.Now())
		st.o.desk.measure(s.ID, s.meter)
	}
	s.meter.Correct(done) // a resumed upload keeps its rate
	var g errgroup.Group
	broken := make(chan struct{}) // no further part is begun; those under way may end
	fail := sync.OnceFunc(func() { close(broken) })
	brought := s.brought.Load()
	for range partsAtOnce >> s.fewer {
		g.Go(func() error {
			err := st.sendParts(ctx, broken)
			if err != nil {
				fail()
			}
			return err
		})
	}
	err = g.Wait()
	s.adapt(s.brought.Load()-brought, err)
	if err == nil {
		err = st.finish(ctx)
	}
	return err
}

// compare goes back to the first segment of which the hub has lost a part.
func (st *stream) compare(ctx context.Context, missing []int) error {
	st.mu.Lock()
	back := st.last()
	isLost := false
	for _, n := range missing {
		if n < st.last()*envelope.SegmentParts || st.stop != nil && st.have[n] {
			isLost = true
			back = min(back, n/envelope.SegmentParts)
		}
	}
	st.mu.Unlock()
	if !isLost {
		return nil
	}
	st.o.log.Warn("the hub has lost parts; sealing them again", "envelope", st.s.ID, "segment",
		back+1)
	st.halt()
	st.segments = st.segments[:back+1]
	return st.o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		return tx.DropSegments(st.s.ID, back)
	})
}

// done returns the number of bytes that are durable at the hub.
func (st *stream) done() (sum int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for n, have := range st.have {
		if have {
			sum += partSize(n, st.s.Size)
		}
	}
	return sum
}

// sendParts sends one part after the other, until all are sealed and sent.
func (st *stream) sendParts(ctx context.Context, broken <-chan struct{}) error {
	for {
		p, err := st.take(ctx, broken)
		if p == nil || err != nil {
			return err
		}
		if err := st.put(ctx, p); err != nil {
			st.mu.Lock()
			st.pending = append(st.pending, p)
			st.mu.Unlock()
			return fmt.Errorf("part %d of %s: %w", p.n, st.s.ID, err)
		}
		st.free(p.buffer)
		st.s.brought.Add(1)
		fault.Point("outbox-part")
		st.mu.Lock()
		st.have[p.n] = true
		st.mu.Unlock()
		if err := st.record(ctx); err != nil {
			return err
		}
	}
}

// put sends a part at the pace of its tray.
func (st *stream) put(ctx context.Context, p *part) error {
	place, err := st.line.Begin(ctx)
	if err != nil {
		return err
	}
	defer place.End()
	body := st.s.meter.NewReader(&bufferReader{of: p.buffer})
	err = st.o.hub.PutPart(ctx, st.s.ID, p.n, p.sum, place.Reader(ctx, body), int64(len(p.data)))
	if err != nil {
		body.TakeBack()
	}
	return err
}

// take returns a part to send. It returns nil at the end, and in a broken round.
func (st *stream) take(ctx context.Context, broken <-chan struct{}) (*part, error) {
	select {
	case <-broken:
		return nil, nil
	default:
	}
	st.mu.Lock()
	if n := len(st.pending); n > 0 {
		p := st.pending[0]
		st.pending = st.pending[1:]
		st.mu.Unlock()
		return p, nil
	}
	st.mu.Unlock()
	select {
	case p := <-st.parts:
		return p, nil
	case <-broken:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-st.ended:
		if st.err != nil {
			return nil, unsealedError{st.err}
		}
		return nil, nil
	}
}

// record writes the segments that have become durable, in order. The last one is for finish.
func (st *stream) record(ctx context.Context) error {
	st.recorded.Lock()
	defer st.recorded.Unlock()
	for {
		st.mu.Lock()
		n := st.last() + 1
		checkpoint, isCrossed := st.crossed[n]
		first := (n - 1) * envelope.SegmentParts
		for part := first; isCrossed && part < first+envelope.SegmentParts; part++ {
			isCrossed = st.have[part]
		}
		st.mu.Unlock()
		if !isCrossed {
			return nil
		}
		row := ledger.Segment{Number: n, Checkpoint: checkpoint,
			CRC32C: st.sums[first : first+envelope.SegmentParts]}
		if err := st.o.ledger.Update(ctx, func(tx *ledger.Tx) error {
			return tx.AddSegment(st.s.ID, row)
		}); err != nil {
			return st.unrecorded(err)
		}
		fault.Point("outbox-segment")
		st.mu.Lock()
		st.segments = append(st.segments, row)
		delete(st.crossed, n)
		st.mu.Unlock()
	}
}

// unrecorded returns the error of a segment that is not in the ledger. Its message was recalled, or
// the ledger has failed.
func (st *stream) unrecorded(err error) error {
	if errors.Is(err, ledger.ErrNotFound) {
		return unsealedError{errNotWaiting}
	}
	return fmt.Errorf("%w: record segments of %s: %w", errLedger, st.s.ID, err)
}

// finish records the end of the sealing, if the sources are still as they were claimed.
func (st *stream) finish(ctx context.Context) error {
	if err := st.record(ctx); err != nil { // the last checkpoint may have come behind its parts
		return err
	}
	if err := st.from.unchanged(st.s.messages); err != nil {
		return unsealedError{err}
	}
	n := st.last() + 1
	row := ledger.Segment{Number: n, Checkpoint: "{}",
		CRC32C: st.sums[(n-1)*envelope.SegmentParts:]}
	err := st.o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		if err := tx.AddSegment(st.s.ID, row); err != nil {
			return err
		}
		return tx.EndSeal(st.s.ID, st.sums, st.digest)
	})
	if err != nil {
		return st.unrecorded(err)
	}
	st.segments = append(st.segments, row)
	st.s.CRC32C = st.sums
	st.halt()
	st.from.close()
	fault.Point("outbox-streamed")
	return nil
}
