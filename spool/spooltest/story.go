package spooltest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/id"
	"sealpost/spool"
)

// story drives a store and the model side by side.
type story struct {
	*rapid.T
	*model
	room  *room
	names int // keeps the stories in one store apart

	started time.Time
}

// checkModel tells random stories. All run in one store, each with sites of its own, so that a
// store that has seen much is tested too.
func checkModel(t *testing.T, open Factory) {
	r := newRoom(t, open)
	r.ctx = t.Context()
	if os.Getenv("SEALPOST_SOAK") == "" && flag.Lookup("rapid.checks").Value.String() == "100" {
		flag.Set("rapid.checks", "25") // a lower default
	}
	told := 0
	rapid.Check(t, func(t *rapid.T) {
		told++
		s := &story{T: t, room: r, names: told, model: &model{
			clock: r.clock, uploads: make(map[id.Envelope]modelUpload),
			sessions: make(map[string][]id.Session), aspiring: make(map[string][]aspirant),
			calls:  make(map[string]*modelCall),
			events: make(map[id.Site][]modelEvent), turns: make(map[string]turns),
			old: make(map[id.Site]int), read: make(map[id.Site]int),
			noted: make(map[id.Site]int),
		}}
		r.reporter = t
		defer func() { r.reporter = r.tb }()
		s.begin()
		defer s.end()
		t.Repeat(map[string]func(*rapid.T){
			"publish":   s.publish,
			"repeat":    s.repeat,
			"stage":     s.stage,
			"lease":     s.lease,
			"lease2":    s.lease,
			"extend":    s.extend,
			"release":   s.release,
			"settle":    s.settle,
			"resettle":  s.resettle,
			"kill":      s.kill,
			"killfrom":  s.killFrom,
			"expire":    s.expire,
			"requeue":   s.requeue,
			"hold":      s.hold,
			"unhold":    s.unhold,
			"discard":   s.discard,
			"forget":    s.forget,
			"lost":      s.askForgotten,
			"abort":     s.abortAll,
			"limit":     s.limit,
			"usage":     s.usages,
			"wait":      s.wait,
			"restart":   s.restart,
			"figures":   s.figures,
			"known":     s.known,
			"eventlist": s.eventList,
			"records":   s.records,
		})
		s.figures(t)
		s.usages(t)
		s.known(t)
		s.eventList(t)
		s.records(t)
	})
}

// begin counts the rest of the stories before.
func (s *story) begin() {
	s.started = s.clock.Now()
	s.room.limit(spool.Quotas{})
	_, err := s.room.DiscardBefore(s.room.ctx, s.started.Add(time.Hour))
	s.room.no(err)
	u, err := s.room.Usage(s.room.ctx)
	s.room.no(err)
	s.before = u.Hub
}

// end aborts the uploads that could expire during a later story.
func (s *story) end() {
	for n := range 2 {
		_, err := s.room.AbortUploads(s.room.ctx, s.site("LAB", n+1))
		s.room.no(err)
	}
}

func (s *story) site(kind string, n int) id.Site {
	return id.Site(fmt.Sprintf("%s-%d-%d", kind, s.names, n))
}

func (s *story) anySite(t *rapid.T, kind string, n int) id.Site {
	return s.site(kind, rapid.IntRange(1, n).Draw(t, kind))
}

// draw makes an envelope for one or two of the three centres.
func (s *story) draw(t *rapid.T, size int) (spool.Envelope, []byte) {
	content := noise(size)
	e := envelopeOf(content, rapid.IntRange(1, 3).Draw(t, "messages"))
	e.Sender = s.anySite(t, "LAB", 2)
	for n := range 3 {
		if rapid.Bool().Draw(t, fmt.Sprintf("for %d", n+1)) {
			site := s.site("RC", n+1)
			e.Deliveries = append(e.Deliveries, spool.Target{Site: site, Queue: site.Queue()})
		}
	}
	if len(e.Deliveries) == 0 {
		site := s.site("RC", 1)
		e.Deliveries = []spool.Target{{Site: site, Queue: site.Queue()}}
	}
	return e, content
}

