package config

import "path/filepath"

// Tray is the table [outbox] of agent.toml, and each table [[tray]].
type Tray struct {
	// The tray's name, for people, and by which messages are remembered: keep it when you move the folder. It is 1 to 64
	// letters, digits, spaces, '-', '_' or '.'. Default "outbox"; required in [[tray]].
	Name string `toml:"name"`
	// The tray: the folder in which outbox, sending, delivered and failed are made. Default "."; required in [[tray]].
	Dir string `toml:"dir"`
	// The kind of what is sent, which is part of every message id: 1 to 8 of A-Z and 0-9. Default "DAT".
	Kind string `toml:"kind"`
	// The routing key under which this tray publishes, such as "fl-lab.dat". Required to send; where there are tables [[tray]],
	// an empty one says that [outbox] is no tray.
	Route string `toml:"route"`
	// How long a file must stay unchanged to count as finished. A file that is written in outbox itself, rather than moved there
	// or copied with its time, must stay so for two and a quarter times as long, but not longer than 4.5 seconds for this reason: its program
	// may close it, pause, and go on. After a pause that was seen it must stay so for half as long again as the longest pause, at
	// most 10 minutes, which is remembered for its name for a day, or until the next start. Nothing tells of a first pause that
	// is longer: then the file is taken in it, and what the program adds within 2 minutes arrives as one more file. So make this
	// longer than the pauses of your instruments, or let them move complete files into outbox. "0s" takes everything at once.
	// Default "2s".
	Settle Duration `toml:"settle"`
	// How long everything in a folder must stay unchanged for the folder to count as finished; it is then sent as one message.
	// A file NAME.done beside the folder NAME says so at once. Default "60s".
	FolderSettle Duration `toml:"folder_settle"`
	// How long everything waits in sending before it is sealed, so that "sealpost agent recall" can still take it back.
	// Default "0s".
	Hold Duration `toml:"hold"`
	// The number of the first message of each kind and day. Trays of one kind count together. Default 1.
	FirstNumber int64 `toml:"first_number"`
	// How often the tray is looked through, whether or not the system has told of a change. Default "10s".
	Sweep Duration `toml:"sweep"`
	// Names in outbox that are left alone, beside those of temporary files, lock files, backups and what systems keep for
	// themselves ("*.tmp", "*.part", "~$*", "*~", "@eaDir" and others), which always are: * stands for any characters, ? for one,
	// upper and lower case are the same, as in ["*.bak", "test-*"]. What is inside a folder that is sent goes with it, whatever
	// its name, but for what systems keep for themselves. Default [].
	Ignore []string `toml:"ignore"`
}

// OutboxName is the name of the tray of [outbox] unless it has another.
const OutboxName = "outbox"

func defaultTray() Tray {
	return Tray{Kind: "DAT", Settle: Duration(2 * second), FolderSettle: Duration(60 * second), FirstNumber: 1, Sweep: Duration(10 * second)}
}

func defaultOutbox() Tray {
	t := defaultTray()
	t.Name, t.Dir = OutboxName, "."
	return t
}

// prepare lets each table [[tray]] of a file begin with the defaults.
func (a *Agent) prepare(all map[string]any) {
	n := 0
	switch list := all["tray"].(type) {
	case []map[string]any:
		n = len(list)
	case []any: // of inline tables
		n = len(list)
	}
	for range n {
		a.Tray = append(a.Tray, defaultTray())
	}
}

// Trays lists the trays from which the site sends: that of [outbox] first.
func (a Agent) Trays() []Tray {
	var list []Tray
	if a.Sends() && (a.Outbox.Route != "" || len(a.Tray) == 0) {
		list = append(list, a.Outbox)
	}
	if a.Sends() {
		list = append(list, a.Tray...)
	}
	return list
}

// Folders are the four folders of the tray, in the order of a file's way.
func (t Tray) Folders() []string {
	return []string{filepath.Join(t.Dir, "outbox"), filepath.Join(t.Dir, "sending"), filepath.Join(t.Dir, "delivered"), filepath.Join(t.Dir, "failed")}
}
