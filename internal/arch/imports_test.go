package arch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "sealpost"

// pkg is a package as `go list` describes it.
type pkg struct {
	ImportPath   string
	Imports      []string // direct, without those of the tests
	Deps         []string // all, through any number of steps
	TestImports  []string
	XTestImports []string
}

// systems are those on which rooms may differ, so each is looked at.
var systems = []string{"linux", "windows", "darwin"}

// arrows are the rooms that a room may import, apart from itself, its own sub-rooms of internal,
// and helpers.
var arrows = map[string][]string{
	"": {"cli"},
	"cli": {"agent", "agent/doctor", "hub", "hub/console", "hub/doctor", "certs", "config",
		"statement", "spool", "spool/badgerspool", "hub/api", "hub/remote"},
	"agent": {"agent/outbox", "agent/inbox", "agent/trust", "agent/ledger",
		"agent/report", "agent/stranger", "envelope", "statement", "certs", "config", "hub/api",
		"spool"},
	"agent/doctor": {"agent/outbox", "agent/stranger", "envelope", "certs", "config",
		"hub/api"},
	"agent/stranger": {"certs", "hub/api"},
	"agent/report":   {"agent/outbox", "agent/inbox", "agent/ledger"},
	"agent/tray":     {},
	"agent/outbox": {"agent/tray", "agent/trust", "agent/ledger", "envelope", "statement",
		"certs", "hub/api", "spool"},
	"agent/inbox": {"agent/trust", "agent/ledger", "envelope", "statement", "certs",
		"hub/api", "spool"},
	"agent/trust":  {"agent/ledger", "envelope", "statement", "certs", "hub/api", "spool"},
	"agent/ledger": {"spool"},
	"envelope":     {"certs", "statement"},
	"statement":    {"certs"},
	"certs":        {},
	"config":       {},
	"hub":          {"hub/api", "spool", "certs", "config", "statement"},
	"hub/console":  {"hub", "config", "spool"},
	"hub/doctor":   {"hub", "certs", "config"},
	"hub/remote":   {"hub/api", "certs"},
	"hub/api":      {"spool"},
	"spool":        {},
	"spool/badgerspool": {"spool", "spool/badgerspool/disk", "spool/badgerspool/packs",
		"spool/badgerspool/queue"},
	"spool/spooltest": {"spool"},

	"spool/badgerspool/queue": {"spool"},
	"spool/badgerspool/packs": {"spool", "spool/badgerspool/disk"},
	"spool/badgerspool/disk":  {},
}

// isHelper tells the small packages of internal that any room may use, and that use no room.
func isHelper(room string) bool {
	return strings.HasPrefix(room, "internal/") && !isTestOnly(room)
}

func TestArrowsRunOneWay(t *testing.T) {
	for _, v := range againstArrows(ownPackages(t)) {
		t.Error(v)
	}
}

// againstArrows returns the imports that run against the arrows.
func againstArrows(packages []pkg) []string {
	var found []string
	for _, p := range packages {
		room := roomOf(p.ImportPath)
		if isTestOnly(room) {
			continue
		}
		allowed, known := arrows[room]
		if !known && !isHelper(room) {
			found = append(found, p.ImportPath+
				" has no place among the arrows: DESIGN names the rooms, this table their arrows")
			continue
		}
		for _, imported := range p.Imports {
			target := roomOf(imported)
			inside := imported == module || strings.HasPrefix(imported, module+"/")
			if inside && target != room && !isHelper(target) && !slices.Contains(allowed, target) {
				found = append(found, fmt.Sprintf(
					"%s imports %s: arrows run one way, and there is none from %q to %q",
					p.ImportPath, imported, room, target))
			}
		}
	}
	return found
}