func (s *story) add(e spool.Envelope) {
	over := s.isOver(e, 0)
	p, err := s.room.Publish(s.room.ctx, e)
	if over {
		s.room.want(err, spool.ErrQuota)
		return
	}
	s.room.no(err)
	delete(s.uploads, e.ID)
	m := &modelEnvelope{Envelope: e, published: p}
	for _, target := range e.Deliveries {
		m.deliveries = append(m.deliveries, &modelDelivery{target: target})
	}
	s.room.check(p.Spooled.Equal(s.clock.Now()), "spooled %v, want %v", p.Spooled, s.clock.Now())
	if n := len(s.envelopes); n > 0 {
		s.room.check(p.Sequence > s.envelopes[n-1].published.Sequence, "the sequence does not grow")
	}
	s.envelopes = append(s.envelopes, m)
}

func (s *story) publish(t *rapid.T) {
	size := rapid.SampledFrom([]int{10, 1000, spool.InlineSize + 1}).Draw(t, "size")
	e, _ := s.draw(t, size)
	s.add(e)
}

func (s *story) stage(t *rapid.T) {
	e, content := s.draw(t, onePart)
	over := s.isOver(e, 1)
	st, err := s.room.Stage(s.room.ctx, upload(e))
	if over {
		s.room.want(err, spool.ErrQuota)
		return
	}
	s.room.no(err)
	s.uploads[e.ID] = modelUpload{e.Sender, e.Size}
	switch rapid.SampledFrom([]string{"publish", "restart", "abort", "too early",
		"replace"}).Draw(t, "then") {
	case "too early":
		_, err := s.room.Publish(s.room.ctx, e)
		s.room.want(err, spool.ErrUnstaged)
	case "abort":
		s.room.no(s.room.put(st, 0, content))
		s.room.no(st.Abort(s.room.ctx))
		delete(s.uploads, e.ID)
		_, err := s.room.Publish(s.room.ctx, e)
		s.room.want(err, spool.ErrUnstaged)
	case "replace":
		s.room.no(s.room.put(st, 0, noise(onePart)))
		_, err := s.room.Publish(s.room.ctx, e)
		s.room.check(err != nil, "other content was published")
		if rapid.Bool().Draw(t, "restart") {
			s.restart(t)
			st = s.room.stage(e)
		}
		s.room.no(s.room.put(st, 0, content))
		s.add(e)
	case "restart":
		s.room.no(s.room.put(st, 0, content))
		s.restart(t)
		s.room.check(len(s.room.stage(e).Missing()) == 0, "the part is missing")
		s.add(e)
	case "publish":
		s.room.no(s.room.put(st, 0, content))
		s.add(e)
	}
}

func (s *story) any(t *rapid.T) place {
	all := s.deliveries()
	if len(all) == 0 {
		t.Skip("nothing was published")
	}
	return rapid.SampledFrom(all).Draw(t, "delivery")
}

func (s *story) repeat(t *rapid.T) {
	e := s.any(t).e
	s.room.check(s.room.publish(e.Envelope) == e.published, "another answer")
	changed := e.Envelope
	changed.RouteVersion = ""
	_, err := s.room.Publish(s.room.ctx, changed)
	s.room.want(err, spool.ErrConflict)
}

func (s *story) lease(t *rapid.T) {
	queue := s.anySite(t, "RC", 3).Queue()
	req := spool.LeaseRequest{
		Queue: queue, Max: rapid.IntRange(1, 4).Draw(t, "max"), MaxBytes: 1 << 20,
		Duration: time.Duration(rapid.IntRange(1, 10).Draw(t, "minutes")) * time.Minute,
	}
	s.session(t, &req)
	switch s.adopt(req) {
	case isHeld:
		_, err := s.room.Lease(s.room.ctx, req)
		s.room.want(err, spool.ErrHeld)
		return
	case aspires:
		ds, err := s.room.Lease(s.room.ctx, req)
		s.room.no(err)
		s.room.check(len(ds) == 0, "a session that does not hold the queue got %d", len(ds))
		return
	}
	if req.Number != 0 {
		s.call(req.Queue, req.Number, req.Got)
	}
	want, waiting := map[id.Site][]place{}, 0
	for n := range 2 {
		from := s.site("LAB", n+1)
		want[from] = s.offered(queue, from)
		waiting += len(want[from])
	}
	if waiting == 0 {
		ctx, cancel := context.WithTimeout(s.room.ctx, time.Millisecond)
		defer cancel()
		ds, err := s.room.Lease(ctx, req)
		s.room.no(err)
		s.room.check(len(ds) == 0, "got %d deliveries, want none", len(ds))
		return
	}
	// A call that should not wait fails at the limit.
	ctx, cancel := context.WithTimeout(s.room.ctx, patience)
	defer cancel()
	ds, err := s.room.Lease(ctx, req)
	s.room.no(err)
	s.room.check(len(ds) == min(waiting, req.Max), "got %d deliveries, want %d of %d", len(ds),
		req.Max, waiting)
	costs := turns{}
	for _, d := range ds {
		s.room.check(len(want[d.Sender]) > 0, "got %s, want none of %s", d.Envelope, d.Sender)
		p := want[d.Sender][0]
		want[d.Sender] = want[d.Sender][1:]
		costs[d.Sender] += p.e.cost()
		s.leased(d, p, req.Duration)
		if req.Number != 0 {
			s.calls[queue].out[d.Token] = p.d
		}
	}
	s.turn(queue, costs, want)
}

