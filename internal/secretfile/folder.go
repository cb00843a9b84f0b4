package secretfile

import (
	"log/slog"
	"strings"

	"sealpost/internal/words"
)

// Loose are names below a folder of secrets that accounts other than its owner could have used.
type Loose struct {
	Tightened Names // made their owner's alone; "." is the folder itself
	Left      Names // second names of files, which may lie elsewhere, and what belongs to root
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

// someNames is how many names are kept to be told.
const someNames = 10

func (n *Names) add(name string) {
	n.Count++
	if len(n.First) < someNames {
		n.First = append(n.First, name)
	}
}

// isKey reports whether a file is one for Read, which refuses it when it is loose: the secret may have been read.
func isKey(name string) bool { return strings.HasSuffix(name, ".key") }
