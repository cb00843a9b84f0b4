//go:build unix

package doctor

import (
	"context"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"sealpost/internal/words"
)

// account makes sure that what is tried here is tried with the rights that the agent has.
func account(_ context.Context, o Options) []Finding {
	info, err := os.Stat(o.Config.State)
	if err != nil {
		return nil // said of the folder
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	self := os.Geteuid()
	switch {
	case !known || int(owner.Uid) == self:
		return nil
	case self == 0:
		return warn(accountName, words.RootForAgent(o.Config.State, nameOf(int(owner.Uid)), o.Dir))
	}
	return fail(accountName, words.OtherAccount(o.Config.State, nameOf(int(owner.Uid)), nameOf(self), o.Dir))
}

// nameOf is an account as people call it.
func nameOf(uid int) string {
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}
