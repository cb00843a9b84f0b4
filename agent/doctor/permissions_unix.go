//go:build unix

package doctor

import (
	"os"
	"path/filepath"
	"syscall"

	"sealpost/config"
	"sealpost/internal/way"
	"sealpost/internal/words"
)

// serviceOf returns the account under which the agent runs, to which its state folder belongs.
func serviceOf(o Options) []int {
	info, err := os.Stat(o.Config.State)
	if err != nil {
		return nil
	}
	return []int{int(info.Sys().(*syscall.Stat_t).Uid)}
}

func goodPermissions(state string) words.Verdict { return words.PermissionsGood(state) }

// settings looks at who may write to agent.toml.
func settings(o Options) []Finding {
	path := config.AgentFile(o.Dir)
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	uid := int(info.Sys().(*syscall.Stat_t).Uid)
	switch service := serviceOf(o); {
	case uid != 0 && len(service) > 0 && uid != service[0]:
		return warn(filepath.Base(path), words.ConfigForeign(path, way.Account(uid)))
	case info.Mode()&0o022 != 0:
		return fail(filepath.Base(path), words.ConfigOpen(path, info.Mode()))
	}
	return nil
}
