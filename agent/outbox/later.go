package outbox

import (
	"context"
	"sync"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// A program may continue to write a file or folder that was taken during a pause: open handles
// follow a rename. So delivered messages are compared for some time with the content that was sent.
// New and changed files are sent as another message that follows the first one, and users are told.

const (
	// comparedFor is the time for which a message is compared after its last move or follow-up.
	comparedFor = time.Hour
	// comparedMost bounds the files of a tray that are compared, and its folders.
	comparedMost = 2048
	// comparedRests spaces the comparisons: each comes after this part of the message's age.
	comparedRests = 4
	// dropPause is the pause between two searches for lists that are not needed any more.
	dropPause = 10 * time.Minute
)

// later has the comparisons of the delivered messages of a tray.
type later struct {
	read    bool      // the messages from before the start are loaded
	looked  time.Time // when messages were last compared
	dropped time.Time // when unneeded lists were last deleted

	mu   sync.Mutex // guards the fields below
	of   map[id.UID]comparison
	busy map[id.UID]bool // messages whose rest is being copied
}

// comparison has the facts about one delivered message.
type comparison struct {
	message ledger.Outgoing
	next    time.Time     // not compared before this time
	until   time.Time     // not compared after this time, unless it differs
	changed time.Time     // when it was last seen to differ
	differs bool          // from the content that was sent, and the rest is not sent yet
	nothing ledger.Source // a state of the content in which nothing is new
}

// begin reserves a message for copying its rest, and reports whether it was free.
func (l *later) begin(uid id.UID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[uid] {
		return false
	}
	if l.busy == nil {
		l.busy = map[id.UID]bool{}
	}
	l.busy[uid] = true
	return true
}

func (l *later) end(uid id.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, uid)
}

// get returns the comparison of a message.
func (l *later) get(uid id.UID) comparison {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[uid]
}

// set replaces the comparison of a message.
func (l *later) set(c comparison) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[c.message.UID] = c
}

// setSent records a state of a message's content in which nothing is new.
func (l *later) setSent(m ledger.Outgoing, content ledger.Source) {
	c := l.get(m.UID)
	c.message, c.differs, c.nothing = m, false, content
	c.until = time.Now().Add(comparedFor)
	l.set(c)
}

// add has messages compared. One that is known stays as it is.
func (l *later) add(list []ledger.Outgoing, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[id.UID]comparison{}
	}
	for _, m := range list {
		if _, known := l.of[m.UID]; known || m.State != ledger.Delivered {
			continue
		}
		if len(l.of) >= comparedMost {
			l.makeRoom()
		}
		if len(l.of) < comparedMost || m.Folder && len(l.of) < 2*comparedMost {
			l.of[m.UID] = comparison{message: m, until: now.Add(comparedFor),
				differs: m.Reason.Code == reason.RestWaits}
		}
	}
}

// makeRoom forgets any file whose content was the same when it was compared.
func (l *later) makeRoom() {
	for uid, c := range l.of {
		if !c.message.Folder && !c.differs && !c.next.IsZero() {
			delete(l.of, uid)
			return
		}
	}
}

// due lists the messages to compare now, and forgets those that were compared for long enough.
func (l *later) due(now time.Time) (due []ledger.Outgoing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for uid, c := range l.of {
		switch {
		case now.After(c.until) && !c.differs:
			delete(l.of, uid)
		case !now.Before(c.next):
			due = append(due, c.message)
		}
	}
	return due
}

// filed has delivered messages compared that were just moved there.
func (t *box) filed(list []ledger.Outgoing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range list {
		if m.State == ledger.Delivered && len(t.justFiled) < 2*comparedMost {
			t.justFiled = append(t.justFiled, m.Seq)
		}
	}
}

// takeFiled reads the messages to compare from now on.
func (f *finder) takeFiled(ctx context.Context, now time.Time) error {
	f.t.mu.Lock()
	seqs := f.t.justFiled
	f.t.justFiled = nil
	f.t.mu.Unlock()
	if len(seqs) == 0 && f.later.read {
		return nil
	}
	var list []ledger.Outgoing
	err := f.t.o.view(ctx, func(tx *ledger.Tx) (err error) {
		if list, err = tx.Numbered(seqs); err != nil || f.later.read {
			return err
		}
		before, err := tx.FiledSince(f.t.Name, now.Add(-comparedFor),
			reason.New(reason.RestWaits), comparedMost)
		list = append(list, before...)
		return err
	})
	if err == nil {
		f.later.read = true
		f.later.add(list, now)
	}
	return err
}

// contentAt returns the path in the tray of the content of a message that was filed.
func contentAt(m ledger.Outgoing) string { return placeAt(m) + "/" + m.Name }

// isSameContent compares two states of one content. On some shares a file has another id each time.
func isSameContent(a, b ledger.Source) bool {
	a.File = b.File
	return same(a, b)
}

// compareDelivered compares delivered messages with the content that was sent. It has the rest of
// changed ones sent.
func (f *finder) compareDelivered(ctx context.Context, h *handles) error {
	now := time.Now()
	if now.Sub(f.later.looked) < min(f.t.Sweep, time.Second) {
		return nil
	}
	f.later.looked = now
	if err := f.takeFiled(ctx, now); err != nil {
		return ignoreCancel(ctx, err)
	}
	for _, m := range f.later.due(now) {
		if err := f.compare(ctx, h, m, now); err != nil {
			return ignoreCancel(ctx, err)
		}
		h.Relax()
	}
	if now.Sub(f.later.dropped) < dropPause {
		return nil
	}
	f.later.dropped = now
	return ignoreCancel(ctx, f.t.o.dropTrees(ctx, now))
}

// compare compares one delivered message.
func (f *finder) compare(ctx context.Context, h *handles, m ledger.Outgoing, now time.Time) error {
	content, err := h.observe(contentAt(m))
	c := f.later.get(m.UID)
	was := c.differs
	c.differs = err == nil && !isSameContent(content, m.Source) &&
		!isSameContent(content, c.nothing)
	if !c.differs {
		last := m.FiledAt
		if c.changed.After(last) {
			last = c.changed
		}
		c.next = now.Add(max(f.t.Sweep, now.Sub(last)/comparedRests))
		f.later.set(c)
		if was {
			return f.t.tellRest(ctx, m, reason.RestWaits, reason.Reason{})
		}
		return nil
	}
	c.changed = now
	f.later.set(c)
	if !f.later.begin(m.UID) {
		return nil
	}
	if !f.bulkWork.TryGo(func() error {
		defer f.later.end(m.UID)
		return ignoreCancel(ctx, f.sendRest(ctx, m))
	}) {
		f.later.end(m.UID) // the next sweep tries again
	}
	return nil
}

// marksDelivered reports whether a marker belongs to a folder that was taken before it was marked.
// It has that folder compared at once.
func (f *finder) marksDelivered(h *handles, of string, marker beneath.Info) bool {
	f.later.mu.Lock()
	defer f.later.mu.Unlock()
	for uid, c := range f.later.of {
		m := c.message
		if !m.Folder || tray.Under(m.Dir, m.Name) != of {
			continue
		}
		if info, err := h.Lstat(contentAt(m)); err == nil && info.Owner == marker.Owner {
			c.next = time.Time{}
			f.later.of[uid] = c
			return true
		}
	}
	return false
}
