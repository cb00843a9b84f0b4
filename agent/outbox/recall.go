package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/patience"
	"sealpost/internal/reason"
)

// onItsWay returns the error of a message that can no longer be recalled.
func onItsWay(m ledger.Outgoing) error {
	if m.State == ledger.Published {
		return about(m, reason.Err("on-its-way"))
	}
	return about(m, reason.Err("being-sent"))
}

// recallWaits is the longest wait of a recall for a reserved message. A message that was just
// claimed is reserved until it is durable.
const recallWaits = 2 * time.Second

// Recalled is a message that was taken back.
type Recalled struct {
	ID     id.Message
	Reason reason.Reason // see reason.IsDoubtfulRecall
	Away   bool          // its file is on a disk that is away
}

// Recall takes back a message that no hub can have as a whole: it goes to failed/, with a note. A
// large file that is being uploaded is one of them.
func (o *Outbox) Recall(ctx context.Context, name string) (Recalled, error) {
	var m ledger.Outgoing
	if err := o.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		m, err = tx.Message(name)
		return err
	}); err != nil {
		return Recalled{}, err
	}
	release, isReserved := o.desk.reserve(ctx, m)
	if !isReserved {
		return Recalled{}, onItsWay(m)
	}
	defer release()
	why := reason.Reason{}
	err := o.ledger.Update(ctx, func(tx *ledger.Tx) (err error) {
		if m, err = tx.Message(string(m.UID)); err == nil {
			why, err = recall(tx, m)
		}
		return err
	})
	switch {
	case err != nil:
		return Recalled{}, err
	case m.State == ledger.Delivered || m.State == ledger.Failed || m.State == ledger.Withdrawn:
		return Recalled{}, tooLateToRecall(m)
	case why.IsZero():
		return Recalled{}, onItsWay(m)
	}
	fault.Point("outbox-recalled")
	o.log.Info("recalled", "message", m.ID)
	o.desk.abort(ctx, m)
	o.fileSoon()
	return Recalled{m.ID, why, len(o.awayOf(ctx, m.Tray, m.UID)) > 0}, nil
}

// awayOf returns those recalled messages of a tray whose files are on disks that are away. A tray
// that does not answer has none.
func (o *Outbox) awayOf(ctx context.Context, in string, uids ...id.UID) map[id.UID]bool {
	t := o.tray(in)
	if t == nil {
		return nil
	}
	list, _ := patience.Within(answersNumber, func() map[id.UID]bool {
		h, err := t.open()
		if err != nil {
			return nil
		}
		defer h.Close()
		found := map[id.UID]bool{}
		for _, uid := range uids {
			var m ledger.Outgoing
			err := o.view(ctx, func(tx *ledger.Tx) (err error) {
				m, err = tx.Message(string(uid))
				return err
			})
			if err != nil || !h.isLost(m) {
				continue
			}
			if _, isAway, err := t.diskOf(ctx, h, m); err == nil && isAway {
				found[uid] = true
			}
			h.Relax()
		}
		return found
	})
	return list
}

// recall ends a message in the ledger, and returns the reason. It returns none if a hub may have
// the message: the checksums of a large one are recorded before its publish.
func recall(tx *ledger.Tx, m ledger.Outgoing) (why reason.Reason, err error) {
	switch m.State {
	case ledger.Taken, ledger.Claimed:
		why = reason.New("recalled")
	case ledger.Sealed:
		e, err := tx.Envelope(m.Envelope)
		if err != nil || len(e.CRC32C) > 0 {
			return why, err
		}
		err = errors.Join(tx.Drop(e.ID, m.Reason), tx.DropSegments(e.ID, -1))
		if err != nil {
			return why, err
		}
		why = reason.New("recalled-midway")
	default:
		return why, nil
	}
	switch m.Reason.Code {
	case reason.LedgerLost:
		why = reason.New(reason.RecalledAfterLoss)
	case reason.LostByHub:
		why = reason.New(reason.RecalledAfterHub)
	}
	return why, tx.Fail(m.UID, why, time.Now())
}

// errRecalled ends the job of a recalled message.
var errRecalled = errors.New("recalled")

// abort ends the work on a recalled message, and deletes its parts at the hub. It waits for a
// worker, at most recallWaits.
func (d *desk) abort(ctx context.Context, m ledger.Outgoing) {
	var released chan struct{}
	err := d.ask(ctx, func() {
		if r := d.largeJob(m.UID); r != nil {
			r.stop(errRecalled)
			released = d.await(m.UID)
		}
		for _, l := range d.lanes {
			l.leftovers = slices.DeleteFunc(l.leftovers, func(s *sealed) bool {
				if s.ID != m.Envelope {
					return false
				}
				delete(d.envelopes, s.ID)
				d.free(s.messages)
				return true
			})
		}
	})
	switch {
	case err != nil: // the next start deletes the parts
	case released != nil:
		select {
		case <-released:
		case <-time.After(recallWaits):
		case <-ctx.Done():
		}
	case m.Envelope != "":
		d.o.abandon(ctx, m.Envelope)
	}
}

// about adds the message to an error.
func about(m ledger.Outgoing, err error) error { return fmt.Errorf("%s: %w", m.ID, err) }

