package spooltest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// model is the expected behaviour of a store: a plain list of envelopes, in the order of their
// publication.
type model struct {
	clock     *Clock
	envelopes []*modelEnvelope
	uploads   map[id.Envelope]modelUpload
	quotas    spool.Quotas
	before    spool.Usage             // of other stories in the same store; none is kept
	sessions  map[string][]id.Session // by queue, the newest last
	aspiring  map[string][]aspirant   // by queue: sessions that may take it, the newest last
	calls     map[string]*modelCall   // by queue: the newest numbered one of its session
	events    map[id.Site][]modelEvent
	forgotten []*modelEnvelope
	old       map[id.Site]int  // events of it that were forgotten
	read      map[id.Site]int  // events that it has read
	noted     map[id.Site]int  // of these, the ones that a restart knows of
	turns     map[string]turns // by queue
}

// turns are the costs of the leased deliveries by sender. They begin when other senders than before
// have something due at a call.
type turns map[id.Site]int64

// after returns the turns after a call. A sender has its cost if it still has something due.
func (t turns) after(costs turns) turns {
	if !slices.Equal(slices.Sorted(maps.Keys(t)), slices.Sorted(maps.Keys(costs))) {
		return costs
	}
	for from := range costs {
		costs[from] += t[from]
	}
	return costs
}

// spread returns the difference between the sender that got most and the one that got least.
func (t turns) spread() int64 {
	costs := slices.Sorted(maps.Values(t))
	if len(costs) == 0 {
		return 0
	}
	return costs[len(costs)-1] - costs[0]
}

func (e *modelEnvelope) cost() int64 { return e.Size + int64(len(e.Messages))*spool.MessageCost }

// modelEvent is an event, with its envelope.
type modelEvent struct {
	text string
	e    *modelEnvelope
	at   time.Time
}

// modelUpload is an open upload of one part.
type modelUpload struct {
	sender id.Site
	size   int64
}

type modelEnvelope struct {
	spool.Envelope
	published  spool.Published
	deliveries []*modelDelivery
}

// modelDelivery waits, rests, or is final.
type modelDelivery struct {
	target   spool.Target
	due      time.Time // not before; zero: never released
	hurried  bool      // due earlier, for a new session
	code     string    // of the last release
	requeued time.Time // zero: it never was; later by the time on hold
	held     time.Time // on hold since then; zero: it is not
	because  string
	attempts int
	token    spool.Token
	until    time.Time // the lease's end; zero: not leased
	duration time.Duration
	result   *spool.Result
	isKept   bool // a dead letter
}

// modelCall is a numbered call of Lease, with its leases.
type modelCall struct {
	number uint64
	out    map[spool.Token]*modelDelivery
}

func (d *modelDelivery) isLeased(now time.Time) bool {
	return !d.until.IsZero() && now.Before(d.until)
}

// place is one delivery of one envelope.
type place struct {
	e *modelEnvelope
	d *modelDelivery
}

// since returns the beginning of its age.
func (p place) since() time.Time {
	if p.d.requeued.IsZero() {
		return p.e.published.Spooled
	}
	return p.d.requeued
}

// offered lists the deliveries of a sender that a lease would get now, in order. Due retries come
// first, by time, then those that rested for an earlier session, then the rest by sequence.
func (m *model) offered(queue string, from id.Site) []place {
	var retries, hurried, others []place
	now := m.clock.Now()
	for _, p := range m.waiting(queue) {
		switch {
		case p.e.Sender != from:
		case p.d.isLeased(now):
		case p.d.due.After(now):
			if p.d.hurried {
				hurried = append(hurried, p)
			}
		case p.d.due.IsZero():
			others = append(others, p)
		default:
			retries = append(retries, p)
		}
	}
	byTime := func(a, b place) int { return a.d.due.Compare(b.d.due) }
	slices.SortStableFunc(retries, byTime)
	slices.SortStableFunc(hurried, byTime)
	return slices.Concat(retries, hurried, others)
}

// waiting lists every delivery of a queue that is not final, by sequence.
func (m *model) waiting(queue string) (all []place) {
	for _, p := range m.deliveries() {
		if p.d.target.Queue == queue && p.d.result == nil {
			all = append(all, p)
		}
	}
	return all
}

