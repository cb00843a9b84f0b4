package spooltest

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// The tests tell their stories with these calls. Each fails at the caller's line.

const (
	lab    id.Site = "FL-LAB"
	other  id.Site = "PA-LAB"
	centre id.Site = "CA-RC"
	second id.Site = "SF-RC"
	third  id.Site = "NY-RC"

	session id.Session = "5e5510000000000000000000000000a1"
	newer   id.Session = "5e5510000000000000000000000000b2"
)

func (r *room) no(err error) {
	r.Helper()
	if err != nil {
		r.Fatalf("unexpected error: %v", err)
	}
}

func (r *room) want(err, want error) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Fatalf("error is %v, want %v", err, want)
	}
}

func (r *room) check(ok bool, format string, args ...any) {
	r.Helper()
	if !ok {
		r.Fatalf(format, args...)
	}
}

func (r *room) publish(e spool.Envelope) spool.Published {
	r.Helper()
	p, err := r.Publish(r.ctx, e)
	r.no(err)
	return p
}

// drop publishes a small envelope of one message for the sites.
func (r *room) drop(sites ...id.Site) (spool.Envelope, spool.Published) {
	r.Helper()
	e := envelope(300, sites...)
	return e, r.publish(e)
}

func request(site id.Site, max int) spool.LeaseRequest {
	return spool.LeaseRequest{Queue: site.Queue(), Session: session, Max: max, MaxBytes: 4 << 20,
		Duration: time.Minute}
}

// lease leases at most max deliveries, and expects at least one.
func (r *room) lease(site id.Site, max int) []spool.Delivery {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	ds, err := r.Lease(ctx, request(site, max))
	r.no(err)
	r.check(len(ds) > 0, "%s got nothing", site)
	return ds
}

// idle expects that there is nothing to lease now.
func (r *room) idle(site id.Site) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 30*time.Millisecond)
	defer cancel()
	ds, err := r.Lease(ctx, request(site, 100))
	r.no(err)
	r.check(len(ds) == 0, "%s got %d deliveries, want none: %+v", site, len(ds), ds)
}

func (r *room) settle(d spool.Delivery) spool.Settled {
	r.Helper()
	st, err := r.Settle(r.ctx, settlement(d.DeliveryID, d.Messages))
	r.no(err)
	return st
}

func (r *room) release(d spool.Delivery, n spool.Nack) {
	r.Helper()
	r.no(r.Release(r.ctx, d.Token, n))
}

func ids(ds []spool.Delivery) (names []id.Envelope) {
	for _, d := range ds {
		names = append(names, d.Envelope)
	}
	return names
}

// delivery returns the id of an envelope in a site's queue.
func (r *room) delivery(e spool.Envelope, p spool.Published, site id.Site) spool.DeliveryID {
	return spool.DeliveryID{Incarnation: r.Incarnation(), Queue: site.Queue(), Sequence: p.Sequence,
		Envelope: e.ID}
}

func (r *room) read(d spool.DeliveryID, offset int64) []byte {
	r.Helper()
	rc, err := r.Open(r.ctx, d, offset)
	r.no(err)
	b, err := io.ReadAll(rc)
	r.no(err)
	r.no(rc.Close())
	return b
}

// known asks for one envelope.
func (r *room) known(sender id.Site, e id.Envelope) spool.Known {
	r.Helper()
	ks, err := r.Known(r.ctx, sender, []id.Envelope{e})
	r.no(err)
	r.check(len(ks) == 1 && ks[0].Envelope == e, "asked for one envelope, got %+v", ks)
	return ks[0]
}

// events reads all events of a site, which must not be more than a million bytes.
func (r *room) events(site id.Site, after spool.Cursor) []spool.Event {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 30*time.Millisecond)
	defer cancel()
	es, _, err := r.Events(ctx, site, after, 1<<20)
	r.no(err)
	return es
}

func (r *room) queue(site id.Site) spool.QueueInfo {
	r.Helper()
	qs, err := r.Queues(r.ctx)
	r.no(err)
	for _, q := range qs {
		if q.Name == site.Queue() {
			return q
		}
	}
	r.Fatalf("no figures of %s among %+v", site.Queue(), qs)
	return spool.QueueInfo{}
}

// staged uploads content in order.
func (r *room) staged(e spool.Envelope, content []byte) spool.Staging {
	r.Helper()
	st := r.stage(e)
	for part := range e.CRC32C {
		r.no(r.put(st, part, part16(content, part)))
	}
	return st
}

// put stores a part with the checksum of its bytes.
func (r *room) put(st spool.Staging, part int, data []byte) error {
	return st.Put(r.ctx, part, crc32.Checksum(data, castagnoli), bytes.NewReader(data))
}

func (r *room) stage(e spool.Envelope) spool.Staging {
	r.Helper()
	st, err := r.Stage(r.ctx, upload(e))
	r.no(err)
	return st
}

// result has the answer of a call in the background.
type result[T any] struct {
	value T
	err   error
}

// background runs a call that waits.
func background[T any](f func() (T, error)) <-chan result[T] {
	done := make(chan result[T], 1)
	go func() {
		v, err := f()
		done <- result[T]{v, err}
	}()
	return done
}

// startLease begins a call of Lease that may wait.
func (r *room) startLease(ctx context.Context,
	req spool.LeaseRequest) <-chan result[[]spool.Delivery] {
	return background(func() ([]spool.Delivery, error) { return r.Lease(ctx, req) })
}

// arrives expects that a waiting call ends by itself.
func arrives[T any](r *room, c <-chan result[T]) (T, error) {
	r.Helper()
	select {
	case res := <-c:
		return res.value, res.err
	case <-time.After(patience):
		r.Fatal("the call still waits")
		panic("unreachable")
	}
}

// readFull reads everything, and expects the end right after it.
func readFull(rc io.Reader, buf []byte) (int, error) {
	n, err := io.ReadFull(rc, buf)
	if err != nil {
		return n, err
	}
	if extra, err := rc.Read(make([]byte, 1)); extra != 0 || !errors.Is(err, io.EOF) {
		return n + extra, errors.New("the content does not end where it should")
	}
	return n, nil
}

// eventually repeats ask until it returns true. It is for the promises of the contract that are
// kept "in the background".
func (r *room) eventually(event string, ask func() bool) {
	r.Helper()
	for deadline := time.Now().Add(patience); !ask(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("it never comes: %s", event)
		}
	}
}
