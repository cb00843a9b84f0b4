package spooltest

import (
	"context"
	"strings"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/id"
	"sealpost/spool"
)

// never is a time at which no delivery is due.
var never = time.Unix(1<<40, 0)

// hold puts a delivery on hold.
func (r *room) hold(l spool.Letter, because string) error {
	_, err := r.Hold(r.ctx, l, because)
	return err
}

func (s *story) hold(t *rapid.T) {
	p := s.any(t)
	because := rapid.SampledFrom([]string{"", "a doubt"}).Draw(t, "because")
	changed, err := s.room.Hold(s.room.ctx, letterTo(p.e.Envelope, p.d.target.Site), because)
	if p.d.result != nil {
		s.room.want(err, spool.ErrConflict)
		return
	}
	s.room.no(err)
	s.room.check(changed == (p.d.held.IsZero() || p.d.because != because), "changed: %v", changed)
	if p.d.held.IsZero() {
		p.d.held, p.d.due, p.d.hurried = s.clock.Now(), never, false
		p.d.until, p.d.token, p.d.code = time.Time{}, "", spool.CodeOnHold
	}
	p.d.because = because
	s.heldOnes()
}

func (s *story) unhold(t *rapid.T) {
	p := s.any(t)
	err := s.room.Unhold(s.room.ctx, letterTo(p.e.Envelope, p.d.target.Site))
	if p.d.result != nil {
		s.room.want(err, spool.ErrConflict)
		return
	}
	s.room.no(err)
	if p.d.held.IsZero() {
		return
	}
	p.d.requeued = p.since().Add(s.clock.Now().Sub(p.d.held))
	p.d.held, p.d.because, p.d.due, p.d.code = time.Time{}, "", s.clock.Now(), ""
	s.heldOnes()
}

// heldOnes compares the deliveries on hold with the model's.
func (s *story) heldOnes() {
	list, err := s.room.Held(s.room.ctx, 10_000)
	s.room.no(err)
	got := map[spool.Letter]spool.HeldDelivery{}
	for _, h := range list {
		got[h.Letter] = h
	}
	for _, p := range s.deliveries() {
		h, isHeld := got[letterTo(p.e.Envelope, p.d.target.Site)]
		s.room.check(isHeld == !p.d.held.IsZero() && h.Because == p.d.because &&
			(!isHeld || h.Since.Equal(p.d.held)), "%s for %s is held: %+v", p.e.ID,
			p.d.target.Site, h)
	}
}

