// Package finding holds the results of checks, which the doctors of agent and hub share.
package finding

import "sealpost/internal/reason"

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

// Good returns a finding without a remedy.
func Good(check, says reason.Reason) Finding {
	return Finding{OK, check, reason.Verdict{Says: says}}
}

// Warning returns a finding of level Warn with its remedy.
func Warning(check, says, do reason.Reason) Finding {
	return Finding{Warn, check, reason.Verdict{Says: says, Do: do}}
}

// Failure returns a finding of level Fail with its remedy.
func Failure(check, says, do reason.Reason) Finding {
	return Finding{Fail, check, reason.Verdict{Says: says, Do: do}}
}
