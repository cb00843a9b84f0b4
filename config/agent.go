package config

import (
	"fmt"
	"path/filepath"
	"slices"

	"sealpost/internal/durable"
)

// The roles of a site.
const (
	RoleSend    = "send"
	RoleReceive = "receive"
	RoleBoth    = "both"
)

// The accounts that may read received files.
const (
	ReadersGroup    = "group"
	ReadersOwner    = "owner"
	ReadersEveryone = "everyone"
)

// The sites to which direct addresses can lead.
const (
	DirectApproved = "approved"
	DirectAny      = "any"
)

// Whether a site needs the network's roster.
const (
	RosterOptional = "optional"
	RosterRequired = "required"
)

// The senders from whom an inbox takes files.
const (
	AcceptAny      = "any"
	AcceptCompared = "compared"
)

// The suites of a network.
const (
	SuiteHybrid = "hybrid"
	SuiteX25519 = "x25519"
)

// Agent is agent.toml, the configuration of the agent at one site. `sealpost agent join` writes it
// from the invitation. Relative paths are relative to the folder of the file.
type Agent struct {
	// The name of this site, as in its certificate. Required.
	Site string `toml:"site"`
	// The hub's addresses, "host:port", tried in this order. Required.
	Hub []string `toml:"hub"`
	// The network's fingerprint: the SHA-256 of the root's public key, in 64 hexadecimal digits.
	// The agent trusts no hub under another root. Required.
	Network string `toml:"network"`
	// The network's encryption suite, "hybrid" or "x25519". It is fixed when the hub is made.
	// Default "hybrid".
	Suite string `toml:"suite"`
	// Whether this site trusts only sites on the network's roster, which the root has signed:
	// "required" or "optional". Then nothing is sent or taken without a roster that is valid. A
	// roster can require itself; then "optional" has no effect. Default "optional".
	Roster string `toml:"roster"`
	// The role of this site: "send", "receive" or "both". Required.
	Role string `toml:"role"`
	// The folder of keys and ledger. Users need no access to it. Default "state".
	State string `toml:"state"`
	// How much is logged: "debug", "info", "warn" or "error". Default "info".
	LogLevel string `toml:"log_level"`
	// The form of the log on standard error: "text", or "json" with one object on each line.
	// --log-format of the run command outranks it. Default "text".
	LogFormat string `toml:"log_format"`
	// The language of STATUS.txt, WHY.txt and the answers of commands: "en" or "de". The log, the
	// help and JSON are English. Default "en".
	Language string `toml:"language"`
	// How the users of this site reach its admin: a name, a telephone number, a mail address.
	// STATUS.txt shows it. One line of up to 200 characters. Default "".
	Contact string `toml:"contact"`
	// Whether a page for a browser, STATUS.html, lies beside each STATUS.txt. Default true.
	StatusPage bool `toml:"status_page"`
	// Whether TLS begins with a small message, without the post-quantum key exchange. Some
	// firewalls drop the usual one of more than 1,300 bytes: "sealpost agent doctor" finds it. The
	// content stays encrypted as the suite says. Default false.
	SmallHello bool `toml:"small_hello"`
	// Whether files are sealed only for sites whose fingerprint a user of this site has compared,
	// with "sealpost agent trust", or that are on the roster. Files for other sites wait. Otherwise
	// a site is believed as the hub first shows it. Default false.
	RequireCompared bool `toml:"require_compared"`
	// How long the ledger keeps the history of a message, with its receipts, after it has ended. Of
	// older ones it keeps only the numbers, and the identities of received ones, so that none is
	// sent or placed twice. Export the receipts that you need for longer ("sealpost agent receipts
	// MESSAGE --export"). "0s" keeps all for ever, otherwise 720h at least, and no less than any
	// repeat_window. Default "17520h", two years.
	KeepHistory Duration `toml:"keep_history"`
	// How long a changed recipient key of a site that was only seen is not used, so that its users
	// can notice a thief. After a planned change ("sealpost agent rotate") files are sealed for the
	// former key meanwhile, if its 14 days are longer than this; otherwise they wait. The new key
	// of a site that was compared, or is on the roster, is used at once. Default "24h".
	RekeyHold Duration `toml:"rekey_hold"`
	// How many bytes this site sends in a second: a number with a unit and "/s", 64KiB/s at least,
	// or a timetable of periods that are separated by commas. Each has days (Mon-Fri, Sun), hours
	// (07:00-19:00, or 22:00-06:00 to the next morning) and a limit or "unlimited"; without days
	// or hours it applies to all. The first that fits the local time decides; if none does there
	// is no limit. Small files and receipts pass first. An example is
	// "Mon-Fri 07:00-19:00 5MiB/s, 20MiB/s". Default "", no limit.
	RateUp Rate `toml:"rate_up"`
	// How many bytes this site fetches in a second, likewise. Default "", no limit.
	RateDown Rate `toml:"rate_down"`
	// To which sites a folder @SITE in an outbox can lead: "approved" are the sites that an admin
	// has approved for any route, or for that address; with "any" it leads to each site of the
	// network. Default "approved".
	Direct string `toml:"direct"`
	// The tray from which this site sends. Applies to the roles "send" and "both".
	Outbox Tray `toml:"outbox"`
	// Where this site receives. Applies to the roles "receive" and "both".
	Inbox Inbox `toml:"inbox"`
	// More trays: one table [[tray]] for each, beside [outbox] or instead of it, with the same keys
	// and the same defaults. Each needs a name, a dir and a route of its own:
	//
	//	[[tray]]
	//	name = "sequencer"
	//	dir = "/srv/sequencer"
	//	kind = "SEQ"
	//	route = "fl-lab.seq"
	//	settle = "30s"
	//
	// No two trays may share a folder, or have one inside a folder of the other, of the inbox or of
	// state. A tray that is removed from this file sends no more: its files stay in its folders,
	// and a tray of the same name continues with them.
	Tray []Tray `toml:"tray"`
}