// turn holds the senders against each other that have had something due at each call.
func (s *story) turn(queue string, costs turns, left map[id.Site][]place) {
	now := turns{}
	for from, places := range left {
		if len(places) > 0 {
			now[from] = costs[from]
		}
	}
	s.turns[queue] = s.turns[queue].after(now)
	most := int64(0) // of one delivery
	for _, e := range s.envelopes {
		most = max(most, e.cost())
	}
	s.room.check(s.turns[queue].spread() <= 2*(spool.Turn+most), "the senders got %v",
		s.turns[queue])
}

// session draws the session of a call. It is mostly the one that holds the queue, or one that may
// take it, a displaced one or a new one. A numbered call is the next of its session, which
// has the answer to the one before, or has lost it.
func (s *story) session(t *rapid.T, req *spool.LeaseRequest) {
	held, last := s.sessions[req.Queue], uint64(0)
	kind := "new"
	if len(held) > 0 {
		kind = rapid.SampledFrom([]string{"holder", "holder", "holder", "holder", "holder",
			"holder", "aspirant", "aspirant", "old", "new", "renewed"}).Draw(t, "session")
	}
	list := s.aspiring[req.Queue]
	switch {
	case kind == "aspirant" && len(list) > 0:
		a := rapid.SampledFrom(list).Draw(t, "aspirant")
		req.Session, last = a.session, a.number
	case kind == "old":
		req.Session = held[0]
	case kind == "new" || kind == "renewed":
		req.Session = id.Random128[id.Session]()
		if kind == "renewed" {
			req.Renews = rapid.SampledFrom(held).Draw(t, "renews")
		}
	default:
		req.Session = held[len(held)-1]
	}
	if c := s.calls[req.Queue]; c != nil && len(held) > 0 && req.Session == held[len(held)-1] {
		last = c.number
	}
	if rapid.Bool().Draw(t, "numbered") {
		req.Number = last + rapid.Uint64Range(1, 3).Draw(t, "number")
		req.Got = rapid.Uint64Range(0, req.Number-1).Draw(t, "got")
	}
}

// leased compares one delivery with the model's.
func (s *story) leased(d spool.Delivery, p place, duration time.Duration) {
	s.room.check(d.Envelope == p.e.ID && d.Sequence == p.e.published.Sequence, "got %s, want %s",
		d.Envelope, p.e.ID)
	s.room.check(d.Attempts == p.d.attempts, "%s has %d attempts, want %d", d.Envelope, d.Attempts,
		p.d.attempts)
	s.room.check(d.LeasedUntil.Equal(s.clock.Now().Add(duration)), "%s is leased until %v",
		d.Envelope, d.LeasedUntil)
	if p.e.Size <= spool.InlineSize {
		s.room.check(string(d.Content) == string(p.e.Content), "%s has other content", d.Envelope)
	}
	p.d.token, p.d.until, p.d.duration = d.Token, s.clock.Now().Add(duration), duration
}

func (s *story) delivery(p place) spool.DeliveryID {
	return spool.DeliveryID{Incarnation: s.room.Incarnation(), Queue: p.d.target.Queue,
		Sequence: p.e.published.Sequence, Envelope: p.e.ID}
}

func (s *story) extend(t *rapid.T) {
	p := s.any(t)
	until, err := s.room.Extend(s.room.ctx, p.d.token)
	if !p.d.isLeased(s.clock.Now()) {
		s.room.want(err, spool.ErrStale)
		return
	}
	s.room.no(err)
	p.d.until = s.clock.Now().Add(p.d.duration)
	s.room.check(until.Equal(p.d.until), "until %v, want %v", until, p.d.until)
}

