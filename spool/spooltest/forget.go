package spooltest

import (
	"strings"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// forget forgets the records from before now, of sites that have read their events.
func (r *room) forget() spool.Forgotten {
	r.Helper()
	out, err := r.Forget(r.ctx, spool.Retention{Before: r.clock.Now()})
	r.no(err)
	return out
}

// acknowledge tells the store that a site has read so many events.
func (r *room) acknowledge(site id.Site, n spool.Cursor) {
	r.Helper()
	r.events(site, n)
}

// forgets expects the result of a call.
func (r *room) forgets(envelopes, events int) {
	r.Helper()
	out := r.forget()
	r.check(out.Envelopes == envelopes && out.Events == events,
		"forgotten were %+v, want %d envelopes and %d events", out, envelopes, events)
}

var forgetTests = map[string]func(*room){
	"deletes the records of old final envelopes that their senders have read": func(r *room) {
		e, p := r.drop(centre, second)
		r.no(r.settleDirectly(e, p, centre))
		r.no(r.settleDirectly(e, p, second))
		r.forgets(0, 0) // it is not older than now
		r.clock.Advance(time.Minute)
		young, q := r.drop(centre)
		r.no(r.settleDirectly(young, q, centre))
		out := r.forget()
		r.check(out.Events == 0 && len(out.Unread) == 1 && out.Unread[0] == lab,
			"unread events were forgotten: %+v", out)
		r.acknowledge(lab, 2)
		figures := r.queue(centre)
		out = r.forget()
		r.check(out.Envelopes == 1 && out.Events == 2 && out.Unread == nil &&
			out.Oldest.Equal(r.clock.Now()), "forgotten were %+v", out)
		for range 2 {
			r.forgets(0, 0)
			r.check(r.queue(centre) == figures, "the figures are %+v, want %+v", r.queue(centre),
				figures)
			for _, query := range []spool.Query{{Sender: lab}, {Recipient: centre},
				{Sender: lab, Message: e.Messages[0].ID}, {Sender: lab, UID: e.Messages[0].UID}} {
				for _, rec := range r.find(query, 10) {
					r.check(rec.Envelope == young.ID, "%+v finds %+v", query, rec)
				}
			}
			r.check(len(r.find(spool.Query{Recipient: second}, 10)) == 0, "there is a record")
			info, err := r.Info(r.ctx)
			r.no(err)
			r.check(info.Envelopes == 1, "%d envelopes have records", info.Envelopes)
			k := r.known(lab, young.ID)
			r.check(k.State == spool.StateFinal && len(k.Results) == 1, "known is %+v", k)
			r.restart()
		}
	},
	"keeps the id, so that nothing is published twice": func(r *room) {
		e, p := r.drop(centre)
		big, content := large(onePart, centre)
		r.staged(big, content)
		q := r.publish(big)
		r.no(r.settleDirectly(e, p, centre))
		r.no(r.settleDirectly(big, q, centre))
		r.acknowledge(lab, 2)
		r.clock.Advance(time.Minute)
		r.forgets(2, 2)
		for range 2 {
			k := r.known(lab, e.ID)
			r.check(k.State == spool.StateForgotten && k.Results == nil &&
				k.Published == (spool.Published{}), "known is %+v", k)
			r.check(r.known(other, e.ID).State == spool.StateUnknown, "another learned of it")
			for _, e := range []spool.Envelope{e, big} {
				_, err := r.Publish(r.ctx, e)
				r.want(err, spool.ErrForgotten)
				e.Sender = other
				_, err = r.Publish(r.ctx, e)
				r.want(err, spool.ErrConflict)
			}
			_, err := r.Stage(r.ctx, upload(big))
			r.want(err, spool.ErrForgotten)
			_, err = r.Stage(r.ctx, spool.Upload{Sender: lab, Envelope: big.ID})
			r.want(err, spool.ErrForgotten)
			_, err = r.Settle(r.ctx, settlement(r.delivery(e, p, centre), e.Messages))
			r.want(err, spool.ErrNotFound)
			_, err = r.Open(r.ctx, r.delivery(e, p, centre), 0)
			r.want(err, spool.ErrNotFound)
			r.want(r.Requeue(r.ctx, letterTo(e, centre)), spool.ErrNotFound)
			r.want(r.discard(letterTo(e, centre)), spool.ErrNotFound)
			r.idle(centre)
			r.restart()
		}
	},
	"passes over the events that are gone": func(r *room) {
		var sent []spool.Envelope
		for range 3 {
			e, p := r.drop(centre)
			r.no(r.settleDirectly(e, p, centre))
			sent = append(sent, e)
			r.clock.Advance(time.Minute)
		}
		r.acknowledge(lab, 2)
		r.forgets(2, 2)
		for range 2 {
			for after := range spool.Cursor(3) {
				es := r.events(lab, after)
				r.check(len(es) == 1 && es[0].Sequence == 3 && es[0].Envelope == sent[2].ID,
					"after %d come %+v", after, es)
			}
			r.restart()
		}
		r.acknowledge(lab, 3)
		r.forgets(1, 1)
		for range 2 {
			r.check(len(r.events(lab, 0)) == 0, "there are events")
			_, _, err := r.Events(r.ctx, lab, 4, 1000)
			r.want(err, spool.ErrInvalid)
			r.restart()
		}
		e, p := r.drop(centre)
		r.no(r.settleDirectly(e, p, centre))
		es := r.events(lab, 0)
		r.check(len(es) == 1 && es[0].Sequence == 4, "the next events are %+v", es)
	},
	"remembers the cursor of a site after a call, and after its next event": func(r *room) {
		for range 2 {
			e, p := r.drop(centre)
			r.no(r.settleDirectly(e, p, centre))
		}
		r.acknowledge(lab, 1)
		r.forgets(0, 0)
		r.restart()
		r.clock.Advance(time.Minute)
		r.forgets(1, 1)
		r.acknowledge(lab, 2)
		e, p := r.drop(centre)
		r.no(r.settleDirectly(e, p, centre))
		r.restart()
		r.clock.Advance(time.Minute)
		r.forgets(1, 1)
	},
	"keeps a waiting envelope, and forgets it after its last outcome": func(r *room) {
		e, p := r.drop(centre, second)
		r.no(r.settleDirectly(e, p, centre))
		r.acknowledge(lab, 1)
		r.clock.Advance(time.Minute)
		r.forgets(0, 1)
		r.restart()
		k := r.known(lab, e.ID)
		r.check(k.State == spool.StateWaiting && len(k.Results) == 1 && k.Results[0].Receipt != "",
			"known is %+v", k)
		r.settle(r.lease(second, 1)[0])
		r.acknowledge(lab, 2)
		r.clock.Advance(time.Minute)
		r.forgets(1, 1)
		r.check(r.known(lab, e.ID).State == spool.StateForgotten, "it is not forgotten")
	},
	"keeps a dead letter, and the events behind it": func(r *room) {
		r.limit(spool.Quotas{Dead: 1 << 20})
		e, _ := r.drop(centre)
		r.kill(centre)
		f, q := r.drop(second)
		r.no(r.settleDirectly(f, q, second))
		r.acknowledge(lab, 2)
		r.clock.Advance(time.Minute)
		r.forgets(0, 0)
		r.no(r.Requeue(r.ctx, letterTo(e, centre))) // it is the newest event of e now
		r.forgets(1, 2)
		r.kill(centre)
		r.acknowledge(lab, 4)
		r.clock.Advance(time.Minute)
		r.forgets(0, 1)
		r.no(r.discard(letterTo(e, centre)))
		r.forgets(1, 1)
		r.keeps(spool.Usage{}, 0)
	},
	"keeps an envelope whose death a receipt has outranked since": func(r *room) {
		e, p := r.drop(centre)
		r.kill(centre)
		r.acknowledge(lab, 1)
		r.clock.Advance(time.Minute)
		r.no(r.settleDirectly(e, p, centre))
		r.forgets(0, 1)
		k := r.known(lab, e.ID)
		r.check(k.State == spool.StateFinal && k.Results[0].Receipt != "", "known is %+v", k)
	},
	"needs no cursor of a site that is gone": func(r *room) {
		for _, site := range []id.Site{lab, other} {
			e := envelope(100, centre)
			e.Sender = site
			r.no(r.settleDirectly(e, r.publish(e), centre))
		}
		r.no(r.Announce(r.ctx, map[id.Site]spool.Event{other: {Kind: spool.EventRoute}}))
		r.clock.Advance(time.Minute)
		out, err := r.Forget(r.ctx, spool.Retention{Before: r.clock.Now(),
			IsGone: func(s id.Site) bool { return s == other }})
		r.no(err)
		r.check(out.Envelopes == 1 && out.Events == 2 && len(out.Unread) == 1 &&
			out.Unread[0] == lab, "forgotten were %+v", out)
	},
	"forgets many in steps, and frees no count of the day": func(r *room) {
		for range 300 {
			e := envelope(10, centre)
			e.Messages = envelopeOf(noise(10), 5).Messages
			p := r.publish(e)
			st := settlement(r.delivery(e, p, centre), e.Messages)
			st.Receipt = strings.Repeat("r", 300)
			_, err := r.Settle(r.ctx, st)
			r.no(err)
		}
		used, err := r.Usage(r.ctx)
		r.no(err)
		r.acknowledge(lab, 300)
		r.clock.Advance(time.Minute)
		r.forgets(300, 300)
		for range 2 {
			now, err := r.Usage(r.ctx)
			r.no(err)
			r.check(now.Sites[lab] == used.Sites[lab], "used are %+v", now.Sites[lab])
			r.restart()
		}
	},
}
