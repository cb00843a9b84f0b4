package spooltest

import (
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

var knownTests = map[string]func(*room){
	"tells unknown, waiting and final, in the order asked": func(r *room) {
		final, p := r.drop(centre)
		r.no(r.settleDirectly(final, p, centre))
		waiting, q := r.drop(centre, second)
		r.clock.Advance(time.Second)
		r.no(r.settleDirectly(waiting, q, second))
		unknown := id.Random128[id.Envelope]()
		for range 2 {
			ks, err := r.Known(r.ctx, lab, []id.Envelope{waiting.ID, unknown, final.ID, "nonsense"})
			r.no(err)
			r.check(len(ks) == 4, "%d answers", len(ks))
			r.check(ks[0].Envelope == waiting.ID && ks[0].State == spool.StateWaiting &&
				ks[0].Published == q, "waiting: %+v", ks[0])
			r.check(len(ks[0].Results) == 1 && ks[0].Results[0].Recipient == second &&
				ks[0].Results[0].Time.Equal(r.clock.Now()), "waiting: %+v", ks[0])
			r.check(ks[1].Envelope == unknown && ks[1].State == spool.StateUnknown &&
				ks[1].Results == nil, "unknown: %+v", ks[1])
			r.check(ks[2].State == spool.StateFinal && ks[2].Published == p &&
				len(ks[2].Results) == 1, "final: %+v", ks[2])
			r.check(ks[2].Results[0].Receipt == settlement(r.delivery(final, p, centre),
				nil).Receipt, "final: %+v", ks[2])
			r.check(ks[3].State == spool.StateUnknown, "nonsense: %+v", ks[3])
			r.restart()
		}
	},
	"tells the codes of releases until the outcome": func(r *room) {
		e, _ := r.drop(centre, second)
		r.release(r.lease(centre, 1)[0], spool.Nack{Code: "disk-full"})
		d := r.lease(centre, 1)[0]
		r.release(d, spool.Nack{Code: "too-large", Delay: time.Minute})
		want := spool.Held{Recipient: centre, Code: "too-large"}
		for range 2 {
			k := r.known(lab, e.ID)
			r.check(len(k.Held) == 1 && k.Held[0] == want && k.Results == nil, "known is %+v", k)
			r.restart()
		}
		r.clock.Advance(time.Minute)
		r.settle(r.lease(centre, 1)[0])
		r.check(r.known(lab, e.ID).Held == nil, "still held: %+v", r.known(lab, e.ID))
	},
	"does not tell of another's": func(r *room) {
		e, _ := r.drop(centre)
		r.check(r.known(other, e.ID).State == spool.StateUnknown, "another sender learned of it")
		r.check(r.known(centre, e.ID).State == spool.StateUnknown, "a recipient learned of it")
	},
	"does not take what is only staged for known": func(r *room) {
		e, content := large(onePart, centre)
		r.staged(e, content)
		r.check(r.known(lab, e.ID).State == spool.StateUnknown, "it is known")
	},
	"tells the dead": func(r *room) {
		e, _ := r.drop(centre)
		_, err := r.Kill(r.ctx, centre.Queue(), "recipient-removed")
		r.no(err)
		k := r.known(lab, e.ID)
		r.check(k.State == spool.StateFinal && len(k.Results) == 1 &&
			k.Results[0].DeadCode == "recipient-removed" && k.Results[0].Receipt == "",
			"known is %+v", k)
	},
}
