package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/beneath"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/words"
)

// errOnItsWay says that a message can no longer be recalled.
var errOnItsWay = errors.New(words.OnItsWay)

// recallWaits is how long a recall waits for a message. One that was just claimed is being made durable for a moment.
const recallWaits = 2 * time.Second

// Recall takes back a message of which nothing has been sent: it goes to failed/, with a note, and nobody gets it.
func (o *Outbox) Recall(ctx context.Context, name string) (id.Message, error) {
	var m ledger.Outgoing
	if err := o.ledger.View(ctx, func(tx *ledger.Tx) (err error) { m, err = tx.Message(name); return err }); err != nil {
		return "", err
	}
	if !o.desk.reserve(ctx, m) {
		return m.ID, fmt.Errorf("%s: %w", m.ID, errOnItsWay)
	}
	defer o.desk.release(m)
	recalled := false
	err := o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		now, err := tx.Message(string(m.UID))
		if err != nil {
			return err
		}
		recalled = now.State == ledger.Taken || now.State == ledger.Claimed
		if !recalled {
			m = now
			return nil
		}
		return tx.Fail(m.UID, words.Recalled, time.Now())
	})
	switch {
	case err != nil:
		return m.ID, err
	case m.State == ledger.Delivered || m.State == ledger.Failed || m.State == ledger.Withdrawn:
		return m.ID, words.TooLateToRecall(m.ID, string(m.State))
	case !recalled:
		return m.ID, fmt.Errorf("%s: %w", m.ID, errOnItsWay)
	}
	fault.Point("outbox-recalled")
	o.log.Info("recalled", "message", m.ID)
	o.fileSoon()
	return m.ID, nil
}

// reserve reserves a message that no worker has, or waits for that.
func (d *desk) reserve(ctx context.Context, m ledger.Outgoing) bool {
	patience, end := context.WithTimeout(ctx, recallWaits)
	defer end()
	for {
		var released <-chan struct{}
		if d.ask(patience, func() { released = d.takeBack(m) }) != nil {
			return false
		}
		if released == nil {
			return true
		}
		select {
		case <-released:
		case <-patience.Done():
			return false
		}
	}
}

// Resend sends what a finished message held to one site, as a message of its own: a copy is dropped into that site's
// folder under outbox/, and is found there like everything else.
func (o *Outbox) Resend(ctx context.Context, name string, to id.Site) (id.Message, error) {
	var m ledger.Outgoing
	if err := o.ledger.View(ctx, func(tx *ledger.Tx) (err error) { m, err = tx.Message(name); return err }); err != nil {
		return "", err
	}
	if _, err := id.ParseSite(string(to)); err != nil {
		return m.ID, err
	}
	if m.State != ledger.Delivered && m.State != ledger.Failed {
		return m.ID, words.NotFinished(m.ID, string(m.State))
	}
	t := o.tray(m.Tray)
	if t == nil {
		return m.ID, fmt.Errorf("%s: %s", m.ID, words.TrayMissing(m.Tray))
	}
	h, err := t.open()
	if err != nil {
		return m.ID, err
	}
	defer h.close()
	from := placeAt(m) + "/" + m.Name
	if !m.Filed && h.exists(sourceAt(m)) {
		from = sourceAt(m) // it is about to be moved
	}
	if !h.exists(from) {
		return m.ID, words.TakenAway(m.Name, in(t.Dir, placeAt(m)), to)
	}
	folder := outboxPart + "/@" + string(to)
	if err := h.tray.MkdirAll(folder, 0o777); err != nil {
		return m.ID, err
	}
	if h.exists(folder + "/" + m.Name) {
		return m.ID, words.NameWaits(in(t.Dir, folder))
	}
	if err := h.copyAgain(ctx, m, from, folder); err != nil {
		return m.ID, err
	}
	o.log.Info("sent again", "message", m.ID, "to", to)
	return m.ID, nil
}

// copyName returns the name of a copy until it is whole. The finder leaves it alone.
func copyName() string { return copyPrefix + string(id.Random128[id.UID]()) + copySuffix }

const (
	copyPrefix = "~$"
	copySuffix = ".tmp"
)

