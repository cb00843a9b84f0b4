package outbox

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/words"
)

// prepare makes the tray's folders at the start, but not while something is under way in a folder sending that is not there:
// it lies on a disk that is not mounted yet, and in an empty one everything would be taken for withdrawn.
func (t *tray) prepare(ctx context.Context) error {
	if !exists(t.Sending()) {
		n, _, err := t.underWay(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			t.log.Error("the tray is not there", "reason", words.TrayGone(n))
			return nil
		}
	}
	return t.Make()
}

// underWay counts the messages that must lie in sending/, and says when the last of them was claimed. Those that are claimed and
// still lie in outbox/ do not.
func (t *tray) underWay(ctx context.Context) (n int64, last time.Time, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		unfiled, err := tx.UnfiledByTray()
		if err != nil {
			return err
		}
		backlogs, err := tx.Backlogs()
		n = unfiled[t.Name]
		for _, b := range backlogs {
			if b.Tray == t.Name && b.State != ledger.Claimed {
				n += b.Count
			}
		}
		if err == nil && n > 0 {
			last, err = tx.LastUnderWay(t.Name)
		}
		return err
	})
	for after := int64(0); err == nil; {
		var list []ledger.Outgoing
		err = t.o.view(ctx, func(tx *ledger.Tx) (err error) { list, err = tx.Claimed(t.Name, after, claimGroup); return err })
		if len(list) == 0 {
			break
		}
		for _, m := range list {
			if after = m.Seq; !exists(t.dropped(m)) {
				n++
				if m.Claimed.After(last) {
					last = m.Claimed
				}
			}
		}
	}
	return n, last, err
}

// timesTell is how much older a folder must be than what was moved into it to be another one: file systems note times in steps of
// up to two seconds.
const timesTell = 3 * time.Second

// atHome tells whether sending/ is the folder in which the tray's messages lie. While its disk or share is away there is no
// such folder, or another that is empty, and that a file is not in it says nothing about the file.
func (t *tray) atHome(ctx context.Context) (bool, error) {
	source, info, err := stat(t.Sending())
	if err != nil {
		return false, nil
	}
	t.mu.Lock()
	home := t.home
	t.mu.Unlock()
	if home == source.File {
		return true, nil
	}
	if isBare(t.Sending()) {
		n, last, err := t.underWay(ctx)
		if err != nil || n > 0 && home != "" {
			return false, err
		}
		before, err := t.homeBefore(ctx)
		if err != nil || n > 0 && isOther(before, source.File, info.changed, last, time.Now()) {
			return false, err
		}
	}
	return true, t.moveHome(ctx, source.File) // at the start, or mounted again under another name
}

// isOther tells at a start whether an empty folder is another than the one into which the last message was moved that must lie
// in it: it is not the one that was there before, and it has not changed since before that message was claimed, so that the message was
// never moved into it nor taken out of it. A clock that was ahead proves nothing.
func isOther(before, now string, changed, claimed, clock time.Time) bool {
	return before != "" && before != now && changed.Add(timesTell).Before(claimed) && !claimed.After(clock)
}

func (t *tray) homeKey() string { return "home/" + t.Name }

// homeBefore is which folder sending/ was when it was last seen; empty when that is not known.
func (t *tray) homeBefore(ctx context.Context) (home string, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) (err error) { home, err = tx.Setting(t.homeKey()); return err })
	return home, err
}

func (t *tray) moveHome(ctx context.Context, home string) error {
	before, err := t.homeBefore(ctx)
	if err == nil && before != home {
		err = t.ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.Set(t.homeKey(), home) })
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.home = home
	return nil
}

// isBare tells whether a folder has nothing in it.
func isBare(path string) bool {
	dir, err := os.Open(path)
	if err != nil {
		return true
	}
	defer dir.Close()
	_, err = dir.Readdirnames(1)
	return err == io.EOF
}

// whole tells whether the tray can be looked through, and notes which of its folders are not there.
func (t *tray) whole(ctx context.Context, notes map[string]string) (bool, error) {
	home, err := t.atHome(ctx)
	if err != nil {
		return false, err
	}
	if !home {
		n, _, err := t.underWay(ctx)
		if n > 0 || err != nil {
			notes[filepath.Base(t.Sending())] = words.TrayGone(n)
			return false, err
		}
	}
	for _, dir := range t.All() {
		if _, err := os.Stat(dir); err != nil {
			notes[filepath.Base(dir)] = words.FolderUnreadable(plain(err))
		}
	}
	return home, nil
}

// gone tells whether a message's file is not where it was, and that means that somebody has taken it away.
func (t *tray) gone(ctx context.Context, m ledger.Outgoing, cause error) (bool, error) {
	if !errors.Is(cause, fs.ErrNotExist) || exists(t.source(m)) {
		return false, nil
	}
	return t.atHome(ctx)
}
