// Package tray reaches the files of a tray: through folders that are held open, never by their
// paths.
//
// It finds out which entries are finished, which are left alone for their names, which accounts
// could have dropped them, and which have changed. It promises that no link in a tray is followed,
// that a file is not taken while a program writes it, and constant memory. It must not know of
// messages, of the ledger or of the network.
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

// Parts are all parts of a tray.
var Parts = []string{OutboxPart, SendingPart, DeliveredPart, FailedPart}

// readGroup is how many entries of a folder are read at once.
const readGroup = 256

// Tray is the files of one tray. Its fields never change while it is used.
type Tray struct {
	Dir string // its clean path
	// how long a file must stay unchanged; 0: nothing is learned of its program
	Settle      time.Duration
	ShareSettle time.Duration  // the least settle time on a share, also with a marker
	Class       *beneath.Class // of its disk; nil: as the system says
	Markers     []Marker       // of finished entries
	// files may be marked, and not only folders; files with names of markers are not sent
	OnlyMarked bool
	State      string // the agent's folder, which nothing is sent from
	StateID    beneath.ID
	AnyLinks   bool // every account may give a second name to files that it cannot read
	Log        *slog.Logger
	Habits     Habits // of the programs that write here
	openFiles  locks  // of the programs that have something open here
	looks      looks  // at files that settle here, if this is a share
}

// Under returns the path in outbox/ of an entry of a folder in it. The folder is mostly empty.
func Under(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// IsAddress reports whether a folder under outbox/ is an address rather than something to be sent.
func IsAddress(rel string) bool {
	return strings.HasPrefix(rel, "@") && !strings.Contains(rel, "/") && NatureOf(rel) == Ordinary
}

// Plain returns the reason of an error, without the paths in it.
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

// outbox is the path of the folder of files that are not taken yet.
func (t *Tray) outbox() string { return durable.Join(t.Dir, OutboxPart) }
