package config

import (
	"path/filepath"
	"slices"
)

// The roles of a site.
const (
	RoleSend    = "send"
	RoleReceive = "receive"
	RoleBoth    = "both"
)

// The accounts that may read what arrives.
const (
	ReadersGroup    = "group"
	ReadersOwner    = "owner"
	ReadersEveryone = "everyone"
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
	Outbox Tray `toml:"outbox"`
	// Where this site receives. Applies to the roles "receive" and "both".
	Inbox Inbox `toml:"inbox"`
	// More trays: one table [[tray]] for each, beside [outbox] or instead of it, with the same keys and the same defaults. Each
	// needs a name, a dir and a route of its own:
	//
	//	[[tray]]
	//	name = "sequencer"
	//	dir = "/srv/sequencer"
	//	kind = "SEQ"
	//	route = "fl-lab.seq"
	//	settle = "30s"
	//
	// No two trays may share a folder, or have one inside a folder of the other, of the inbox or of state. A tray that is taken
	// out of this file sends no more: what was dropped into it stays in its folders, and goes on when a tray of its name is back.
	Tray []Tray `toml:"tray"`
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
	// Which accounts of this computer may read what arrives, whatever the umask: "group" is the group of the folder, "owner"
	// the agent's account alone, "everyone" all accounts. The group may also change it if it may write to the folder. An
	// access list (default ACL) of the folder counts besides. On Windows the folder's access list alone decides. Default
	// "group".
	Readers string `toml:"readers"`
	// Whether a name that begins with a dot keeps it, so that folders do not show the file as a rule: .Rprofile, .git and
	// .htaccess are names upon which programs act. Otherwise the dot becomes %2E, as other characters do that are not safe
	// in names. Default false.
	Hidden bool `toml:"hidden"`
	// Whether received files that are programs at their sender may be run here. Otherwise they arrive without the right to
	// be executed, which an admin may give them. It has no meaning on Windows. Default false.
	Executables bool `toml:"executables"`
}

// DefaultAgent returns an agent's configuration in which everything has its default and what is required is empty.
func DefaultAgent() Agent {
	return Agent{
		Suite: SuiteHybrid, State: "state", LogLevel: "info",
		Outbox: defaultOutbox(),
		Inbox:  Inbox{Dir: "inbox", Reserve: gibi, MaxSize: tebi, Workers: 4, Readers: ReadersGroup},
	}
}

// Sends tells whether the site has an outbox.
func (a Agent) Sends() bool { return a.Role == RoleSend || a.Role == RoleBoth }

// Receives tells whether the site has an inbox.
func (a Agent) Receives() bool { return a.Role == RoleReceive || a.Role == RoleBoth }

// LoadAgent reads and checks an agent.toml. In what it returns every path is absolute.
func LoadAgent(path string) (Agent, error) {
	path, text, err := read(path)
	if err != nil {
		return Agent{}, err
	}
	return ParseAgent(path, text)
}

// ParseAgent is LoadAgent for text that has been read from the file at an absolute path already.
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

func (f *file) checkInbox(i Inbox) []error {
	return []error{
		f.check("inbox.dir", notEmpty(i.Dir)),
		f.check("inbox.max_size", atLeast(i.MaxSize, 1)),
		f.check("inbox.workers", inRange(i.Workers, 1, 64)),
		f.check("inbox.readers", oneOf(i.Readers, ReadersGroup, ReadersOwner, ReadersEveryone)),
	}
}
