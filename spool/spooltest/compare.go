package spooltest

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"sealpost/spool"
)

func (s *story) figures(*rapid.T) {
	for n := range 3 {
		queue := s.site("RC", n+1).Queue()
		var want spool.QueueInfo
		for _, p := range s.deliveries() {
			if p.d.target.Queue == queue {
				want.Name = queue
				count(&want, p, s.clock.Now())
			}
		}
		for _, e := range s.forgotten {
			for _, d := range e.deliveries {
				if d.target.Queue == queue {
					want.Name = queue
					count(&want, place{e, d}, s.clock.Now())
				}
			}
		}
		var got spool.QueueInfo
		qs, err := s.room.Queues(s.room.ctx)
		s.room.no(err)
		for _, q := range qs {
			if q.Name == queue {
				got = q
			}
		}
		s.room.check(got == want, "figures are %+v, want %+v", got, want)
	}
}

// count adds one delivery to its queue's figures.
func count(q *spool.QueueInfo, p place, now time.Time) {
	switch {
	case p.d.result != nil && p.d.result.DeadCode != "":
		q.Dead++
		return
	case p.d.result != nil:
		q.Settled++
		return
	}
	q.Waiting++
	if p.d.isLeased(now) {
		q.Leased++
	}
	if !p.d.due.IsZero() {
		q.Released++
	}
	if q.Oldest.IsZero() {
		q.Oldest = p.e.published.Spooled
	}
	if since := p.since(); p.d.held.IsZero() && (q.Ages.IsZero() || since.Before(q.Ages)) {
		q.Ages = since
	}
}

func (s *story) known(*rapid.T) {
	letters := s.room.letters()
	for _, e := range s.envelopes {
		want := spool.Known{Envelope: e.ID, State: spool.StateFinal, Published: e.published}
		for _, d := range e.deliveries {
			if d.result == nil {
				want.State = spool.StateWaiting
				if d.code != "" {
					held := spool.Held{Recipient: d.target.Site, Code: d.code,
						Because: d.because}
					want.Held = append(want.Held, held)
				}
			} else {
				want.Results = append(want.Results, *d.result)
			}
		}
		for _, d := range e.deliveries {
			_, isListed := letters[spool.Letter{Envelope: e.ID, Recipient: d.target.Site}]
			s.room.check(isListed == d.isKept, "%s for %s is listed: %v", e.ID, d.target.Site,
				isListed)
		}
		got := s.room.known(e.Sender, e.ID)
		s.room.check(fmt.Sprint(got) == fmt.Sprint(want), "known is\n%+v, want\n%+v", got, want)
	}
}

func (s *story) eventList(t *rapid.T) {
	for n := range 2 {
		site := s.site("LAB", n+1)
		want := s.events[site]
		if len(want) == s.old[site] {
			continue // asking would wait
		}
		after := rapid.IntRange(0, len(want)-1).Draw(t, "after")
		s.acknowledge(site, after)
		got := s.room.events(site, spool.Cursor(after))
		want = want[max(after, s.old[site]):]
		s.room.check(len(got) == len(want), "%d events of %s, want %d", len(got), site, len(want))
		for i, e := range got {
			n := max(after, s.old[site]) + i + 1
			s.room.check(e.Sequence == spool.Cursor(n) && eventText(e) == want[i].text,
				"event %d of %s is %+v, want %+v", n, site, e, want[i])
		}
	}
}

func (s *story) records(*rapid.T) {
	for n := range 2 {
		site := s.site("LAB", n+1)
		var want []string
		for i := len(s.envelopes) - 1; i >= 0; i-- {
			if e := s.envelopes[i]; e.Sender == site {
				want = append(want, e.records()...)
			}
		}
		var got []string
		for _, rec := range s.room.find(spool.Query{Sender: site}, 7) {
			got = append(got, fmt.Sprintf("%s %s %s", rec.UID, rec.Recipient, rec.State))
		}
		s.room.check(slices.Equal(got, want), "records of %s are\n%v, want\n%v", site, got, want)
	}
}

// records lists the records of an envelope that Find should return.
func (e *modelEnvelope) records() (all []string) {
	for _, m := range e.Messages {
		for _, d := range e.deliveries {
			state := "waiting"
			if d.result != nil && d.result.DeadCode != "" {
				state = "dead"
			} else if d.result != nil {
				state = "delivered"
			}
			all = append(all, fmt.Sprintf("%s %s %s", m.UID, d.target.Site, state))
		}
	}
	return all
}
