package outbox

import (
	"context"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const (
	smallSealers = 4
	largeSealers = 2

	// smallContent is the size in bytes of the largest file that is sealed in memory, together with
	// other waiting ones. With the wrapped keys of 64 recipients and the rest of the format it
	// stays below api.SmallSize.
	smallContent = ledger.Small
)

// lane has the messages of one size class, so that small ones never wait behind large ones. It
// belongs to the desk.
type lane struct {
	small     bool
	free      int                 // free sealers for trays without a limit
	limited   map[string]bool     // trays with a limit, each with a sealer of its own at work
	retries   [][]ledger.Outgoing // jobs that have failed; they come first
	leftovers []*sealed           // begun by a former process
	queue     []batch             // just claimed; oldest first
	more      bool                // messages may wait in the ledger

	// the highest Seq, by address, up to which waiting rows were read; they are not read again
	passed map[string]int64
	since  time.Time // when passed was last empty
	last   string    // the address of the last job
}

// batch is messages of one folder that wait at the desk.
type batch struct {
	messages []ledger.Outgoing
	until    time.Time
}

// job is one envelope to make, or to publish.
type job struct {
	envelope id.Envelope
	decision *decision
	messages []ledger.Outgoing
	sealed   *sealed // begun by a former process; nil: to be sealed
}

// passedFor bounds the time for which a busy lane does not read passed rows again. One of them may
// have come due.
const passedFor = time.Second

func newLane(small bool, workers int) *lane {
	return &lane{small: small, free: workers, more: true, passed: map[string]int64{},
		limited: map[string]bool{}}
}

// hasPlace reports whether a sealer is free for a tray. One with a limit has one of its own, so
// that no other waits for it.
func (d *desk) hasPlace(l *lane, tray string) bool {
	if d.o.isLimited(tray) {
		return !l.limited[tray]
	}
	return l.free > 0
}

// hasAnyPlace reports whether a sealer is free for any tray.
func (d *desk) hasAnyPlace(l *lane) bool {
	return l.free > 0 || slices.ContainsFunc(d.o.trays, func(t *box) bool {
		return t.Line != nil && !l.limited[t.Name]
	})
}

// withPlace lists the trays that have a free sealer.
func (d *desk) withPlace(l *lane) []string {
	return slices.DeleteFunc(d.o.trayNames(), func(name string) bool {
		return !d.hasPlace(l, name)
	})
}

// takePlace gives a sealer to a tray.
func (d *desk) takePlace(l *lane, tray string) {
	if d.o.isLimited(tray) {
		l.limited[tray] = true
		return
	}
	l.free--
}

// givePlace takes it back.
func (d *desk) givePlace(l *lane, tray string) {
	if d.o.isLimited(tray) {
		delete(l.limited, tray)
	} else {
		l.free++
	}
	if slices.ContainsFunc(d.o.trays, func(t *box) bool { return t.Line != nil }) {
		d.reconsider() // the lane may have passed over messages of trays without a place
	}
}

// next returns the oldest job that a lane can begin; nil: there is none.
func (d *desk) next(ctx context.Context, l *lane) (*job, error) {
	for i, s := range l.leftovers {
		if !d.hasPlace(l, s.messages[0].Tray) {
			continue
		}
		if r := d.route(ctx, s.Address); r != nil {
			l.leftovers = slices.Delete(l.leftovers, i, i+1)
			return &job{envelope: s.ID, decision: r, messages: s.messages, sealed: s}, nil
		}
	}
	for i, list := range l.retries {
		if !d.hasPlace(l, list[0].Tray) {
			continue
		}
		switch r := d.route(ctx, list[0].Address); {
		case r == nil:
			continue
		case r.isOpen():
			l.retries = slices.Delete(l.retries, i, i+1)
			return newJob(r, list), nil
		}
		l.retries = slices.Delete(l.retries, i, i+1)
		d.giveBack(ctx, list)
		return d.next(ctx, l)
	}
	if j := d.nextQueued(ctx, l); j != nil {
		return j, nil
	}
	if !l.more {
		return nil, nil
	}
	return d.nextWaiting(ctx, l)
}

func newJob(r *decision, list []ledger.Outgoing) *job {
	return &job{envelope: id.Random128[id.Envelope](), decision: r, messages: list}
}

// nextQueued takes a job out of the queue. Messages that may not be sent now go to the ledger.
func (d *desk) nextQueued(ctx context.Context, l *lane) *job {
	for i := 0; i < len(l.queue); {
		list := l.queue[i].messages
		r := d.route(ctx, list[0].Address)
		if r == nil || !d.hasPlace(l, list[0].Tray) {
			i++
			continue
		}
		if !r.isOpen() {
			l.queue = slices.Delete(l.queue, i, i+1)
			d.giveBack(ctx, list)
			continue
		}
		fit := fitting(list, len(r.recipients))
		if l.queue[i].messages = list[len(fit):]; len(fit) == len(list) {
			l.queue = slices.Delete(l.queue, i, i+1)
		}
		fault.Point("outbox-given")
		return newJob(r, fit)
	}
	return nil
}

// remove takes a message out of the queue.
func (l *lane) remove(uid id.UID) {
	isIt := func(m ledger.Outgoing) bool { return m.UID == uid }
	without := func(list []ledger.Outgoing) []ledger.Outgoing {
		return slices.DeleteFunc(slices.Clone(list), isIt)
	}
	for i := range l.queue {
		l.queue[i].messages = without(l.queue[i].messages)
	}
	l.queue = slices.DeleteFunc(l.queue, func(b batch) bool { return len(b.messages) == 0 })
	for i := range l.retries {
		l.retries[i] = without(l.retries[i])
	}
	isEmpty := func(list []ledger.Outgoing) bool { return len(list) == 0 }
	l.retries = slices.DeleteFunc(l.retries, isEmpty)
}

// expired takes messages out of the queue that have waited there for too long.
func (l *lane) expired(now time.Time) (list []ledger.Outgoing) {
	for len(l.queue) > 0 && !l.queue[0].until.After(now) {
		list = append(list, l.queue[0].messages...)
		l.queue = l.queue[1:]
	}
	return list
}

// nextWaiting reads a job from the ledger: the oldest messages of one address. The addresses take
// turns.
func (d *desk) nextWaiting(ctx context.Context, l *lane) (*job, error) {
	now := time.Now()
	if now.Sub(l.since) > passedFor {
		clear(l.passed)
	}
	for {
		if len(l.passed) == 0 {
			l.since = now
		}
		j, err := d.read(ctx, l)
		if j != nil || err != nil {
			return j, err
		}
		if len(l.passed) == 0 {
			break
		}
		clear(l.passed) // something may wait again there, or have come due
	}
	l.more = false
	var due time.Time
	err := d.o.view(ctx, func(tx *ledger.Tx) (err error) { due, err = tx.NextDue(now); return err })
	if !due.IsZero() {
		d.wakeAt(due)
	}
	return nil, err
}

// read looks through the ledger once.
func (d *desk) read(ctx context.Context, l *lane) (*job, error) {
	var addresses []string
	err := d.o.view(ctx, func(tx *ledger.Tx) (err error) {
		addresses, err = tx.Addresses()
		return err
	})
	if err != nil {
		return nil, err
	}
	turn, _ := slices.BinarySearch(addresses, l.last+"\x00")
	for _, a := range slices.Concat(addresses[turn:], addresses[:turn]) {
		r := d.known(a)
		if r != nil && !r.blocked.IsZero() {
			continue
		}
		list, err := d.waiting(ctx, l, a)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			continue
		}
		if r == nil {
			d.route(ctx, a) // the answer makes the lane look again
			continue
		}
		l.passed[a], l.last = list[len(list)-1].Seq, a
		if !r.unknown.IsZero() {
			d.routes.forget(a)
			d.giveUp(ctx, list, r.unknown)
			continue
		}
		list = fitting(list, len(r.recipients))
		l.passed[a] = list[len(list)-1].Seq
		return newJob(r, list), nil
	}
	return nil, nil
}

// maxSkipped bounds the messages of other trays that a lane reads over for an envelope.
const maxSkipped = 1000

// waiting returns the oldest free messages of an address, as many as fit into one envelope. It adds
// the one behind them. They wait in the ledger, and the envelope is for one recipient. All are of
// one tray, so that no message waits for a tray that hangs.
func (d *desk) waiting(ctx context.Context, l *lane, address string) ([]ledger.Outgoing, error) {
	var list []ledger.Outgoing
	room, skipped := newRoom(1), 0
	visit := func(m ledger.Outgoing) bool {
		if d.inHand[m.UID] != 0 {
			return true
		}
		if len(list) > 0 && m.Tray != list[0].Tray {
			skipped++
			return skipped < maxSkipped
		}
		list = append(list, m)
		return room.take(m) && l.small
	}
	err := d.o.view(ctx, func(tx *ledger.Tx) error {
		return tx.Waiting(d.withPlace(l), address, l.small, time.Now(), l.passed[address], visit)
	})
	return list, err
}

var errLedger = reason.Err("ledger-unreadable")
