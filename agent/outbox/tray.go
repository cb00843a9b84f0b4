package outbox

import (
	"context"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/line"
	"sealpost/internal/reason"
)

// Tray is the configuration of a tray. The ledger knows it by its name.
type Tray struct {
	Folders
	Name         string
	Address      id.Address    // of everything dropped into it
	Kind         string        // of its messages
	FirstNumber  int64         // of a day
	Settle       time.Duration // how long a file must stay unchanged
	FolderSettle time.Duration // the same for a folder and its entries
	// how long a message waits before it is sealed, so that it can be recalled
	Hold   time.Duration
	Sweep  time.Duration // the interval of sweeps
	Ignore []string      // patterns of names that are left alone
	Hidden bool          // whether names that begin with a dot are sent

	KeepsRest   bool          // whether files that came after a message was sent are only reported
	OnlyMarked  bool          // whether only marked entries are taken
	Markers     []string      // forms of the markers of such a tray, at least one
	ShareSettle time.Duration // how long an entry must stay unchanged on a share
	// how long users are told that a file was sent before; 0: never
	RepeatWindow time.Duration
	// whether a file that was sent before stays in outbox/
	LeavesRepeats bool
	KeepDelivered time.Duration // how long content stays in delivered/; 0: for ever
	Line          *line.Line    // of its own bytes to the hub; nil: it has no limit of its own
	Disk          string        // "local" or "shared", as the admin says; empty: as the system says
}

// Folders is the folder of a tray, by its clean path. Its parts show the state of each message.
type Folders struct{ Dir string }

// in joins a folder's path and a name.
func in(dir, name string) string { return durable.Join(dir, name) }

// Outbox holds files that are not taken yet.
func (f Folders) Outbox() string { return in(f.Dir, "outbox") }

// Sending holds messages under way, in folders named by message ids: see group.go.
func (f Folders) Sending() string { return in(f.Dir, "sending") }

// Delivered holds messages for which every recipient has signed.
func (f Folders) Delivered() string { return in(f.Dir, "delivered") }

// Failed holds messages that did not reach every recipient, each beside a WHY.txt.
func (f Folders) Failed() string { return in(f.Dir, "failed") }

// droppedAt returns the path in the tray of a message that is claimed and not moved yet.
func droppedAt(m ledger.Outgoing) string {
	return tray.OutboxPart + "/" + tray.Under(m.Dir, m.Name)
}

// folderAt returns the path in the tray of a message's folder while it is under way.
func folderAt(m ledger.Outgoing) string { return tray.SendingPart + "/" + folderName(m) }

// sourceAt returns the path in the tray of a message's content while it is under way.
func sourceAt(m ledger.Outgoing) string { return folderAt(m) + "/" + m.Name }

// placeAt returns the path in the tray of a final message's folder. A failed message has a folder
// of its own, for its explanation.
func placeAt(m ledger.Outgoing) string {
	if m.State == ledger.Failed {
		return tray.FailedPart + "/" + string(m.ID)
	}
	return tray.DeliveredPart + "/" + folderName(m)
}

// box is a tray at work: it finds, claims and files. The desk seals and publishes its messages.
type box struct {
	Tray
	files  *tray.Tray
	o      *Outbox
	ledger *ledger.Ledger
	log    *slog.Logger
	filing chan struct{}
	silent atomic.Bool // its folders have not answered since the start: see begin
	disks  disks       // of folders in outbox/
	ready  chan error  // gets the result of prepare once the folders have answered
	// held while shared folders in sending/ are made and filled, or looked at and removed
	shared sync.Mutex
	said   said

	mu        sync.Mutex               // guards the fields below
	notes     map[string]reason.Reason // entries of outbox/ that are not taken, and why
	home      string                   // the identity of sending/
	used      used                     // the highest message number of its folders
	whyLate   reason.Reason            // why the system does not report new files
	settling  int64                    // entries of outbox/ that settle
	unmarked  Unmarked                 // entries of outbox/ that wait for their markers
	justFiled []int64                  // delivered messages that are not compared yet: see later.go
	resent    map[string]bool          // entries of outbox/ that are sent even if they repeat
	unmoved   map[string]reason.Reason // claimed entries of outbox/ that could not be moved
	copies    map[string]*copying      // by the paths of their originals in outbox/
	unknown   map[string]reason.Reason // folders of sending/ that were not adopted, and why
}