// bans are single rules, each with its reason.
var bans = []struct {
	name   string
	who    func(room string) bool
	target func(imported string) bool
	deep   bool // through any number of steps
	reason string
}{
	{"hub cannot decrypt", is("hub", "hub/api", "hub/console", "spool", "spool/badgerspool"),
		has("sealpost/envelope", "filippo.io/age"), true,
		"the hub must not be able to open an envelope, and the import graph proves it"},
	{"hub knows no agent", is("hub", "hub/api"), has("sealpost/agent"), true,
		"the hub serves any agent that speaks the contract"},
	{"one engine room", not("spool/badgerspool"), has("github.com/dgraph-io"), false,
		"the engine can be replaced only while one package knows it"},
	{"the lease machine is pure", is("spool/badgerspool/queue"),
		has("github.com/dgraph-io", "os", "sealpost/internal/durable"), false,
		"which delivery is leased next is decided in memory alone, so that it is tested " +
			"without a disk"},
	{"one ledger room", not("agent/ledger"), has("modernc.org/sqlite", "database/sql"), false,
		"what is durable at a site is decided in one place"},
	{"outbox is not inbox", is("agent/outbox"), has("sealpost/agent/inbox"), true,
		"sending and receiving share the ledger and nothing else"},
	{"inbox is not outbox", is("agent/inbox"), has("sealpost/agent/outbox"), true,
		"sending and receiving share the ledger and nothing else"},
	{"a tray is files only", is("agent/tray"), has("sealpost/agent/ledger", "sealpost/agent/trust",
		"sealpost/hub", "sealpost/envelope"), true,
		"what is done with files is read, and tried, without messages"},
	{"agent needs no engine", is("agent", "agent/outbox", "agent/inbox"),
		has("sealpost/spool/badgerspool", "sealpost/hub"), false,
		"an agent knows the wire contract of the hub, not the hub"},
	{"no profiles on the network", func(string) bool { return true }, has("net/http/pprof"), true,
		"importing it serves profiles to whoever reaches the default handler; internal/profile " +
			"serves the control socket"},
	{"one room for keys", is("hub/api", "spool", "spool/badgerspool", "agent/ledger"),
		has("crypto/ecdsa", "crypto/rsa", "crypto/ed25519"), false,
		"only certs holds identity keys, and offers operations, never bytes"},
}

func TestBans(t *testing.T) {
	for _, v := range againstBans(ownPackages(t)) {
		t.Error(v)
	}
}

// againstBans returns the packages that reach an import that is banned for them.
func againstBans(packages []pkg) []string {
	var found []string
	for _, p := range packages {
		room := roomOf(p.ImportPath)
		for _, ban := range bans {
			if isTestOnly(room) || !ban.who(room) {
				continue
			}
			imports := p.Imports
			if ban.deep {
				imports = p.Deps
			}
			for _, imported := range imports {
				if ban.target(imported) {
					found = append(found, fmt.Sprintf("%s reaches %s: %s", p.ImportPath, imported,
						ban.reason))
				}
			}
		}
	}
	return found
}