func (e *modelEnvelope) waits() bool {
	return slices.ContainsFunc(e.deliveries,
		func(d *modelDelivery) bool { return d.result == nil })
}

// kept counts the envelopes that wait no more, and are kept for dead letters.
func (m *model) kept() (u spool.Usage) {
	for _, e := range m.envelopes {
		if !e.waits() && slices.ContainsFunc(e.deliveries,
			func(d *modelDelivery) bool { return d.isKept }) {
			u = u.Plus(spool.Usage{Bytes: e.Size, Envelopes: 1, Messages: int64(len(e.Messages))})
		}
	}
	return u
}

// usage counts the holdings of a sender; empty: of all of them.
func (m *model) usage(sender id.Site) (u spool.Usage) {
	if sender == "" {
		u = m.before
		u.Bytes += m.kept().Bytes
	}
	for _, e := range m.envelopes {
		if e.waits() && (sender == "" || e.Sender == sender) {
			u.Bytes += e.Size
			u.Envelopes++
			u.Messages += int64(len(e.Messages))
		}
	}
	for _, e := range slices.Concat(m.envelopes, m.forgotten) {
		if sender == e.Sender && isSameDay(e.published.Spooled, m.clock.Now()) {
			u.Metadata += e.metadata()
		}
	}
	for _, up := range m.uploads {
		if sender == "" || up.sender == sender {
			u.Uploads++
			u.Reserved += up.size
		}
	}
	return u
}

func (e *modelEnvelope) metadata() int64 {
	return spool.MetadataSize(len(e.Deliveries), len(e.Messages))
}

func isSameDay(a, b time.Time) bool {
	return a.UTC().Format(time.DateOnly) == b.UTC().Format(time.DateOnly)
}

// queueUsage counts the waiting envelopes of a queue.
func (m *model) queueUsage(queue string) (u spool.Usage) {
	for _, p := range m.waiting(queue) {
		u.Bytes += p.e.Size
		u.Envelopes++
		u.Messages += int64(len(p.e.Messages))
	}
	return u
}

// isOver reports whether an envelope or, with uploads, its upload passes a quota.
func (m *model) isOver(e spool.Envelope, uploads int64) bool {
	is := func(limit, used, more int64) bool { return limit > 0 && more > 0 && used+more > limit }
	size, count, messages, queues := e.Size, int64(1), int64(len(e.Messages)), e.Deliveries
	metadata := spool.MetadataSize(len(e.Deliveries), len(e.Messages))
	if _, staged := m.uploads[e.ID]; staged {
		size = 0 // counted with the upload
	}
	if uploads > 0 {
		count, messages, metadata, queues = 0, 0, 0, nil
	}
	over := false
	for _, s := range []struct {
		quota spool.Quota
		used  spool.Usage
	}{{m.quotas.OfSite(e.Sender), m.usage(e.Sender)}, {m.quotas.Hub, m.usage("")}} {
		over = over || is(s.quota.Bytes, s.used.Bytes+s.used.Reserved, size) ||
			is(s.quota.Reserved, s.used.Reserved, size*uploads) ||
			is(s.quota.Uploads, s.used.Uploads, uploads) ||
			is(s.quota.Envelopes, s.used.Envelopes, count) ||
			is(s.quota.Messages, s.used.Messages, messages) ||
			is(s.quota.Metadata, s.used.Metadata, metadata)
	}
	for _, t := range queues {
		q, used := m.quotas.OfQueue(t.Queue), m.queueUsage(t.Queue)
		over = over || is(q.Bytes, used.Bytes, e.Size) || is(q.Envelopes, used.Envelopes, 1) ||
			is(q.Messages, used.Messages, messages)
	}
	return over
}

func (m *model) deliveries() (all []place) {
	for _, e := range m.envelopes {
		for _, d := range e.deliveries {
			all = append(all, place{e, d})
		}
	}
	return all
}

// aspirant is a session that has called while another one held the queue.
type aspirant struct {
	session id.Session
	number  uint64 // of its newest call
}

// admission is the answer to the session of a call.
type admission int

const (
	isHolder admission = iota // it leases
	aspires                   // it gets nothing yet
	isHeld                    // it is displaced
)