func (s *story) release(t *rapid.T) {
	p := s.any(t)
	nack := spool.Nack{
		Delay:        time.Duration(rapid.IntRange(0, 20).Draw(t, "minutes")) * time.Minute,
		NotAttempted: rapid.Bool().Draw(t, "not attempted"),
		Code:         rapid.SampledFrom([]string{"", "disk-full", "too-large"}).Draw(t, "code"),
	}
	err := s.room.Release(s.room.ctx, p.d.token, nack)
	if !p.d.isLeased(s.clock.Now()) {
		s.room.want(err, spool.ErrStale)
		return
	}
	s.room.no(err)
	p.d.due, p.d.until, p.d.token = s.clock.Now().Add(nack.Delay), time.Time{}, ""
	p.d.hurried, p.d.code = false, nack.Code
	if !nack.NotAttempted {
		p.d.attempts++
	}
}

func (s *story) settle(t *rapid.T) {
	p := s.any(t)
	st := settlement(s.delivery(p), p.e.Messages)
	st.Sender = p.e.Sender
	if rapid.IntRange(0, 5).Draw(t, "incomplete") == 0 && p.d.result == nil {
		st.Outcomes = st.Outcomes[1:]
		_, err := s.room.Settle(s.room.ctx, st)
		s.room.want(err, spool.ErrIncomplete)
		return
	}
	got, err := s.room.Settle(s.room.ctx, st)
	s.room.no(err)
	if p.d.result != nil && p.d.result.Receipt != "" {
		s.room.check(!got.First && got.Time.Equal(p.d.result.Time), "answer is %+v, want %v", got,
			p.d.result.Time)
		return
	}
	s.room.check(got.First && got.Time.Equal(s.clock.Now()), "answer is %+v", got)
	s.finish(p, spool.Result{Receipt: st.Receipt})
}

// resettle states another outcome of a settled delivery.
func (s *story) resettle(t *rapid.T) {
	p := s.any(t)
	if p.d.result == nil || p.d.result.Receipt == "" {
		t.Skip("it is not settled")
	}
	st := settlement(s.delivery(p), p.e.Messages)
	st.Sender = p.e.Sender
	st.Receipt = "something else"
	got, err := s.room.Settle(s.room.ctx, st)
	s.room.no(err)
	s.room.check(!got.First && got.Time.Equal(p.d.result.Time), "answer is %+v", got)
}

func (s *story) kill(t *rapid.T) {
	if rapid.IntRange(0, 4).Draw(t, "really") > 0 {
		t.Skip("seldom")
	}
	queue := s.anySite(t, "RC", 3).Queue()
	n, err := s.room.Kill(s.room.ctx, queue, "removed")
	s.room.no(err)
	s.die(n, s.waiting(queue), "removed")
}

// expire makes old deliveries dead, or those that were tried often. Leased ones stay.
func (s *story) expire(t *rapid.T) {
	queue, now := s.anySite(t, "RC", 3).Queue(), s.clock.Now()
	bound, code := spool.Bound{}, "expired"
	if rapid.Bool().Draw(t, "old") {
		bound.Before = now.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "age")) * time.Minute)
	} else {
		bound.Attempts, code = rapid.IntRange(1, 3).Draw(t, "attempts"), "max-attempts"
	}
	n, err := s.room.Expire(s.room.ctx, queue, bound, code)
	s.room.no(err)
	s.die(n, slices.DeleteFunc(s.waiting(queue), func(p place) bool {
		isOld := p.since().Before(bound.Before)
		isTried := bound.Attempts > 0 && p.d.attempts >= bound.Attempts
		return p.d.isLeased(now) || !p.d.held.IsZero() || !isOld && !isTried
	}), code)
}

// die makes deliveries dead: first those that were never released.
func (s *story) die(n int, all []place, code string) {
	s.room.check(n == len(all), "%d died, want %d", n, len(all))
	never := slices.DeleteFunc(slices.Clone(all), func(p place) bool { return !p.d.due.IsZero() })
	resting := slices.DeleteFunc(slices.Clone(all), func(p place) bool { return p.d.due.IsZero() })
	slices.SortStableFunc(resting, func(a, b place) int { return a.d.due.Compare(b.d.due) })
	for _, p := range append(never, resting...) {
		p.d.isKept = true
		s.finish(p, spool.Result{DeadCode: code})
	}
}

