package spooltest

import (
	"context"
	"reflect"
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
		r.check(reflect.DeepEqual(ids(r.lease(centre, 2)), []id.Envelope{a.ID, b.ID}), "the first two are others")
		r.check(reflect.DeepEqual(ids(r.lease(centre, 2)), []id.Envelope{c.ID}), "the third is another")
		r.idle(centre)
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
			r.check(len(ds[i].Content) == want, "content %d has %d bytes, want %d", i, len(ds[i].Content), want)
		}
		r.check(len(r.read(ds[2].DeliveryID, 0)) == 1000, "the one without content cannot be read")
	},
	"carries no large content": func(r *room) {
		r.publish(envelope(spool.InlineSize+1, centre))
		r.check(r.lease(centre, 1)[0].Content == nil, "large content came along")
	},
	"waits until there is something": func(r *room) {
		got := background(func() ([]spool.Delivery, error) { return r.Lease(r.ctx, request(centre, 1)) })
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
		got := background(func() ([]spool.Delivery, error) { return r.Lease(ctx, request(centre, 1)) })
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
	"expires, and the delivery is offered again before younger ones, no attempt counted": func(r *room) {
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
		got := background(func() ([]spool.Delivery, error) { return r.Lease(r.ctx, request(centre, 1)) })
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
		for _, token := range []spool.Token{"", "nonsense", "00000000000000000000000000000000.ca_rc_queue"} {
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
		r.check(reflect.DeepEqual(ids(ds), []id.Envelope{e.ID, f.ID}) && ds[0].Attempts == 0, "got %+v", ds)
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

func as(s id.Session, site id.Site, max int) spool.LeaseRequest {
	req := request(site, max)
	req.Session = s
	return req
}

var sessionTests = map[string]func(*room){
	"a newer one takes the queue and the leases of the old one": func(r *room) {
		e, _ := r.drop(centre)
		d := r.lease(centre, 1)[0]
		ds, err := r.Lease(r.ctx, as(newer, centre, 1))
		r.no(err)
		r.check(len(ds) == 1 && ds[0].Envelope == e.ID && ds[0].Attempts == 0, "got %+v", ds)
		_, err = r.Extend(r.ctx, d.Token)
		r.want(err, spool.ErrStale)
		r.want(r.Release(r.ctx, d.Token, spool.Nack{}), spool.ErrStale)
	},
	"the old one is told at once, and whenever it calls": func(r *room) {
		r.drop(centre)
		r.lease(centre, 1)
		waiting := background(func() ([]spool.Delivery, error) { return r.Lease(r.ctx, request(centre, 1)) })
		ds, err := r.Lease(r.ctx, as(newer, centre, 1))
		r.no(err)
		r.check(len(ds) == 1, "the newer one got %d", len(ds))
		_, err = arrives(r, waiting)
		r.want(err, spool.ErrHeld)
		for range 2 {
			_, err = r.Lease(r.ctx, request(centre, 1))
			r.want(err, spool.ErrHeld)
		}
		_, err = r.Extend(r.ctx, ds[0].Token)
		r.no(err)
	},
	"what the old one knows it may still settle": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		_, err := r.Lease(r.ctx, as(newer, centre, 1))
		r.no(err)
		r.check(r.settle(d).First, "it did not count")
		r.check(r.queue(centre).Leased == 0, "the newer one's lease outlived the delivery")
	},
	"other queues are not disturbed": func(r *room) {
		r.drop(centre, second)
		d := r.lease(second, 1)[0]
		_, err := r.Lease(r.ctx, as(newer, centre, 1))
		r.no(err)
		_, err = r.Extend(r.ctx, d.Token)
		r.no(err)
	},
	"after a restart any session is new": func(r *room) {
		r.drop(centre)
		r.lease(centre, 1)
		_, err := r.Lease(r.ctx, as(newer, centre, 1))
		r.no(err)
		r.restart()
		r.lease(centre, 1)
	},
	"one session may call many times at once": func(r *room) {
		r.drop(centre)
		r.drop(centre)
		a := background(func() ([]spool.Delivery, error) { return r.Lease(r.ctx, request(centre, 1)) })
		b := background(func() ([]spool.Delivery, error) { return r.Lease(r.ctx, request(centre, 1)) })
		_, err := arrives(r, a)
		r.no(err)
		_, err = arrives(r, b)
		r.no(err)
	},
}

var releaseTests = map[string]func(*room){
	"counts an attempt, and rests until it is due": func(r *room) {
		e, _ := r.drop(centre)
		r.release(r.lease(centre, 1)[0], spool.Nack{Code: "disk-full", Delay: 10 * time.Minute})
		r.idle(centre)
		r.clock.Advance(10*time.Minute - time.Millisecond)
		r.idle(centre)
		r.clock.Advance(time.Millisecond)
		d := r.lease(centre, 1)[0]
		r.check(d.Envelope == e.ID && d.Attempts == 1, "got %+v", d)
		r.release(d, spool.Nack{Delay: time.Minute})
		r.clock.Advance(time.Minute)
		r.check(r.lease(centre, 1)[0].Attempts == 2, "the second attempt was not counted")
	},
	"counts none when it was never tried": func(r *room) {
		r.drop(centre)
		r.release(r.lease(centre, 1)[0], spool.Nack{NotAttempted: true})
		r.check(r.lease(centre, 1)[0].Attempts == 0, "an attempt was counted")
	},
	"survives a restart": func(r *room) {
		e, _ := r.drop(centre)
		r.release(r.lease(centre, 1)[0], spool.Nack{Delay: time.Hour})
		r.restart()
		r.idle(centre)
		r.check(r.queue(centre).Released == 1, "figures are %+v", r.queue(centre))
		r.clock.Advance(time.Hour)
		d := r.lease(centre, 1)[0]
		r.check(d.Envelope == e.ID && d.Attempts == 1, "got %+v", d)
	},
	"wakes a waiting call when it is due": func(r *room) {
		e, _ := r.drop(centre)
		r.release(r.lease(centre, 1)[0], spool.Nack{Delay: time.Hour})
		got := background(func() ([]spool.Delivery, error) { return r.Lease(r.ctx, request(centre, 1)) })
		r.clock.Advance(time.Hour)
		ds, err := arrives(r, got)
		r.no(err)
		r.check(len(ds) == 1 && ds[0].Envelope == e.ID, "got %+v", ds)
	},
	"a due retry comes before what has never been tried, earlier ones first": func(r *room) {
		a, _ := r.drop(centre)
		b, _ := r.drop(centre)
		c, _ := r.drop(centre)
		ds := r.lease(centre, 3)
		r.release(ds[0], spool.Nack{Delay: 3 * time.Minute})
		r.release(ds[1], spool.Nack{Delay: 2 * time.Minute})
		r.release(ds[2], spool.Nack{Delay: time.Hour})
		fresh, _ := r.drop(centre)
		r.clock.Advance(3 * time.Minute)
		ds = r.lease(centre, 10)
		r.check(reflect.DeepEqual(ids(ds), []id.Envelope{b.ID, a.ID, fresh.ID}), "order is wrong")
		r.settle(ds[0])
		r.settle(ds[1])
		r.clock.Advance(57 * time.Minute)
		r.check(r.lease(centre, 1)[0].Envelope == c.ID, "the resting one is not offered first")
	},
	"one that rests for days holds up nobody": func(r *room) {
		r.drop(centre)
		r.release(r.lease(centre, 1)[0], spool.Nack{Delay: 72 * time.Hour})
		for range 3 {
			e, _ := r.drop(centre)
			d := r.lease(centre, 1)[0]
			r.check(d.Envelope == e.ID, "got %s", d.Envelope)
			r.settle(d)
		}
		r.restart()
		r.idle(centre)
		r.check(r.queue(centre).Waiting == 1, "figures are %+v", r.queue(centre))
	},
	"without a delay it is offered at once": func(r *room) {
		r.drop(centre)
		for attempt := range 3 {
			d := r.lease(centre, 1)[0]
			r.check(d.Attempts == attempt, "attempt %d, want %d", d.Attempts, attempt)
			r.release(d, spool.Nack{})
		}
	},
	"a lease of a retry expires like any other": func(r *room) {
		e, _ := r.drop(centre)
		r.release(r.lease(centre, 1)[0], spool.Nack{})
		r.lease(centre, 1)
		r.idle(centre)
		r.clock.Advance(time.Minute)
		d := r.lease(centre, 1)[0]
		r.check(d.Envelope == e.ID && d.Attempts == 1, "got %+v", d)
	},
	"a token serves once": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		r.release(d, spool.Nack{})
		r.want(r.Release(r.ctx, d.Token, spool.Nack{}), spool.ErrStale)
		_, err := r.Extend(r.ctx, d.Token)
		r.want(err, spool.ErrStale)
	},
	"an expired token is stale": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		r.clock.Advance(time.Minute)
		r.want(r.Release(r.ctx, d.Token, spool.Nack{}), spool.ErrStale)
		r.check(r.lease(centre, 1)[0].Attempts == 0, "an attempt was counted")
	},
	"the token of something settled is stale": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		r.settle(d)
		r.want(r.Release(r.ctx, d.Token, spool.Nack{}), spool.ErrStale)
		_, err := r.Extend(r.ctx, d.Token)
		r.want(err, spool.ErrStale)
	},
	"of one token by many at once counts once": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		var calls []<-chan result[bool]
		for range 5 {
			calls = append(calls, background(func() (bool, error) { return true, r.Release(r.ctx, d.Token, spool.Nack{}) }))
		}
		succeeded := 0
		for _, c := range calls {
			if _, err := arrives(r, c); err == nil {
				succeeded++
			} else {
				r.want(err, spool.ErrStale)
			}
		}
		r.check(succeeded == 1, "%d succeeded", succeeded)
		r.check(r.lease(centre, 1)[0].Attempts == 1, "counted more than once")
	},
	"refuses a delay into the past": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		r.want(r.Release(r.ctx, d.Token, spool.Nack{Delay: -time.Second}), spool.ErrInvalid)
		r.release(d, spool.Nack{})
	},
}
