package badgerspool

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/packs"
	"sealpost/spool/badgerspool/queue"
)

// envelope is the immutable record of a published envelope.
type envelope struct {
	seq      uint64
	asOf     uint64 // the version of the store from which it was read
	id       [16]byte
	sender   id.Site
	hash     [32]byte // of everything that a repeated publish must repeat
	sums     [32]byte // of size and checksums alone, for a repeated stage; only if staged
	address  id.Address
	route    id.Hash
	size     int64
	crc      uint32      // of the only part; more than one part: see keySums
	at       packs.Place // of small content
	spooled  time.Time
	targets  []spool.Target
	messages []spool.Message
}

func (e *envelope) encode() []byte {
	b := make(encoder, 0, 128+len(e.messages)*80+len(e.targets)*32)
	b.raw(e.id[:])
	b.raw(e.hash[:])
	b.int(e.size)
	if e.size > spool.SmallSize {
		b.raw(e.sums[:])
	}
	b.string(e.address.RoutingKey)
	b.uint(uint64(len(e.address.To)))
	for _, s := range e.address.To {
		b.string(string(s))
	}
	b.hash(e.route)
	b.uint(uint64(e.crc))
	b.uint(e.at.Pack)
	b.int(e.at.Offset)
	b.stamp(e.spooled)
	b.uint(uint64(len(e.targets)))
	for _, t := range e.targets {
		b.string(string(t.Site))
		b.string(t.Queue)
	}
	b.uint(uint64(len(e.messages)))
	for _, m := range e.messages {
		uid, _ := unhex(m.UID)
		b.string(string(m.ID))
		b.raw(uid[:])
		b.time(m.Sent)
	}
	return b
}

// cost returns about the number of bytes of a record.
func (e *envelope) cost() int {
	n := 256 + len(e.address.RoutingKey) + 34*len(e.address.To)
	for _, t := range e.targets {
		n += 4*len(t.Site) + 3*len(t.Queue)
	}
	for _, m := range e.messages {
		n += 2*len(m.ID) + 64 + len(e.sender)*2
	}
	return n
}

func decodeEnvelope(sender id.Site, seq uint64, data []byte) (*envelope, error) {
	d := decoder{data: data}
	e := &envelope{seq: seq, sender: sender}
	copy(e.id[:], d.raw(16))
	copy(e.hash[:], d.raw(32))
	e.size = d.int()
	if e.size > spool.SmallSize {
		copy(e.sums[:], d.raw(32))
	}
	e.address.RoutingKey = d.string()
	for range d.count() {
		e.address.To = append(e.address.To, id.Site(d.string()))
	}
	e.route = d.hash()
	e.crc = uint32(d.uint())
	e.at = packs.Place{Pack: d.uint(), Offset: d.int()}
	e.spooled = d.stamp()
	e.targets = make([]spool.Target, d.count())
	for i := range e.targets {
		e.targets[i] = spool.Target{Site: id.Site(d.string()), Queue: d.string()}
	}
	e.messages = make([]spool.Message, d.count())
	for i := range e.messages {
		e.messages[i] = spool.Message{ID: id.Message(d.string()), UID: tohex[id.UID](d.raw(16)),
			Sent: d.time()}
	}
	return e, d.close("envelope")
}

// usage returns the envelope's part of the counts that the quotas limit.
func (e *envelope) usage() spool.Usage {
	return spool.Usage{Bytes: e.size, Envelopes: 1, Messages: int64(len(e.messages))}
}

// metadata returns the bytes that its metadata count.
func (e *envelope) metadata() int64 { return spool.MetadataSize(len(e.targets), len(e.messages)) }

func (e *envelope) isSmall() bool { return e.size <= spool.InlineSize }
func (e *envelope) parts() int    { return partCount(e.size) }

// target returns the index of the recipient that reads from the queue, -1 if none.
func (e *envelope) target(queue string) int {
	for i, t := range e.targets {
		if t.Queue == queue {
			return i
		}
	}
	return -1
}

// entry is a waiting delivery's own record, under keyEntry or keyRetry.
type entry struct {
	size     uint64 // of the envelope
	messages uint64
	id       [16]byte
	target   int
	attempts int
	since    int64 // when it was requeued, milliseconds; 0: it never was
	held     int64 // since when it is on hold, milliseconds; 0: it is not
	because  string
}

func (e *envelope) entry(target int) entry {
	return entry{size: uint64(e.size), messages: uint64(len(e.messages)), id: e.id, target: target}
}

func (e entry) encode() []byte {
	b := make(encoder, 0, 32)
	b.uint(e.size)
	b.uint(e.messages)
	b.raw(e.id[:])
	b.uint(uint64(e.target))
	b.uint(uint64(e.attempts))
	if e.since != 0 || e.held != 0 {
		b.int(e.since)
	}
	if e.held != 0 {
		b.int(e.held)
		b.string(e.because)
	}
	return b
}

func decodeEntry(data []byte) (e entry, err error) {
	d := decoder{data: data}
	e.size, e.messages = d.uint(), d.uint()
	copy(e.id[:], d.raw(16))
	e.target, e.attempts = int(d.uint()), int(d.uint())
	if len(d.data) > 0 {
		e.since = d.int()
	}
	if len(d.data) > 0 {
		e.held, e.because = d.int(), d.string()
	}
	return e, d.close("queue entry")
}

// laneRow is the stored lane of a sender in a queue. It may lag behind: a start reads a few places
// in vain.
type laneRow struct {
	queue.Cursors
	left int // deliveries that have left the lane since; not stored
}

