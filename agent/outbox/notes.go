package outbox

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"sealpost/agent/tray"
	"sealpost/internal/reason"
)

// Note names an entry of a tray that is left alone, and the reason.
type Note struct {
	Name string
	Why  reason.Reason
}

// rank orders notes: those that a user has to act on, those that end by themselves, and those on
// leftovers.
func (n Note) rank() int {
	switch {
	case n.isLeftOver():
		return 2
	case slices.Contains(endsItself, n.Why.Code):
		return 1
	}
	return 0
}

// isLeftOver reports whether an entry is left alone for its name, which needs no user.
func (n Note) isLeftOver() bool {
	return tray.IsLeftOver(n.Name) || n.Why.Code == reason.IgnoredName ||
		n.Why.Code == reason.HiddenName || n.Why.Code == reason.LeftRepeat
}

// The notes that end with the program that writes, and those on folders of a tray.
var (
	endsItself = []reason.Code{reason.StillWritten, reason.AddedAfterPause, reason.CameSoonAfter,
		reason.StillEmpty, reason.WaitsForCopy, reason.LeftUnderWay}
	ofFolder = []reason.Code{reason.FolderUnreadable, reason.FolderTrouble, reason.FolderSilent,
		reason.FolderIsLink, reason.FolderApart, reason.TrayGone, reason.OwnShare,
		reason.OutboxAway, reason.DiskGone}
)

// Left holds the notes of one tray by their situation. Each list begins with the entries that need
// an operator.
type Left map[reason.Situation][]Note

// Left sorts the notes of one tray.
func (s Standing) Left() Left {
	l := Left{}
	for name, why := range s.NotTaken {
		situation := reason.NotTaken
		switch {
		case slices.Contains(ofFolder, why.Code):
			situation = reason.TrayBroken
		case isStray(name):
			situation = reason.OutOfPlace
		case why.Code == reason.HiddenName:
			situation = reason.LeftAlone
		case why.Code == reason.LeftRepeat:
			situation = reason.Repeated
		}
		l[situation] = append(l[situation], Note{nameOfKey(name), why})
	}
	for _, list := range l {
		slices.SortFunc(list, func(a, b Note) int {
			return cmp.Or(cmp.Compare(a.rank(), b.rank()), strings.Compare(a.Name, b.Name))
		})
	}
	return l
}

// keyOf returns a name as a key of NotTaken. JSON has no bytes that are not UTF-8, so each of them
// becomes \xXX: two such names stay two.
func keyOf(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	var b strings.Builder
	for i, r := range name { // an invalid byte is a character of its own
		if n := utf8.RuneLen(r); r != utf8.RuneError || strings.HasPrefix(name[i:], "\ufffd") {
			b.WriteString(name[i : i+n])
		} else {
			fmt.Fprintf(&b, `\x%02x`, name[i])
		}
	}
	return b.String()
}

// escapedByte is a byte that keyOf has escaped.
var escapedByte = regexp.MustCompile(`\\x[89a-f][0-9a-f]`)

// nameOfKey returns the name of a key of NotTaken, and of a Copy.
func nameOfKey(key string) string {
	return escapedByte.ReplaceAllStringFunc(key, func(escaped string) string {
		b, _ := hex.DecodeString(escaped[2:]) //nolint:errcheck // it matches
		return string(b)
	})
}

// isStray reports whether the name of a note lies in a folder of the tray other than outbox/.
func isStray(name string) bool {
	folder, _, below := strings.Cut(filepath.ToSlash(name), "/")
	return below && slices.Contains([]string{"sending", "delivered", "failed"}, folder)
}

// addNote adds a note while there is room. One on a user's file takes the room of one on a
// leftover.
func addNote(notes map[string]reason.Reason, rel string, why reason.Reason) {
	if _, known := notes[rel]; len(notes) >= maxNotes && !known {
		if (Note{rel, why}).isLeftOver() {
			return
		}
		for other, its := range notes {
			if (Note{other, its}).isLeftOver() {
				delete(notes, other)
				break
			}
		}
	}
	if _, known := notes[rel]; len(notes) < maxNotes || known {
		notes[rel] = why
	}
}
