package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub"
	"sealpost/hub/console"
	"sealpost/internal/control"
	"sealpost/internal/coredump"
	"sealpost/internal/durable"
	"sealpost/internal/secretfile"
	"sealpost/internal/service"
	"sealpost/spool"
	"sealpost/spool/badgerspool"
)

func hubRunCommand() *cobra.Command {
	var logFormat string
	cmd := &cobra.Command{
		Use: "run", Short: "Run the hub until it is interrupted", Args: noArgs,
		Long: "Run the hub until it is interrupted or asked to terminate; then it finishes what\n" +
			"is under way, for at most 20 seconds. SIGHUP does the same as sealpost hub reload,\n" +
			"and the log says what has changed.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runHub(cmd, dirOf(cmd), logFormat)
		},
	}
	dirFlag(cmd, "hub")
	logFlag(cmd, &logFormat)
	return cmd
}

// hubRunsHere returns an error on systems that cannot run a hub.
func hubRunsHere() error { return nil }

// runHub runs the hub as the service manager wants it.
func runHub(cmd *cobra.Command, dir, logFormat string) error {
	cfg, err := loadHub(dir)
	if err != nil {
		return err
	}
	level := &slog.LevelVar{}
	log, err := newLogAt(cmd.ErrOrStderr(), cmp.Or(logFormat, cfg.LogFormat), level)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)
	settings := hub.Settings{
		Signals: signals,
		Load:    func() (config.Hub, error) { return loadHub(dir) },
		Apply: func(cfg config.Hub) {
			if l, err := levelOf(cfg.LogLevel); err == nil { // the configuration was checked
				level.Set(l)
			}
			limitMemory(int64(cfg.Limits.Memory))
		},
	}
	settings.Apply(cfg)
	ask := (&asker{cmd: cmd}).passphrases()
	run := func(ctx context.Context) error { return serveHub(ctx, dir, cfg, settings, ask, log) }
	if err := coredump.Off(); err != nil {
		return err
	}
	return service.Run(cmd.Context(), service.Daemon{Run: run, Alive: hubAlive(cfg)}, log)
}

// serveHub wires log, spool and hub, in this order, and takes them apart in the other. The spool
// keeps its own files tight.
func serveHub(ctx context.Context, dir string, cfg config.Hub, settings hub.Settings,
	ask certs.Passphrases, log *slog.Logger) (err error) {
	loose, err := secretfile.Enter(cfg.State, "spool")
	if err != nil {
		return err
	}
	loose.Log(log)
	store, err := badgerspool.Open(filepath.Join(cfg.State, "spool"), badgerspool.Options{
		Reserve: int64(cfg.Spool.Reserve), Floor: int64(cfg.Spool.Floor),
		Ballast: int64(cfg.Spool.Ballast), Log: log,
	})
	if errors.Is(err, durable.ErrLocked) {
		return fmt.Errorf("the hub in %s runs already: %w", dir, err)
	}
	if err != nil {
		return err
	}
	defer func() {
		// an uncertain store would retry its write to the failed disk without end
		if !errors.Is(err, spool.ErrUncertain) {
			err = errors.Join(err, store.Close())
		}
	}()
	h, err := hub.New(hub.Options{Config: cfg, Spool: store, Log: log,
		Version: versionInfo().Version, Settings: settings, Passphrases: ask,
		Console: func(h *hub.Hub) hub.Console {
			return console.New(console.Options{Hub: h, Listen: cfg.Console.Listen, Log: log})
		}})
	if err != nil {
		return err
	}
	return h.Run(ctx)
}

// hubAlive asks the hub for its figures, for which it looks into its spool, and then knocks where
// agents do.
func hubAlive(cfg config.Hub) func(context.Context) error {
	return func(ctx context.Context) error {
		var s hub.Status
		if err := control.Dial(cfg.State).Call(ctx, hub.ControlStatus, hub.Nothing{},
			&s); err != nil {
			return err
		}
		dialer := tls.Dialer{Config: &tls.Config{
			MinVersion: tls.VersionTLS13,
			// nothing is told to it or believed of it: does it shake hands?
			InsecureSkipVerify: true,
		}}
		c, err := dialer.DialContext(ctx, "tcp", s.Listen)
		if err != nil {
			return fmt.Errorf("knock where agents do: %w", err)
		}
		return c.Close()
	}
}
