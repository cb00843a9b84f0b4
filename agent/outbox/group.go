package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/words"
)

// Files that are claimed together share a folder in sending/ and delivered/, named by the first and the last of their numbers:
// making one for each of a thousand small files would be a seventh of the work. What is claimed alone, what is large, and
// dropped folders have one to themselves, named by the message id, and so has everything that failed.

const (
	// groupNote is a file in a shared folder of sending/. It says which file is which message, and for whom, should the ledger
	// be lost.
	groupNote = ".sealpost-group"
	// maxNote bounds it: a group has at most claimGroup names of 255 bytes, of which JSON writes each as up to six.
	maxNote = maxAddress + claimGroup*6*260

	// groupRecipients is for how many recipients the files of a group fit into one envelope. For more of them they are sent in
	// several, which works as well.
	groupRecipients = 16
)

// ownNote tells whether a name is that of a note of ours, however a disk spells it. Nothing of that name is ever sent.
func ownNote(name string) bool {
	return strings.EqualFold(name, groupNote) || strings.EqualFold(name, addressNote)
}

// groupContent is what a note says.
type groupContent struct {
	Dir   string   `json:"folder,omitempty"` // under outbox/, in which they were dropped
	Names []string `json:"names"`            // in the order of their numbers
}

// folderName is the name of a message's folder in sending/ and delivered/.
func folderName(m ledger.Outgoing) string {
	if m.Group == (ledger.Group{}) {
		return string(m.ID)
	}
	return id.FormatGroup(m.ID, m.Group.First, m.Group.Last)
}

// arrange puts those messages of a claim side by side that may share a folder, and returns how many there are of each folder:
// files from one place, as many as fit into one envelope, so that what is sealed together is also moved together. What is one
// file under two names, as where somebody changes small letters to capitals on a disk that takes them for the same, is not put
// together: once it is moved, the other name would seem to be there too.
func arrange(claim []ledger.Outgoing) (sizes []int) {
	alone := func(m ledger.Outgoing) bool { return m.Folder || m.Source.Size > smallContent }
	slices.SortStableFunc(claim, func(a, b ledger.Outgoing) int { return strings.Compare(a.Dir, b.Dir) })
	var apart []ledger.Outgoing
	rest := claim[:0]
	for _, m := range claim {
		if alone(m) {
			apart = append(apart, m)
		} else {
			rest = append(rest, m)
		}
	}
	for n := 0; len(rest) > 0; rest = rest[n:] {
		room, files := newRoom(groupRecipients), map[string]bool{}
		for n = 0; n < len(rest) && rest[n].Dir == rest[0].Dir && !files[rest[n].Source.File] && room.take(rest[n]); n++ {
			files[rest[n].Source.File] = true
		}
		sizes = append(sizes, n)
	}
	copy(claim[len(claim)-len(apart):], apart)
	return sizes
}

// byFolder cuts a list where one folder's messages end and those of the next begin.
func byFolder(list []ledger.Outgoing) iter.Seq[[]ledger.Outgoing] {
	return func(yield func([]ledger.Outgoing) bool) {
		for n := 0; len(list) > 0; list = list[n:] {
			n = 1
			for n < len(list) && list[n].SharesFolder(list[0]) {
				n++
			}
			if !yield(list[:n]) {
				return
			}
		}
	}
}

// makeShared makes the folder of a group, with its note, unless both are there.
func (t *tray) makeShared(ctx context.Context, group []ledger.Outgoing) error {
	m := group[0]
	err := os.Mkdir(t.folder(m), 0o777)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err != nil {
		if _, err := t.readNote(m); err == nil {
			return nil
		}
	}
	content := groupContent{Dir: m.Dir}
	if int64(len(group)) == m.Group.Size() {
		for _, m := range group {
			content.Names = append(content.Names, m.Name)
		}
	} else if err := t.o.view(ctx, func(tx *ledger.Tx) (err error) { content.Names, err = tx.GroupNames(m); return err }); err != nil {
		return err
	}
	text, err := json.Marshal(content)
	if err != nil || content.Names == nil {
		return err
	}
	return os.WriteFile(in(t.folder(m), groupNote), append(text, '\n'), 0o644)
}

// readNote reads the note of a group's folder.
func (f Folders) readNote(m ledger.Outgoing) (content groupContent, err error) {
	note, err := openShared(in(f.folder(m), groupNote))
	if err != nil {
		return content, err
	}
	defer note.Close()
	text, err := io.ReadAll(io.LimitReader(note, maxNote))
	if err == nil {
		err = json.Unmarshal(text, &content)
	}
	if err == nil && int64(len(content.Names)) != m.Group.Size() {
		err = errStrange
	}
	return content, err
}

