// Package doctor examines a hub from outside and reports its faults, with remedies.
//
// It promises to change nothing that lasts, and to work whether the hub runs or not: it never opens
// the spool. It asks the running hub for its sites and queues through the control socket.
package doctor

import (
	"context"
	"errors"

	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/control"
	"sealpost/internal/finding"
	"sealpost/internal/reason"
)

// Options are the hub to examine.
type Options struct {
	Config config.Hub
	Dir    string // the hub's folder, as the user has named it
}

// subject is a hub under examination.
type subject struct {
	Options
	status  hub.Status // of the running hub
	absence error      // why the hub does not answer; nil: it does
}

// check is one check. It calls found with each of its findings.
type check func(ctx context.Context, p *subject, found func(finding.Finding))

// Examination is Check or Examine.
type Examination func(ctx context.Context, o Options, found func(finding.Finding)) bool

// Check runs the checks on which a start of the hub depends. It ends early, with false, if this
// account cannot see the files of the hub.
func Check(ctx context.Context, o Options, found func(finding.Finding)) bool {
	return examine(ctx, o, found, account, authority, certificate, suite, names, addresses,
		permissions, space)
}

// Examine runs all checks.
func Examine(ctx context.Context, o Options, found func(finding.Finding)) bool {
	return examine(ctx, o, found, account, authority, certificate, suite, names, addresses,
		permissions, space, inodes, clock, rootKey, logs, running, reachable, queues, sites, quotas,
		records, losses, export, roster)
}

func examine(ctx context.Context, o Options, found func(finding.Finding), checks ...check) bool {
	p := &subject{Options: o}
	p.absence = p.ask(ctx, hub.ControlStatus, &p.status)
	for _, check := range checks {
		blind := false
		check(ctx, p, func(f finding.Finding) {
			blind = blind || f.Check == accountCheck && f.Level == finding.Fail
			found(f)
		})
		if blind {
			return false
		}
	}
	return true
}

// accountCheck is the name of the check of the doctor's own account.
var accountCheck = reason.New("check-account")

// ask calls an operation of the running hub.
func (p *subject) ask(ctx context.Context, path string, out any) error {
	return control.Dial(p.Config.State).Call(ctx, path, hub.Nothing{}, out)
}

// isStopped reports whether the hub does not run. One that runs may still refuse to answer.
func (p *subject) isStopped() bool { return errors.Is(p.absence, control.ErrNotRunning) }

// run returns a command as a remedy.
func run(command string) reason.Reason { return reason.New("run", "command", command) }
