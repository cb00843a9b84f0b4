// Package service runs the daemons under the system's service manager. It installs, starts and
// stops services, and reports to the manager that a daemon serves and lives.
//
// It promises that several instances can be installed side by side under their own names, that
// every step can be repeated, that READY is sent only after the daemon has answered a real
// question, and that a daemon which no longer answers is killed and restarted within seconds. A
// daemon that another one has displaced is not restarted.
//
// It must not know the work of the daemons: it calls one function that runs, and one that checks
// that they live.
package service

import (
	"context"
	"path/filepath"
	"regexp"
	"time"

	"sealpost/internal/reason"
)

// ErrDisplaced is wrapped by the error of a daemon that must not be restarted automatically.
// Another one has taken its place, and two that displace each other would never end.
var ErrDisplaced = reason.Err("service-displaced")

// Daemon is a program under a service manager.
type Daemon struct {
	Run func(ctx context.Context) error // works until the context ends, and hands back open work
	// asks the daemon a question that it can answer only while it serves
	Alive func(ctx context.Context) error

	Managed bool // set by the command line of a service; otherwise it is detected
}

// Kinds of daemons.
const (
	Hub   = "hub"
	Agent = "agent"
)

// ManagedFlag is the flag that Install adds to a command line if a daemon could not detect its
// manager.
const ManagedFlag = "managed"

// Instance is the name of one service of this machine.
type Instance struct {
	Kind string // Hub or Agent
	Name string // among those of its kind, such as FL-LAB
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// Check returns an error for a name that some service manager would not accept.
func (i Instance) Check() error {
	if !validName.MatchString(i.Name) {
		return reason.Err("service-name", "name", i.Name)
	}
	return nil
}

// Service returns the instance's name in the service manager.
func (i Instance) Service() string { return "sealpost-" + i.Kind + "@" + i.Name }

// Installation is an instance with the data of its service. All paths are absolute.
type Installation struct {
	Instance
	Program string   // the binary
	Dir     string   // the daemon's folder
	Config  string   // the configuration, in that folder
	ByRoot  bool     // root wrote the configuration: it may name folders outside of Dir
	State   string   // the folder of keys and ledger or spool
	Shared  []string // folders shared by users and the service: they drop, it takes
	// folders of their owners in which the service writes, like those above shared ones
	Writable []string
	User     string // the account; empty: the manager's own choice
	Group    string // the group of the users of shared folders, and the service
}

// Check returns an error for an installation that could not work.
func (i Installation) Check() error {
	if err := i.Instance.Check(); err != nil {
		return err
	}
	for _, path := range append([]string{i.Program, i.Dir, i.State},
		append(i.Shared, i.Writable...)...) {
		if !filepath.IsAbs(path) {
			return reason.Err("path-relative", "path", path)
		}
		if err := checkPath(path); err != nil {
			return err
		}
	}
	return nil
}

// stopTime is the longest time to stop before the manager kills a daemon; the daemons' own grace
// time is shorter.
const stopTime = 40 * time.Second
