//go:build unix

package service

import (
	"context"
	"log/slog"
)

// Run runs a daemon until the context ends. Under systemd it reports that the daemon serves, and
// that it lives. It logs errors of that to log.
func Run(ctx context.Context, d Daemon, log *slog.Logger) error {
	n := newNotifier()
	if n.socket == "" {
		return d.Run(ctx)
	}
	return runWatched(ctx, d, watcher{probe: d.Alive, every: watchdog() / 3, say: n.say, log: log})
}
