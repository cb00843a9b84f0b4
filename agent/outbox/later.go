package outbox

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/fault"
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
	// keepTrees is the least time for which the lists of folders are kept after the last
	// comparison.
	keepTrees = 2 * comparedFor
	// dropPause is the pause between two searches for lists that are not needed any more.
	dropPause = 10 * time.Minute
	// copyReserve is the free space that copies leave on the tray's disk.
	copyReserve = 256 << 20
	// namedMost bounds the files that a reason names.
	namedMost = 3
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

// tellRest replaces the reason of a delivered message if its code is from; an empty from matches
// any.
func (t *box) tellRest(ctx context.Context, m ledger.Outgoing, from reason.Code,
	why reason.Reason) error {
	return t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		now, err := tx.Message(string(m.UID))
		if err != nil || now.Reason == why || from != "" && now.Reason.Code != from {
			return err
		}
		if !why.IsZero() {
			t.log.Warn("changed after it was sent", "message", m.ID, "reason", why)
		}
		return tx.Explain(m.UID, why)
	})
}

// sendRest sends the new and changed files of a delivered message as another message. It waits
// until nothing changes there any more. A crash before the row is written leaves a copy, which the
// next start removes. One before the copy has its place leaves a row, which is withdrawn.
func (f *finder) sendRest(ctx context.Context, m ledger.Outgoing) error {
	t := f.t
	h, err := t.open()
	if err != nil {
		return nil // the sweep reports it
	}
	defer h.Close()
	content, isFolder, err := h.finished(contentAt(m), tray.Settling{File: t.Settle,
		Folder: t.FolderSettle}, time.Now())
	var wait *tray.Later
	switch {
	case errors.As(err, &wait):
		return t.tellRest(ctx, m, "", reason.New(reason.RestWaits))
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return t.tellRest(ctx, m, "", reason.New("rest-not-sent", "why", tray.Plain(err)))
	case isFolder != m.Folder || isSameContent(content, m.Source):
		f.later.setSent(m, content)
		return nil
	}
	before, isSent, err := t.followUps(ctx, m, content)
	switch {
	case err != nil:
		return err
	case isSent:
		f.later.setSent(m, content)
		return nil
	case slices.ContainsFunc(before, isUnsealed):
		return nil // its list of entries is not known yet
	case t.KeepsRest:
		f.later.setSent(m, content)
		return t.tellRest(ctx, m, "", reason.New("rest-kept"))
	}
	r := remainder{of: m, content: content, temp: tray.SendingPart + "/" + tray.CopyName()}
	for _, b := range append(before, m) {
		r.sent = append(r.sent, b.UID)
	}
	err = h.copyRest(ctx, &r)
	if err == nil && r.n > 0 {
		return f.claimRest(ctx, h, r)
	}
	h.dropCopy(r.temp)
	switch {
	case err == nil:
		f.later.setSent(m, content)
		return nil
	case errors.Is(err, errLedger):
		return err
	case ctx.Err() != nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, tray.ErrChanged):
		return nil // the next sweep looks again
	}
	return t.tellRest(ctx, m, "", reason.New("rest-not-sent", "why", tray.Plain(err)))
}

func isUnsealed(m ledger.Outgoing) bool {
	return m.State == ledger.Claimed || m.State == ledger.Taken
}

// followUps lists the messages that follow one. It reports whether one of them covers a state of
// the content.
func (t *box) followUps(ctx context.Context, m ledger.Outgoing,
	content ledger.Source) (list []ledger.Outgoing, isSent bool, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) (err error) {
		list, err = tx.FollowUps(m.ID)
		return err
	})
	return list, slices.ContainsFunc(list, func(f ledger.Outgoing) bool {
		return isSameContent(content, f.Covers)
	}), err
}

// remainder has the new and changed files of a delivered message, while they are copied.
type remainder struct {
	of      ledger.Outgoing
	content ledger.Source // of the message as it is now
	sent    []id.UID      // the messages with its content so far
	temp    string        // the folder of the copy, by its path in the tray
	n       int           // of files, and of folders with nothing in them
	names   []string      // of some of them
}

func (r *remainder) add(name string) {
	if r.n++; len(r.names) < namedMost {
		r.names = append(r.names, name)
	}
}

// copyRest copies the new and changed files of a message, durably. The message must be the same
// afterwards.
func (h *handles) copyRest(ctx context.Context, r *remainder) error {
	if err := h.Mkdir(r.temp); err != nil {
		return err
	}
	err := h.copyNew(ctx, r)
	h.Release() // some systems rename no folder of which one is open
	if err != nil || r.n == 0 {
		return err
	}
	if r.of.Dir != "" {
		if err := h.WriteNote(r.temp+"/"+addressNote, []byte(r.of.Dir+"\n")); err != nil {
			return err
		}
	}
	now, err := h.observe(contentAt(r.of))
	if err == nil && !same(now, r.content) {
		err = tray.ErrChanged
	}
	if err != nil {
		return err
	}
	return h.Root.SyncTree(r.temp)
}

