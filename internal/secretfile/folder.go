package secretfile

import (
	"io/fs"
	"log/slog"
	"strings"
)

// Flaw is a file or folder below a folder of secrets that other accounts can access.
type Flaw struct {
	Name  string // below the folder, with slashes; "." is the folder itself
	Kind  FlawKind
	Mode  fs.FileMode // of Unix
	Owner string      // the other account of Foreign and Listed
}

// FlawKind is the kind of a flaw.
type FlawKind int

// The kinds of flaws.
const (
	Open FlawKind = iota + 1 // its mode gives permissions to other accounts
	// OpenKey is Open for a key, which Read refuses: other accounts may have read it.
	OpenKey
	Linked  // the same for a file with a second name, maybe in another folder
	Foreign // another account owns it
	Listed  // its access list admits another account (Windows)
)

// Loose holds the names below a folder of secrets that other accounts could have used.
type Loose struct {
	Tightened Names // now private to their owner
	Left      Names // files with a second name, and root's
}

// Names holds the first few of many names.
type Names struct {
	First []string
	Count int
}

// Log logs the loose names, one line for each kind.
func (l Loose) Log(log *slog.Logger) {
	if n := l.Tightened; n.Count > 0 {
		log.Warn("the state folder was open to other accounts and is closed now",
			"count", n.Count, "names", n.First)
	}
	if n := l.Left; n.Count > 0 {
		log.Warn("other accounts have permissions in the state folder",
			"count", n.Count, "names", n.First)
	}
}

// isKey reports whether a file is a key. Read refuses a loose key: it may have been read.
func isKey(name string) bool { return strings.HasSuffix(name, ".key") }
