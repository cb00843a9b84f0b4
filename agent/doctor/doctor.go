// Package doctor examines a site from outside and reports its faults, with remedies.
//
// It promises to change nothing that lasts, and to work whether the agent runs or not: it never
// opens the ledger. It must not know how the agent works inside.
package doctor

import (
	"context"

	"sealpost/config"
	"sealpost/internal/reason"
)

// Level is the severity of a finding.
type Level string

// The levels.
const (
	OK   Level = "OK"
	Warn Level = "WARN" // it works, and may not for long
	Fail Level = "FAIL" // it does not work
)

// Finding is the result of one check.
type Finding struct {
	Level Level         `json:"level"`
	Check reason.Reason `json:"what"` // the name of the check
	reason.Verdict
}

// Options are the site to examine.
type Options struct {
	Config  config.Agent
	Dir     string // the site's folder, as the user has named it
	Version string // of the program
}

// accountCheck is the name of the check of the doctor's own account.
var accountCheck = reason.New("check-account")

// Examine runs all checks, and calls found with each finding. It ends early, with false, if this
// account cannot see the files of the agent.
func Examine(ctx context.Context, o Options, found func(Finding)) bool {
	for _, check := range []func(context.Context, Options) []Finding{account, keys, certificate,
		permissions, folders, senders, abilities, volumes, space, notifications, hub} {
		for _, f := range check(ctx, o) {
			found(f)
			if f.Check == accountCheck && f.Level == Fail {
				return false
			}
		}
	}
	return true
}

// good returns a finding without a remedy.
func good(check, says reason.Reason) []Finding {
	return []Finding{{OK, check, reason.Verdict{Says: says}}}
}

func warn(check, says, do reason.Reason) []Finding {
	return []Finding{{Warn, check, reason.Verdict{Says: says, Do: do}}}
}

func fail(check, says, do reason.Reason) []Finding {
	return []Finding{{Fail, check, reason.Verdict{Says: says, Do: do}}}
}

// asAgent is the remedy for an account that lacks the agent's rights.
func asAgent() reason.Reason { return reason.New("as-agent") }

// run returns a command as a remedy.
func run(command string) reason.Reason { return reason.New("run", "command", command) }
