package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/config"
	"sealpost/hub/remote"
	"sealpost/internal/control"
	"sealpost/internal/reason"
	"sealpost/internal/service"
)

// askHub sends one request to the hub whose folder dir is, or to that of an admin's folder.
func askHub(ctx context.Context, dir, path string, in, out any) error {
	if remote.Is(dir) {
		r, err := remote.Open(dir, remote.Options{Version: versionInfo().Version})
		if err != nil {
			return err
		}
		return asUsage(r.Call(ctx, path, in, out))
	}
	return callHub(dir, func(c *control.Client) error {
		return asUsage(c.Call(ctx, path, in, out))
	})
}

// callHub calls the hub, and adds the command that starts one that does not run.
func callHub(dir string, call func(*control.Client) error) error {
	cfg, err := loadHub(dir)
	if err != nil {
		return err
	}
	if err = call(control.Dial(cfg.State)); errors.Is(err, control.ErrNotRunning) {
		return notRunning(service.Hub, dir, err)
	}
	return err
}

// show prints an answer as JSON with --json, and otherwise by text.
func show(cmd *cobra.Command, answer any, text func() error) error {
	if wantsJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	return text()
}

// showHub asks the hub at --dir, and shows its answer.
func showHub[T any](cmd *cobra.Command, path string, in any,
	text func(io.Writer, T) error) error {
	var out T
	if err := askHub(cmd.Context(), dirOf(cmd), path, in, &out); err != nil {
		return err
	}
	return show(cmd, out, func() error { return text(cmd.OutOrStdout(), out) })
}

// showAgent asks the agent at --dir, and shows its answer in the language of the site.
func showAgent[T any](cmd *cobra.Command, path string, in any,
	text func(*printer, T) error) error {
	var out T
	if err := askAgent(cmd.Context(), dirOf(cmd), path, in, &out); err != nil {
		return err
	}
	return show(cmd, out, func() error { return text(printerOf(cmd), out) })
}

// askAgent sends one request to the agent whose folder dir is.
func askAgent(ctx context.Context, dir, path string, in, out any) error {
	return callAgent(dir, func(c *control.Client) error {
		return asUsage(c.Call(ctx, path, in, out))
	})
}

// callAgent calls the agent. It adds the command that starts one that does not run, the fault that
// prevents its start, or the computer that has taken over.
func callAgent(dir string, call func(*control.Client) error) error {
	cfg, err := loadAgent(dir)
	if err != nil {
		return err
	}
	if err = call(control.Dial(cfg.State)); errors.Is(err, control.ErrNotRunning) {
		if since := agent.TakenOver(cfg.State); !since.IsZero() {
			return reason.Err("stopped-for", "dir", dir, "reason", agent.RunsElsewhere(since),
				"why", err)
		}
		if fault := agent.CheckStart(cfg); fault != nil {
			return reason.Err("start-would-fail", "dir", dir, "fault", fault, "why", err,
				"service", asService(service.Agent, dir))
		}
		return notRunning(service.Agent, dir, err)
	}
	return err
}

// notRunning returns the error of a daemon that does not answer, with the command that starts it.
func notRunning(kind, dir string, why error) error {
	return reason.Err("not-running", "kind", kind, "dir", dir, "why", why,
		"service", asService(kind, dir))
}

func noHubIn(dir string) error { return reason.Err("no-hub-in", "dir", absolute(dir)) }

func noAgentIn(dir string) error { return reason.Err("no-agent-in", "dir", absolute(dir)) }

func loadHub(dir string) (config.Hub, error) {
	cfg, err := config.LoadHub(config.HubFile(dir))
	if errors.Is(err, fs.ErrNotExist) && remote.Is(dir) {
		return cfg, reason.Err("remote-no-hub", "dir", absolute(dir))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, noHubIn(dir)
	}
	return cfg, err
}

func loadAgent(dir string) (config.Agent, error) {
	cfg, err := config.LoadAgent(config.AgentFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, noAgentIn(dir)
	}
	return cfg, err
}

// absolute returns the absolute path of a folder, for messages.
func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}