// adopt returns the admission of a call's session. A new holder ends the leases of the one before
// it, and makes the deliveries due that rested for that one.
func (m *model) adopt(req spool.LeaseRequest) admission {
	seen := m.sessions[req.Queue]
	if i := slices.Index(seen, req.Session); i >= 0 {
		return map[bool]admission{true: isHolder, false: isHeld}[i == len(seen)-1]
	}
	renews := len(seen) > 0 && req.Renews == seen[len(seen)-1]
	if req.Renews != "" && slices.Contains(seen, req.Renews) && !renews {
		return isHeld
	}
	if len(seen) > 0 && req.Number != 0 && !renews {
		list := m.aspiring[req.Queue]
		i := slices.IndexFunc(list, func(a aspirant) bool { return a.session == req.Session })
		switch {
		case i < 0:
			m.aspiring[req.Queue] = append(list, aspirant{req.Session, req.Number})
			return aspires
		case req.Got < list[i].number:
			list[i].number = req.Number
			return aspires
		}
		for _, older := range list[:i] {
			seen = append([]id.Session{older.session}, seen...)
		}
		m.aspiring[req.Queue] = slices.Clone(list[i+1:])
	}
	m.sessions[req.Queue] = append(seen, req.Session)
	m.endLeases(req.Queue)
	for _, p := range m.waiting(req.Queue) {
		p.d.hurried = (len(seen) > 0 || req.Number == 1) && p.d.held.IsZero()
	}
	delete(m.calls, req.Queue)
	return isHolder
}

// call begins a numbered call, whose session has the answers up to one of them.
func (m *model) call(queue string, number, got uint64) {
	if last := m.calls[queue]; last != nil && got < last.number {
		for token, d := range last.out {
			if d.token == token {
				d.until, d.token = time.Time{}, ""
			}
		}
	}
	m.calls[queue] = &modelCall{number: number, out: map[spool.Token]*modelDelivery{}}
}

func (m *model) endLeases(queue string) {
	for _, p := range m.deliveries() {
		if queue == "" || p.d.target.Queue == queue {
			p.d.until, p.d.token = time.Time{}, ""
		}
	}
}

// finish makes a delivery final and tells the sender. Above the quota of dead letters the envelope
// keeps none.
func (m *model) finish(p place, r spool.Result) {
	r.Recipient, r.Time = p.d.target.Site, m.clock.Now()
	p.d.result, p.d.isKept = &r, p.d.isKept && r.Receipt == ""
	p.d.until, p.d.token = time.Time{}, ""
	p.d.held, p.d.because = time.Time{}, ""
	m.tell(p, r.Receipt+r.DeadCode)
	if m.kept().Bytes > m.quotas.Dead && !p.e.waits() {
		for _, d := range p.e.deliveries {
			d.isKept = false
		}
	}
}

func (m *model) tell(p place, result string) {
	m.noted[p.e.Sender] = m.read[p.e.Sender]
	m.events[p.e.Sender] = append(m.events[p.e.Sender],
		modelEvent{fmt.Sprintf("%s %s %s", p.e.ID, p.d.target.Site, result), p.e, m.clock.Now()})
}

// forget forgets the events of a site before a time, of which it needs none up to a number. It
// forgets the envelopes of which none is left, and reports whether it has left needed ones.
func (m *model) forget(site id.Site, before time.Time, read int) (isUnread bool) {
	all := m.events[site]
	for n := m.old[site]; n < len(all) && all[n].at.Before(before); n++ {
		if n >= read {
			return true
		}
		e := all[n].e
		isLast := !slices.ContainsFunc(all[n+1:], func(t modelEvent) bool { return t.e == e })
		if isLast && !e.waits() {
			if slices.ContainsFunc(e.deliveries,
				func(d *modelDelivery) bool { return d.isKept }) {
				break
			}
			i := slices.Index(m.envelopes, e)
			m.envelopes = slices.Delete(m.envelopes, i, i+1)
			m.forgotten = append(m.forgotten, e)
		}
		m.old[site]++
	}
	return false
}

// requeue makes a dead letter wait again.
func (m *model) requeue(p place) {
	p.d.result, p.d.isKept, p.d.hurried, p.d.code = nil, false, false, ""
	p.d.due, p.d.attempts, p.d.requeued = m.clock.Now(), 0, m.clock.Now()
	m.tell(p, "")
}
