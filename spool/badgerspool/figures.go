package badgerspool

import (
	"time"

	"sealpost/spool/badgerspool/queue"
)

// figures are a queue's durable numbers. They have one record, which every commit that touches the
// queue rewrites.
type figures struct {
	queue.Cursors
	commit    uint64 // the number of the commit that wrote this
	waiting   int64  // not final, the released ones included
	released  int64
	settled   int64
	dead      int64
	envelopes int64 // whose first recipient reads from this queue
	content   int64 // bytes of ciphertext held for them
}

func (f figures) encode() []byte {
	b := make(encoder, 0, 64)
	b.uint(f.commit)
	b.uint(f.Last)
	b.uint(f.Head)
	b.int(f.RetryHead.Due)
	b.uint(f.RetryHead.Seq)
	for _, n := range []int64{f.waiting, f.released, f.settled, f.dead, f.envelopes, f.content} {
		b.int(n)
	}
	return b
}

func decodeFigures(data []byte) (f figures, err error) {
	d := decoder{data: data}
	f.commit, f.Last, f.Head = d.uint(), d.uint(), d.uint()
	f.RetryHead = queue.Position{Due: d.int(), Seq: d.uint()}
	for _, n := range []*int64{&f.waiting, &f.released, &f.settled, &f.dead, &f.envelopes,
		&f.content} {
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

// hubTime returns the time in the form in which the spool stores it.
func (s *Spool) hubTime() time.Time { return cut(s.opts.Now()) }

// cut converts a time into that form. It drops the monotonic clock, which measures leases.
func cut(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
