package outbox

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"sealpost/agent/tray"
	"sealpost/internal/words"
)

// Note names an entry of a tray that is left alone, and says why.
type Note struct{ Name, Why string }

// rank orders notes: those that a user has to act on, those that end by themselves, and those on
// leftovers.
func (n Note) rank() int {
	if tray.IsLeftOver(n.Name) {
		return 2
	}
	return words.Patience(n.Why)
}

// Left holds the notes of one tray by their meaning. Each list begins with the entries that need an
// operator.
type Left struct {
	Folders []Note // folders of the tray that are missing or unreadable
	Strays  []Note // entries of sending/, delivered/ and failed/
	Entries []Note // entries of outbox/
}

// Left sorts the notes of one tray.
func (s Standing) Left() (l Left) {
	for name, why := range s.NotTaken {
		list := &l.Entries
		switch {
		case words.OfFolder(why):
			list = &l.Folders
		case isStray(name):
			list = &l.Strays
		}
		*list = append(*list, Note{name, why})
	}
	for _, list := range [][]Note{l.Folders, l.Strays, l.Entries} {
		slices.SortFunc(list, func(a, b Note) int {
			return cmp.Or(cmp.Compare(a.rank(), b.rank()), strings.Compare(a.Name, b.Name))
		})
	}
	return l
}

// isStray reports whether the name of a note lies in a folder of the tray other than outbox/.
func isStray(name string) bool {
	folder, _, below := strings.Cut(filepath.ToSlash(name), "/")
	return below && slices.Contains([]string{"sending", "delivered", "failed"}, folder)
}

// addNote adds a note while there is room. One on a user's file takes the room of one on a
// leftover.
func addNote(notes map[string]string, rel, why string) {
	if _, known := notes[rel]; len(notes) >= maxNotes && !known {
		if tray.IsLeftOver(rel) {
			return
		}
		for other := range notes {
			if tray.IsLeftOver(other) {
				delete(notes, other)
				break
			}
		}
	}
	if _, known := notes[rel]; len(notes) < maxNotes || known {
		notes[rel] = why
	}
}
