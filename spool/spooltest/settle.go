package spooltest

import (
	"strings"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

var settleTests = map[string]func(*room){
	"takes the delivery out of its queue and tells the sender": func(r *room) {
		e, _ := r.drop(centre, second)
		d := r.lease(centre, 1)[0]
		r.clock.Advance(time.Second)
		st := r.settle(d)
		r.check(st.First && st.Time.Equal(r.clock.Now()), "settled %+v", st)
		r.clock.Advance(time.Hour)
		r.idle(centre)
		es := r.events(lab, 0)
		r.check(len(es) == 1, "%d events", len(es))
		ev := es[0]
		r.check(ev.Kind == spool.EventSettled && ev.Envelope == e.ID && ev.Recipient == centre &&
			ev.Sequence == 1, "event is %+v", ev)
		r.check(ev.Receipt == settlement(d.DeliveryID, d.Messages).Receipt &&
			ev.Time.Equal(st.Time), "event is %+v", ev)
		r.check(r.queue(second).Waiting == 1, "the other queue lost it too")
	},
	"needs no lease": func(r *room) {
		e, p := r.drop(centre)
		_, err := r.Settle(r.ctx, settlement(r.delivery(e, p, centre), e.Messages))
		r.no(err)
		r.idle(centre)
	},
	"needs no lease after a restart either": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		r.restart()
		r.check(r.settle(d).First, "it did not count")
		r.idle(centre)
	},
	"settles what rests": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		r.release(d, spool.Nack{Delay: time.Hour})
		r.check(r.settle(d).First, "it did not count")
		r.clock.Advance(2 * time.Hour)
		r.idle(centre)
		r.check(r.queue(centre).Released == 0 && r.queue(centre).Waiting == 0, "figures are %+v",
			r.queue(centre))
	},
	"the first one stays": func(r *room) {
		e, _ := r.drop(centre)
		d := r.lease(centre, 1)[0]
		first := r.settle(d)
		for range 2 {
			r.clock.Advance(time.Hour)
			repetition := settlement(d.DeliveryID, d.Messages)
			repetition.Receipt = "another"
			repetition.Outcomes[0].Outcome, repetition.Outcomes[0].Code = spool.OutcomeRefused,
				"checksum"
			st, err := r.Settle(r.ctx, repetition)
			r.no(err)
			r.check(!st.First && st.Time.Equal(first.Time), "answer is %+v, want the time %v", st,
				first.Time)
			k := r.known(lab, e.ID)
			r.check(len(k.Results) == 1 && k.Results[0].Receipt != "another", "known is %+v", k)
			r.restart()
		}
		r.check(len(r.events(lab, 0)) == 1, "the sender was told twice")
	},
	"by many at once: one counts": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		var calls []<-chan result[spool.Settled]
		for range 8 {
			calls = append(calls, background(func() (spool.Settled, error) {
				return r.Settle(r.ctx, settlement(d.DeliveryID, d.Messages))
			}))
		}
		firsts := 0
		for _, c := range calls {
			st, err := arrives(r, c)
			r.no(err)
			if st.First {
				firsts++
			}
		}
		r.check(firsts == 1, "%d were the first", firsts)
		r.check(len(r.events(lab, 0)) == 1, "the sender was told twice")
	},
	"needs the outcome of every message": func(r *room) {
		r.publish(envelopeOf(noise(100), 3, centre))
		d := r.lease(centre, 1)[0]
		for name, change := range map[string]func([]spool.Outcome) []spool.Outcome{
			"none":        func(o []spool.Outcome) []spool.Outcome { return nil },
			"one missing": func(o []spool.Outcome) []spool.Outcome { return o[:2] },
			"one twice": func(o []spool.Outcome) []spool.Outcome {
				return append(o[:2], o[0])
			},
			"one too many": func(o []spool.Outcome) []spool.Outcome { return append(o, o[0]) },
			"a foreign uid": func(o []spool.Outcome) []spool.Outcome {
				o[1].UID = id.Random128[id.UID]()
				return o
			},
			"a foreign label": func(o []spool.Outcome) []spool.Outcome {
				o[1].Message = "FL-LAB_DAT_20251008_777"
				return o
			},
		} {
			st := settlement(d.DeliveryID, d.Messages)
			st.Outcomes = change(st.Outcomes)
			_, err := r.Settle(r.ctx, st)
			r.check(err != nil, "%s was accepted", name)
			r.want(err, spool.ErrIncomplete)
		}
		_, err := r.Extend(r.ctx, d.Token)
		r.no(err)
		r.check(r.settle(d).First, "a refused one counted")
	},
	"refuses what is no outcome": func(r *room) {
		r.drop(centre)
		d := r.lease(centre, 1)[0]
		for name, change := range map[string]func(*spool.Settlement){
			"unknown outcome": func(s *spool.Settlement) { s.Outcomes[0].Outcome = "dead" },
			"no outcome":      func(s *spool.Settlement) { s.Outcomes[0].Outcome = "" },
			"refused without a code": func(s *spool.Settlement) {
				s.Outcomes[0].Outcome = spool.OutcomeRefused
			},
			"another sender": func(s *spool.Settlement) { s.Sender = other },
			"no sender":      func(s *spool.Settlement) { s.Sender = "" },
			"no receipt":     func(s *spool.Settlement) { s.Receipt = "" },
			"a receipt too long": func(s *spool.Settlement) {
				s.Receipt = strings.Repeat("r", spool.MaxReceipt+1)
			},
		} {
			st := settlement(d.DeliveryID, d.Messages)
			change(&st)
			_, err := r.Settle(r.ctx, st)
			r.check(err != nil, "%s was accepted", name)
			r.want(err, spool.ErrInvalid)
		}
		st := settlement(d.DeliveryID, d.Messages)
		st.Receipt = strings.Repeat("r", spool.MaxReceipt)
		_, err := r.Settle(r.ctx, st)
		r.no(err)
	},
	"checks all four parts of the delivery": func(r *room) {
		e, p := r.drop(centre)
		_, q := r.drop(centre)
		for name, change := range map[string]func(*spool.DeliveryID){
			"incarnation": func(d *spool.DeliveryID) {
				d.Incarnation = id.Random128[id.Incarnation]()
			},
			"queue":    func(d *spool.DeliveryID) { d.Queue = second.Queue() },
			"sequence": func(d *spool.DeliveryID) { d.Sequence = q.Sequence },
			"envelope": func(d *spool.DeliveryID) { d.Envelope = id.Random128[id.Envelope]() },
		} {
			d := r.delivery(e, p, centre)
			change(&d)
			_, err := r.Settle(r.ctx, settlement(d, e.Messages))
			r.check(err != nil, "another %s was accepted", name)
			r.want(err, spool.ErrNotFound)
			_, err = r.Open(r.ctx, d, 0)
			r.check(err != nil, "another %s was opened", name)
			r.want(err, spool.ErrNotFound)
		}
		r.check(r.queue(centre).Waiting == 2, "one of them counted")
	},
	"keeps the outcome of each message": func(r *room) {
		e := envelopeOf(noise(100), 3, centre)
		r.publish(e)
		d := r.lease(centre, 1)[0]
		st := settlement(d.DeliveryID, d.Messages)
		st.Outcomes[1].Outcome, st.Outcomes[1].Code = spool.OutcomeRefused, "uid-reused"
		_, err := r.Settle(r.ctx, st)
		r.no(err)
		r.restart()
		recs, _, err := r.Find(r.ctx, spool.Query{Sender: lab}, 0, 10)
		r.no(err)
		r.check(len(recs) == 3, "%d records", len(recs))
		for i, want := range []string{"delivered", "refused", "delivered"} {
			r.check(recs[i].State == want && (recs[i].Code == "uid-reused") == (i == 1),
				"record %d is %+v", i, recs[i])
		}
	},
	"the last one removes the content, and the metadata stay": func(r *room) {
		e, _ := r.drop(centre, second)
		a, b := r.lease(centre, 1)[0], r.lease(second, 1)[0]
		before, err := r.Info(r.ctx)
		r.no(err)
		r.check(before.Content == e.Size, "%d bytes are held, want %d", before.Content, e.Size)
		r.settle(a)
		r.check(string(r.read(b.DeliveryID, 0)) == string(e.Content),
			"the other recipient lost the content")
		_, err = r.Open(r.ctx, a.DeliveryID, 0)
		r.want(err, spool.ErrNotFound)
		r.settle(b)
		_, err = r.Open(r.ctx, b.DeliveryID, 0)
		r.want(err, spool.ErrNotFound)
		after, err := r.Info(r.ctx)
		r.no(err)
		r.check(after.Content == 0 && after.Envelopes == 1, "figures are %+v", after)
		recs, _, err := r.Find(r.ctx, spool.Query{Sender: lab}, 0, 10)
		r.no(err)
		r.check(len(recs) == 2 && recs[0].State == "delivered", "records are %+v", recs)
	},
}
