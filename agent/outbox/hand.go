package outbox

import (
	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/id"
)

// holder is the owner of a message in hand.
type holder int

const (
	byClaim    holder = iota + 1 // a claim, or its recovery
	byLane                       // it waits for a sealer
	byWorker                     // one seals, publishes or ends it
	byQuestion                   // such as a recall
)

// hold reserves messages.
func (d *desk) hold(list []ledger.Outgoing, by holder) {
	for _, m := range list {
		d.inHand[m.UID] = by
	}
}

// nameOf returns the key of a file before its claim has given it an identity.
func nameOf(m ledger.Outgoing) string { return m.Tray + "\x00" + tray.Under(m.Dir, m.Name) }

// isFree reports whether a message has no holder.
func (d *desk) isFree(m ledger.Outgoing) bool {
	return d.inHand[m.UID] == 0 && d.claims[nameOf(m)] == 0
}

// beginClaim reserves files by their names until their rows are written. They have no identities
// before.
func (d *desk) beginClaim(list []ledger.Outgoing) {
	for _, m := range list {
		d.claims[nameOf(m)]++
	}
}

// endClaim reserves the messages of a claim; none, if it has failed.
func (d *desk) endClaim(files, claimed []ledger.Outgoing) {
	d.hold(claimed, byClaim)
	for _, m := range files {
		name := nameOf(m)
		if d.claims[name]--; d.claims[name] == 0 {
			delete(d.claims, name)
		}
	}
	for uid := range d.waiters {
		d.signal(uid) // one may have waited for a file of the same name
	}
}

// await returns a channel that is closed when a message is released.
func (d *desk) await(uid id.UID) chan struct{} {
	waiter := make(chan struct{})
	d.waiters[uid] = append(d.waiters[uid], waiter)
	return waiter
}

// signal wakes the questions that wait for a message.
func (d *desk) signal(uid id.UID) {
	for _, waiter := range d.waiters[uid] {
		close(waiter)
	}
	delete(d.waiters, uid)
}

// free removes the holders of messages: only the ledger has them now.
func (d *desk) free(list []ledger.Outgoing) {
	for _, m := range list {
		delete(d.inHand, m.UID)
		d.signal(m.UID)
	}
}

// holdFree reserves the free messages of a list, and returns them.
func (d *desk) holdFree(list []ledger.Outgoing, by holder) (held []ledger.Outgoing) {
	for _, m := range list {
		if d.isFree(m) {
			held = append(held, m)
		}
	}
	d.hold(held, by)
	return held
}

// freeOf returns the free messages of a list.
func (d *desk) freeOf(list []ledger.Outgoing) (free []ledger.Outgoing) {
	d.tell(func() {
		for _, m := range list {
			if d.isFree(m) {
				free = append(free, m)
			}
		}
	})
	return free
}

// takeBack reserves a message for a recall, unless a worker has it. Then it returns a channel that
// is closed when the message is released.
func (d *desk) takeBack(m ledger.Outgoing) (released <-chan struct{}) {
	switch by := d.inHand[m.UID]; {
	case d.isFree(m):
	case by == byLane:
		for _, l := range d.lanes {
			l.remove(m.UID)
		}
	default:
		return d.await(m.UID)
	}
	d.inHand[m.UID] = byQuestion
	return nil
}

// release releases messages that a claim or a question has reserved.
func (d *desk) release(list ...ledger.Outgoing) {
	if len(list) > 0 {
		d.tell(func() { d.free(list) })
	}
}
