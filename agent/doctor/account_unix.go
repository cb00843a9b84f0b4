//go:build unix

package doctor

import (
	"context"
	"os"
	"syscall"

	"sealpost/internal/way"
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
		return warn(accountName, words.RootForAgent(o.Config.State, way.Account(int(owner.Uid)), o.Dir))
	}
	return fail(accountName, words.OtherAccount(o.Config.State, way.Account(int(owner.Uid)), way.Account(self), o.Dir))
}