// killFrom makes dead whatever one sender has sent.
func (s *story) killFrom(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "really") > 0 {
		t.Skip("seldom")
	}
	sender := s.anySite(t, "LAB", 2)
	n, err := s.room.KillFrom(s.room.ctx, sender, "removed")
	s.room.no(err)
	before := len(s.events[sender])
	for _, p := range s.deliveries() {
		p.d.isKept = p.d.isKept && p.e.Sender != sender
		if p.e.Sender == sender && p.d.result == nil {
			s.finish(p, spool.Result{DeadCode: "removed"})
			n--
		}
	}
	s.room.check(n == 0, "%d more were killed", n)
	// queues are killed in any order: their events are taken as the store has them
	want := s.events[sender][before:]
	if len(want) == 0 {
		return
	}
	s.acknowledge(sender, before)
	for i, e := range s.room.events(sender, spool.Cursor(before)) {
		text := eventText(e)
		j := slices.IndexFunc(want[i:], func(t modelEvent) bool { return t.text == text })
		s.room.check(j >= 0, "event %d is %s, want one of %v", before+i+1, text, want[i:])
		want[i], want[i+j] = want[i+j], want[i]
	}
}

func eventText(e spool.Event) string {
	return fmt.Sprintf("%s %s %s%s", e.Envelope, e.Recipient, e.Receipt, e.Code)
}

// acknowledge notes that a site asks for the events after so many.
func (s *story) acknowledge(site id.Site, n int) { s.read[site] = max(s.read[site], n) }

// forget forgets events older than some minutes. One of the sites may need none.
func (s *story) forget(t *rapid.T) {
	before := s.clock.Now().Add(-time.Duration(rapid.IntRange(-1, 30).Draw(t, "age")) * time.Minute)
	done := s.site("LAB", rapid.IntRange(1, 20).Draw(t, "done"))
	r := spool.Retention{Before: before, IsGone: func(site id.Site) bool {
		own, _ := strings.CutPrefix(string(site), fmt.Sprintf("LAB-%d-", s.names))
		return site == done || own == string(site) // and those of other stories
	}}
	_, err := s.room.Forget(s.room.ctx, r)
	s.room.no(err)
	unread := []id.Site{}
	for n := range 2 {
		site := s.site("LAB", n+1)
		read := s.read[site]
		s.noted[site] = read
		if site == done {
			read = len(s.events[site])
		}
		if s.model.forget(site, before, read) {
			unread = append(unread, site)
		}
	}
	second, err := s.room.Forget(s.room.ctx, r)
	s.room.no(err)
	s.room.check(second.Envelopes+second.Events == 0 && slices.Equal(second.Unread, unread),
		"a second call has forgotten %+v, want unread %v", second, unread)
}

// askForgotten asks for a forgotten envelope, and publishes and settles it again.
func (s *story) askForgotten(t *rapid.T) {
	if len(s.forgotten) == 0 {
		t.Skip("none is forgotten")
	}
	e := rapid.SampledFrom(s.forgotten).Draw(t, "forgotten")
	k := s.room.known(e.Sender, e.ID)
	s.room.check(k.State == spool.StateForgotten && k.Results == nil, "known is %+v", k)
	_, err := s.room.Publish(s.room.ctx, e.Envelope)
	s.room.want(err, spool.ErrForgotten)
	st := settlement(s.delivery(place{e, e.deliveries[0]}), e.Messages)
	st.Sender = e.Sender
	_, err = s.room.Settle(s.room.ctx, st)
	s.room.want(err, spool.ErrNotFound)
}

func (s *story) requeue(t *rapid.T) {
	p := s.any(t)
	err := s.room.Requeue(s.room.ctx, spool.Letter{Envelope: p.e.ID, Recipient: p.d.target.Site})
	switch {
	case p.d.result == nil:
		s.room.no(err)
	case p.d.result.Receipt != "":
		s.room.want(err, spool.ErrConflict)
	case !p.d.isKept:
		s.room.want(err, spool.ErrNotFound)
	default:
		s.room.no(err)
		s.model.requeue(p)
	}
}

func (s *story) discard(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "really") > 0 {
		t.Skip("seldom")
	}
	p := s.any(t)
	changed, err := s.room.Discard(s.room.ctx, letterTo(p.e.Envelope, p.d.target.Site))
	if p.d.result == nil || p.d.result.Receipt != "" {
		s.room.want(err, spool.ErrConflict)
		return
	}
	s.room.no(err)
	s.room.check(changed == p.d.isKept, "discarded: %v", changed)
	p.d.isKept = false
}

