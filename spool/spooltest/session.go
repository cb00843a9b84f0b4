package spooltest

import (
	"context"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

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
	"a newer one gets what rested for the old one": func(r *room) {
		e, _ := r.drop(centre)
		r.release(r.lease(centre, 1)[0], spool.Nack{Code: "too-large", Delay: time.Hour})
		r.idle(centre)
		ds, err := r.Lease(r.ctx, as(newer, centre, 1))
		r.no(err)
		r.check(len(ds) == 1 && ds[0].Envelope == e.ID && ds[0].Attempts == 1, "got %+v", ds)
		r.release(ds[0], spool.Nack{Delay: time.Hour})
		waiting := r.startLease(r.ctx, as(newer, centre, 1))
		r.clock.Advance(time.Hour)
		ds, err = arrives(r, waiting)
		r.no(err)
		r.check(len(ds) == 1 && ds[0].Attempts == 2, "got %+v", ds)
	},
	"the old one is told at once, and whenever it calls": func(r *room) {
		r.drop(centre)
		r.lease(centre, 1)
		waiting := r.startLease(r.ctx, request(centre, 1))
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
	"a late call of an ended one displaces none": func(r *room) {
		r.drop(centre)
		ended, running := id.Random128[id.Session](), id.Random128[id.Session]()
		call := func(s id.Session, number, got uint64) (int, error) {
			req := as(s, centre, 1)
			req.Number, req.Got = number, got
			ctx, cancel := context.WithTimeout(r.ctx, 30*time.Millisecond)
			defer cancel()
			ds, err := r.Lease(ctx, req)
			return len(ds), err
		}
		expect := func(s id.Session, number, got uint64, want int) {
			r.Helper()
			n, err := call(s, number, got)
			r.no(err)
			r.check(n == want, "call %d got %d deliveries, want %d", number, n, want)
		}
		expect(session, 1, 0, 1)
		expect(running, 1, 0, 0)
		expect(running, 2, 1, 1)
		// no caller has the answer to this one, however often it comes
		expect(ended, 1, 0, 0)
		expect(ended, 2, 0, 0)
		expect(running, 3, 2, 0)
		_, err := call(session, 2, 1)
		r.want(err, spool.ErrHeld)
		// the one that called first is older, also if its second call comes late
		older, newest := id.Random128[id.Session](), id.Random128[id.Session]()
		expect(older, 1, 0, 0)
		expect(newest, 1, 0, 0)
		expect(newest, 2, 1, 1)
		for _, s := range []id.Session{older, ended, running} {
			_, err := call(s, 5, 4)
			r.want(err, spool.ErrHeld)
		}
		expect(newest, 3, 2, 0)
	},
	"one that renews another takes only from that one": func(r *room) {
		r.drop(centre)
		renew := func(s, renews id.Session) ([]spool.Delivery, error) {
			req := as(s, centre, 1)
			req.Number, req.Renews = 1, renews
			return r.Lease(r.ctx, req)
		}
		r.lease(centre, 1)
		ds, err := renew(newer, session)
		r.no(err)
		r.check(len(ds) == 1, "it got %d", len(ds))
		_, err = renew(id.Random128[id.Session](), session)
		r.want(err, spool.ErrHeld)
		ds, err = renew(newer, session)
		r.want(err, spool.ErrInvalid) // the same number, by the session that has the queue
		r.check(len(ds) == 0, "it got %d", len(ds))
		r.restart()
		ds, err = renew(newer, session)
		r.no(err)
		r.check(len(ds) == 1, "after a restart it got %d", len(ds))
	},
	"what rests is due for one that begins at a reopened store": func(r *room) {
		r.drop(centre)
		r.release(r.lease(centre, 1)[0], spool.Nack{Delay: time.Hour})
		r.restart()
		r.ask(centre, 7, 6, 0) // it goes on
		r.restart()
		r.ask(centre, 1, 0, 1)
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
		a := r.startLease(r.ctx, request(centre, 1))
		b := r.startLease(r.ctx, request(centre, 1))
		_, err := arrives(r, a)
		r.no(err)
		_, err = arrives(r, b)
		r.no(err)
	},
}
