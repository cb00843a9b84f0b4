package outbox

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/durable"
	"sealpost/internal/fault"
	"sealpost/internal/words"
	"sealpost/statement"
)

const (
	fileGroup   = 512 // holds two groups of claims
	fileRetries = 30 * time.Second
)

// fileAll moves final messages to delivered/ or failed/: the ledger says so first, so that a crash repeats
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
	more = len(list) == fileGroup
	var done []ledger.Outgoing
	var files, dirs []string
	for part := range byFolder(list) {
		if more && len(done) > 0 && part[0].Group.Size() > int64(len(part)) && part[len(part)-1].Seq == list[len(list)-1].Seq {
			break // the others of this folder come with the next ones, and then it is moved as a whole
		}
		if t.moveShared(part) {
			done, dirs = append(done, part...), append(dirs, t.place(part[0]))
			continue
		}
		for _, m := range part {
			to := t.place(m)
			if err := t.moveFinal(ctx, m, to); err != nil {
				t.log.Warn("final, but cannot be moved yet", "message", m.ID, "error", err)
				continue
			}
			if m.State == ledger.Failed && exists(to) {
				files = append(files, in(to, whyName(m)))
			}
			done = append(done, m)
			for _, dir := range []string{to, t.folder(m)} {
				if exists(dir) && !slices.Contains(dirs, dir) {
					dirs = append(dirs, dir)
				}
			}
		}
		if part[0].Group != (ledger.Group{}) {
			t.emptied(part[0])
			t.forgetNote(part[0]) // a crash may have come between the two
		}
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
	for _, state := range []ledger.State{ledger.Delivered, ledger.Failed} {
		of := slices.DeleteFunc(slices.Clone(done), func(m ledger.Outgoing) bool { return m.State != state })
		if len(of) > 0 {
			t.log.Info(string(state), "messages", labels(of))
		}
	}
	return more, nil
}

// moveShared moves a folder whose messages are all delivered, and says whether it did.
func (t *tray) moveShared(part []ledger.Outgoing) bool {
	m := part[0]
	if m.Group.Size() != int64(len(part)) || slices.ContainsFunc(part, func(m ledger.Outgoing) bool { return m.State != ledger.Delivered }) {
		return false
	}
	if durable.RenameNoReplace(t.folder(m), t.place(m)) != nil {
		return false
	}
	fault.Point("outbox-final")
	t.forgetNote(m)
	return true
}

// moveFinal moves a message's folder, or its file out of one that it shares. What is gone was taken away by a person, and that is
// theirs to do.
func (t *tray) moveFinal(ctx context.Context, m ledger.Outgoing, to string) error {
	from, move := t.folder(m), durable.RenameNoReplace
	if m.Group != (ledger.Group{}) {
		from, move = t.source(m), moveInto
	}
	err := move(from, to)
	if err != nil {
		if home, unknown := t.atHome(ctx); unknown != nil || !home || exists(from) {
			return errors.Join(err, unknown)
		}
	}
	fault.Point("outbox-final")
	if m.Dir != "" && m.Group == (ledger.Group{}) {
		t.forgetAddress(to)
	}
	if m.State == ledger.Failed && exists(to) {
		return t.explain(ctx, m, to)
	}
	return nil
}

// moveInto moves a file into a folder, which it makes, and leaves no empty one behind where it cannot.
func moveInto(file, folder string) error {
	if err := os.Mkdir(folder, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	err := durable.RenameNoReplace(file, in(folder, filepath.Base(file)))
	if err != nil {
		os.Remove(folder) //nolint:errcheck // it has something in it
	}
	return err
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
