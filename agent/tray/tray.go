// Package tray reaches the files of a tray through folders that are held open, never by their
// paths.
//
// It recognises finished entries, entries that are never sent because of their names, entries that
// another account must not have dropped, and changes. It promises that no link in a tray is
// followed, that a file is not taken while a program writes it, and constant memory. It must not
// know messages, the ledger or the network.
package tray

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"sealpost/internal/beneath"
	"sealpost/internal/durable"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

// The parts of a tray, by their paths in it.
const (
	OutboxPart    = "outbox"
	SendingPart   = "sending"
	DeliveredPart = "delivered"
	FailedPart    = "failed"
)

// Parts lists all parts of a tray.
var Parts = []string{OutboxPart, SendingPart, DeliveredPart, FailedPart}

// readGroup is the number of entries of a folder that are read at once.
const readGroup = 256

// Tray is the file side of one tray. Its configuration fields never change while it is used.
type Tray struct {
	Dir string // its clean path
	// the time for which a file must stay unchanged; 0: Habits are not recorded
	Settle      time.Duration
	ShareSettle time.Duration  // the least settle time on a share, also with a marker
	Class       *beneath.Class // of its disk; nil: the system determines it
	Markers     []Marker       // of finished entries
	// files may be marked, and not only folders; files with names of markers are not sent
	OnlyMarked bool
	State      string // the agent's state folder, from which nothing is sent
	StateID    beneath.ID
	AnyLinks   bool // accounts can make hard links to files that they cannot read
	Log        *slog.Logger
	Habits     Habits // of the programs that write here
	openFiles  locks  // of the programs that have something open here
	looks      looks  // at files that settle here, if this is a share
}

// Under returns the path in outbox/ of an entry of a folder in it. An empty folder is outbox/
// itself.
func Under(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// IsAddress reports whether a folder under outbox/ names recipients, and is not sent itself.
func IsAddress(rel string) bool {
	return strings.HasPrefix(rel, "@") && !strings.Contains(rel, "/") && NatureOf(rel) == Ordinary
}

// Plain returns the reason of an error without the paths in it.
func Plain(err error) reason.Reason {
	if why := trouble.Of(err, ""); !why.IsZero() {
		return why
	}
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &link):
		err = link.Err
	}
	return reason.Of(err)
}

// outbox returns the path of the folder of files that are not taken yet.
func (t *Tray) outbox() string { return durable.Join(t.Dir, OutboxPart) }
