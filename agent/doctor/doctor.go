// Package doctor examines a site from outside and reports its faults, with remedies.
//
// It promises to change nothing that lasts, and to work whether the agent runs or not: it never
// opens the ledger. It must not know how the agent works inside.
package doctor

import (
	"context"
	"time"

	"sealpost/config"
	"sealpost/internal/finding"
	"sealpost/internal/patience"
	"sealpost/internal/reason"
)

// Level is the severity of a finding.
type Level = finding.Level

// The levels.
const (
	OK   = finding.OK
	Warn = finding.Warn
	Fail = finding.Fail
)

// Finding is the result of one check.
type Finding = finding.Finding

// Options are the site to examine.
type Options struct {
	Config  config.Agent
	Dir     string // the site's folder, as the user has named it
	Version string // of the program
}

// checkPatience is the longest wait for the checks of folders. Only a disk that hangs needs longer.
const checkPatience = 15 * time.Second

// Examine runs all checks, and calls found with each finding. It ends early, with false, if this
// account cannot see the files of the agent. The checks run at the same time, so that a folder that
// hangs delays them once.
func Examine(ctx context.Context, o Options, found func(Finding)) bool {
	for _, f := range account(ctx, o) {
		found(f)
		if f.Level == Fail {
			return false
		}
	}
	end := time.Now().Add(checkPatience)
	var lists []chan []Finding
	for _, check := range []func(context.Context, Options) []Finding{keys, certificate,
		permissions, folders, senders, abilities, volumes, space, notifications} {
		list := make(chan []Finding, 1)
		go func() { list <- check(ctx, o) }()
		lists = append(lists, list)
	}
	isSilent := false
	for _, list := range lists {
		findings, ok := patience.Within(time.Until(end), func() []Finding { return <-list })
		isSilent = isSilent || !ok
		for _, f := range findings {
			found(f)
		}
	}
	if isSilent {
		found(finding.Failure(reason.New("check-unanswered"), reason.Of(errSilent),
			reason.New("await-server")))
	}
	for _, f := range hub(ctx, o) { // its calls have limits of their own
		found(f)
	}
	return true
}

// good returns a finding without a remedy.
func good(check, says reason.Reason) []Finding { return []Finding{finding.Good(check, says)} }

func warn(check, says, do reason.Reason) []Finding {
	return []Finding{finding.Warning(check, says, do)}
}

func fail(check, says, do reason.Reason) []Finding {
	return []Finding{finding.Failure(check, says, do)}
}

// asAgent is the remedy for an account that lacks the agent's rights.
func asAgent() reason.Reason { return reason.New("as-agent") }

// run returns a command as a remedy.
func run(command string) reason.Reason { return reason.New("run", "command", command) }