// tooLateToRecall returns the error of a message that has ended.
func tooLateToRecall(m ledger.Outgoing) error {
	if m.State == ledger.Delivered {
		return reason.Err("recall-of-delivered", "message", m.ID)
	}
	return reason.Err("recall-of-ended", "message", m.ID, "state", m.State.Reason())
}

// notWhatWasSent returns the error of a file that is not sent again.
func notWhatWasSent(m ledger.Outgoing) error {
	return reason.Err("not-what-was-sent", "name", m.Name, "message", m.ID)
}

// reserve reserves a message for a question, and reports whether it has. It waits until a worker
// releases the message, at most recallWaits. A large message stays with its worker: the ledger
// decides which of the two comes first.
func (d *desk) reserve(ctx context.Context, m ledger.Outgoing) (release func(), isReserved bool) {
	patience, end := context.WithTimeout(ctx, recallWaits)
	defer end()
	for {
		var released <-chan struct{}
		release = func() { d.release(m) }
		if d.ask(patience, func() {
			if d.largeJob(m.UID) != nil || d.isLeftover(m.Envelope) {
				release = func() {}
				return
			}
			released = d.takeBack(m)
		}) != nil {
			return nil, false
		}
		if released == nil {
			return release, true
		}
		select {
		case <-released:
		case <-patience.Done():
			return nil, false
		}
	}
}

// Resending asks to send the content of a message to a site again.
type Resending struct {
	Message string
	To      id.Site
	Twice   bool // even if it is on its way there again
}

// Resend sends the content of a message to one site, as a message of its own. It drops a copy into
// that site's folder under outbox/.
func (o *Outbox) Resend(ctx context.Context, r Resending) (id.Message, error) {
	var m ledger.Outgoing
	to := r.To
	if err := o.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		m, err = tx.Message(r.Message)
		return err
	}); err != nil {
		return "", err
	}
	if _, err := id.ParseSite(string(to)); err != nil {
		return m.ID, err
	}
	if err := o.whyNotResent(ctx, m, r); err != nil {
		return m.ID, err
	}
	t := o.tray(m.Tray)
	if t == nil {
		return m.ID, about(m, reason.Err("tray-missing", "tray", m.Tray))
	}
	if why := t.leavesAlone(m.Name); !why.IsZero() {
		return m.ID, about(m, why.AsError())
	}
	h, err := t.open()
	if err != nil {
		return m.ID, err
	}
	defer h.Close()
	from := placeAt(m) + "/" + m.Name
	if !m.Filed && h.Exists(sourceAt(m)) {
		from = sourceAt(m) // it is about to be moved
	}
	if !h.Exists(from) {
		return m.ID, reason.Err("taken-away", "name", m.Name,
			"place", in(t.Dir, placeAt(m)), "to", to)
	}
	folder := tray.OutboxPart + "/@" + string(to)
	if err := h.Root.MkdirAll(folder, 0o777); err != nil {
		return m.ID, err
	}
	if h.Exists(folder + "/" + m.Name) {
		return m.ID, reason.Err("name-waits", "dir", in(t.Dir, folder))
	}
	if err := h.copyAgain(ctx, m, from, folder); err != nil {
		return m.ID, err
	}
	o.log.Info("sent again", "message", m.ID, "to", to)
	return m.ID, nil
}

// copyAgain copies the content of a message durably into a folder under outbox/. It fails if the
// content differs from the one that was sent.
func (h *handles) copyAgain(ctx context.Context, m ledger.Outgoing, from, folder string) error {
	src, name, err := h.At(from)
	if err != nil {
		return err
	}
	dst, err := h.Dir(folder)
	if err != nil {
		return err
	}
	if m.Folder && m.Digest == "" { // there is no digest to compare the copy with
		now, err := h.observe(from)
		if err != nil {
			return err
		}
		if now.File = m.Source.File; !same(now, m.Source) {
			return notWhatWasSent(m)
		}
	}
	temp := tray.CopyName()
	err = h.Copy(ctx, src, name, dst, temp)
	if err == nil {
		err = isWhatWasSent(dst, temp, m)
	}
	if err == nil && m.Folder {
		err = dst.SyncTree(temp)
	} else if err == nil {
		err = dst.SyncFile(temp)
	}
	if err == nil {
		h.t.resend(path.Base(folder) + "/" + m.Name)
		err = dst.RenameNoReplace(temp, dst, m.Name)
	}
	if err != nil {
		return errors.Join(err, dst.RemoveAll(temp))
	}
	if h.t.OnlyMarked {
		marker, err := dst.Create(h.t.NeededMarker().Of(m.Name), 0o644)
		if errors.Is(err, fs.ErrExist) {
			return dst.Sync()
		}
		if err = errors.Join(err, marker.Close()); err != nil {
			return err
		}
	}
	return dst.Sync()
}

// isWhatWasSent compares a copy with the signed digest; before sealing, with the claim. It returns
// an error if they differ.
func isWhatWasSent(d *beneath.Dir, name string, m ledger.Outgoing) error {
	if m.Digest == "" {
		info, err := d.Lstat(name)
		now := sourceOf(info)
		now.File = m.Source.File
		if err == nil && !info.IsDir() && !same(now, m.Source) {
			err = notWhatWasSent(m)
		}
		return err
	}
	sum := sha256.New()
	if err := writeEntries(sum, d, name, m.Name); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != string(m.Digest) {
		return notWhatWasSent(m)
	}
	return nil
}
