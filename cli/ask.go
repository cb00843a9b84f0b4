package cli

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"sealpost/agent"
	"sealpost/config"
	"sealpost/internal/control"
	"sealpost/internal/service"
	"sealpost/internal/words"
)

// askHub sends one request to the hub whose folder dir is.
func askHub(ctx context.Context, dir, path string, in, out any) error {
	cfg, err := loadHub(dir)
	if err != nil {
		return err
	}
	return hubSays(dir, control.Dial(cfg.State).Call(ctx, path, in, out))
}

// hubSays tells how to start a hub that does not run.
func hubSays(dir string, err error) error {
	if errors.Is(err, control.ErrNotRunning) {
		return words.NotRunning(service.Hub, dir, err, asService(service.Hub, dir))
	}
	return err
}

// askAgent sends one request to the agent whose folder dir is.
func askAgent(ctx context.Context, dir, path string, in, out any) error {
	cfg, err := loadAgent(dir)
	if err != nil {
		return err
	}
	return agentSays(dir, cfg.State, control.Dial(cfg.State).Call(ctx, path, in, out))
}

// agentSays tells how to start an agent that does not run, and where it runs instead.
func agentSays(dir, state string, err error) error {
	if errors.Is(err, control.ErrNotRunning) {
		if since := agent.TakenOver(state); !since.IsZero() {
			return words.StoppedFor(dir, since, err)
		}
		return words.NotRunning(service.Agent, dir, err, asService(service.Agent, dir))
	}
	return err
}

func loadHub(dir string) (config.Hub, error) {
	cfg, err := config.LoadHub(config.HubFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, words.NoHubIn(absolute(dir))
	}
	return cfg, err
}

func loadAgent(dir string) (config.Agent, error) {
	cfg, err := config.LoadAgent(config.AgentFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, words.NoAgentIn(absolute(dir))
	}
	return cfg, err
}

// absolute says which folder a relative name means, for messages.
func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}
