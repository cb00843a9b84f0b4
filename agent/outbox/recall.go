package outbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/durable"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/words"
)

// errOnItsWay says that a message can no longer be recalled.
var errOnItsWay = errors.New(words.OnItsWay)

// Recall takes back a message of which nothing has been sent: it goes to failed/, with a note, and nobody gets it.
func (o *Outbox) Recall(ctx context.Context, name string) (id.Message, error) {
	var m ledger.Outgoing
	if err := o.ledger.View(ctx, func(tx *ledger.Tx) (err error) { m, err = tx.Message(name); return err }); err != nil {
		return "", err
	}
	mine := []ledger.Outgoing{m}
	if !o.holdIfFree(m.UID) {
		return m.ID, fmt.Errorf("%s: %w", m.ID, errOnItsWay)
	}
	defer o.wake()
	defer o.hold(mine, false)
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

// holdIfFree takes a message into this caller's hands unless somebody has it.
func (o *Outbox) holdIfFree(uid id.UID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy[uid] {
		return false
	}
	o.busy[uid] = true
	return true
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
	from := filepath.Join(t.place(m), m.Name)
	if !m.Filed && exists(t.source(m)) {
		from = t.source(m) // it is about to be moved
	}
	if !exists(from) {
		return m.ID, words.TakenAway(m.Name, t.place(m), to)
	}
	dir := filepath.Join(t.Outbox(), "@"+string(to))
	if err := durable.MkdirAll(dir, 0o777); err != nil {
		return m.ID, err
	}
	place := filepath.Join(dir, m.Name)
	if exists(place) {
		return m.ID, words.NameWaits(dir)
	}
	temp := filepath.Join(dir, "~$"+string(id.Random128[id.UID]())+".tmp") // a name that the finder leaves alone
	if err := copyAll(ctx, from, temp); err != nil {
		return m.ID, errors.Join(err, os.RemoveAll(temp))
	}
	if err := durable.RenameNoReplace(temp, place); err != nil {
		return m.ID, errors.Join(err, os.RemoveAll(temp))
	}
	o.log.Info("sent again", "message", m.ID, "to", to)
	return m.ID, nil
}

// copyAll copies a file, or a folder with all that is in it. Times and executable bits stay.
func copyAll(ctx context.Context, from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if info.IsDir() {
		return copyFolder(ctx, from, to, info)
	}
	return copyFile(from, to, info)
}

func copyFolder(ctx context.Context, from, to string, info fs.FileInfo) error {
	dir, err := os.Open(from)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := os.Mkdir(to, 0o777); err != nil {
		return err
	}
	for {
		entries, err := dir.ReadDir(walkPage)
		for _, e := range entries {
			if err := copyAll(ctx, filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return os.Chtimes(to, info.ModTime(), info.ModTime()) // at last: writing into it changes it
		}
		if err != nil {
			return err
		}
	}
}

func copyFile(from, to string, info fs.FileInfo) error {
	src, err := openShared(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err = errors.Join(err, dst.Close()); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}
