package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
)

// The hub's admin may requeue a failed message at any time. So the state folder has the row of each
// one outside the ledger, too. Without a row, its receipt would belong to no message.

// failuresFolder is the folder in the state folder with a file for each failed message.
const failuresFolder = "failed"

// failure is a failed message as its file has it.
type failure struct {
	Message  ledger.Outgoing
	Envelope ledger.Envelope // without receipts
	Outcomes []ledger.Outcome
}

// maxFailure bounds the bytes that are read of a file. A recipient has some hundred bytes.
const maxFailure = 1 << 20

// failures opens the folder of failed messages, and makes it.
func (o *Outbox) failures() (*beneath.Dir, error) {
	return beneath.OpenOrMake(filepath.Join(o.cfg.State, failuresFolder), 0o700)
}

// keepFailure writes the file of a failed message. Without it only a lost ledger loses something,
// so an error is logged.
func (o *Outbox) keepFailure(ctx context.Context, uid id.UID) {
	var f failure
	err := o.view(ctx, func(tx *ledger.Tx) (err error) {
		if f.Message, err = tx.Message(string(uid)); err != nil || f.Message.Envelope == "" {
			return err
		}
		if f.Envelope, err = tx.Envelope(f.Message.Envelope); err == nil {
			f.Outcomes, err = tx.Outcomes(uid)
		}
		return err
	})
	if err == nil && f.Message.Envelope == "" {
		return // nothing of it was ever sent
	}
	for i := range f.Envelope.Recipients {
		f.Envelope.Recipients[i].Receipt = "" // the hub has it
	}
	text, failed := json.Marshal(f)
	dir, opened := o.failures()
	if err = errors.Join(err, failed, opened); err == nil {
		err = dir.Replace(string(f.Message.ID), text, 0o600)
	}
	if opened == nil {
		dir.Close()
	}
	o.said.Warn(o.log, "a failed message is only in the ledger", err)
}

// forgetFailure removes the file of a message that has not failed any more.
func (o *Outbox) forgetFailure(m ledger.Outgoing) {
	if dir, err := o.failures(); err == nil {
		dir.Remove(string(m.ID)) //nolint:errcheck // there may be none, and it does no harm
		dir.Close()
	}
}

// adoptFailures writes the rows of failed messages that a lost ledger does not have. Those whose
// folders users have removed are forgotten.
func (o *Outbox) adoptFailures(ctx context.Context) error {
	dir, err := o.failures()
	if err != nil {
		return nil // no file can be written either, which is logged
	}
	defer dir.Close()
	return dir.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			f, err := readFailure(dir, e.Name())
			if err != nil {
				o.log.Warn("a failed message is not adopted", "message", e.Name(), "error", err)
				continue
			}
			if err := o.adoptFailure(ctx, dir, f); err != nil {
				return err
			}
		}
		return nil
	})
}

func readFailure(dir *beneath.Dir, name string) (f failure, err error) {
	text, err := dir.ReadFile(name, maxFailure)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err == nil && string(f.Message.ID) != name {
		err = noteDamaged(name)
	}
	return f, err
}

func (o *Outbox) adoptFailure(ctx context.Context, dir *beneath.Dir, f failure) error {
	t := o.tray(f.Message.Tray)
	if t == nil {
		return nil
	}
	h, err := t.open()
	if err != nil {
		return nil // the sweep reports it
	}
	defer h.Close()
	if home, err := t.atHome(ctx, h); err != nil || !home {
		return err
	}
	if h.IsGone(tray.FailedPart + "/" + string(f.Message.ID)) {
		return dir.Remove(string(f.Message.ID))
	}
	if !o.isOlder {
		return nil
	}
	return o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		added, err := tx.AdoptFailed(f.Message, f.Envelope, f.Outcomes)
		if added {
			o.log.Warn("taken up again", "message", f.Message.ID, "uid", f.Message.UID, "reason",
				"the ledger did not know of it")
		}
		return err
	})
}
