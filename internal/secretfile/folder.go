package secretfile

import (
	"io/fs"
	"log/slog"
	"strings"

	"sealpost/internal/words"
)

// Flaw is something in a folder of secrets that is not the folder's account's alone.
type Flaw struct {
	Name  string // below the folder, with slashes; "." is the folder itself
	Kind  FlawKind
	Mode  fs.FileMode // of Unix
	Owner string      // the other account of Foreign and Listed
}

// FlawKind is the reason of a flaw.
type FlawKind int

// The kinds of flaws.
const (
	Open    FlawKind = iota + 1 // its mode gives permissions to other accounts
	OpenKey                     // the same of a key, which Read refuses: other accounts may have it
	Linked                      // the same of a file that has a second name, maybe elsewhere
	Foreign                     // another account owns it
	Listed                      // its access list lets another account in (Windows)
)

// Loose are names below a folder of secrets that accounts other than its owner could have used.
type Loose struct {
	Tightened Names // made their owner's alone
	Left      Names // second names of files, and what belongs to root
}

// Names are the first few of many names.
type Names struct {
	First []string
	Count int
}

// Log tells what was loose, in one line each.
func (l Loose) Log(log *slog.Logger) {
	if n := l.Tightened; n.Count > 0 {
		log.Warn(words.StateTightened, "count", n.Count, "names", n.First)
	}
	if n := l.Left; n.Count > 0 {
		log.Warn(words.StateLoose, "count", n.Count, "names", n.First)
	}
}

// isKey reports whether a file is one for Read, which refuses it when it is loose: the secret may have been read.
func isKey(name string) bool { return strings.HasSuffix(name, ".key") }
