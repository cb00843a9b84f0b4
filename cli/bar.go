package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"sealpost/internal/progress"
	"sealpost/internal/reason"
	"sealpost/internal/visible"
)

// bar is the line of progress for a user at a terminal. Elsewhere nothing is shown.
type bar struct {
	w        *os.File // nil: no terminal
	language reason.Language
	last     time.Time
	shown    bool
	meter    *progress.Meter
	name     string
	done     int64
}

// barEvery is how often the line changes.
const barEvery = 200 * time.Millisecond

func newBar(w io.Writer, l reason.Language) *bar {
	return &bar{w: terminalOf(w), language: l}
}

// isVisible reports whether the output is a terminal.
func (b *bar) isVisible() bool { return b.w != nil }

// show writes the name, the step and the progress.
func (b *bar) show(name, doing string, done, size int64) {
	if b.w == nil {
		return
	}
	if b.meter == nil || b.name != name || done < b.done {
		b.meter, b.name, b.done = progress.Start(size, 0, time.Now()), name, 0
	}
	b.meter.Add(done - b.done)
	b.done = done
	if now := time.Now(); now.Sub(b.last) >= barEvery {
		b.line(name+": "+doing, done, size, b.meter.State(now).Reason().In(b.language))
	}
}

// line shows a bar with words beside it.
func (b *bar) line(name string, done, size int64, says string) {
	const width = 20
	full := min(int(progress.State{Done: done, Size: size}.Percent())*width/100, width)
	b.say(fmt.Sprintf("%s [%s%s] %s", name, strings.Repeat("#", full),
		strings.Repeat(".", width-full), says))
}

// say shows a line in place of the last one, as far as the terminal is wide.
func (b *bar) say(text string) {
	if b.w == nil {
		return
	}
	text = visible.Line(text)
	if width, _, err := term.GetSize(int(b.w.Fd())); err == nil && width > 1 {
		if letters := []rune(text); len(letters) >= width {
			text = string(letters[:width-1])
		}
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s", text)
	b.last, b.shown = time.Now(), true
}

// clear takes the line away.
func (b *bar) clear() {
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
		b.shown = false
	}
}
