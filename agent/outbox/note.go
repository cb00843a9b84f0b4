package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/hub/api"
	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

const (
	// groupNote is a file in a shared folder of sending/. It lists message and recipients of each
	// file, should the ledger be lost.
	groupNote = ".sealpost-group"
	// maxNote bounds the size of a note in bytes. A group has at most api.MaxMessages names of 255
	// bytes, and JSON writes a byte as up to six.
	maxNote = maxAddress + api.MaxMessages*6*260
)

// noteDamaged returns the error of a note of sealpost's own that cannot be used.
func noteDamaged(name string) error {
	return reason.Err("note-damaged", "name", name, "why", tray.ErrStrange)
}

// groupContent is the content of a note.
type groupContent struct {
	Dir   string   `json:"folder,omitempty"` // under outbox/, in which they were dropped
	Names []string `json:"names"`            // in the order of their numbers
}

// ownNote reports whether a name is that of a note of sealpost, in any case of letters. Files of
// these names are never sent.
func ownNote(name string) bool {
	return strings.EqualFold(name, groupNote) || strings.EqualFold(name, addressNote)
}

// readNote reads the note of a group's folder.
func (h *handles) readNote(m ledger.Outgoing) (content groupContent, err error) {
	text, err := h.ReadOwn(folderAt(m)+"/"+groupNote, maxNote)
	if err == nil {
		err = json.Unmarshal(text, &content)
	}
	if err == nil && int64(len(content.Names)) != m.Group.Size() {
		err = tray.ErrStrange
	}
	return content, err
}

// forgetNote removes the note of a folder that was moved to delivered/. An error leaves a small
// file behind, and does no other harm.
func (h *handles) forgetNote(m ledger.Outgoing) {
	m.State = ledger.Delivered
	h.Remove(placeAt(m) + "/" + groupNote) //nolint:errcheck // see above
}

// inside lists the entries of a group's folder except its note.
type inside struct {
	hasMember bool     // it has a file of the group, or may have one: its note is unreadable
	litter    []string // files that systems leave in folders
	others    []string
}

// inFolder lists the entries of a group's folder.
func (h *handles) inFolder(ctx context.Context, m ledger.Outgoing) (left inside) {
	dir, err := h.Dir(folderAt(m))
	if err != nil {
		left.hasMember = !errors.Is(err, fs.ErrNotExist)
		return left
	}
	note, unread := h.readNote(m)
	own := make(map[string]bool, len(note.Names))
	for _, name := range note.Names {
		own[name] = true
	}
	err = dir.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			switch name := e.Name(); {
			case name == groupNote:
			case tray.NatureOf(name) == tray.Litter:
				left.litter = append(left.litter, name)
			case unread != nil || own[name]:
				left.hasMember = true
			case len(left.others) < maxNotes:
				left.others = append(left.others, name)
			}
		}
		return nil
	})
	left.hasMember = left.hasMember || err != nil
	if len(left.others) > 0 {
		known := h.renamed(ctx, m, dir)
		left.others = slices.DeleteFunc(left.others, func(name string) bool { return known[name] })
		left.hasMember = left.hasMember || len(known) > 0
	}
	return left
}

// renamed returns the new names of a group's files that users have renamed in its folder.
func (h *handles) renamed(ctx context.Context, m ledger.Outgoing,
	dir *beneath.Dir) map[string]bool {
	var all []ledger.Outgoing
	if err := h.t.o.view(ctx, func(tx *ledger.Tx) (err error) {
		all, err = tx.Group(m)
		return err
	}); err != nil {
		return nil // then they count as others
	}
	names := map[string]bool{}
	dir.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // the same
		for _, e := range entries {
			info, err := dir.Lstat(e.Name())
			source := sourceOf(info)
			if err == nil && slices.ContainsFunc(all,
				func(m ledger.Outgoing) bool { return same(m.Source, source) }) {
				names[e.Name()] = true
			}
		}
		return nil
	})
	return names
}
