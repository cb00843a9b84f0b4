package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"sealpost/internal/backoff"
	"sealpost/internal/visible"
)

// watchEvery is how often something that is watched is asked for.
const watchEvery = time.Second

// watch says something again whenever it has changed, until it is interrupted. A terminal is
// cleared before.
func watch(ctx context.Context, w io.Writer, say func(context.Context, io.Writer) error) error {
	var before []byte
	for {
		var now bytes.Buffer
		if err := say(ctx, &now); err != nil {
			if ctx.Err() != nil {
				return nil // interrupted, as it was meant to be
			}
			return err
		}
		if !bytes.Equal(before, now.Bytes()) {
			before = bytes.Clone(now.Bytes())
			if f := terminalOf(w); f != nil {
				if _, err := f.WriteString("\x1b[H\x1b[2J"); err != nil {
					return err
				}
			}
			if _, err := w.Write(now.Bytes()); err != nil {
				return err
			}
		}
		if backoff.Sleep(ctx, watchEvery) != nil {
			return nil
		}
	}
}

// records is an output for machines: it is no terminal that could be cleared.
type records struct{ io.Writer }

// terminalOf returns the terminal behind an output, for control sequences; nil: there is none.
func terminalOf(w io.Writer) *os.File {
	if gate, ok := w.(*visible.Writer); ok {
		w = gate.Unwrap()
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}
