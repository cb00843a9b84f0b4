package outbox

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
)

const (
	// groupNote is a file in a shared folder of sending/. It says which file is which message, and for whom, should the ledger
	// be lost.
	groupNote = ".sealpost-group"
	// maxNote bounds it: a group has at most as many names as an envelope has messages, of 255 bytes, of which JSON writes each as up to six.
	maxNote = maxAddress + api.MaxMessages*6*260
)

// groupContent is what a note says.
type groupContent struct {
	Dir   string   `json:"folder,omitempty"` // under outbox/, in which they were dropped
	Names []string `json:"names"`            // in the order of their numbers
}

// ownNote tells whether a name is that of a note of ours, however a disk spells it. Nothing of that name is ever sent.
func ownNote(name string) bool {
	return strings.EqualFold(name, groupNote) || strings.EqualFold(name, addressNote)
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

// forgetNote removes the note of a folder that was moved to delivered/. Failing leaves a small file behind, and nothing else.
func (f Folders) forgetNote(m ledger.Outgoing) {
	m.State = ledger.Delivered
	os.Remove(in(f.place(m), groupNote)) //nolint:errcheck // see above
}

// inside is what lies in a group's folder beside its note.
type inside struct {
	ours   bool     // a file of the group; where the note cannot be read everything may be one
	litter []string // what systems leave in folders
	others []string
}

// inFolder looks through a group's folder.
func (f Folders) inFolder(m ledger.Outgoing) (left inside) {
	dir, err := os.Open(f.folder(m))
	if err != nil {
		left.ours = !errors.Is(err, fs.ErrNotExist)
		return left
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	note, unread := f.readNote(m)
	left.ours = err != nil && err != io.EOF
	ours := make(map[string]bool, len(note.Names))
	for _, name := range note.Names {
		ours[name] = true
	}
	for _, name := range names {
		switch {
		case name == groupNote:
		case litter(name):
			left.litter = append(left.litter, name)
		case unread != nil || ours[name]:
			left.ours = true
		default:
			left.others = append(left.others, name)
		}
	}
	return left
}
