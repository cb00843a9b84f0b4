package config

import (
	"path/filepath"

	"sealpost/internal/id"
)

// The roles of a site.
const (
	RoleSend    = "send"
	RoleReceive = "receive"
	RoleBoth    = "both"
)

// The suites of a network.
const (
	SuiteHybrid = "hybrid"
	SuiteX25519 = "x25519"
)

// Agent is agent.toml, the configuration of the agent at one site. `sealpost agent join` writes it from the invitation;
// relative paths are relative to the folder in which the file lies.
type Agent struct {
	// The name of this site, as its certificate says it. Required.
	Site string `toml:"site"`
	// The hub's addresses, "host:port", tried in this order. Required.
	Hub []string `toml:"hub"`
	// The network's fingerprint: the SHA-256 of the root's public key, in 64 hexadecimal digits. The agent believes no hub
	// under another root. Required.
	Network string `toml:"network"`
	// The network's encryption suite, "hybrid" or "x25519". It is fixed when the hub is made. Default "hybrid".
	Suite string `toml:"suite"`
	// What this site does: "send", "receive" or "both". Required.
	Role string `toml:"role"`
	// The folder of keys, ledger and sealed files. People have no business there. Default "state".
	State string `toml:"state"`
	// How much is logged: "debug", "info", "warn" or "error". Default "info".
	LogLevel string `toml:"log_level"`
	// The tray from which this site sends. Applies to the roles "send" and "both".
	Outbox Outbox `toml:"outbox"`
	// Where this site receives. Applies to the roles "receive" and "both".
	Inbox Inbox `toml:"inbox"`
}

// Outbox is the table [outbox] of agent.toml.
type Outbox struct {
	// The tray: the folder in which outbox, sending, delivered and failed are made. Default ".".
	Dir string `toml:"dir"`
	// The kind of what is sent, which is part of every message id: 1 to 8 of A-Z and 0-9. Default "DAT".
	Kind string `toml:"kind"`
	// The routing key under which this tray publishes, such as "fl-lab.dat". Required to send.
	Route string `toml:"route"`
	// How long a file must stay unchanged to count as finished. Default "2s".
	Settle Duration `toml:"settle"`
	// How long everything in a folder must stay unchanged for the folder to count as finished; it is then sent as one message.
	// A file NAME.done beside the folder NAME says so at once. Default "60s".
	FolderSettle Duration `toml:"folder_settle"`
	// How long everything waits in sending before it is sealed, so that "sealpost agent recall" can still take it back.
	// Default "0s".
	Hold Duration `toml:"hold"`
	// The number of the first message of each kind and day. Default 1.
	FirstNumber int64 `toml:"first_number"`
	// How often the tray is looked through, whether or not the system has told of a change. Default "10s".
	Sweep Duration `toml:"sweep"`
}

// Inbox is the table [inbox] of agent.toml.
type Inbox struct {
	// The folder in which arrived files are placed, in one folder per sender. Default "inbox".
	Dir string `toml:"dir"`
	// The free space that receiving leaves on the inbox's volume: below it the hub keeps the files. Default "1GiB".
	Reserve Size `toml:"reserve"`
	// The largest envelope that is accepted. Default "1TiB".
	MaxSize Size `toml:"max_size"`
	// How many envelopes are opened at the same time, 1 to 64. Default 4.
	Workers int `toml:"workers"`
}

// DefaultAgent returns an agent's configuration in which everything has its default and what is required is empty.
func DefaultAgent() Agent {
	return Agent{
		Suite: SuiteHybrid, State: "state", LogLevel: "info",
		Outbox: Outbox{Dir: ".", Kind: "DAT", Settle: Duration(2 * second), FolderSettle: Duration(60 * second), FirstNumber: 1, Sweep: Duration(10 * second)},
		Inbox:  Inbox{Dir: "inbox", Reserve: gibi, MaxSize: tebi, Workers: 4},
	}
}

// Sends tells whether the site has an outbox.
func (a Agent) Sends() bool { return a.Role == RoleSend || a.Role == RoleBoth }

// Receives tells whether the site has an inbox.
func (a Agent) Receives() bool { return a.Role == RoleReceive || a.Role == RoleBoth }

// LoadAgent reads and checks an agent.toml. In what it returns every path is absolute.
func LoadAgent(path string) (Agent, error) {
	a := DefaultAgent()
	f, err := load(path, &a, fullAgent)
	if err != nil {
		return Agent{}, err
	}
	if err := f.checkAgent(a); err != nil {
		return Agent{}, err
	}
	a.State, a.Outbox.Dir, a.Inbox.Dir = f.abs(a.State), f.abs(a.Outbox.Dir), f.abs(a.Inbox.Dir)
	return a, nil
}

// WriteAgent writes an agent.toml durably, with a comment on every field. It does not check what it writes: LoadAgent does.
func WriteAgent(path string, a Agent) error { return write(path, agentExample, a) }

// AgentFile is the name of an agent's configuration in its folder.
func AgentFile(dir string) string { return filepath.Join(dir, "agent.toml") }

func (f *file) checkAgent(a Agent) error {
	checks := []error{
		f.check("site", siteName(a.Site)),
		f.check("hub", hubAddresses(a.Hub)),
		f.check("network", networkID(a.Network)),
		f.check("suite", oneOf(a.Suite, SuiteHybrid, SuiteX25519)),
		f.check("role", oneOf(a.Role, RoleSend, RoleReceive, RoleBoth)),
		f.check("state", notEmpty(a.State)),
		f.check("log_level", logLevel(a.LogLevel)),
	}
	if a.Sends() {
		checks = append(checks, f.checkOutbox(a.Outbox)...)
	}
	if a.Receives() {
		checks = append(checks, f.checkInbox(a.Inbox)...)
	}
	return first(checks)
}

func (f *file) checkOutbox(o Outbox) []error {
	return []error{
		f.check("outbox.dir", notEmpty(o.Dir)),
		f.check("outbox.kind", id.ValidKind(o.Kind)),
		f.check("outbox.route", id.ValidRoutingKey(o.Route)),
		f.check("outbox.settle", between(o.Settle, 0, 24*hour)),
		f.check("outbox.folder_settle", between(o.FolderSettle, 0, 24*hour)),
		f.check("outbox.hold", between(o.Hold, 0, 24*hour)),
		f.check("outbox.first_number", atLeast(o.FirstNumber, 1)),
		f.check("outbox.sweep", between(o.Sweep, second/10, 24*hour)),
	}
}

func (f *file) checkInbox(i Inbox) []error {
	return []error{
		f.check("inbox.dir", notEmpty(i.Dir)),
		f.check("inbox.max_size", atLeast(i.MaxSize, 1)),
		f.check("inbox.workers", inRange(i.Workers, 1, 64)),
	}
}