// A rule that cannot be broken is no rule: each of these packages breaks one.
func TestRulesFindWhatBreaksThem(t *testing.T) {
	for _, p := range []pkg{
		{ImportPath: "sealpost/hub", Imports: []string{"sealpost/envelope"}},
		{ImportPath: "sealpost/hub", Deps: []string{"filippo.io/age/internal/format"}},
		{ImportPath: "sealpost/spool/badgerspool", Deps: []string{"sealpost/envelope"}},
		{ImportPath: "sealpost/hub", Imports: []string{"github.com/dgraph-io/badger/v4"}},
		{ImportPath: "sealpost/spool/badgerspool/queue",
			Imports: []string{"github.com/dgraph-io/badger/v4"}},
		{ImportPath: "sealpost/spool/badgerspool/queue",
			Imports: []string{"sealpost/spool/badgerspool"}},
		{ImportPath: "sealpost/spool/badgerspool/packs",
			Imports: []string{"github.com/dgraph-io/badger/v4"}},
		{ImportPath: "sealpost/spool/badgerspool/packs",
			Imports: []string{"sealpost/spool/badgerspool/queue"}},
		{ImportPath: "sealpost/agent", Imports: []string{"modernc.org/sqlite"}},
		{ImportPath: "sealpost/agent", Imports: []string{"database/sql"}},
		{ImportPath: "sealpost/agent", Imports: []string{"sealpost/hub"}},
		{ImportPath: "sealpost/agent/outbox", Deps: []string{"sealpost/agent/inbox"}},
		{ImportPath: "sealpost/agent/inbox", Imports: []string{"sealpost/agent/outbox"}},
		{ImportPath: "sealpost/internal/durable", Imports: []string{"sealpost/config"}},
		{ImportPath: "sealpost/internal/id", Imports: []string{"sealpost"}},
		{ImportPath: "sealpost/spool", Imports: []string{"sealpost/hub/api"}},
		{ImportPath: "sealpost/certs", Imports: []string{"sealpost/statement"}},
		{ImportPath: "sealpost", Imports: []string{"sealpost/hub"}},
		{ImportPath: "sealpost/hub", Deps: []string{"net/http/pprof"}},
		{ImportPath: "sealpost/hub", Imports: []string{"sealpost/internal/testkit"}},
		{ImportPath: "sealpost/attic"},
	} {
		if len(againstArrows([]pkg{p})) == 0 && len(againstBans([]pkg{p})) == 0 {
			t.Errorf("%s importing %v and reaching %v breaks no rule", p.ImportPath, p.Imports,
				p.Deps)
		}
	}
	for _, p := range []pkg{
		{ImportPath: "sealpost/agent", Imports: []string{"sealpost/hub/api", "sealpost/internal/id",
			"context"}, Deps: []string{"sealpost/hub/api"}},
		{ImportPath: "sealpost/cli/demo", Imports: []string{"sealpost/hub", "sealpost/agent"}},
		{ImportPath: "sealpost/e2e", Imports: []string{"sealpost/hub", "sealpost/agent/ledger"}},
	} {
		if found := append(againstArrows([]pkg{p}), againstBans([]pkg{p})...); len(found) != 0 {
			t.Errorf("%s breaks no rule, but: %v", p.ImportPath, found)
		}
	}
}

// The spool's contract must not lean on anything, so that a second engine needs nothing of the
// first.
func TestSpoolContractStandsAlone(t *testing.T) {
	for _, p := range ownPackages(t) {
		if p.ImportPath != module+"/spool" {
			continue
		}
		for _, imported := range p.Imports {
			first, _, _ := strings.Cut(imported, "/")
			if strings.Contains(first, ".") ||
				(first == module && imported != module+"/internal/id") {
				t.Errorf("package spool imports %s: it may import the standard library and "+
					"internal/id only", imported)
			}
		}
	}
}

// ownPackages lists the packages of this module on every system.
func ownPackages(t *testing.T) []pkg {
	t.Helper()
	var all []pkg
	for _, system := range systems {
		list := exec.Command("go", "list", "-e",
			"-json=ImportPath,Imports,Deps,TestImports,XTestImports", "./...")
		list.Dir = "../.."
		list.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		list.Stderr = os.Stderr
		out, err := list.Output()
		if err != nil {
			t.Fatalf("go list for %s: %v", system, err)
		}
		dec := json.NewDecoder(strings.NewReader(string(out)))
		for {
			var p pkg
			err := dec.Decode(&p)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
	}
	if len(all) < 3*len(systems) {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

// roomOf names the room a package belongs to: cli/demo is of the room cli.
func roomOf(importPath string) string {
	room := strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
	if strings.HasPrefix(room, "cli/") {
		return "cli"
	}
	return room
}

// testRooms are the packages of internal that only tests may import.
var testRooms = []string{"internal/arch", "internal/winetest", "internal/testkit",
	"internal/testnet",
	"internal/oddfs", "internal/oddfs/serve", "internal/loopfs"}

// isTestOnly tells the folders that are no part of the binary.
func isTestOnly(room string) bool {
	first, _, _ := strings.Cut(room, "/")
	return first == "e2e" || first == "bench" || slices.Contains(testRooms, room)
}

func is(rooms ...string) func(string) bool {
	return func(room string) bool { return slices.Contains(rooms, room) }
}

func not(room string) func(string) bool { return func(r string) bool { return r != room } }

// has matches a package and everything under it, except that sealpost/hub does not match
// sealpost/hub/api.
func has(prefixes ...string) func(string) bool {
	return func(imported string) bool {
		for _, p := range prefixes {
			if imported == p || (strings.HasPrefix(imported, p+"/") &&
				imported != "sealpost/hub/api") {
				return true
			}
		}
		return false
	}
}
