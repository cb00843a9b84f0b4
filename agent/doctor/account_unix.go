//go:build unix

package doctor

import (
	"context"
	"os"
	"syscall"

	"sealpost/internal/reason"
	"sealpost/internal/shell"
	"sealpost/internal/way"
)

// accountCheck is the name of the check of the doctor's own account.
var accountCheck = reason.New("check-account")

// account compares this account with that of the agent, whose rights the checks need.
func account(_ context.Context, o Options) []Finding {
	info, err := os.Stat(o.Config.State)
	if err != nil {
		return nil // a finding of folders
	}
	stat, known := info.Sys().(*syscall.Stat_t)
	self := os.Geteuid()
	if !known || int(stat.Uid) == self {
		return nil
	}
	owner := way.Account(int(stat.Uid))
	command := shell.Join("sudo", "-u", owner, "sealpost", "agent", "doctor", "--dir", o.Dir)
	if self == 0 {
		return warn(accountCheck,
			reason.New("doctor-is-root", "folder", o.Config.State, "owner", owner),
			reason.New("not-as-root-but", "command", command))
	}
	return fail(accountCheck,
		reason.New("doctor-other-account", "folder", o.Config.State, "owner", owner,
			"self", way.Account(self)),
		reason.New("as-agent-by", "command", command))
}
