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
		r.check(p.Spooled.Equal(r.clock.Now()) && p.Spooled.Location() == time.UTC, "spooled %v", p.Spooled)
		for _, site := range []id.Site{centre, second} {
			d := r.lease(site, 10)[0]
			r.check(d.DeliveryID == r.delivery(e, p, site), "delivery is %+v", d.DeliveryID)
			r.check(d.Sender == e.Sender && reflect.DeepEqual(d.Address, e.Address) && d.Size == e.Size && d.Attempts == 0, "delivery is %+v", d)
			r.check(reflect.DeepEqual(d.CRC32C, e.CRC32C) && reflect.DeepEqual(d.Messages, e.Messages), "delivery is %+v", d)
			r.check(d.Spooled.Equal(p.Spooled) && string(d.Content) == string(e.Content), "delivery is %+v", d)
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
	"repeated after it was settled, it gets the same answer and is not delivered again": func(r *room) {
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
			r.check(string(r.read(r.delivery(e, p, centre), 0)) == string(e.Content), "%d bytes: other content", size)
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
		r.check(a.Sequence < b.Sequence && b.Sequence < c.Sequence, "sequences %d %d %d", a.Sequence, b.Sequence, c.Sequence)
	},
	"its content may be changed by the caller afterwards": func(r *room) {
		e, p := r.drop(centre)
		want := string(e.Content)
		clear(e.Content)
		r.check(string(r.read(r.delivery(e, p, centre), 0)) == want, "the content changed with the caller's")
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
				r.check(!seen[d.Envelope] && d.Sequence > last, "%s twice or out of order", d.Envelope)
				seen[d.Envelope], last = true, d.Sequence
			}
		}
		r.idle(centre)
	},
}

// differences are what makes a repetition another envelope.
var differences = map[string]func(*spool.Envelope){
	"sender":        func(e *spool.Envelope) { e.Sender = other },
	"routing key":   func(e *spool.Envelope) { e.Address.RoutingKey = "fl-lab.rpt" },
	"address":       func(e *spool.Envelope) { e.Address = id.Address{To: []id.Site{centre}} },
	"route version": func(e *spool.Envelope) { e.RouteVersion = id.Hash(id.Random128[string]() + id.Random128[string]()) },
	"content": func(e *spool.Envelope) {
		e.Content = noise(len(e.Content))
		e.CRC32C = sums(e.Content)
	},
	"size": func(e *spool.Envelope) {
		e.Content = noise(299)
		e.Size, e.CRC32C = 299, sums(e.Content)
	},
	"larger size": func(e *spool.Envelope) {
		e.Size, e.Content, e.CRC32C = spool.SmallSize+1, nil, []uint32{1}
	},
	"message id": func(e *spool.Envelope) {
		e.Messages = []spool.Message{{ID: "FL-LAB_DAT_20251008_999", UID: e.Messages[0].UID, Sent: e.Messages[0].Sent}}
	},
	"uid": func(e *spool.Envelope) {
		e.Messages = []spool.Message{{ID: e.Messages[0].ID, UID: id.Random128[id.UID](), Sent: e.Messages[0].Sent}}
	},
	"time": func(e *spool.Envelope) {
		e.Messages = []spool.Message{{ID: e.Messages[0].ID, UID: e.Messages[0].UID, Sent: e.Messages[0].Sent.Add(time.Nanosecond)}}
	},
	"number of messages": func(e *spool.Envelope) {
		e.Messages = append(e.Messages[:1:1], spool.Message{ID: "FL-LAB_DAT_20251008_002", UID: id.Random128[id.UID](), Sent: e.Messages[0].Sent})
	},
	"recipient": func(e *spool.Envelope) {
		e.Deliveries = []spool.Target{{Site: second, Queue: second.Queue()}}
	},
	"number of recipients": func(e *spool.Envelope) {
		e.Deliveries = append(e.Deliveries[:1:1], spool.Target{Site: second, Queue: second.Queue()})
	},
}

// mistakes are what no envelope can be.
var mistakes = map[string]func(*spool.Envelope){
	"no id":                  func(e *spool.Envelope) { e.ID = "" },
	"an id that is not hex":  func(e *spool.Envelope) { e.ID = "zz" + e.ID[2:] },
	"no sender":              func(e *spool.Envelope) { e.Sender = "" },
	"no delivery":            func(e *spool.Envelope) { e.Deliveries = nil },
	"a delivery to no queue": func(e *spool.Envelope) { e.Deliveries[0].Queue = "" },
	"a delivery to no site":  func(e *spool.Envelope) { e.Deliveries[0].Site = "" },
	"a recipient twice":      func(e *spool.Envelope) { e.Deliveries = append(e.Deliveries, spool.Target{Site: centre, Queue: "x"}) },
	"a queue twice": func(e *spool.Envelope) {
		e.Deliveries = append(e.Deliveries, spool.Target{Site: second, Queue: centre.Queue()})
	},
	"no message":              func(e *spool.Envelope) { e.Messages = nil },
	"a uid twice":             func(e *spool.Envelope) { e.Messages = append(e.Messages, e.Messages[0]) },
	"no size":                 func(e *spool.Envelope) { e.Size = 0 },
	"too large":               func(e *spool.Envelope) { e.Size = spool.MaxSize + 1 },
	"no checksum":             func(e *spool.Envelope) { e.CRC32C = nil },
	"checksums of more parts": func(e *spool.Envelope) { e.CRC32C = append(e.CRC32C, 1) },
	"too many messages": func(e *spool.Envelope) {
		for range spool.MaxMessages {
			e.Messages = append(e.Messages, spool.Message{ID: e.Messages[0].ID, UID: id.Random128[id.UID]()})
		}
	},
	"too many recipients": func(e *spool.Envelope) {
		for i := range spool.MaxRecipients {
			e.Deliveries = append(e.Deliveries, spool.Target{Site: id.Site(fmt.Sprintf("S%d", i)), Queue: fmt.Sprintf("q%d", i)})
		}
	},
	"large content that was not staged": func(e *spool.Envelope) {
		e.Content = noise(spool.SmallSize + 1)
		e.Size, e.CRC32C = int64(len(e.Content)), sums(e.Content)
	},
}
