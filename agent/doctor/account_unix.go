//go:build unix

package doctor

import (
	"context"
	"os"
	"syscall"
)

// account makes sure that what is tried here is tried with the rights that the agent has.
func account(_ context.Context, o Options) []Finding {
	info, err := os.Stat(o.Config.State)
	if err != nil {
		return nil // said of the folder
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if known && int(owner.Uid) != os.Geteuid() {
		return warn("account", "run this as the account under which the agent runs: what follows may be otherwise for it",
			"%s belongs to the account %d, and this runs as %d", o.Config.State, owner.Uid, os.Geteuid())
	}
	return nil
}