var holdTests = map[string]func(*room){
	"keep back what waits, what rests and what is leased, also after a restart": func(r *room) {
		waits, _ := r.drop(centre, second)
		rests, _ := r.drop(centre)
		r.release(r.leaseOf(centre, rests.ID), spool.Nack{Code: "disk-full", Delay: time.Minute})
		leased, _ := r.drop(centre)
		d := r.leaseOf(centre, leased.ID)
		for _, e := range []spool.Envelope{waits, rests, leased} {
			r.no(r.hold(letterTo(e, centre), "a doubt"))
		}
		_, err := r.Extend(r.ctx, d.Token)
		r.want(err, spool.ErrStale)
		r.want(r.Release(r.ctx, d.Token, spool.Nack{}), spool.ErrStale)
		for range 2 {
			r.clock.Advance(spool.MaxDelay + time.Hour)
			r.idle(centre)
			r.idleFor(centre, id.Random128[id.Session]())
			list, err := r.Held(r.ctx, 10)
			r.no(err)
			r.check(len(list) == 3, "held are %+v", list)
			r.restart()
		}
		r.check(r.lease(second, 1)[0].Envelope == waits.ID, "another recipient does not get it")
		for _, e := range []spool.Envelope{leased, waits, rests} {
			r.no(r.Unhold(r.ctx, letterTo(e, centre)))
			got := r.lease(centre, 10)
			r.check(len(got) == 1 && got[0].Envelope == e.ID, "leased %+v", got)
			r.check(got[0].Attempts == map[bool]int{true: 1}[e.ID == rests.ID], "%d attempts",
				got[0].Attempts)
			r.settle(got[0])
		}
	},
	"tell the sender, and change only the words of a repetition": func(r *room) {
		e, p := r.drop(centre)
		r.no(r.hold(letterTo(e, centre), "a doubt"))
		since := r.clock.Now()
		r.clock.Advance(time.Hour)
		r.no(r.hold(letterTo(e, centre), "the lab asked for it"))
		want := spool.Held{Recipient: centre, Code: spool.CodeOnHold,
			Because: "the lab asked for it"}
		k := r.known(lab, e.ID)
		r.check(len(k.Held) == 1 && k.Held[0] == want && k.State == spool.StateWaiting,
			"known is %+v", k)
		list, err := r.Held(r.ctx, 1)
		r.no(err)
		r.check(len(list) == 1 && list[0].Since.Equal(since) && list[0].Sender == lab &&
			list[0].Because == want.Because && list[0].Spooled.Equal(p.Spooled) &&
			list[0].Messages[0].ID == e.Messages[0].ID, "held are %+v", list)
		r.no(r.Unhold(r.ctx, letterTo(e, centre)))
		r.no(r.Unhold(r.ctx, letterTo(e, centre)))
		r.check(r.known(lab, e.ID).Held == nil, "still held: %+v", r.known(lab, e.ID))
	},
	"leave its time out of the age, and end with everything else": func(r *room) {
		e, _ := r.drop(centre)
		expire := func(age time.Duration) int {
			n, err := r.Expire(r.ctx, centre.Queue(),
				spool.Bound{Before: r.clock.Now().Add(-age)}, "expired")
			r.no(err)
			return n
		}
		r.clock.Advance(30 * time.Minute)
		r.no(r.hold(letterTo(e, centre), ""))
		r.clock.Advance(100 * time.Hour)
		r.check(expire(time.Hour) == 0, "it has ended on hold")
		r.no(r.Unhold(r.ctx, letterTo(e, centre)))
		r.clock.Advance(29 * time.Minute)
		r.check(expire(time.Hour) == 0, "its time on hold counts")
		r.clock.Advance(2 * time.Minute)
		r.check(expire(time.Hour) == 1, "it does not end any more")

		settled, p := r.drop(centre)
		killed, _ := r.drop(centre)
		for _, e := range []spool.Envelope{settled, killed} {
			r.no(r.hold(letterTo(e, centre), ""))
		}
		_, err := r.Settle(r.ctx, settlement(r.delivery(settled, p, centre), settled.Messages))
		r.no(err)
		r.kill(centre)
		list, err := r.Held(r.ctx, 10)
		r.no(err)
		r.check(len(list) == 0, "still held are %+v", list)
		for _, e := range []spool.Envelope{e, settled, killed} {
			r.want(r.hold(letterTo(e, centre), ""), spool.ErrConflict)
			r.want(r.Unhold(r.ctx, letterTo(e, centre)), spool.ErrConflict)
		}
	},
	"end and grow old where nothing else rests": func(r *room) {
		held, _ := r.drop(centre)
		spooled := r.clock.Now()
		r.clock.Advance(time.Minute)
		r.no(r.hold(letterTo(held, centre), ""))
		r.check(r.queue(centre).Ages.IsZero(), "it ages on hold: %v", r.queue(centre).Ages)
		r.drop(centre)
		q := r.queue(centre)
		r.check(q.Oldest.Equal(spooled) && q.Ages.Equal(r.clock.Now()), "the oldest is %+v", q)
		n, err := r.Kill(r.ctx, centre.Queue(), "removed")
		r.no(err)
		r.check(n == 2 && r.queue(centre).Waiting == 0, "%d ended: %+v", n, r.queue(centre))
	},
	"refuse mistakes": func(r *room) {
		e, _ := r.drop(centre)
		r.want(r.hold(letterTo(e, second), ""), spool.ErrNotFound)
		r.want(r.Unhold(r.ctx, letterTo(envelope(300, centre), centre)), spool.ErrNotFound)
		long := strings.Repeat("x", spool.MaxBecause+1)
		r.want(r.hold(letterTo(e, centre), long), spool.ErrInvalid)
		_, err := r.Held(r.ctx, 0)
		r.want(err, spool.ErrInvalid)
	},
}

// leaseOf leases one delivery after the other until it has that of an envelope.
func (r *room) leaseOf(site id.Site, e id.Envelope) spool.Delivery {
	r.Helper()
	for {
		d := r.lease(site, 1)[0]
		if d.Envelope == e {
			return d
		}
		r.Helper()
		defer r.release(d, spool.Nack{NotAttempted: true})
	}
}

// idleFor expects that there is nothing to lease for a new session.
func (r *room) idleFor(site id.Site, s id.Session) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 30*time.Millisecond)
	defer cancel()
	req := request(site, 10)
	req.Session = s
	ds, err := r.Lease(ctx, req)
	r.no(err)
	r.check(len(ds) == 0, "got %+v", ds)
}
