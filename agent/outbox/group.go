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

// Files that are claimed together share a folder in sending/ and delivered/. Its name has the first
// and the last of their numbers. A folder for each of a thousand small files would cost a seventh
// of the work. A file that is claimed alone, a large file, a dropped folder and a failed message
// have a folder of their own, named by the message id.

// groupRecipients is the number of recipients for which a group's files fit into one envelope. For
// more recipients they go out in several envelopes.
const groupRecipients = 16

// folderName returns the name of a message's folder in sending/ and delivered/.
func folderName(m ledger.Outgoing) string {
	if m.Group == (ledger.Group{}) {
		return string(m.ID)
	}
	return id.FormatGroup(m.ID, m.Group.First, m.Group.Last)
}

// arrange sorts the messages of a claim by shared folders, and returns the folders' sizes. A shared
// folder holds files from one place, as many as fit into one envelope. So messages that are sealed
// together are moved together. Names that differ only in case never share a folder: on some disks
// they are one file, and after its move the other name would seem to exist.
func arrange(claim []ledger.Outgoing) (sizes []int) {
	slices.SortStableFunc(claim, func(a, b ledger.Outgoing) int {
		return strings.Compare(a.Dir, b.Dir)
	})
	var separate []ledger.Outgoing
	rest := claim[:0]
	for _, m := range claim {
		if hasOwnFolder(m) {
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

// batches cuts found files into claims that fill two envelopes each. Claims of another size would
// leave envelopes partly empty.
type batches struct {
	full      [][]found
	last      []found
	room      *room // left in the last envelope
	envelopes int   // of the last batch
}

const batchEnvelopes = 2

func (b *batches) add(f found) {
	m := ledger.Outgoing{Folder: f.folder, Name: f.name, Source: f.source}
	more := !hasOwnFolder(m) && (b.room == nil || !b.room.take(m))
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

// rest removes and returns the last batch, full or not.
func (b *batches) rest() []found {
	last := b.last
	b.last, b.room, b.envelopes = nil, nil, 0
	return last
}

// claimFull claims the full batches.
func (f *finder) claimFull(ctx context.Context, b *batches) {
	for _, group := range b.full {
		f.claim(ctx, group)
	}
	b.full = nil
}

// hasOwnFolder reports whether a message always has a folder to itself.
func hasOwnFolder(m ledger.Outgoing) bool { return m.Folder || m.Source.Size > smallContent }

// byFolder yields the messages of a list folder by folder. Messages of one folder must be adjacent.
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

// emptied removes a message's folder from sending/ when no claimed file is left in it. Users' files
// stay, and are noted.
func (h *handles) emptied(ctx context.Context, m ledger.Outgoing) {
	if m.Group != (ledger.Group{}) {
		h.t.shared.Lock()
		defer h.t.shared.Unlock()
		left := h.inFolder(ctx, m)
		if len(left.others) > 0 && !left.hasMember {
			h.t.tellStrange(folderAt(m))
		}
		if left.hasMember || len(left.others) > 0 {
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
