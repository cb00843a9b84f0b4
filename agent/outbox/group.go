package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
)

// Files that are claimed together share a folder in sending/ and delivered/, named by the first and
// the last of their numbers: making one for each of a thousand small files would be a seventh of
// the work. A file that is claimed alone, a large file, a dropped folder and a failed message have
// one to themselves, named by the message id.

// groupRecipients is for how many recipients the files of a group fit into one envelope. For more
// of them they are sent in several, which works as well.
const groupRecipients = 16

// folderName is the name of a message's folder in sending/ and delivered/.
func folderName(m ledger.Outgoing) string {
	if m.Group == (ledger.Group{}) {
		return string(m.ID)
	}
	return id.FormatGroup(m.ID, m.Group.First, m.Group.Last)
}

// arrange puts the messages of a claim that may share a folder side by side, and returns the sizes.
// A folder holds files from one place, as many as fit into one envelope, so that messages that are
// sealed together are moved together. One file under two names, as on a disk where the case of
// letters does not count, is kept apart: once it is moved, the other name would seem to be there
// too.
func arrange(claim []ledger.Outgoing) (sizes []int) {
	slices.SortStableFunc(claim, func(a, b ledger.Outgoing) int {
		return strings.Compare(a.Dir, b.Dir)
	})
	var separate []ledger.Outgoing
	rest := claim[:0]
	for _, m := range claim {
		if alone(m) {
			separate = append(separate, m)
		} else {
			rest = append(rest, m)
		}
	}
	for n := 0; len(rest) > 0; rest = rest[n:] {
		room, files := newRoom(groupRecipients), map[string]bool{}
		for n = 0; n < len(rest) && rest[n].Dir == rest[0].Dir && !files[rest[n].Source.File] &&
			room.take(rest[n]); n++ {
			files[rest[n].Source.File] = true
		}
		sizes = append(sizes, n)
	}
	copy(claim[len(claim)-len(separate):], separate)
	return sizes
}

// batches cuts found files into claims that fill two envelopes each. Otherwise each would leave a
// rest that had room in the next.
type batches struct {
	full      [][]found
	last      []found
	room      *room // left in the last envelope
	envelopes int   // of the last batch
}

const batchEnvelopes = 2

func (b *batches) add(f found) {
	m := ledger.Outgoing{Folder: f.folder, Name: f.name, Source: f.source}
	more := !alone(m) && (b.room == nil || !b.room.take(m))
	if len(b.last) == claimGroup || more && b.envelopes == batchEnvelopes {
		b.full = append(b.full, b.rest())
	}
	if more {
		b.envelopes++
		b.room = newRoom(groupRecipients)
		b.room.take(m)
	}
	b.last = append(b.last, f)
}

// rest takes the last batch out, whether it is full or not.
func (b *batches) rest() []found {
	last := b.last
	b.last, b.room, b.envelopes = nil, nil, 0
	return last
}

// claimFull claims those that are full.
func (f *finder) claimFull(ctx context.Context, b *batches) {
	for _, group := range b.full {
		f.claim(ctx, group)
	}
	b.full = nil
}

// alone reports whether a message always has a folder to itself.
func alone(m ledger.Outgoing) bool { return m.Folder || m.Source.Size > smallContent }

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
func (h *handles) makeShared(ctx context.Context, group []ledger.Outgoing) error {
	m := group[0]
	err := h.Mkdir(folderAt(m))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err != nil {
		if _, err := h.readNote(m); err == nil {
			return nil
		}
	}
	content := groupContent{Dir: m.Dir}
	all := group
	if int64(len(group)) != m.Group.Size() {
		if err := h.t.o.view(ctx, func(tx *ledger.Tx) (err error) {
			all,
				err = tx.Group(m)
			return err
		}); err != nil {
			return err
		}
	}
	for _, m := range all {
		content.Names = append(content.Names, m.Name)
	}
	text, err := json.Marshal(content)
	if err != nil || content.Names == nil {
		return err
	}
	return h.WriteNote(folderAt(m)+"/"+groupNote, append(text, '\n'))
}

// emptied removes a message's folder from sending/ when no claimed file is left in it. Files of
// users stay, and a note says so.
func (h *handles) emptied(ctx context.Context, m ledger.Outgoing) {
	if m.Group != (ledger.Group{}) {
		h.t.shared.Lock()
		defer h.t.shared.Unlock()
		left := h.inFolder(ctx, m)
		if len(left.others) > 0 && !left.ours {
			h.t.tellStrange(folderAt(m))
		}
		if left.ours || len(left.others) > 0 {
			return
		}
		for _, name := range append(left.litter, groupNote) {
			h.Remove(folderAt(m) + "/" + name) //nolint:errcheck // then the folder stays, too
		}
	} else {
		h.forgetAddress(folderAt(m))
	}
	if err := h.RemoveDir(folderAt(m)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.log.Warn("an empty folder stays", "message", m.ID, "error", err)
	}
}