// isCopyName reports whether copyName gives this name.
func isCopyName(name string) bool {
	random, begins := strings.CutPrefix(name, copyPrefix)
	random, ends := strings.CutSuffix(random, copySuffix)
	_, err := id.Parse128[id.UID](random)
	return begins && ends && err == nil
}

// dropCopies removes the copies in outbox/ that the last run did not finish. No copy is being made yet.
func (h *handles) dropCopies() {
	dir, err := h.dir(outboxPart)
	if err != nil {
		return
	}
	dir.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // the sweep says what is wrong with the folder
		for _, e := range entries {
			if e.IsDir() && isAddress(e.Name()) {
				h.dropCopiesIn(outboxPart + "/" + e.Name())
			}
		}
		return nil
	})
}

func (h *handles) dropCopiesIn(folder string) {
	dir, err := h.dir(folder)
	if err != nil {
		return
	}
	var left []string
	dir.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // the same
		for _, e := range entries {
			if info, err := dir.Lstat(e.Name()); isCopyName(e.Name()) && err == nil && info.IsOurs() {
				left = append(left, e.Name())
			}
		}
		return nil
	})
	for _, name := range left {
		if err := dir.RemoveAll(name); err != nil {
			h.t.log.Warn("an unfinished copy stays", "folder", folder, "error", err)
		}
	}
	h.forget(folder)
}

// copyAgain copies what a message held into a folder under outbox/, durably, if it is still what was sent.
func (h *handles) copyAgain(ctx context.Context, m ledger.Outgoing, from, folder string) error {
	src, name, err := h.at(from)
	if err != nil {
		return err
	}
	dst, err := h.dir(folder)
	if err != nil {
		return err
	}
	temp := copyName()
	err = copyAll(ctx, src, name, dst, temp)
	if err == nil {
		err = isWhatWasSent(dst, temp, m)
	}
	if err == nil && m.Folder {
		err = dst.SyncTree(temp)
	} else if err == nil {
		err = dst.SyncFile(temp)
	}
	if err == nil {
		err = dst.RenameNoReplace(temp, dst, m.Name)
	}
	if err != nil {
		return errors.Join(err, dst.RemoveAll(temp))
	}
	return dst.Sync()
}

// isWhatWasSent compares a copy with the digest that this site has signed or, before anything was sealed, with the claim.
func isWhatWasSent(d *beneath.Dir, name string, m ledger.Outgoing) error {
	if m.Digest == "" {
		info, err := d.Lstat(name)
		if err == nil && !info.IsDir() && (info.Size != m.Source.Size || info.ModTime.UnixNano() != m.Source.ModTime) {
			err = words.NotWhatWasSent(m.Name, m.ID)
		}
		return err
	}
	sum := sha256.New()
	if err := writeEntries(sum, d, name, m.Name); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != string(m.Digest) {
		return words.NotWhatWasSent(m.Name, m.ID)
	}
	return nil
}

// copyAll copies a file, or a folder with all that is in it. Times and executable bits stay.
func copyAll(ctx context.Context, from *beneath.Dir, name string, to *beneath.Dir, newName string) error {
	info, err := from.Lstat(name)
	if err == nil {
		err = ctx.Err()
	}
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return copyFolder(ctx, from, info, to, newName)
	}
	return copyFile(from, name, to, newName)
}

func copyFolder(ctx context.Context, from *beneath.Dir, info beneath.Info, to *beneath.Dir, newName string) error {
	src, err := from.Dir(info.Name)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := to.Mkdir(newName, 0o777); err != nil {
		return err
	}
	dst, err := to.Dir(newName)
	if err != nil {
		return err
	}
	defer dst.Close()
	err = src.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if err := copyAll(ctx, src, e.Name(), dst, e.Name()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return to.Chtimes(newName, info.ModTime) // at last: writing into it changes it
}

func copyFile(from *beneath.Dir, name string, to *beneath.Dir, newName string) error {
	src, info, err := from.Open(name)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := to.Create(newName, info.Mode.Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err = errors.Join(err, dst.Close()); err != nil {
		return err
	}
	return to.Chtimes(newName, info.ModTime)
}
