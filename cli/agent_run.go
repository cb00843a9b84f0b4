package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/control"
	"sealpost/internal/coredump"
	"sealpost/internal/service"
)

func agentRunCommand() *cobra.Command {
	var logFormat string
	cmd := &cobra.Command{
		Use: "run", Short: "Run the agent until it is interrupted", Args: noArgs,
		Long: "Run the agent until it is interrupted or asked to terminate; then it hands back\n" +
			"what is under way.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAgent(cmd, logFormat)
		},
	}
	dirFlag(cmd, "agent")
	logFlag(cmd, &logFormat)
	managedFlag(cmd)
	return cmd
}

// runAgent runs the agent for the service manager. Run also reports the errors from before the
// start: a service has no other place for them.
func runAgent(cmd *cobra.Command, logFormat string) error {
	dir := dirOf(cmd)
	cfg, broken := loadAgent(dir)
	log, err := newLog(cmd.ErrOrStderr(), cmp.Or(logFormat, cfg.LogFormat),
		cmp.Or(cfg.LogLevel, "info"))
	if err != nil {
		return err
	}
	run := func(ctx context.Context) error {
		if broken != nil {
			return broken
		}
		err := agent.Keep(ctx, agent.Options{Config: cfg, Dir: absolute(dir),
			Version: versionInfo().Version, Log: log})
		if errors.Is(err, api.ErrHeld) {
			return fmt.Errorf("%w: %w", agent.RunsElsewhere(time.Now()).AsError(),
				service.ErrDisplaced)
		}
		return err
	}
	if err := coredump.Off(); err != nil {
		return err
	}
	limitMemory(agentMemory)
	return service.Run(cmd.Context(), service.Daemon{Run: run, Alive: agentAlive(cfg),
		Managed: isManaged(cmd)}, log)
}

// agentAlive asks the agent for its status, for which it looks into its ledger and its rooms. One
// that waits for room on its disk is alive: a restart makes none.
func agentAlive(cfg config.Agent) func(context.Context) error {
	return func(ctx context.Context) error {
		err := control.Dial(cfg.State).Call(ctx, agent.PathStatus, agent.StatusRequest{}, nil)
		if errors.Is(err, control.ErrHindered) {
			return nil
		}
		return err
	}
}
