package spooltest

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

var leaseTests = map[string]func(*room){
	"hands out in the order of sequence, at most max": func(r *room) {
		a, _ := r.drop(centre)
		b, _ := r.drop(centre)
		c, _ := r.drop(centre)
		r.check(reflect.DeepEqual(ids(r.lease(centre, 2)), []id.Envelope{a.ID, b.ID}),
			"the first two are others")
		r.check(reflect.DeepEqual(ids(r.lease(centre, 2)), []id.Envelope{c.ID}),
			"the third is another")
		r.idle(centre)
	},
	"takes turns of senders: a backlog of small envelopes delays its own": func(r *room) {
		r.backlog(300, 40)
		r.lease(centre, 20)
		e := r.dropOther()
		ds := r.lease(centre, 2+spool.Turn/spool.MessageCost)
		r.check(slices.Contains(ids(ds), e.ID), "%d others come first", len(ds))
	},
	"takes turns of senders: a backlog of large envelopes delays its own": func(r *room) {
		r.backlog(spool.SmallSize, 6)
		r.lease(centre, 1)
		a, b := r.dropOther(), r.dropOther()
		got := ids(r.lease(centre, 3))
		r.check(slices.Contains(got, a.ID) && slices.Contains(got, b.ID), "large ones come first")
	},
	"excepts senders, whose deliveries wait": func(r *room) {
		e, _ := r.drop(centre)
		req := request(centre, 10)
		req.Except = []id.Site{lab, third}
		ctx, cancel := context.WithCancel(r.ctx)
		defer cancel()
		got := r.startLease(ctx, req)
		r.drop(centre)
		other := r.dropOther()
		ds, err := arrives(r, got)
		r.no(err)
		r.check(len(ds) == 1 && ds[0].Envelope == other.ID, "got %v", ids(ds))
		ds = r.lease(centre, 10)
		r.check(len(ds) == 2 && ds[0].Envelope == e.ID && ds[0].Attempts == 0, "got %v", ids(ds))
		r.release(ds[0], spool.Nack{Delay: time.Second})
		r.clock.Advance(time.Minute)
		short, cancel := context.WithTimeout(r.ctx, 30*time.Millisecond)
		defer cancel()
		rest, err := r.Lease(short, req)
		r.no(err)
		r.check(len(rest) == 1 && rest[0].Envelope == other.ID, "got %v", ids(rest))
	},
	"saves nothing for a sender that had nothing": func(r *room) {
		r.backlog(300, 20)
		r.lease(centre, 10)
		for range 20 {
			r.dropOther()
		}
		got := 0
		for _, d := range r.lease(centre, 20) {
			if d.Sender == lab {
				got++
			}
		}
		r.check(got >= 8, "%d of the first sender, and 10 wait", got)
	},
	"carries content up to MaxBytes, and the rest without": func(r *room) {
		for range 3 {
			r.publish(envelope(1000, centre))
		}
		r.publish(envelope(100, centre))
		req := request(centre, 10)
		req.MaxBytes = 2500
		ds, err := r.Lease(r.ctx, req)
		r.no(err)
		r.check(len(ds) == 4, "%d deliveries", len(ds))
		for i, want := range []int{1000, 1000, 0, 100} {
			r.check(len(ds[i].Content) == want, "content %d has %d bytes, want %d", i,
				len(ds[i].Content), want)
		}
		r.check(len(r.read(ds[2].DeliveryID, 0)) == 1000, "the one without content cannot be read")
	},
	"carries no large content": func(r *room) {
		r.publish(envelope(spool.InlineSize+1, centre))
		r.check(r.lease(centre, 1)[0].Content == nil, "large content came along")
	},
	"waits until there is something": func(r *room) {
		got := r.startLease(r.ctx, request(centre, 1))
		e, _ := r.drop(centre)
		ds, err := arrives(r, got)
		r.no(err)
		r.check(len(ds) == 1 && ds[0].Envelope == e.ID, "got %+v", ds)
	},
	"of another queue wakes nobody": func(r *room) {
		r.drop(second)
		r.idle(centre)
	},
	"ends with nothing at a deadline": func(r *room) { r.idle(centre) },
	"ends with nothing when it is cancelled": func(r *room) {
		ctx, cancel := context.WithCancel(r.ctx)
		got := r.startLease(ctx, request(centre, 1))
		cancel()
		ds, err := arrives(r, got)
		r.no(err)
		r.check(ds == nil, "got %+v", ds)
	},
	"many wait, each delivery goes to one": func(r *room) {
		const waiters = 6
		got := make(chan id.Envelope, waiters)
		var wg sync.WaitGroup
		for range waiters {
			wg.Go(func() {
				ds, err := r.Lease(r.ctx, request(centre, 1))
				if err != nil || len(ds) != 1 {
					r.Errorf("lease: %v, %d", err, len(ds))
					return
				}
				got <- ds[0].Envelope
			})
		}
		for range waiters {
			r.drop(centre)
		}
		wg.Wait()
		close(got)
		seen := make(map[id.Envelope]bool)
		for e := range got {
			r.check(!seen[e], "%s went to two", e)
			seen[e] = true
		}
	},
	"says how long it lasts": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		r.check(d.LeasedUntil.Equal(r.clock.Now().Add(time.Minute)), "until %v", d.LeasedUntil)
		r.check(len(d.Token) >= 32, "token %q can be guessed", d.Token)
	},
	"expires, and the delivery comes before younger ones, no attempt counted": func(r *room) {
		e, _ := r.drop(centre)
		old := r.lease(centre, 1)[0]
		young, _ := r.drop(centre)
		r.clock.Advance(time.Minute)
		ds := r.lease(centre, 2)
		r.check(reflect.DeepEqual(ids(ds), []id.Envelope{e.ID, young.ID}), "order is wrong")
		r.check(ds[0].Attempts == 0 && ds[0].Token != old.Token, "lease is %+v", ds[0])
		_, err := r.Extend(r.ctx, old.Token)
		r.want(err, spool.ErrStale)
	},
	"that expires wakes a waiting call": func(r *room) {
		e, _ := r.drop(centre)
		r.lease(centre, 1)
		got := r.startLease(r.ctx, request(centre, 1))
		r.clock.Advance(time.Minute)
		ds, err := arrives(r, got)
		r.no(err)
		r.check(len(ds) == 1 && ds[0].Envelope == e.ID, "got %+v", ds)
	},
	"lasts to its very end": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		r.clock.Advance(time.Minute - time.Millisecond)
		r.idle(centre)
		_, err := r.Extend(r.ctx, d.Token)
		r.no(err)
	},
	"is prolonged by its own duration from now": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		r.clock.Advance(45 * time.Second)
		until, err := r.Extend(r.ctx, d.Token)
		r.no(err)
		r.check(until.Equal(r.clock.Now().Add(time.Minute)), "until %v", until)
		r.clock.Advance(59 * time.Second)
		r.idle(centre)
		r.clock.Advance(time.Second)
		r.lease(centre, 1)
	},
	"cannot be prolonged once it has ended, even if nobody else has it": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		r.clock.Advance(time.Minute)
		_, err := r.Extend(r.ctx, d.Token)
		r.want(err, spool.ErrStale)
	},
	"that nobody gave is stale": func(r *room) {
		for _, token := range []spool.Token{"", "nonsense",
			"00000000000000000000000000000000.ca_rc_queue"} {
			_, err := r.Extend(r.ctx, token)
			r.want(err, spool.ErrStale)
			r.want(r.Release(r.ctx, token, spool.Nack{}), spool.ErrStale)
		}
	},
	"lives in memory: after a restart everything waits again, no attempt counted": func(r *room) {
		e, _ := r.drop(centre)
		f, _ := r.drop(centre)
		d := r.lease(centre, 2)[0]
		r.restart()
		_, err := r.Extend(r.ctx, d.Token)
		r.want(err, spool.ErrStale)
		ds := r.lease(centre, 2)
		r.check(reflect.DeepEqual(ids(ds), []id.Envelope{e.ID, f.ID}) && ds[0].Attempts == 0,
			"got %+v", ds)
	},
	"refuses what cannot be": func(r *room) {
		for _, change := range []func(*spool.LeaseRequest){
			func(q *spool.LeaseRequest) { q.Max = 0 },
			func(q *spool.LeaseRequest) { q.Queue = "" },
			func(q *spool.LeaseRequest) { q.Session = "" },
			func(q *spool.LeaseRequest) { q.Duration = 0 },
		} {
			req := request(centre, 1)
			change(&req)
			_, err := r.Lease(r.ctx, req)
			r.want(err, spool.ErrInvalid)
		}
	},
}

// backlog publishes so many envelopes of the lab.
func (r *room) backlog(size, n int) {
	r.Helper()
	for range n {
		r.publish(envelope(size, centre))
	}
}

// dropOther publishes a small envelope of the second lab.
func (r *room) dropOther() spool.Envelope {
	r.Helper()
	e := envelope(300, centre)
	e.Sender = other
	r.publish(e)
	return e
}
