package spooltest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sealpost/internal/id"
	"sealpost/spool"
)

var lifeTests = map[string]func(*room){
	"after Close every call answers ErrClosed": func(r *room) {
		e, content := large(onePart, centre)
		st := r.stage(e)
		_, p := r.drop(second)
		d := r.lease(second, 1)[0]
		r.no(r.Close())
		for name, call := range map[string]func() error{
			"Publish":  func() error { _, err := r.Publish(r.ctx, e); return err },
			"Stage":    func() error { _, err := r.Stage(r.ctx, upload(e)); return err },
			"Put part": func() error { return r.put(st, 0, content) },
			"Abort":    func() error { return st.Abort(r.ctx) },
			"Known":    func() error { _, err := r.Known(r.ctx, lab, nil); return err },
			"Lease":    func() error { _, err := r.Lease(r.ctx, request(centre, 1)); return err },
			"Open": func() error {
				_, err := r.Open(r.ctx, r.delivery(e, p, centre), 0)
				return err
			},
			"Extend":  func() error { _, err := r.Extend(r.ctx, d.Token); return err },
			"Release": func() error { return r.Release(r.ctx, d.Token, spool.Nack{}) },
			"Settle": func() error {
				_, err := r.Settle(r.ctx, settlement(d.DeliveryID, d.Messages))
				return err
			},
			"Events": func() error { _, _, err := r.Events(r.ctx, lab, 0, 1); return err },
			"Find": func() error {
				_, _, err := r.Find(r.ctx, spool.Query{Sender: lab}, 0, 1)
				return err
			},
			"Get": func() error { _, err := r.Get(r.ctx, "site", "a"); return err },
			"Put": func() error {
				_, err := r.Store.Put(r.ctx, "site", "a", 0, []byte("x"))
				return err
			},
			"List":   func() error { _, err := r.List(r.ctx, "site", "", 1); return err },
			"Queues": func() error { _, err := r.Queues(r.ctx); return err },
			"Kill":   func() error { _, err := r.Kill(r.ctx, "q", "c"); return err },
			"Announce": func() error {
				return r.Announce(r.ctx, map[id.Site]spool.Event{lab: {}})
			},
			"KillFrom":     func() error { _, err := r.KillFrom(r.ctx, lab, "c"); return err },
			"AbortUploads": func() error { _, err := r.AbortUploads(r.ctx, lab); return err },
			"Limit":        func() error { return r.Limit(r.ctx, spool.Quotas{}) },
			"Usage":        func() error { _, err := r.Usage(r.ctx); return err },
			"Info":         func() error { _, err := r.Info(r.ctx); return err },
			"Close":        r.Close,
		} {
			err := call()
			r.check(errors.Is(err, spool.ErrClosed), "%s answers %v", name, err)
		}
	},
	"Close ends what waits": func(r *room) {
		a := r.startLease(r.ctx, request(centre, 1))
		b := background(func() (spool.Cursor, error) {
			_, c, err := r.Events(r.ctx, lab, 0, 1)
			return c, err
		})
		r.no(r.Close())
		_, err := arrives(r, a)
		r.want(err, spool.ErrClosed)
		_, err = arrives(r, b)
		r.want(err, spool.ErrClosed)
	},
	"the incarnation stays over restarts, and differs from any other's": func(r *room) {
		inc := r.Incarnation()
		_, err := id.Parse128[id.Incarnation](string(inc))
		r.no(err)
		r.restart()
		r.check(r.Incarnation() == inc, "it changed")
		r.check(newRoom(r.tb, r.open).Incarnation() != inc, "two are the same")
	},
	"one folder is opened once at a time": func(r *room) {
		s, err := r.open(r.dir, r.clock)
		if err == nil {
			s.Close()
			r.Fatal("it was opened twice")
		}
		r.drop(centre)
	},
	"a cancelled call has either done all or nothing": func(r *room) {
		for range 20 {
			e := envelope(100, centre)
			ctx, cancel := context.WithCancel(r.ctx)
			got := background(func() (spool.Published, error) { return r.Publish(ctx, e) })
			cancel()
			p, err := arrives(r, got)
			if err == nil {
				r.check(r.publish(e) == p, "another answer")
			} else {
				r.want(err, context.Canceled)
			}
		}
	},
	"errors name what they are about": func(r *room) {
		e, _ := r.drop(centre)
		e.RouteVersion = ""
		_, err := r.Publish(r.ctx, e)
		r.check(err != nil && strings.Contains(err.Error(), string(e.ID)), "it says %v", err)
		_, err = r.Settle(r.ctx, settlement(spool.DeliveryID{Queue: "q", Envelope: e.ID}, nil))
		r.check(err != nil && strings.Contains(err.Error(), fmt.Sprint(e.ID)), "it says %v", err)
	},
}
