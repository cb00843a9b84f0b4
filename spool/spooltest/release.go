package spooltest

import (
	"reflect"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

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
	"does not rest for years because the clock was wrong by years": func(r *room) {
		const years = 5 * 365 * 24 * time.Hour
		e, _ := r.drop(centre)
		for i, restart := range []func(){func() {}, r.restart} {
			r.clock.Advance(years)
			r.release(r.lease(centre, 1)[0], spool.Nack{Delay: time.Minute})
			r.idle(centre)
			restart()
			r.clock.Advance(-years)
			d := r.lease(centre, 1)[0]
			r.check(d.Envelope == e.ID && int(d.Attempts) == i+1, "got %+v", d)
			r.release(d, spool.Nack{NotAttempted: true})
		}
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
		got := r.startLease(r.ctx, request(centre, 1))
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
		last, _ := r.drop(centre)
		r.clock.Advance(3 * time.Minute)
		ds = r.lease(centre, 10)
		r.check(reflect.DeepEqual(ids(ds), []id.Envelope{b.ID, a.ID, last.ID}), "order is wrong")
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
			calls = append(calls, background(
				func() (bool, error) { return true, r.Release(r.ctx, d.Token, spool.Nack{}) }))
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
		r.want(r.Release(r.ctx, d.Token, spool.Nack{Delay: spool.MaxDelay + 1}), spool.ErrInvalid)
		r.release(d, spool.Nack{})
	},
}
