package spooltest

import (
	"fmt"
	"strings"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

var adminTests = map[string]func(*room){
	"have lost nothing": func(r *room) {
		r.drop(centre)
		r.restart()
		r.no(r.AcknowledgeLoss(r.ctx))
		info, err := r.Info(r.ctx)
		r.no(err)
		r.check(info.Lost == nil, "lost are %+v", info.Lost)
	},
	"Queues gives the figures by name": func(r *room) {
		a, _ := r.drop(second, centre)
		r.clock.Advance(time.Second)
		for range 3 {
			r.drop(centre)
		}
		ds := r.lease(centre, 3)
		r.settle(ds[0])
		r.release(ds[1], spool.Nack{Delay: time.Hour})
		qs, err := r.Queues(r.ctx)
		r.no(err)
		r.check(len(qs) == 2 && qs[0].Name == centre.Queue() && qs[1].Name == second.Queue(),
			"queues are %+v", qs)
		want := spool.QueueInfo{Name: centre.Queue(), Waiting: 3, Leased: 1, Released: 1,
			Settled: 1, Oldest: r.clock.Now(), Ages: r.clock.Now()}
		r.check(qs[0] == want, "figures are %+v, want %+v", qs[0], want)
		r.check(qs[1].Waiting == 1 && qs[1].Oldest.Equal(r.clock.Now().Add(-time.Second)),
			"figures are %+v, of %s", qs[1], a.ID)
		r.restart()
		want.Leased = 0
		r.check(r.queue(centre) == want, "after a restart figures are %+v", r.queue(centre))
	},
	"the oldest may be one that rests": func(r *room) {
		r.drop(centre)
		first := r.clock.Now()
		r.release(r.lease(centre, 1)[0], spool.Nack{Delay: 48 * time.Hour})
		r.clock.Advance(time.Hour)
		r.drop(centre)
		r.check(r.queue(centre).Oldest.Equal(first), "oldest is %v", r.queue(centre).Oldest)
	},
	"Info counts envelopes": func(r *room) {
		r.drop(centre, second)
		r.drop(second)
		for range 2 {
			info, err := r.Info(r.ctx)
			r.no(err)
			r.check(info.Incarnation == r.Incarnation() && info.Envelopes == 2 &&
				info.Content == 600 && info.DiskFree > 0, "info is %+v", info)
			r.restart()
		}
	},
	"Kill makes all waiting deliveries dead and tells the senders": func(r *room) {
		var dropped []id.Envelope
		for range 300 {
			e, _ := r.drop(centre)
			dropped = append(dropped, e.ID)
		}
		shared, _ := r.drop(centre, second)
		ds := r.lease(centre, 3)
		r.settle(ds[0])
		r.release(ds[1], spool.Nack{Delay: time.Hour})
		n, err := r.Kill(r.ctx, centre.Queue(), "recipient-removed")
		r.no(err)
		r.check(n == 300, "%d were killed", n)
		_, err = r.Extend(r.ctx, ds[2].Token)
		r.want(err, spool.ErrStale)
		r.idle(centre)
		q := r.queue(centre)
		r.check(q.Dead == 300 && q.Waiting == 0 && q.Released == 0 && q.Settled == 1 &&
			q.Oldest.IsZero(), "figures are %+v", q)
		dead := 0
		for _, e := range r.events(lab, 0) {
			if e.Kind == spool.EventDead {
				r.check(e.Code == "recipient-removed" && e.Recipient == centre && e.Receipt == "",
					"event is %+v", e)
				dead++
			}
		}
		r.check(dead == 300, "%d events", dead)
		r.check(r.known(lab, dropped[5]).State == spool.StateFinal, "it is not final")
		r.check(r.known(lab, shared.ID).State == spool.StateWaiting,
			"the other recipient's was killed")
		r.settle(r.lease(second, 1)[0])
		n, err = r.Kill(r.ctx, centre.Queue(), "recipient-removed")
		r.no(err)
		r.check(n == 0, "%d were killed twice", n)
	},
	"Announce tells each site its route": func(r *room) {
		events := make(map[id.Site]spool.Event)
		for i := range 5 {
			events[id.Site(fmt.Sprintf("LAB-%d", i))] = spool.Event{Kind: spool.EventRoute,
				Address:      fmt.Sprintf("lab-%d.dat", i),
				RouteVersion: id.Hash(strings.Repeat(fmt.Sprint(i), 64))}
		}
		r.no(r.Announce(r.ctx, events))
		r.restart()
		for site, want := range events {
			es := r.events(site, 0)
			r.check(len(es) == 1, "%s has %d events", site, len(es))
			want.Sequence, want.Time = 1, r.clock.Now()
			r.check(es[0] == want, "event is %+v, want %+v", es[0], want)
		}
		r.want(r.Announce(r.ctx, map[id.Site]spool.Event{lab: {Kind: spool.EventDead}}),
			spool.ErrInvalid)
		r.check(len(r.events(lab, 0)) == 0, "a refused one was told")
	},
	"a healthy store is not poisoned": func(r *room) {
		r.drop(centre)
		select {
		case <-r.Poisoned():
			r.Fatal("it is poisoned")
		default:
		}
	},
}
