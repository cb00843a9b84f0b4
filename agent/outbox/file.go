package outbox

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/durable"
	"sealpost/internal/fault"
	"sealpost/internal/words"
	"sealpost/statement"
)

const (
	fileGroup   = 256
	fileRetries = 30 * time.Second
)

// fileAll moves the folders of final messages to delivered/ or failed/: the ledger says so first, so that a crash repeats
// the move and never forgets it.
func (t *tray) fileAll(ctx context.Context) error {
	for {
		more, err := t.file(ctx)
		if err != nil {
			return ignoreCancel(ctx, err)
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.filing:
		case <-time.After(fileRetries):
		}
	}
}

// file moves one group, and says whether there may be more.
func (t *tray) file(ctx context.Context) (more bool, err error) {
	var list []ledger.Outgoing
	if err := t.o.view(ctx, func(tx *ledger.Tx) (err error) { list, err = tx.Unfiled(t.Name, fileGroup); return err }); err != nil {
		return false, err
	}
	done := list[:0:0]
	var files, dirs []string
	for _, m := range list {
		to := t.place(m)
		if err := t.moveFinal(ctx, m, to); err != nil {
			t.log.Warn("final, but its folder cannot be moved yet", "message", m.ID, "error", err)
			continue
		}
		if m.State == ledger.Failed {
			files = append(files, filepath.Join(to, whyName(m)))
		}
		done, dirs = append(done, m), append(dirs, to)
	}
	if len(done) == 0 {
		return false, nil
	}
	if err := durable.SyncGroup(t.Dir, files, append(dirs, t.Sending(), t.Delivered(), t.Failed())); err != nil {
		t.log.Warn("moved, but not durably yet", "error", err)
		return false, nil
	}
	fault.Point("outbox-filed")
	if err := t.ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.Filed(seqs(done)) }); err != nil {
		return false, err
	}
	for _, m := range done {
		t.log.Info(string(m.State), "message", m.ID)
	}
	return len(list) == fileGroup, nil
}

// moveFinal moves a message's folder. One that is gone was taken away by a person, and that is theirs to do.
func (t *tray) moveFinal(ctx context.Context, m ledger.Outgoing, to string) error {
	err := durable.RenameNoReplace(t.folder(m), to)
	if err != nil {
		if home, unknown := t.atHome(ctx); unknown != nil || !home || exists(t.folder(m)) {
			return errors.Join(err, unknown)
		}
	}
	fault.Point("outbox-final")
	if m.Dir != "" {
		t.forgetAddress(to)
	}
	if m.State == ledger.Failed && exists(to) {
		return t.explain(ctx, m, to)
	}
	return nil
}

// whyName is the name of the explanation; it never replaces a file of the person's own.
func whyName(m ledger.Outgoing) string {
	if strings.EqualFold(m.Name, "WHY.txt") {
		return "WHY (sealpost).txt"
	}
	return "WHY.txt"
}

// explain writes beside a failed file what happened, who has it and who has not, and what to do.
func (t *tray) explain(ctx context.Context, m ledger.Outgoing, dir string) error {
	var outcomes []ledger.Outcome
	if err := t.o.view(ctx, func(tx *ledger.Tx) (err error) { outcomes, err = tx.Outcomes(m.UID); return err }); err != nil {
		return err
	}
	answers := make([]words.Answer, len(outcomes))
	for i, c := range outcomes {
		answers[i] = words.Answer{Site: string(c.Site), Outcome: c.Outcome, Meaning: statement.Meaning(c.Code), Code: c.Code}
	}
	text := words.Why(m.Name, string(m.ID), m.Reason, m.Dir != "", answers)
	err := durable.WriteFile(filepath.Join(dir, whyName(m)), []byte(text), 0o644)
	fault.Point("outbox-explained")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the folder was taken away meanwhile
	}
	return err
}