// Inbox is the table [inbox] of agent.toml.
type Inbox struct {
	// The folder of received files, with one folder per sender. Default "inbox".
	Dir string `toml:"dir"`
	// The free space that the agent keeps on the inbox's volume. Below it, files wait at the hub.
	// Default "1GiB".
	Reserve Size `toml:"reserve"`
	// The largest accepted envelope. Default "1TiB".
	MaxSize Size `toml:"max_size"`
	// From whom files are taken: "any" is every site of the network; "compared" are the sites whose
	// fingerprint a user of this site has compared, with "sealpost agent trust", and those on the
	// roster. Files of others wait at the hub, and their senders are told. Default "any".
	Accept string `toml:"accept"`
	// How many bytes of files are taken from each sender in a day (UTC); "0B" has no limit. A file
	// that crosses the limit is still taken. Later ones wait at the hub until the next day, and
	// their sender is told. Default "0B".
	AcceptPerDay Size `toml:"accept_per_day"`
	// How many envelopes are opened at the same time, 1 to 64. Two more are opened for senders that
	// would wait for the envelopes of others. Default 4.
	Workers int `toml:"workers"`
	// The accounts of this computer that may read received files: "group" is the group of the
	// folder, "owner" the agent's account only, "everyone" all accounts. The umask does not matter.
	// The group may also change files if it may write to the folder. An access list (default ACL)
	// of the folder applies as well. On Windows only the folder's access list applies. Default
	// "group".
	Readers string `toml:"readers"`
	// Whether a name keeps a leading dot. Most file managers hide such files, and programs act on
	// names such as .Rprofile, .git and .htaccess. Otherwise the dot becomes %2E, like other unsafe
	// characters. Default false.
	Hidden bool `toml:"hidden"`
	// Whether received programs stay executable. Otherwise they arrive without that right, and an
	// admin may set it. It has no effect on Windows. Default false.
	Executables bool `toml:"executables"`
}

// DefaultAgent returns an agent's configuration with all defaults. Required fields are empty.
func DefaultAgent() Agent {
	return Agent{
		Suite: SuiteHybrid, Roster: RosterOptional, State: "state",
		LogLevel: "info", LogFormat: "text", Language: "en",
		StatusPage:  true,
		KeepHistory: Duration(2 * 365 * 24 * hour),
		RekeyHold:   Duration(24 * hour),
		Direct:      DirectApproved,
		Outbox:      defaultOutbox(),
		Inbox: Inbox{Dir: "inbox", Reserve: gibi, MaxSize: tebi, Workers: 4,
			Readers: ReadersGroup, Accept: AcceptAny},
	}
}