func (o *Outbox) newTray(t Tray, log *slog.Logger) *box {
	made := &box{Tray: t, o: o, ledger: o.ledger, log: log, filing: make(chan struct{}, 1),
		ready: make(chan error, 1), unmoved: map[string]reason.Reason{},
		copies: map[string]*copying{}}
	made.files = &tray.Tray{Dir: t.Dir, Settle: t.Settle, State: o.cfg.State, StateID: o.state,
		ShareSettle: t.ShareSettle, Class: t.class(), Markers: t.markers(),
		OnlyMarked: t.OnlyMarked,
		Log:        log,
		AnyLinks:   !beneath.ProtectsLinks()}
	return made
}

// sharedFolderLooks is the number of looks that must all find a shared folder before an error.
// Accounts that exchange folders of two trays all the time show one twice in up to every second
// look.
const sharedFolderLooks = 100

// refuseSharedFolders returns an error if two trays have a folder in common, under any names. Each
// would take the other's files.
func refuseSharedFolders(trays []*box) (err error) {
	for range sharedFolderLooks {
		if err = findSharedFolder(trays); err == nil {
			return nil
		}
		time.Sleep(time.Millisecond) // so that the looks are not in step with the exchanges
	}
	return err
}

// findSharedFolder returns an error if one look finds a folder in two trays.
func findSharedFolder(trays []*box) error {
	type owner struct {
		name, folder string
		id           beneath.ID
	}
	var all []owner
	for _, t := range trays {
		h, err := t.open()
		if err != nil {
			continue // see prepare
		}
		defer h.Close()
		for _, part := range tray.Parts {
			d, err := h.Dir(part)
			if err != nil {
				continue
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			for _, other := range all {
				if info.ID == other.id {
					return reason.Err("one-folder-twice", "folder", in(t.Dir, part),
						"tray", t.Name, "otherfolder", other.folder, "other", other.name)
				}
			}
			all = append(all, owner{t.Name, in(t.Dir, part), info.ID})
		}
	}
	return nil
}

// find watches the tray and claims finished files, until the context ends.
func (t *box) find(ctx context.Context) error {
	return newFinder(t).run(ctx)
}

// addressOf returns the address of files dropped into a folder under outbox/. It is the tray's own,
// or the sites that the folder's name lists after an @.
func (t *box) addressOf(dir string) (string, error) {
	if dir == "." {
		return t.Address.String(), nil
	}
	var to []id.Site
	for name := range strings.SplitSeq(strings.TrimPrefix(dir, "@"), ",") {
		to = append(to, id.Site(strings.ToUpper(strings.TrimSpace(name))))
	}
	slices.Sort(to)
	a := id.Address{To: slices.Compact(to)}
	return a.String(), a.Validate()
}

// LeavesAlone returns the reason that a tray never takes an entry of this name; none: it does.
func (o *Outbox) LeavesAlone(in, name string) reason.Reason {
	if k, _ := tray.KindOf(name); k != nil {
		return k.Note()
	}
	if ownNote(name) {
		return reason.New("own-note")
	}
	if t := o.tray(in); t != nil {
		if t.OnlyMarked && t.files.Marked(name) != nil {
			return reason.New("marker-name")
		}
		return t.leavesAlone(name)
	}
	return reason.Reason{}
}

// leavesAlone returns the reason that the configuration of a tray excludes a name; none: it does
// not.
func (t *box) leavesAlone(name string) reason.Reason {
	switch {
	case t.ignored(name):
		return reason.New(reason.IgnoredName)
	case !t.Hidden && strings.HasPrefix(name, "."):
		return reason.New(reason.HiddenName)
	}
	return reason.Reason{}
}

// ignored reports whether a name matches a pattern of the tray's Ignore.
func (t *box) ignored(name string) bool {
	return slices.ContainsFunc(t.Ignore, func(pattern string) bool {
		match, err := path.Match(strings.ToLower(pattern), strings.ToLower(name))
		return match && err == nil // the configuration has checked the pattern
	})
}

// note replaces the notes on entries of outbox/, and the reason that new files are not reported.
func (t *box) note(notes map[string]reason.Reason, whyLate reason.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	added := map[reason.Reason]int{}
	for name, why := range notes {
		if t.notes[name] != why {
			added[why]++
		}
	}
	for why, n := range added { // the names are for the status, not for the log
		t.log.Warn("not taken", "entries", n, "reason", why)
	}
	if t.whyLate != whyLate {
		t.log.Warn("notifications of new files changed", "reason", whyLate)
	}
	t.notes, t.whyLate = notes, whyLate
}

// forgetNote removes the note on an entry of outbox/ that is finished now, before the next sweep.
func (t *box) forgetNote(rel string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.notes, rel)
}
