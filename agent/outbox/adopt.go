package outbox

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/words"
)

const (
	// addressNote is a file beside what was dropped into the folder of an address, while it is under way: where else it was
	// meant for would be known to the ledger alone.
	addressNote = ".sealpost-address"
	maxAddress  = 4096
)

// errStrange says that a folder in sending/ is not as claims leave one.
var errStrange = errors.New(words.StrangeSending)

// adopt takes up again what lies in sending/ and the ledger does not know, because it was lost or put back from an older
// copy. Each message gets the identity that it had, so that recipients who have it already only sign for it again.
func (t *tray) adopt(ctx context.Context) error {
	dir, err := os.Open(t.Sending())
	if err != nil {
		return nil // the sweep says what is wrong with the tray
	}
	defer dir.Close()
	strange := map[string]string{}
	for ctx.Err() == nil {
		entries, err := dir.ReadDir(claimGroup)
		if err := t.adoptAll(ctx, entries, strange); err != nil {
			return err
		}
		if err != nil {
			break // io.EOF, or the folder went away
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unknown = strange
	return nil
}

// adoptAll writes the rows of what is unknown, in one commit.
func (t *tray) adoptAll(ctx context.Context, entries []fs.DirEntry, strange map[string]string) error {
	unknown, err := t.strangers(ctx, entries)
	if err != nil || len(unknown) == 0 {
		return err
	}
	var list []ledger.Outgoing
	for _, name := range unknown {
		claimed, err := t.describeClaims(ctx, name)
		if errors.Is(err, errLedger) {
			return err
		}
		list = append(list, claimed...)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && len(strange) < maxNotes {
			strange[filepath.Join("sending", name)] = plain(err)
		}
	}
	return t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		for i := range list {
			added, err := tx.Adopt(&list[i])
			if err != nil {
				return err
			}
			if added {
				t.log.Warn("taken up again", "message", list[i].ID, "uid", list[i].UID, "reason", "the ledger did not know of it")
			}
		}
		return nil
	})
}

// strangers lists the entries that the ledger does not know. A folder that several messages share is always one: each of them
// is asked for when its note is read.
func (t *tray) strangers(ctx context.Context, entries []fs.DirEntry) (names []string, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		names = nil
		for _, e := range entries {
			_, err := tx.Message(e.Name())
			if errors.Is(err, ledger.ErrNotFound) {
				names = append(names, e.Name())
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return names, err
}

// describeClaims makes the rows of a folder in sending/ as its claim made them.
func (t *tray) describeClaims(ctx context.Context, folder string) ([]ledger.Outgoing, error) {
	if _, _, _, _, err := id.ParseGroup(folder); err == nil {
		return t.strangersIn(ctx, folder)
	}
	m, err := t.describeClaim(folder)
	if err != nil {
		return nil, err
	}
	return []ledger.Outgoing{m}, nil
}

// describeClaim makes the row of a folder that one message has to itself. An empty one was made for a file that is still in
// outbox/, and goes.
func (t *tray) describeClaim(folder string) (m ledger.Outgoing, err error) {
	message, site, err := id.ParseMessage(folder)
	if err != nil || site != t.o.site {
		return m, errStrange
	}
	m = t.claimOf(message)
	if m.Name, err = t.onlyEntry(m); err != nil {
		return m, err
	}
	if m.Dir, m.Address, err = t.readAddress(m); err != nil {
		return m, err
	}
	if m.Source, err = observe(t.source(m)); err != nil {
		return m, err
	}
	m.Folder = isDir(t.source(m))
	t.o.identify(&m)
	return m, nil
}

// claimOf begins the row of a message that a lost ledger has claimed, with what its id says.
func (t *tray) claimOf(message id.Message) ledger.Outgoing {
	now := time.Now().UTC().Truncate(time.Millisecond)
	m := ledger.Outgoing{ID: message, Tray: t.Name, Claimed: now, Due: now.Add(t.Hold), Reason: words.LedgerLost}
	parts := strings.Split(string(message), "_")
	m.Kind, m.Day = parts[1], parts[2]
	m.Number, _ = strconv.ParseInt(parts[3], 10, 64) //nolint:errcheck // ParseMessage has looked: at most 18 digits
	return m
}

// onlyEntry is the name of the one thing in a message's folder.
func (t *tray) onlyEntry(m ledger.Outgoing) (name string, err error) {
	dir, err := os.Open(t.folder(m))
	if err != nil {
		return "", err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(3)
	if err != nil && err != io.EOF {
		return "", err
	}
	for _, e := range entries {
		switch {
		case e.Name() == addressNote:
		case name != "":
			return "", errStrange
		default:
			name = e.Name()
		}
	}
	if name == "" {
		t.emptied(m)
		return "", fs.ErrNotExist
	}
	return name, nil
}

// noteAddress writes beside what is about to be moved for whom it is, if that is not the tray's own address.
func (f Folders) noteAddress(m ledger.Outgoing) error {
	if m.Dir == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(f.folder(m), addressNote), []byte(m.Dir+"\n"), 0o644)
}

// forgetAddress removes that note. Failing leaves a small file behind, and nothing else.
func (f Folders) forgetAddress(folder string) {
	os.Remove(filepath.Join(folder, addressNote)) //nolint:errcheck // see above
}

// readAddress returns the folder under outbox/ from which a message came, and its address.
func (t *tray) readAddress(m ledger.Outgoing) (dir, address string, err error) {
	f, err := openShared(filepath.Join(t.folder(m), addressNote))
	if errors.Is(err, fs.ErrNotExist) {
		address, err = t.addressOf(".")
		return "", address, err
	}
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxAddress))
	if err != nil {
		return "", "", err
	}
	dir = strings.TrimSuffix(string(text), "\n")
	if address, err = t.addressIn(dir); err != nil || dir == "" { // an empty note was cut off, and does not mean everybody
		return "", "", words.NoteDamaged(addressNote, errStrange)
	}
	return dir, address, nil
}

// addressIn is the address of what was dropped into a folder under outbox/, or into outbox/ itself, as a note has it.
func (t *tray) addressIn(dir string) (string, error) {
	if dir == "" {
		return t.addressOf(".")
	}
	if !isAddress(dir) {
		return "", errStrange
	}
	return t.addressOf(dir)
}

// endedBefore tells whether a message lies in one of the tray's final folders already: then a ledger that is gone knew
// how it ended.
func (t *tray) endedBefore(m ledger.Outgoing) ledger.State {
	for _, state := range []ledger.State{ledger.Delivered, ledger.Failed} {
		m.State = state
		if exists(filepath.Join(t.place(m), m.Name)) {
			return state
		}
	}
	return ""
}

// leftAlone returns what people are told of the folders in sending/ that were not taken up again.
func (t *tray) leftAlone() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	notes := map[string]string{}
	for name, why := range t.unknown {
		if exists(filepath.Join(t.Dir, name)) {
			notes[name] = why
		}
	}
	return notes
}

// stillTrue is what of a claim's reason to wait holds on when it is taken: that it was unknown.
func stillTrue(reason string) string {
	if reason == words.LedgerLost {
		return reason
	}
	return ""
}
