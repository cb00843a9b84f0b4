package spooltest

import (
	"fmt"
	"reflect"
	"sync"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

var publishTests = map[string]func(*room){
	"stands in every queue, with all its metadata": func(r *room) {
		e := envelopeOf(noise(300), 3, centre, second)
		p := r.publish(e)
		r.check(p.Incarnation == r.Incarnation() && p.Sequence > 0, "published %+v", p)
		r.check(p.Spooled.Equal(r.clock.Now()) && p.Spooled.Location() == time.UTC, "spooled %v",
			p.Spooled)
		for _, site := range []id.Site{centre, second} {
			d := r.lease(site, 10)[0]
			r.check(d.DeliveryID == r.delivery(e, p, site), "delivery is %+v", d.DeliveryID)
			r.check(d.Sender == e.Sender && reflect.DeepEqual(d.Address, e.Address) &&
				d.Size == e.Size && d.Attempts == 0, "delivery is %+v", d)
			r.check(reflect.DeepEqual(d.CRC32C, e.CRC32C) &&
				reflect.DeepEqual(d.Messages, e.Messages), "delivery is %+v", d)
			r.check(d.Spooled.Equal(p.Spooled) && string(d.Content) == string(e.Content),
				"delivery is %+v", d)
		}
		r.idle(third)
	},
	"repeated, it gets the same answer": func(r *room) {
		e, p := r.drop(centre)
		r.clock.Advance(time.Hour)
		r.check(r.publish(e) == p, "another answer")
		r.check(r.queue(centre).Waiting == 1, "it stands twice in its queue")
	},
	"repeated after a restart, it gets the same answer": func(r *room) {
		e, p := r.drop(centre)
		r.restart()
		r.check(r.publish(e) == p, "another answer")
	},
	"repeated after settling, it gets the same answer and is not delivered": func(r *room) {
		e, p := r.drop(centre)
		r.settle(r.lease(centre, 1)[0])
		r.check(r.publish(e) == p, "another answer")
		r.idle(centre)
	},
	"repeated by many at once, all get one answer": func(r *room) {
		e := envelope(300, centre)
		answers := make([]spool.Published, 16)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i], _ = r.Publish(r.ctx, e) })
		}
		wg.Wait()
		for _, p := range answers {
			r.check(p == answers[0] && p.Sequence > 0, "answers are %+v", answers)
		}
		r.check(r.queue(centre).Waiting == 1, "it stands twice in its queue")
	},
	"the order of recipients makes no difference to a repetition": func(r *room) {
		e, p := r.drop(centre, second)
		e.Deliveries[0], e.Deliveries[1] = e.Deliveries[1], e.Deliveries[0]
		r.check(r.publish(e) == p, "another answer")
	},
	"of every size that needs no staging": func(r *room) {
		for _, size := range []int{1, spool.InlineSize, spool.InlineSize + 1, spool.SmallSize} {
			e := envelope(size, centre)
			p := r.publish(e)
			r.check(r.publish(e) == p, "%d bytes: another answer", size)
			r.check(string(r.read(r.delivery(e, p, centre), 0)) == string(e.Content),
				"%d bytes: other content", size)
		}
	},
	"of the greatest number of messages and recipients": func(r *room) {
		e := envelopeOf(noise(300), spool.MaxMessages)
		for i := range spool.MaxRecipients {
			site := id.Site(fmt.Sprintf("SITE-%02d", i))
			e.Deliveries = append(e.Deliveries, spool.Target{Site: site, Queue: site.Queue()})
		}
		r.publish(e)
		d := r.lease("SITE-63", 1)[0]
		r.check(len(d.Messages) == spool.MaxMessages, "%d messages arrived", len(d.Messages))
		r.settle(d)
	},
	"sequences grow": func(r *room) {
		_, a := r.drop(centre)
		_, b := r.drop(second)
		r.restart()
		_, c := r.drop(centre)
		r.check(a.Sequence < b.Sequence && b.Sequence < c.Sequence, "sequences %d %d %d",
			a.Sequence, b.Sequence, c.Sequence)
	},
	"its content may be changed by the caller afterwards": func(r *room) {
		e, p := r.drop(centre)
		want := string(e.Content)
		clear(e.Content)
		r.check(string(r.read(r.delivery(e, p, centre), 0)) == want,
			"the content changed with the caller's")
	},
	"anything else under the same id is a conflict": func(r *room) {
		e, _ := r.drop(centre)
		for name, change := range differences {
			d := e
			change(&d)
			_, err := r.Publish(r.ctx, d)
			r.check(err != nil, "another %s was accepted", name)
			r.want(err, spool.ErrConflict)
		}
		r.check(r.queue(centre).Waiting == 1, "a refused one stands in the queue")
		r.restart()
		for _, change := range differences {
			d := e
			change(&d)
			_, err := r.Publish(r.ctx, d)
			r.want(err, spool.ErrConflict)
		}
	},
	"what cannot be is refused, and nothing of it stays": func(r *room) {
		for name, change := range mistakes {
			e := envelope(300, centre)
			change(&e)
			_, err := r.Publish(r.ctx, e)
			r.check(err != nil, "%s was accepted", name)
			r.want(err, spool.ErrInvalid)
		}
		r.idle(centre)
	},
	"content that does not match its checksum is refused": func(r *room) {
		e := envelope(300, centre)
		e.Content[7] ^= 1
		_, err := r.Publish(r.ctx, e)
		r.want(err, spool.ErrChecksum)
		e.Content[7] ^= 1
		r.publish(e)
	},
	"content of another length is refused": func(r *room) {
		e := envelope(300, centre)
		e.Content = e.Content[:299]
		_, err := r.Publish(r.ctx, e)
		r.want(err, spool.ErrChecksum)
	},
	"many publish at once, each exactly once and in the order of its sequence": func(r *room) {
		const publishers, each = 8, 20
		var wg sync.WaitGroup
		for range publishers {
			wg.Go(func() {
				for range each {
					if _, err := r.Publish(r.ctx, envelope(200, centre)); err != nil {
						r.Errorf("publish: %v", err)
					}
				}
			})
		}
		wg.Wait()
		seen := make(map[id.Envelope]bool)
		last := uint64(0)
		for len(seen) < publishers*each {
			for _, d := range r.lease(centre, 7) {
				r.check(!seen[d.Envelope] && d.Sequence > last, "%s twice or out of order",
					d.Envelope)
				seen[d.Envelope], last = true, d.Sequence
			}
		}
		r.idle(centre)
	},
}
