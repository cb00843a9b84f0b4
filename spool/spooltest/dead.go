package spooltest

import (
	"fmt"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// letters reads all dead letters, in pages.
func (r *room) letters() map[spool.Letter]spool.DeadLetter {
	r.Helper()
	found := make(map[spool.Letter]spool.DeadLetter)
	for after := spool.Cursor(0); ; {
		page, next, err := r.DeadLetters(r.ctx, after, 100)
		r.no(err)
		for _, l := range page {
			_, twice := found[l.Letter]
			r.check(!twice, "%+v is listed twice", l.Letter)
			found[l.Letter] = l
		}
		if after = next; next == 0 {
			return found
		}
	}
}

// kill makes the deliveries of a site dead.
func (r *room) kill(site id.Site) {
	r.Helper()
	_, err := r.Kill(r.ctx, site.Queue(), "removed")
	r.no(err)
}

// keeps expects the counts of the dead letters, and of the content of all.
func (r *room) keeps(kept spool.Usage, content int64) {
	r.Helper()
	u, err := r.Usage(r.ctx)
	r.no(err)
	info, err := r.Info(r.ctx)
	r.no(err)
	r.check(u.Dead == kept && info.Content == content && u.Hub.Bytes == content,
		"kept are %+v, %d bytes in all, content %d; want %+v, %d", u.Dead, u.Hub.Bytes,
		info.Content, kept, content)
}

func letterTo(e spool.Envelope, site id.Site) spool.Letter {
	return spool.Letter{Envelope: e.ID, Recipient: site}
}

// some is the count of envelopes of 300 bytes with one message each.
func some(n int64) spool.Usage { return spool.Usage{Bytes: 300 * n, Envelopes: n, Messages: n} }

// discard frees the content of a dead letter.
func (r *room) discard(l spool.Letter) error {
	_, err := r.Discard(r.ctx, l)
	return err
}

var deadTests = map[string]func(*room){
	"keep none without a quota": func(r *room) {
		e, _ := r.drop(centre)
		r.kill(centre)
		r.keeps(spool.Usage{}, 0)
		r.check(len(r.letters()) == 0, "letters are %+v", r.letters())
		r.want(r.Requeue(r.ctx, letterTo(e, centre)), spool.ErrNotFound)
		r.no(r.discard(letterTo(e, centre)))
		recs, _, err := r.Find(r.ctx, spool.Query{Sender: lab}, 0, 10)
		r.no(err)
		r.check(len(recs) == 1 && recs[0].State == "dead" && recs[0].Code == "removed",
			"records are %+v", recs)
	},
	"list what is kept, the latest first": func(r *room) {
		r.limit(spool.Quotas{Dead: 1 << 20})
		first, p := r.drop(centre)
		r.release(r.lease(centre, 1)[0], spool.Nack{})
		r.clock.Advance(time.Minute)
		r.kill(centre)
		want := spool.DeadLetter{Letter: letterTo(first, centre), Sender: lab,
			Queue: centre.Queue(), Messages: first.Messages, Size: 300, Spooled: p.Spooled,
			Died: r.clock.Now(), Code: "removed", Attempts: 1}
		r.clock.Advance(time.Minute)
		second, _ := r.drop(centre)
		r.kill(centre)
		for range 2 {
			page, next, err := r.DeadLetters(r.ctx, 0, 1)
			r.no(err)
			r.check(len(page) == 1 && page[0].Letter == letterTo(second, centre) && next != 0,
				"the first page is %+v, %d", page, next)
			page, next, err = r.DeadLetters(r.ctx, next, 1)
			r.no(err)
			r.check(next == 0 && len(page) == 1 && fmt.Sprint(page[0]) == fmt.Sprint(want),
				"the second page is %+v, %d; want %+v", page, next, want)
			r.keeps(some(2), 600)
			r.restart()
		}
		_, _, err := r.DeadLetters(r.ctx, 0, 0)
		r.want(err, spool.ErrInvalid)
	},
	"wait again once they are requeued": func(r *room) {
		r.limit(spool.Quotas{Dead: 1 << 30})
		e, content := large(onePart, centre)
		r.staged(e, content)
		p := r.publish(e)
		r.release(r.lease(centre, 1)[0], spool.Nack{Code: "disk-full", Delay: time.Hour})
		r.kill(centre)
		r.idle(centre)
		r.holds(spool.Usage{}, onePart)
		r.limit(spool.Quotas{Site: spool.Quota{Bytes: 1}, Queue: spool.Quota{Bytes: 1},
			Hub: spool.Quota{Bytes: 1}})
		for range 2 { // the second is a repetition
			r.no(r.Requeue(r.ctx, letterTo(e, centre)))
			r.restart()
		}
		r.holds(spool.Usage{Bytes: onePart, Envelopes: 1, Messages: 1}, onePart)
		k := r.known(lab, e.ID)
		r.check(k.State == spool.StateWaiting && len(k.Results)+len(k.Held) == 0 &&
			k.Published == p, "known is %+v", k)
		d := r.lease(centre, 1)[0]
		r.check(d.Envelope == e.ID && d.Attempts == 0, "leased %+v", d)
		r.check(string(r.read(d.DeliveryID, 0)) == string(content), "its content is another")
		r.check(r.settle(d).First, "it does not count")
		r.holds(spool.Usage{}, 0)
		es := r.events(lab, 0)
		r.check(len(es) == 3 && es[0].Kind == spool.EventDead &&
			es[1].Kind == spool.EventRequeued && es[1].Envelope == e.ID &&
			es[1].Recipient == centre && es[2].Kind == spool.EventSettled, "events are %+v", es)
		r.want(r.Requeue(r.ctx, letterTo(e, centre)), spool.ErrConflict)
		r.want(r.discard(letterTo(e, centre)), spool.ErrConflict)
	},
	"die and are requeued any number of times": func(r *room) {
		r.limit(spool.Quotas{Dead: 1 << 20})
		e, _ := r.drop(centre, second)
		for range 3 {
			r.kill(centre)
			r.kill(second)
			r.keeps(some(1), 300)
			r.check(len(r.letters()) == 2, "letters are %+v", r.letters())
			r.no(r.Requeue(r.ctx, letterTo(e, second)))
			r.keeps(spool.Usage{}, 300)
			r.check(r.known(lab, e.ID).State == spool.StateWaiting, "it is final")
			r.no(r.Requeue(r.ctx, letterTo(e, centre)))
			r.clock.Advance(time.Hour)
		}
		r.settle(r.lease(centre, 1)[0])
		r.settle(r.lease(second, 1)[0])
		r.keeps(spool.Usage{}, 0)
	},
	"are freed one by one": func(r *room) {
		r.limit(spool.Quotas{Dead: 1 << 20})
		e, _ := r.drop(centre, second)
		r.want(r.discard(letterTo(e, centre)), spool.ErrConflict)
		r.kill(centre)
		r.keeps(spool.Usage{}, 300)
		r.settle(r.lease(second, 1)[0])
		r.keeps(some(1), 300)
		for range 2 {
			r.no(r.discard(letterTo(e, centre)))
			r.keeps(spool.Usage{}, 0)
			r.restart()
		}
		r.want(r.Requeue(r.ctx, letterTo(e, centre)), spool.ErrNotFound)
		r.want(r.Requeue(r.ctx, letterTo(e, third)), spool.ErrNotFound)
		r.want(r.discard(letterTo(envelope(10, centre), centre)), spool.ErrNotFound)
		r.want(r.discard(spool.Letter{Envelope: "x", Recipient: centre}),
			spool.ErrNotFound)
	},
	"are kept up to their quota": func(r *room) {
		r.limit(spool.Quotas{Dead: 899})
		for range 4 {
			r.drop(centre)
		}
		shared, _ := r.drop(centre, second)
		r.kill(centre)
		r.keeps(some(2), 900) // the shared one still waits
		r.check(len(r.letters()) == 3, "letters are %+v", r.letters())
		r.kill(second)
		r.keeps(some(2), 600)
		r.want(r.Requeue(r.ctx, letterTo(shared, centre)), spool.ErrNotFound)
		r.limit(spool.Quotas{Dead: 1})
		r.restart()
		r.keeps(some(2), 600)
	},
	"are discarded by age": func(r *room) {
		r.limit(spool.Quotas{Dead: 1 << 20})
		for range 600 {
			r.drop(centre)
		}
		r.kill(centre)
		died := r.clock.Now()
		r.clock.Advance(time.Hour)
		e, _ := r.drop(centre)
		r.kill(centre)
		for _, tc := range []struct {
			before time.Time
			want   int
		}{{died, 0}, {died.Add(time.Millisecond), 600}, {r.clock.Now(), 0}} {
			n, err := r.DiscardBefore(r.ctx, tc.before)
			r.no(err)
			r.check(n == tc.want, "%d were discarded, want %d", n, tc.want)
		}
		r.keeps(some(1), 300)
		_, isKept := r.letters()[letterTo(e, centre)]
		r.check(isKept, "the later one is gone")
	},
	"come of what is old or was tried often": func(r *room) {
		r.limit(spool.Quotas{Dead: 1 << 20})
		for range 300 {
			r.drop(centre)
		}
		ds := r.lease(centre, 2)
		r.release(ds[0], spool.Nack{Delay: 24 * time.Hour})
		r.clock.Advance(30 * time.Minute)
		ds = r.lease(centre, 1)
		for range 2 {
			r.release(ds[0], spool.Nack{})
			ds = r.lease(centre, 1)
		}
		middle := r.clock.Now().Add(-time.Minute)
		e, _ := r.drop(centre)
		expire := func(want int, bound spool.Bound, code string) {
			n, err := r.Expire(r.ctx, centre.Queue(), bound, code)
			r.no(err)
			r.check(n == want, "%d expired by %+v, want %d", n, bound, want)
		}
		expire(0, spool.Bound{}, "expired")
		expire(0, spool.Bound{Before: middle.Add(-time.Hour)}, "expired")
		expire(0, spool.Bound{Attempts: 3}, "max-attempts")
		expire(0, spool.Bound{Attempts: 2}, "max-attempts") // it is leased
		r.release(ds[0], spool.Nack{NotAttempted: true, Delay: time.Hour})
		expire(1, spool.Bound{Attempts: 2}, "max-attempts")
		expire(299, spool.Bound{Before: middle}, "expired")
		expire(0, spool.Bound{Before: middle}, "expired")
		r.check(len(r.letters()) == 300, "there are %d letters", len(r.letters()))
		r.check(r.lease(centre, 9)[0].Envelope == e.ID, "the young one is not leased")
		expire(0, spool.Bound{Before: r.clock.Now().Add(time.Hour)}, "expired") // it is leased
		r.restart()
		r.limit(spool.Quotas{Dead: 1 << 20})
		expire(1, spool.Bound{Before: r.clock.Now().Add(time.Hour)}, "expired")
		r.clock.Advance(24 * time.Hour)
		r.no(r.Requeue(r.ctx, letterTo(e, centre)))
		requeued := r.clock.Now()
		r.clock.Advance(time.Hour)
		r.release(r.lease(centre, 1)[0], spool.Nack{NotAttempted: true})
		expire(0, spool.Bound{Before: requeued}, "expired")
		expire(1, spool.Bound{Before: requeued.Add(time.Millisecond)}, "expired")
		codes := map[string]int{}
		for _, ev := range r.events(lab, 0) {
			codes[ev.Code]++
		}
		r.check(codes["expired"] == 301 && codes["max-attempts"] == 1, "codes are %v", codes)
		_, err := r.Expire(r.ctx, centre.Queue(), spool.Bound{Attempts: 1}, "")
		r.want(err, spool.ErrInvalid)
	},
	"of a removed sender are freed": func(r *room) {
		r.limit(spool.Quotas{Dead: 1 << 20})
		r.drop(centre)
		e := envelope(300, centre)
		e.Sender = other
		r.publish(e)
		r.kill(centre)
		r.drop(centre)
		n, err := r.KillFrom(r.ctx, lab, "sender-removed")
		r.no(err)
		r.check(n == 1, "%d were killed", n)
		r.keeps(some(1), 300)
		r.no(r.Requeue(r.ctx, letterTo(e, centre)))
	},
	"give way to a settlement": func(r *room) {
		for _, dead := range []int64{0, 1 << 20} {
			r := newRoom(r.tb, r.open)
			r.limit(spool.Quotas{Dead: dead})
			e, p := r.drop(centre)
			r.kill(centre)
			r.clock.Advance(time.Hour)
			st := settlement(r.delivery(e, p, centre), e.Messages)
			incomplete := st
			incomplete.Outcomes = nil
			_, err := r.Settle(r.ctx, incomplete)
			r.want(err, spool.ErrIncomplete)
			for n := range 2 {
				got, err := r.Settle(r.ctx, st)
				r.no(err)
				r.check(got.First == (n == 0) && got.Time.Equal(r.clock.Now()), "settled %+v", got)
				r.restart()
			}
			r.keeps(spool.Usage{}, 0)
			q := r.queue(centre)
			r.check(q.Dead == 0 && q.Settled == 1, "figures are %+v", q)
			k := r.known(lab, e.ID)
			r.check(len(k.Results) == 1 && k.Results[0].Receipt == st.Receipt, "known is %+v", k)
			es := r.events(lab, 0)
			r.check(len(es) == 2 && es[1].Kind == spool.EventSettled && es[1].Receipt == st.Receipt,
				"events are %+v", es)
		}
	},
}

// holds expects the counts of lab and of the queue of centre, and the content of all.
func (r *room) holds(want spool.Usage, content int64) {
	r.Helper()
	ofSite, ofQueue, ofAll := r.usage(lab, centre.Queue())
	r.check(ofSite == want && ofQueue == want && ofAll.Bytes == content,
		"counts are %+v, %+v and %+v, want %+v and %d bytes", ofSite, ofQueue, ofAll, want, content)
}
