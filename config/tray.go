package config

import "path/filepath"

// Tray is the table [outbox] of agent.toml, and each table [[tray]].
type Tray struct {
	// The tray's name, for users and in the ledger: keep it if you move the folder. It has 1 to 64
	// letters, digits, spaces, '-', '_' or '.'. Default "outbox"; required in [[tray]].
	Name string `toml:"name"`
	// The folder of the tray. The agent makes outbox, sending, delivered and failed in it. Default
	// "."; required in [[tray]].
	Dir string `toml:"dir"`
	// The kind of messages, a part of every message id: 1 to 8 of A-Z and 0-9. Default "DAT".
	Kind string `toml:"kind"`
	// The routing key under which this tray publishes, such as "fl-lab.dat". Required to send. If
	// there are tables [[tray]], an empty route means that [outbox] is no tray.
	Route string `toml:"route"`
	// How long a file must stay unchanged to count as finished. A file that is written in outbox
	// itself, and not moved there or copied with its time, must stay unchanged 2.25 times as long,
	// since its program may close it, pause, and continue; this rule extends settle to 4.5 seconds
	// at most. After a pause, a file of that name must stay unchanged 1.5 times as long as its
	// longest pause, at most 10 minutes, for a day or until the next start. A longer first pause
	// cannot be detected: the file is then sent in the pause, and data added within 2 minutes
	// arrives as one more file. Make settle longer than the pauses of your instruments, or let them
	// move complete files into outbox, or make markers (see finished). An empty file that was made
	// in outbox must stay so for a minute, since its program may fill it later. "0s" sends every
	// file at once. Default "2s".
	Settle Duration `toml:"settle"`
	// How long all files of a folder must stay unchanged for the folder to count as finished; it is
	// then sent as one message. An empty file NAME.done beside the folder NAME marks it as finished
	// at once. Default "60s".
	FolderSettle Duration `toml:"folder_settle"`
	// How a file or folder shows that it is finished: "settle" is the time without a change; with
	// "marker" it must have a marker, an empty file of the same owner beside it, and is then taken
	// at once. Everything else waits, however old it is. Use it for programs that pause for long,
	// or that start a broken transfer again under the same name: they make the marker at the end.
	// The marker is not sent, and goes when its file or folder is taken. Default "settle".
	Finished string `toml:"finished"`
	// The names of markers with finished = "marker": * stands for the name of the file or folder.
	// Files with such a name are never sent. Default ["*.done", "*.ready"].
	Markers []string `toml:"markers"`
	// Whether programs of other machines can change the disk of the tray: "local" or "shared". Set
	// it for FUSE file systems above a local disk (mergerfs, gocryptfs: "local"), and for a disk
	// that a virtual machine or a cluster shares without the system's knowledge ("shared"). Default
	// "", as the system says.
	Disk string `toml:"disk"`
	// How long size, times and both ends of a file must stay unchanged on a share, by this
	// computer's clock, if that is longer than settle or folder_settle. It applies to marked files
	// too, and is 2 seconds at least. Default "10s".
	ShareSettle Duration `toml:"share_settle"`
	// How to treat a program that goes on in a file or folder that was sent, within an hour of its
	// delivery: "send" sends the new and changed files, or the changed file as a whole, as one more
	// message once nothing changes there any more; "tell" only says so in STATUS.txt. Files that
	// are removed from delivered do not count. Default "send".
	Changes string `toml:"changes"`
	// How long after a delivery STATUS.txt tells that a file or folder with the same name and
	// content was sent again, as by a job that mirrors a folder into outbox. "0s" never tells.
	// Default "24h".
	RepeatWindow Duration `toml:"repeat_window"`
	// How to treat such a file: "send" sends it again; "leave" leaves it in outbox and says so in
	// STATUS.txt, so that the job does not bring it once more. Folders, and files above 1 GiB, are
	// always sent. Default "send".
	Repeat string `toml:"repeat"`
	// How long a delivered file stays in delivered before the agent removes it. It removes a file
	// only if the receipts of all recipients are verified once more, and the file is as it was
	// sent. "agent find" and "agent log" show the removed files, and why an older one stays.
	// "0s" keeps all for ever, otherwise 24h at least, and less than keep_history. Default "0s".
	KeepDelivered Duration `toml:"keep_delivered"`
	// How long a message waits in sending before it is sealed, so that "sealpost agent recall" can
	// take it back. Default "0s".
	Hold Duration `toml:"hold"`
	// How many bytes of this tray are sent in a second, with a timetable like the site's rate_up,
	// whose limit holds as well. Messages of a tray with a limit hold up no other tray. Default "",
	// no limit of its own.
	RateUp Rate `toml:"rate_up"`
	// The number of the first message of each kind and day. Trays of one kind count together.
	// Default 1.
	FirstNumber int64 `toml:"first_number"`
	// How often the agent scans the tray, even without a notification of the system. Default "10s".
	Sweep Duration `toml:"sweep"`
	// More names that the agent ignores in outbox. It always ignores temporary files, lock files,
	// backups, conflict copies and files of the system, of a NAS or of a sync tool ("*.tmp",
	// "*.part", "~$*", "*~", "@eaDir", ".stfolder" and others). * stands for any characters, ?
	// for one, and case does not matter, as in ["*.bak", "test-*"]. A folder is sent with all its
	// files, except for those of the system, of a NAS or of a sync tool. Default [].
	Ignore []string `toml:"ignore"`
	// Whether to send files and folders with a name that begins with a dot. Programs give such
	// names to files of their own. Inside a folder they are always sent. Default false.
	Hidden bool `toml:"hidden"`
}

// The ways to tell that a file is finished.
const (
	FinishedSettle = "settle"
	FinishedMarker = "marker"
)

// The ways to treat changes after a delivery.
const (
	ChangesSend = "send"
	ChangesTell = "tell"
)

// The ways to treat a file that was sent before.
const (
	RepeatSend  = "send"
	RepeatLeave = "leave"
)

// The classes of a tray's disk that an admin may set.
const (
	DiskLocal  = "local"
	DiskShared = "shared"
)

// OutboxName is the default name of the tray of [outbox].
const OutboxName = "outbox"

func defaultTray() Tray {
	return Tray{Kind: "DAT", Settle: Duration(2 * second), FolderSettle: Duration(60 * second),
		FirstNumber: 1, Sweep: Duration(10 * second), Finished: FinishedSettle,
		Markers: []string{"*.done", "*.ready"}, ShareSettle: Duration(10 * second),
		Changes: ChangesSend, RepeatWindow: Duration(24 * hour),
		Repeat: RepeatSend}
}

func defaultOutbox() Tray {
	t := defaultTray()
	t.Name, t.Dir = OutboxName, "."
	return t
}

// prepare sets the defaults of each table [[tray]] of a file.
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

// Trays returns the trays of a sending site, that of [outbox] first.
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

// Folders returns the four folders of the tray, in the order of a file's way.
func (t Tray) Folders() []string {
	return []string{filepath.Join(t.Dir, "outbox"), filepath.Join(t.Dir, "sending"),
		filepath.Join(t.Dir, "delivered"), filepath.Join(t.Dir, "failed")}
}
