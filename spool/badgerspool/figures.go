package badgerspool

import (
	"time"

	"sealpost/spool"
)

// figures are a queue's durable numbers. They have one record, which every commit that touches the
// queue rewrites.
type figures struct {
	commit    uint64 // the number of the commit that wrote this
	last      uint64 // the highest sequence in the queue
	waiting   int64  // not final, the released ones included
	released  int64
	settled   int64
	dead      int64
	envelopes int64 // whose first recipient reads from this queue
	bytes     int64 // of ciphertext, of the waiting ones
	messages  int64 // in the waiting ones
	// of the settled and dead ones, those that were forgotten
	oldSettled, oldDead int64
}

// usage returns the counts that a quota limits.
func (f figures) usage() spool.Usage {
	return spool.Usage{Bytes: f.bytes, Envelopes: f.waiting, Messages: f.messages}
}

func (f figures) encode() []byte {
	b := make(encoder, 0, 64)
	b.uint(f.commit)
	b.uint(f.last)
	b.raw([]byte{0, 0, 0}) // before format 4: the cursors; zero is a right one
	for _, n := range []int64{f.waiting, f.released, f.settled, f.dead, f.envelopes, f.bytes,
		f.messages, f.oldSettled, f.oldDead} {
		b.int(n)
	}
	return b
}

func decodeFigures(data []byte) (f figures, err error) {
	d := decoder{data: data}
	f.commit, f.last = d.uint(), d.uint()
	d.uint() // before format 4: the cursors
	d.int()
	d.uint()
	for _, n := range []*int64{&f.waiting, &f.released, &f.settled, &f.dead, &f.envelopes,
		&f.bytes, &f.messages} {
		*n = d.int()
	}
	if len(d.data) > 0 { // since format 5
		f.oldSettled, f.oldDead = d.int(), d.int()
	}
	return f, d.close("queue figures")
}

// siteFigures are the durable numbers of a site: of its events, and of its envelopes that wait.
// Every commit with an event of the site rewrites their record. A commit that only publishes does
// so after some envelopes: the next start counts those behind the record (replay).
type siteFigures struct {
	commit    uint64
	last      uint64      // the number of the newest event
	waiting   spool.Usage // its envelopes with a delivery that is not final
	day       int64       // since 1970, of its newest envelope
	metadata  int64       // bytes that its envelopes of that day count
	forgotten uint64      // the number of the newest event that was forgotten
	read      uint64      // the site needs no event up to it; as of the record
	unwritten int         // envelopes published since the record was written; not stored
}

// usage returns the counts that a quota limits, on a day.
func (f siteFigures) usage(day int64) spool.Usage {
	u := f.waiting
	if f.day == day {
		u.Metadata = f.metadata
	}
	return u
}

// publish adds an envelope.
func (f *siteFigures) publish(e *envelope) {
	f.record(e)
	f.waiting = f.waiting.Plus(e.usage())
	f.unwritten++
}

// record adds the metadata of an envelope, and begins its day.
func (f *siteFigures) record(e *envelope) {
	if day := dayOf(e.spooled); day != f.day {
		f.day, f.metadata = day, 0
	}
	f.metadata += e.metadata()
}

func dayOf(t time.Time) int64 { return t.Unix() / (24 * 3600) }

// replayed limits the envelopes of a sender that a start counts. In between a publish costs no row.
const replayed = 64

func (f siteFigures) encode() []byte {
	var b encoder
	b.uint(f.commit)
	b.uint(f.last)
	for _, n := range []int64{f.waiting.Bytes, f.waiting.Envelopes, f.waiting.Messages, f.day,
		f.metadata} {
		b.int(n)
	}
	b.uint(f.forgotten)
	b.uint(f.read)
	return b
}

func decodeSiteFigures(data []byte) (siteFigures, error) {
	d := decoder{data: data}
	f := siteFigures{commit: d.uint(), last: d.uint()}
	for _, n := range []*int64{&f.waiting.Bytes, &f.waiting.Envelopes, &f.waiting.Messages,
		&f.day, &f.metadata} {
		*n = d.int()
	}
	if len(d.data) > 0 { // since format 5
		f.forgotten, f.read = d.uint(), d.uint()
	}
	return f, d.close("site figures")
}

// encodeUsage encodes the counts of envelopes.
func encodeUsage(u spool.Usage) []byte {
	var b encoder
	for _, n := range []int64{u.Bytes, u.Envelopes, u.Messages} {
		b.int(n)
	}
	return b
}

func decodeUsage(data []byte) (spool.Usage, error) {
	d := decoder{data: data}
	return spool.Usage{Bytes: d.int(), Envelopes: d.int(), Messages: d.int()}, d.close("counts")
}

// hubTime returns the time in the form in which the spool stores it.
func (s *Spool) hubTime() time.Time { return cut(s.opts.Now()) }

// cut converts a time into that form. It drops the monotonic clock, which measures leases.
func cut(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
