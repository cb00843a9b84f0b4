//go:build unix

package doctor

import (
	"os"
	"path/filepath"
	"syscall"

	"sealpost/config"
	"sealpost/internal/reason"
	"sealpost/internal/shell"
	"sealpost/internal/way"
)

// serviceOf returns the agent's account, the owner of its state folder.
func serviceOf(o Options) []int {
	info, err := os.Stat(o.Config.State)
	if err != nil {
		return nil
	}
	return []int{int(info.Sys().(*syscall.Stat_t).Uid)}
}

func goodPermissions(state string) reason.Reason {
	return reason.New("permissions-good", "folder", state)
}

// settings checks which accounts may write to agent.toml.
func settings(o Options) []Finding {
	path := config.AgentFile(o.Dir)
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	check := reason.New("check-file", "name", filepath.Base(path))
	uid := int(info.Sys().(*syscall.Stat_t).Uid)
	switch service := serviceOf(o); {
	case uid != 0 && len(service) > 0 && uid != service[0]:
		return warn(check, reason.New("config-foreign", "path", path, "account", way.Account(uid)),
			run(shell.Join("chown", "root", path)))
	case info.Mode()&0o022 != 0:
		return fail(check, reason.New("config-open", "path", path, "mode", octal(info.Mode())),
			run(shell.Join("chmod", "go-w", path)))
	}
	return nil
}
