package cli

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"sealpost/hub"
	"sealpost/internal/durable"
	"sealpost/spool/badgerspool"
)

func hubRunCommand() *cobra.Command {
	var dir, logFormat string
	cmd := &cobra.Command{
		Use: "run", Short: "Run the hub until it is interrupted", Args: noArgs,
		Long: "Run the hub until it is interrupted or asked to terminate; then it finishes what is under way, for at most 20 seconds.",
		RunE: func(cmd *cobra.Command, _ []string) error { return runHub(cmd, dir, logFormat) },
	}
	dirFlag(cmd, &dir, "hub")
	logFlag(cmd, &logFormat)
	return cmd
}

// runHub wires configuration, log, spool and hub, in this order, and takes them apart in the other.
func runHub(cmd *cobra.Command, dir, logFormat string) (err error) {
	cfg, err := loadHub(dir)
	if err != nil {
		return err
	}
	log, err := newLog(cmd.ErrOrStderr(), logFormat, cfg.LogLevel)
	if err != nil {
		return err
	}
	store, err := badgerspool.Open(filepath.Join(cfg.State, "spool"), badgerspool.Options{
		Reserve: int64(cfg.Spool.Reserve), Floor: int64(cfg.Spool.Floor), Ballast: int64(cfg.Spool.Ballast), Log: log,
	})
	if errors.Is(err, durable.ErrLocked) {
		return fmt.Errorf("the hub in %s runs already: %w", dir, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	h, err := hub.New(hub.Options{Config: cfg, Spool: store, Log: log, Version: versionInfo().Version})
	if err != nil {
		return err
	}
	return h.Run(cmd.Context())
}
