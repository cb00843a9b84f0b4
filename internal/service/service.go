// Package service runs the daemons under the system's service manager: it installs, starts and stops them as services, and
// tells the manager when a daemon really serves and that it is still alive.
//
// It promises that several instances stand side by side under names of their own, that every step can be repeated without
// harm, that READY is said only after the daemon has answered a real question, that a daemon which answers no more is killed
// and started again within seconds, and that a daemon which somebody else has displaced is not.
//
// It must not know what the daemons do: they hand it a function that runs and one that asks whether they are alive.
package service

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"
)

// ErrDisplaced is wrapped by the error of a daemon that must not be started again by itself: somebody else has taken its
// place, and two that start each other anew would never end.
var ErrDisplaced = errors.New("not to be started again by itself")

// Daemon is a program as a service manager sees it.
type Daemon struct {
	Run   func(ctx context.Context) error // works until the context ends, and hands back what is under way
	Alive func(ctx context.Context) error // asks the daemon something that it can answer only when it serves

	Managed bool // its command line says that a service manager runs it; otherwise that is found out
}

// Kinds of daemons.
const (
	Hub   = "hub"
	Agent = "agent"
)

// ManagedFlag is what Install adds to a command line where a daemon could not be sure otherwise.
const ManagedFlag = "managed"

// Instance names one service of this machine.
type Instance struct {
	Kind string // Hub or Agent
	Name string // among those of its kind, such as FL-LAB
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// Check refuses a name that some service manager would not take.
func (i Instance) Check() error {
	if !validName.MatchString(i.Name) {
		return fmt.Errorf("%q is no name for a service: use letters, digits, - and _, at most 64", i.Name)
	}
	return nil
}

// Service is the name under which the service manager knows the instance.
func (i Instance) Service() string { return "sealpost-" + i.Kind + "@" + i.Name }

// Installation is an instance with all that its service needs to know. All paths are absolute.
type Installation struct {
	Instance
	Program  string   // the binary
	Dir      string   // the daemon's folder
	Config   string   // the configuration, in that folder
	ByRoot   bool     // root has written the configuration: it may name folders outside of Dir
	State    string   // the folder of keys and ledger or spool
	Shared   []string // folders that people and the service share: they drop, it takes
	Writable []string // folders of their owners in which the service writes, as it does into those that hold shared ones
	User     string   // the account; empty: the manager's own choice
	Group    string   // the people who use the shared folders, and the service
}

// Check refuses what a service could not work with.
func (i Installation) Check() error {
	if err := i.Instance.Check(); err != nil {
		return err
	}
	for _, path := range append([]string{i.Program, i.Dir, i.State}, append(i.Shared, i.Writable...)...) {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("%q is not an absolute path: a service has no folder of its own to start from", path)
		}
		if err := checkPath(path); err != nil {
			return err
		}
	}
	return nil
}

// stopTime is how long a daemon may take to stop before the manager kills it; the daemons' own grace time is shorter.
const stopTime = 40 * time.Second