func (h *handles) copyNew(ctx context.Context, r *remainder) error {
	if !r.of.Folder {
		r.add(r.of.Name)
		return h.copyOne(ctx, r, r.of.Name, r.content.Size)
	}
	d, name, err := h.At(contentAt(r.of))
	if err != nil {
		return err
	}
	var page []ledger.TreeEntry
	err = tray.Walk(d, name, func(_ *beneath.Dir, rel string, info beneath.Info) error {
		page = append(page, ledger.TreeEntry{Path: path.Join(name, rel), Dir: info.IsDir(),
			Source: sourceOf(info)})
		if len(page) < treePage {
			return nil
		}
		err := h.copyPage(ctx, r, page)
		page = page[:0]
		return err
	})
	if err != nil {
		return err
	}
	return h.copyPage(ctx, r, page)
}

// copyPage copies those entries of a folder that were not sent as they are.
func (h *handles) copyPage(ctx context.Context, r *remainder, page []ledger.TreeEntry) error {
	paths := make([]string, len(page))
	for i, e := range page {
		paths[i] = e.Path
	}
	sent := map[string][]ledger.TreeEntry{}
	err := h.t.o.view(ctx, func(tx *ledger.Tx) error {
		list, err := tx.TreeOf(r.sent, paths)
		for _, e := range list {
			sent[e.Path] = append(sent[e.Path], e)
		}
		return err
	})
	for _, e := range page {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if slices.ContainsFunc(sent[e.Path], func(s ledger.TreeEntry) bool {
			return s.Dir == e.Dir && (e.Dir || s.Source.Size == e.Source.Size &&
				s.Source.ModTime == e.Source.ModTime)
		}) {
			continue
		}
		r.add(path.Base(e.Path))
		if e.Dir {
			err = h.Root.MkdirAll(r.temp+"/"+e.Path, 0o777)
		} else {
			err = h.copyOne(ctx, r, e.Path, e.Source.Size)
		}
	}
	return err
}

// copyOne copies one file, by its path in the message's folder, if there is room for it.
func (h *handles) copyOne(ctx context.Context, r *remainder, name string, size int64) error {
	if err := h.hasRoom(size); err != nil {
		return err
	}
	defer h.Relax()
	return h.CopyBelow(ctx, placeAt(r.of), r.temp, name)
}

// claimRest writes the row of a copy, gives the copy its place, and hands the message on.
func (f *finder) claimRest(ctx context.Context, h *handles, r remainder) error {
	t := f.t
	source, err := h.observe(r.temp + "/" + r.of.Name)
	if err != nil {
		h.dropCopy(r.temp)
		return nil // the next sweep looks again
	}
	slices.Sort(r.names)
	fault.Point("outbox-copied")
	now := time.Now().UTC().Truncate(time.Millisecond)
	list := []ledger.Outgoing{{Tray: t.Name, Kind: t.Kind, Name: r.of.Name, Folder: r.of.Folder,
		Source: source, Address: r.of.Address, Dir: r.of.Dir, Claimed: now, Due: now.Add(t.Hold),
		Follows: r.of.ID, Covers: r.content}}
	err = t.claimMessages(ctx, list, nil, func(tx *ledger.Tx) error {
		why := reason.New("rest-sent", "n", r.n, "names", r.names,
			"more", orNone(r.n-len(r.names)), "message", list[0].ID)
		return errors.Join(tx.Follow(list[0]), tx.Explain(r.of.UID, why))
	})
	if err != nil {
		return err
	}
	fault.Point("outbox-follows")
	t.log.Warn("changed after it was sent", "message", r.of.ID, "entries", r.n, "follow-up",
		list[0].ID)
	h.Release()
	if err := h.MoveFolder(r.temp, folderAt(list[0])); err != nil {
		t.log.Warn("claimed but not moved yet", "message", list[0].ID, "error", err)
		t.o.desk.release(list...)
		h.dropCopy(r.temp)
		return nil // the next sweep withdraws it
	}
	f.later.setSent(r.of, r.content)
	return f.secure(ctx, list)
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

// dropTrees deletes the lists of folders that are not compared any more.
func (o *Outbox) dropTrees(ctx context.Context, now time.Time) error {
	for after := id.UID(""); ; {
		isNeeded := false
		err := o.view(ctx, func(tx *ledger.Tx) (err error) {
			if after, err = tx.NextTree(after); err == nil && after != "" {
				isNeeded, err = needsTree(tx, after, now)
			}
			return err
		})
		if err != nil || after == "" {
			return err
		}
		if isNeeded {
			continue
		}
		if err := o.dropTree(ctx, after); err != nil {
			return err
		}
	}
}

// needsTree reports whether the list of a folder's entries may still be needed. The folder is not
// sent yet, or is compared with it.
func needsTree(tx *ledger.Tx, uid id.UID, now time.Time) (bool, error) {
	m, err := tx.Message(string(uid))
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return false, nil
	case err != nil, m.State == ledger.Withdrawn:
		return false, err
	case m.Finished.IsZero() || !m.Filed:
		return true, nil
	}
	followed, last := m.ID, m.FiledAt
	if m.Follows != "" {
		followed = m.Follows
	}
	list, err := tx.FollowUps(followed)
	if len(list) > 0 && list[0].Claimed.After(last) {
		last = list[0].Claimed
	}
	return now.Sub(last) < keepTrees, err
}