// emptied removes a message's folder from sending/ when nothing of what was claimed lies in it any more. What a person has put
// there stays, and they are told.
func (t *tray) emptied(m ledger.Outgoing) {
	if m.Group != (ledger.Group{}) {
		t.shared.Lock()
		defer t.shared.Unlock()
		ours, others := t.contents(m)
		if len(others) > 0 && !ours {
			t.tellStrange(filepath.Join("sending", folderName(m)))
		}
		if ours || len(others) > 0 {
			return
		}
		for _, name := range append(leftovers(t.folder(m)), groupNote) {
			os.Remove(in(t.folder(m), name)) //nolint:errcheck // then the folder stays, too
		}
	} else {
		t.forgetAddress(t.folder(m))
	}
	if err := os.Remove(t.folder(m)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.log.Warn("an empty folder stays", "message", m.ID, "error", err)
	}
}

// forgetNote removes the note of a folder that was moved to delivered/. Failing leaves a small file behind, and nothing else.
func (f Folders) forgetNote(m ledger.Outgoing) {
	m.State = ledger.Delivered
	os.Remove(in(f.place(m), groupNote)) //nolint:errcheck // see above
}

// contents tells whether files of a group lie in its folder, by its note, and lists what else does: but for the note, and for what
// systems leave in folders. Where the note cannot be read everything may be the group's.
func (f Folders) contents(m ledger.Outgoing) (ours bool, others []string) {
	entries, err := os.ReadDir(f.folder(m))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist), nil
	}
	note, err := f.readNote(m)
	for _, e := range entries {
		switch name := e.Name(); {
		case name == groupNote || litter(name):
		case err != nil || slices.Contains(note.Names, name):
			ours = true
		default:
			others = append(others, name)
		}
	}
	return ours, others
}

// leftovers lists what systems have left in a folder.
func leftovers(folder string) (names []string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if litter(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// tellStrange has people told that an entry of the tray is not sealpost's.
func (t *tray) tellStrange(rel string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.unknown) < maxNotes {
		if t.unknown == nil {
			t.unknown = map[string]string{}
		}
		t.unknown[rel] = words.StrangeSending
	}
}

// knowsAll tells whether the ledger knows every message of a group, so that its note is not needed.
func (t *tray) knowsAll(ctx context.Context, first id.Message, group ledger.Outgoing) (known bool, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		m, err := tx.Message(string(first))
		if errors.Is(err, ledger.ErrNotFound) || err == nil && !m.SharesFolder(group) {
			return nil
		}
		var names []string
		if err == nil {
			names, err = tx.GroupNames(m)
		}
		known = names != nil
		return err
	})
	return known, err
}

// strangersIn describes, as they were claimed, the files in a shared folder that the ledger does not know.
func (t *tray) strangersIn(ctx context.Context, folder string) (list []ledger.Outgoing, err error) {
	first, site, from, to, err := id.ParseGroup(folder)
	if err != nil || site != t.o.site {
		return nil, errStrange
	}
	group := t.claimOf(first)
	group.Group = ledger.Group{First: from, Last: to}
	if ours, others := t.contents(group); !ours && len(others) == 0 {
		t.emptied(group) // it was made for files that are still in outbox/
		return nil, nil
	}
	content, err := t.readNote(group)
	if err != nil {
		known, unread := t.knowsAll(ctx, first, group)
		if unread != nil || known {
			return nil, unread
		}
		return nil, words.NoteDamaged(groupNote, errStrange)
	}
	address, err := t.addressIn(content.Dir)
	if err != nil {
		return nil, words.NoteDamaged(groupNote, errStrange)
	}
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		list = nil
		for i, name := range content.Names {
			m := group
			m.Number, m.Name, m.Dir, m.Address = from+int64(i), name, content.Dir, address
			m.ID = id.Renumber(first, m.Number)
			_, err := tx.Message(string(m.ID))
			if errors.Is(err, ledger.ErrNotFound) {
				list = append(list, m)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	there, seen := list[:0], map[string]bool{}
	for _, m := range list {
		if !filepath.IsLocal(m.Name) || filepath.Base(m.Name) != m.Name || ownNote(m.Name) || seen[m.Name] || isDir(t.source(m)) {
			return nil, words.NoteDamaged(groupNote, errStrange)
		}
		seen[m.Name] = true
		if m.Source, err = observe(t.source(m)); errors.Is(err, fs.ErrNotExist) {
			continue // it was taken away, or has failed
		}
		if err != nil {
			return nil, err
		}
		t.o.identify(&m)
		there = append(there, m)
	}
	return there, nil
}
