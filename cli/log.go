package cli

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"sealpost/internal/service"
	"sealpost/internal/visible"
)

func logFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "log-format", "",
		"how to log: text or json to standard error, or eventlog on Windows (default log_format "+
			"of the configuration, or text)")
}

// newLog logs to w at the level of the configuration, which has checked it.
func newLog(w io.Writer, format, level string) (*slog.Logger, error) {
	l, err := levelOf(level)
	if err != nil {
		return nil, err
	}
	return newLogAt(w, format, l)
}

func levelOf(level string) (l slog.Level, err error) {
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return l, usagef("log level %q: want debug, info, warn or error", level)
	}
	return l, nil
}

// newLogAt logs to w at a level that may change.
func newLogAt(w io.Writer, format string, level slog.Leveler) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	if format == "eventlog" {
		events, err := service.EventLog()
		if err != nil {
			return nil, err
		}
		options.Level = max(level.Level(), slog.LevelWarn) // admins read this one
		return slog.New(slog.NewTextHandler(visible.NewWriter(events), options)), nil
	}
	return nil, usagef(`--log-format wants "text", "json" or "eventlog", not %q`, format)
}
