package spooltest

import (
	"context"
	"reflect"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// numbered returns a numbered call of a session that names the last answer it has.
func numbered(site id.Site, max int, number, got uint64) spool.LeaseRequest {
	req := request(site, max)
	req.Number, req.Got = number, got
	return req
}

// ask leases with a numbered call, and expects so many deliveries.
func (r *room) ask(site id.Site, number, got uint64, want int) []spool.Delivery {
	r.Helper()
	wait := patience
	if want == 0 {
		wait = 30 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(r.ctx, wait)
	defer cancel()
	ds, err := r.Lease(ctx, numbered(site, 100, number, got))
	r.no(err)
	r.check(len(ds) == want, "call %d, which has the answer to %d, got %d deliveries, want %d",
		number, got, len(ds), want)
	return ds
}

var numberTests = map[string]func(*room){
	"deliveries of a lost answer come again at once, no attempt counted": func(r *room) {
		a, _ := r.drop(centre)
		b, _ := r.drop(centre)
		lost := r.ask(centre, 1, 0, 2)
		next := r.ask(centre, 2, 0, 2)
		r.check(reflect.DeepEqual(ids(next), []id.Envelope{a.ID, b.ID}), "got %v", ids(next))
		for i, d := range next {
			r.check(d.Attempts == 0 && d.Token != lost[i].Token, "it comes as %+v", d)
			_, err := r.Extend(r.ctx, lost[i].Token)
			r.want(err, spool.ErrStale)
		}
	},
	"deliveries of a received answer do not come again": func(r *room) {
		r.drop(centre)
		r.drop(centre)
		ds := r.ask(centre, 1, 0, 2)
		r.ask(centre, 2, 1, 0)
		r.ask(centre, 3, 1, 0) // the empty answer to 2 was lost
		r.ask(centre, 9, 3, 0)
		for _, d := range ds {
			_, err := r.Extend(r.ctx, d.Token)
			r.no(err)
		}
	},
	"only the lost answer is taken back, not those before it": func(r *room) {
		first, _ := r.drop(centre)
		had := r.ask(centre, 1, 0, 1)
		second, _ := r.drop(centre)
		r.ask(centre, 2, 1, 1)
		next := r.ask(centre, 3, 1, 1)
		r.check(had[0].Envelope == first.ID && next[0].Envelope == second.ID, "%s came again",
			next[0].Envelope)
		_, err := r.Extend(r.ctx, had[0].Token)
		r.no(err)
	},
	"a lost retry comes again, a settled or released one does not": func(r *room) {
		for range 3 {
			r.drop(centre)
		}
		all := r.ask(centre, 1, 0, 3)
		for _, d := range all {
			r.release(d, spool.Nack{})
		}
		all = r.ask(centre, 2, 1, 3)
		r.settle(all[0])
		r.release(all[1], spool.Nack{Delay: time.Hour})
		next := r.ask(centre, 3, 1, 1)
		r.check(next[0].Envelope == all[2].Envelope && next[0].Attempts == 1, "it comes as %+v",
			next[0])
		r.check(r.queue(centre).Leased == 1 && r.queue(centre).Waiting == 2, "figures are %+v",
			r.queue(centre))
	},
	"a call that waits ends with nothing when the next one comes": func(r *room) {
		waits := r.startLease(r.ctx, numbered(centre, 1, 1, 0))
		next := r.startLease(r.ctx, numbered(centre, 1, 1000, 0))
		ds, err := arrives(r, waits)
		if err == nil {
			r.check(len(ds) == 0, "an overtaken call got %d", len(ds))
		} else {
			r.want(err, spool.ErrInvalid) // it came second
		}
		e, _ := r.drop(centre)
		ds, err = arrives(r, next)
		r.no(err)
		r.check(len(ds) == 1 && ds[0].Envelope == e.ID, "got %+v", ds)
	},
	"a number that is not the highest is refused, and takes nothing": func(r *room) {
		r.drop(centre)
		d := r.ask(centre, 7, 0, 1)[0]
		r.drop(centre)
		for _, number := range []uint64{7, 6, 1} {
			_, err := r.Lease(r.ctx, numbered(centre, 1, number, 0))
			r.want(err, spool.ErrInvalid)
		}
		for _, req := range []spool.LeaseRequest{numbered(centre, 1, 8, 8),
			numbered(centre, 1, 8, 9), numbered(centre, 1, 0, 1)} {
			_, err := r.Lease(r.ctx, req)
			r.want(err, spool.ErrInvalid)
		}
		_, err := r.Extend(r.ctx, d.Token)
		r.no(err)
		r.ask(centre, 8, 7, 1)
	},
	"calls without a number take part in none of it": func(r *room) {
		r.drop(centre)
		plain := r.lease(centre, 1)[0]
		r.ask(centre, 1, 0, 0)
		r.drop(centre)
		r.ask(centre, 2, 0, 1)
		r.idle(centre)
		_, err := r.Extend(r.ctx, plain.Token)
		r.no(err)
		r.ask(centre, 3, 0, 1)
	},
	"a newer session counts from the start, and so does a reopened store": func(r *room) {
		r.drop(centre)
		r.ask(centre, 5, 0, 1)
		req := numbered(centre, 1, 1, 0)
		req.Session = newer
		ds, err := r.Lease(r.ctx, req)
		r.no(err)
		r.check(len(ds) == 0, "before it has an answer the newer session got %d", len(ds))
		req.Number, req.Got = 2, 1
		ds, err = r.Lease(r.ctx, req)
		r.no(err)
		r.check(len(ds) == 1, "the newer session got %d", len(ds))
		r.restart()
		r.ask(centre, 6, 5, 1)
		r.ask(centre, 7, 6, 0)
		r.ask(centre, 8, 6, 0) // the answer to 6 has come; the answer to 7 does not matter
	},
	"other queues are not disturbed": func(r *room) {
		r.drop(centre, second)
		d := r.ask(second, 1, 0, 1)[0]
		r.ask(centre, 1, 0, 1)
		r.ask(centre, 2, 0, 1)
		_, err := r.Extend(r.ctx, d.Token)
		r.no(err)
	},
}