func (r laneRow) encode() []byte {
	var b encoder
	b.uint(r.Head)
	b.int(r.RetryHead.Due)
	b.uint(r.RetryHead.Seq)
	return b
}

func decodeLane(data []byte) (c queue.Cursors, err error) {
	d := decoder{data: data}
	c.Head = d.uint()
	c.RetryHead.Due, c.RetryHead.Seq = d.int(), d.uint()
	return c, d.close("lane")
}

// The states of a delivery that has a record of its own. A delivery without one waits for the first
// time.
const (
	stateReleased = 1
	stateSettled  = 2
	stateDead     = 3
)

// delivery is the record of a delivery that was released or is final.
type delivery struct {
	state       byte
	due         int64 // released: not before, milliseconds
	attempts    int
	firstLeased time.Time
	time        time.Time // of this record
	code        string    // why released, or why dead
	receipt     string
	refused     map[int]string // settled: the code of each message that was refused, by index
	entry       []byte         // of the audit chain, made before the writer; not stored here
}

func (r *delivery) isFinal() bool { return r != nil && r.state >= stateSettled }

func (r *delivery) isHeld() bool {
	return r != nil && r.state == stateReleased && r.due == queue.Held
}

func (r *delivery) encode() []byte {
	b := make(encoder, 0, 64+len(r.code)+len(r.receipt)+len(r.refused)*24)
	b.raw([]byte{r.state})
	b.int(r.due)
	b.uint(uint64(r.attempts))
	b.stamp(r.firstLeased)
	b.stamp(r.time)
	b.string(r.code)
	b.string(r.receipt)
	b.uint(uint64(len(r.refused)))
	for i := range spool.MaxMessages {
		if code, ok := r.refused[i]; ok {
			b.uint(uint64(i))
			b.string(code)
		}
	}
	return b
}

func decodeDelivery(data []byte) (*delivery, error) {
	d := decoder{data: data}
	r := &delivery{state: d.raw(1)[0], due: d.int(), attempts: int(d.uint()),
		firstLeased: d.stamp(), time: d.stamp(), code: d.string(), receipt: d.string()}
	if n := d.count(); n > 0 {
		r.refused = make(map[int]string, n)
		for range n {
			i := int(d.uint())
			r.refused[i] = d.string()
		}
	}
	return r, d.close("delivery")
}

// finals has a bitmap of the final deliveries of an envelope, of the dead ones, and of the dead
// letters. With a letter, the envelope has a row under keyLetter.
type finals struct {
	final, dead, kept uint64
	row               uint64 // the number of the row; 0: none
	last              uint64 // the number of the envelope's newest event, of its sender
}

// isFinal reports whether all deliveries of an envelope are final.
func (f finals) isFinal(e *envelope) bool { return bits.OnesCount64(f.final) == len(e.targets) }

// needsContent reports whether a delivery waits, or is a dead letter.
func (f finals) needsContent(e *envelope) bool { return !f.isFinal(e) || f.kept != 0 }

func (f finals) encode() []byte {
	b := u64(u64(make([]byte, 0, 40), f.final), f.dead)
	if f.row != 0 {
		b = u64(u64(b, f.kept), f.row)
	}
	return u64(b, f.last)
}

// decodeFinals decodes a record. Before format 5 it had no number of an event.
func decodeFinals(data []byte) (f finals) {
	d := decoder{data: data}
	f.final, f.dead = d.fixed(), d.fixed()
	if len(d.data) >= 16 {
		f.kept, f.row = d.fixed(), d.fixed()
	}
	f.last = d.fixed()
	return f
}

// letter is the row of an envelope with dead letters.
type letter struct {
	seq    uint64
	died   time.Time // of its latest letter
	sender id.Site
}

func (l letter) encode() []byte {
	b := make(encoder, 0, 24+len(l.sender))
	b.uint(l.seq)
	b.stamp(l.died)
	b.string(string(l.sender))
	return b
}

func decodeLetter(data []byte) (letter, error) {
	d := decoder{data: data}
	l := letter{seq: d.uint(), died: d.stamp(), sender: id.Site(d.string())}
	return l, d.close("dead letter")
}

// metadataHash returns the hash of everything that a repeated publish must repeat.
func metadataHash(e spool.Envelope, sums [32]byte) [32]byte {
	b := make(encoder, 0, 512)
	b.raw(sums[:])
	b.string(string(e.Sender))
	b.string(e.Address.String())
	b.string(string(e.RouteVersion))
	b.uint(uint64(len(e.Deliveries)))
	for _, t := range e.Deliveries {
		b.string(string(t.Site))
		b.string(t.Queue)
	}
	for _, m := range e.Messages {
		b.string(string(m.ID))
		b.string(string(m.UID))
		b.time(m.Sent)
	}
	return sha256.Sum256(b)
}

// sumsHash returns the hash of size and checksums.
func sumsHash(size int64, crcs []uint32) [32]byte {
	b := make(encoder, 0, 16+len(crcs)*5)
	b.int(size)
	for _, c := range crcs {
		b.uint(uint64(c))
	}
	return sha256.Sum256(b)
}

func encodeSums(crcs []uint32) []byte {
	b := make([]byte, 0, 4*len(crcs))
	for _, c := range crcs {
		b = binary.BigEndian.AppendUint32(b, c)
	}
	return b
}

func decodeSums(data []byte) []uint32 {
	crcs := make([]uint32, len(data)/4)
	for i := range crcs {
		crcs[i] = binary.BigEndian.Uint32(data[4*i:])
	}
	return crcs
}

func partCount(size int64) int { return int((size + spool.PartSize - 1) / spool.PartSize) }
