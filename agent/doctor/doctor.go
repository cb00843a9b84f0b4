// Package doctor looks at a site from outside and says what is well, what is not, and what to do about it.
//
// It promises to change nothing that lasts, and to work whether the agent runs or not: it never opens the ledger. Each
// finding is one line. It must not know how the agent works inside.
package doctor

import (
	"context"
	"fmt"

	"sealpost/config"
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

// Options is what a doctor looks at.
type Options struct {
	Config  config.Agent
	Version string // of the program
}

// Examine looks at everything, and hands over each finding as it is made.
func Examine(ctx context.Context, o Options, found func(Finding)) {
	for _, check := range []func(context.Context, Options) []Finding{account, keys, certificate, folders, volumes, space, notifications, hub} {
		for _, f := range check(ctx, o) {
			found(f)
		}
	}
}

func ok(what, format string, args ...any) []Finding {
	return []Finding{{Level: OK, What: what, Says: fmt.Sprintf(format, args...)}}
}

func warn(what, do, format string, args ...any) []Finding {
	return []Finding{{Level: Warn, What: what, Says: fmt.Sprintf(format, args...), Do: do}}
}

func fail(what, do, format string, args ...any) []Finding {
	return []Finding{{Level: Fail, What: what, Says: fmt.Sprintf(format, args...), Do: do}}
}