// abortAll aborts the uploads of one sender.
func (s *story) abortAll(t *rapid.T) {
	sender := s.anySite(t, "LAB", 2)
	n, err := s.room.AbortUploads(s.room.ctx, sender)
	s.room.no(err)
	for e, up := range s.uploads {
		if up.sender == sender {
			delete(s.uploads, e)
			n--
		}
	}
	s.room.check(n == 0, "%d more were aborted", n)
}

// limit draws quotas near to the present counts.
func (s *story) limit(t *rapid.T) {
	draw := func(of string, used spool.Usage) (q spool.Quota) {
		near := func(limit string, used, step int64) int64 {
			if rapid.IntRange(0, 2).Draw(t, of+" "+limit) > 0 {
				return 0
			}
			return max(1, used+step*rapid.Int64Range(-1, 3).Draw(t, limit))
		}
		return spool.Quota{
			Bytes:     near("bytes", used.Bytes+used.Reserved, 900),
			Reserved:  near("reserved", used.Reserved, onePart),
			Uploads:   near("uploads", used.Uploads, 1),
			Envelopes: near("envelopes", used.Envelopes, 1),
			Messages:  near("messages", used.Messages, 2),
			Metadata:  near("metadata", used.Metadata, 900),
		}
	}
	first, queue := s.site("LAB", 1), s.site("RC", 1).Queue()
	s.quotas = spool.Quotas{}
	if rapid.IntRange(0, 2).Draw(t, "none") > 0 {
		s.quotas = spool.Quotas{
			Hub:   withoutMetadata(draw("hub", s.usage(""))),
			Site:  draw("site", s.usage(s.site("LAB", 2))),
			Queue: withoutMetadata(draw("queue", s.queueUsage(s.site("RC", 2).Queue()))),
			Sites: map[id.Site]spool.Quota{first: draw("first", s.usage(first))},
			Queues: map[string]spool.Quota{
				queue: withoutMetadata(draw("first queue", s.queueUsage(queue)))},
		}
	}
	s.quotas.Dead = rapid.SampledFrom([]int64{0, 1500, 1 << 30}).Draw(t, "dead")
	s.room.limit(s.quotas)
}

// withoutMetadata returns the quota of a scope in which metadata do not count.
func withoutMetadata(q spool.Quota) spool.Quota {
	q.Metadata = 0
	return q
}

// usages compares the counts with the model's.
func (s *story) usages(*rapid.T) {
	got, err := s.room.Usage(s.room.ctx)
	s.room.no(err)
	s.room.check(got.Dead == s.kept(), "kept are %+v, want %+v", got.Dead, s.kept())
	s.room.check(got.Hub == s.usage(""), "of all are %+v, want %+v", got.Hub, s.usage(""))
	for n := range 2 {
		site := s.site("LAB", n+1)
		s.room.check(got.Sites[site] == s.usage(site), "of %s are %+v, want %+v", site,
			got.Sites[site], s.usage(site))
	}
	for n := range 3 {
		queue := s.site("RC", n+1).Queue()
		s.room.check(got.Queues[queue] == s.queueUsage(queue), "of %s are %+v, want %+v", queue,
			got.Queues[queue], s.queueUsage(queue))
	}
}

func (s *story) wait(t *rapid.T) {
	if s.clock.Now().Sub(s.started) > spool.UploadIdle/2 {
		t.Skip("uploads would expire")
	}
	s.clock.Advance(time.Duration(rapid.IntRange(1, 15).Draw(t, "minutes")) * time.Minute)
}

// restart opens the store again. A site asks again from a cursor that the store may have lost.
func (s *story) restart(*rapid.T) {
	s.room.restart()
	s.room.limit(s.quotas)
	for n := range 2 {
		site := s.site("LAB", n+1)
		if s.noted[site] < s.read[site] && s.old[site] < len(s.events[site]) {
			s.room.acknowledge(site, spool.Cursor(s.read[site]))
		}
	}
	s.endLeases("")
	for _, p := range s.deliveries() {
		p.d.hurried = false
	}
	clear(s.turns)
	clear(s.sessions)
	clear(s.aspiring)
	clear(s.calls)
}
