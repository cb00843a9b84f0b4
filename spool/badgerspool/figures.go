package badgerspool

import "time"

// figures are a queue's durable numbers, kept in one record that every commit touching the queue rewrites.
type figures struct {
	commit    uint64   // the number of the commit that wrote this
	last      uint64   // the highest sequence in this queue
	head      uint64   // no delivery before this sequence waits unreleased
	retryHead position // no released delivery waits before this place
	waiting   int64    // not final, the released ones included
	released  int64
	settled   int64
	dead      int64
	envelopes int64 // whose first recipient reads from this queue
	content   int64 // bytes of ciphertext held for them
}

func (f figures) encode() []byte {
	b := make(encoder, 0, 64)
	b.uint(f.commit)
	b.uint(f.last)
	b.uint(f.head)
	b.int(f.retryHead.due)
	b.uint(f.retryHead.seq)
	for _, n := range []int64{f.waiting, f.released, f.settled, f.dead, f.envelopes, f.content} {
		b.int(n)
	}
	return b
}

func decodeFigures(data []byte) (f figures, err error) {
	d := decoder{data: data}
	f.commit, f.last, f.head = d.uint(), d.uint(), d.uint()
	f.retryHead = position{d.int(), d.uint()}
	for _, n := range []*int64{&f.waiting, &f.released, &f.settled, &f.dead, &f.envelopes, &f.content} {
		*n = d.int()
	}
	return f, d.close("queue figures")
}

// siteFigures are the durable numbers of a site's event sequence.
type siteFigures struct {
	commit uint64
	last   uint64 // the number of the newest event
}

func (f siteFigures) encode() []byte {
	var b encoder
	b.uint(f.commit)
	b.uint(f.last)
	return b
}

func decodeSiteFigures(data []byte) (siteFigures, error) {
	d := decoder{data: data}
	f := siteFigures{d.uint(), d.uint()}
	return f, d.close("site figures")
}

// hubTime is the time in the form in which the spool keeps it.
func (s *Spool) hubTime() time.Time { return cut(s.opts.Now()) }

// cut brings a time into that form. It loses the monotonic clock, by which leases are measured.
func cut(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