// Sends reports whether the site has an outbox.
func (a Agent) Sends() bool { return a.Role == RoleSend || a.Role == RoleBoth }

// Receives reports whether the site has an inbox.
func (a Agent) Receives() bool { return a.Role == RoleReceive || a.Role == RoleBoth }

// LoadAgent reads and checks an agent.toml. It makes every path absolute.
func LoadAgent(path string) (Agent, error) {
	path, text, err := read(path)
	if err != nil {
		return Agent{}, err
	}
	return ParseAgent(path, text)
}

// ParseAgent is LoadAgent for the text of the file at an absolute path.
func ParseAgent(path string, text []byte) (Agent, error) {
	a := DefaultAgent()
	f, err := parse(path, text, &a, fullAgent)
	if err != nil {
		return Agent{}, err
	}
	if err := f.checkAgent(a); err != nil {
		return Agent{}, err
	}
	return f.absolute(a), nil
}

// absolute makes every path of the file absolute.
func (f *file) absolute(a Agent) Agent {
	a.State, a.Outbox.Dir, a.Inbox.Dir = f.abs(a.State), f.abs(a.Outbox.Dir), f.abs(a.Inbox.Dir)
	a.Tray = slices.Clone(a.Tray)
	for i := range a.Tray {
		a.Tray[i].Dir = f.abs(a.Tray[i].Dir)
	}
	return a
}

// WriteAgent writes an agent.toml durably, with a comment on every field. It writes nothing that
// LoadAgent would refuse.
func WriteAgent(path string, a Agent) error {
	text, err := render(agentExample, a)
	if err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	if _, err := ParseAgent(path, []byte(text)); err != nil {
		return fmt.Errorf("nothing was written, as it would be wrong: %w", err)
	}
	return durable.WriteFile(path, []byte(text), 0o644)
}

// AgentFile returns the path of an agent's configuration in its folder.
func AgentFile(dir string) string { return filepath.Join(dir, "agent.toml") }

func (f *file) checkAgent(a Agent) error {
	checks := []error{
		f.check("site", siteName(a.Site)),
		f.check("hub", hubAddresses(a.Hub)),
		f.check("network", networkID(a.Network)),
		f.check("suite", oneOf(a.Suite, SuiteHybrid, SuiteX25519)),
		f.check("roster", oneOf(a.Roster, RosterOptional, RosterRequired)),
		f.check("role", oneOf(a.Role, RoleSend, RoleReceive, RoleBoth)),
		f.check("state", notEmpty(a.State)),
		f.check("log_level", logLevel(a.LogLevel)),
		f.check("log_format", oneOf(a.LogFormat, "text", "json")),
		f.check("language", language(a.Language)),
		f.check("keep_history", a.keepHistory()),
		f.check("contact", oneLine(a.Contact)),
		f.check("direct", oneOf(a.Direct, DirectApproved, DirectAny)),
	}
	if a.Sends() {
		checks = append(checks, f.checkTrays(a)...)
	}
	if a.Receives() {
		checks = append(checks, f.checkInbox(a.Inbox)...)
	}
	if err := first(checks); err != nil {
		return err
	}
	return f.checkFolders(a)
}

// historyLeast is the shortest history. The hub keeps dead letters for 720h by default.
const historyLeast = Duration(30 * 24 * hour)

func (a Agent) keepHistory() error {
	least := historyLeast
	for _, t := range a.Trays() {
		least = max(least, t.RepeatWindow)
	}
	if a.KeepHistory != 0 && a.KeepHistory < least {
		return fmt.Errorf("want 0s, or %s at least, not %s", least, a.KeepHistory)
	}
	return nil
}

func (f *file) checkInbox(i Inbox) []error {
	return []error{
		f.check("inbox.dir", notEmpty(i.Dir)),
		f.check("inbox.max_size", atLeast(i.MaxSize, 1)),
		f.check("inbox.accept", oneOf(i.Accept, AcceptAny, AcceptCompared)),
		f.check("inbox.accept_per_day", atLeast(i.AcceptPerDay, 0)),
		f.check("inbox.workers", inRange(i.Workers, 1, 64)),
		f.check("inbox.readers", oneOf(i.Readers, ReadersGroup, ReadersOwner, ReadersEveryone)),
	}
}
