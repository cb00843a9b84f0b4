// Package doctor looks at a site from outside and says what is well, what is not, and what to do about it.
//
// It promises to change nothing that lasts, and to work whether the agent runs or not: it never opens the ledger. Each
// finding is one line. It must not know how the agent works inside.
package doctor

import (
	"context"

	"sealpost/config"
	"sealpost/internal/words"
)

// Level says how good or bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "OK"
	Warn Level = "WARN" // it works, and may not for long
	Fail Level = "FAIL" // it does not work
)

// Finding is one thing that was looked at.
type Finding struct {
	Level Level  `json:"level"`
	What  string `json:"what"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"` // what to do about it
}

// accountName is what the account that looks is called among the findings.
const accountName = "account"

// Options is what a doctor looks at.
type Options struct {
	Config  config.Agent
	Dir     string // the site's folder, as the person has named it
	Version string // of the program
}

// Examine looks at everything, and hands over each finding as it is made. It ends early, with false, when this account
// cannot see what the agent sees.
func Examine(ctx context.Context, o Options, found func(Finding)) bool {
	for _, check := range []func(context.Context, Options) []Finding{account, keys, certificate, permissions, folders, senders, volumes, space, notifications, hub} {
		for _, f := range check(ctx, o) {
			found(f)
			if f.What == accountName && f.Level == Fail {
				return false
			}
		}
	}
	return true
}

func ok(what string, v words.Verdict) []Finding   { return finding(OK, what, v) }
func warn(what string, v words.Verdict) []Finding { return finding(Warn, what, v) }
func fail(what string, v words.Verdict) []Finding { return finding(Fail, what, v) }

func finding(l Level, what string, v words.Verdict) []Finding {
	return []Finding{{Level: l, What: what, Says: v.Says, Do: v.Do}}
}
