// Package profile lets the person who may administrate a daemon see where its time and memory go.
//
// It promises that profiles leave the daemon through its control socket only, that one is taken at a time, and that nothing
// is measured, and nothing costs anything, while none is asked for. Importing it opens nothing, unlike net/http/pprof, which
// serves whoever reaches the default handler. A profile holds names of functions, counts and times; it holds no content.
package profile

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strings"
	"sync"
	"time"

	"sealpost/internal/control"
)

// Path is where the control socket answers.
const Path = "/profile"

// Longest bounds how long a profile is taken.
const Longest = 10 * time.Minute

// Request asks for a profile in the form that `go tool pprof` reads, or for a trace that `go tool trace` reads.
type Request struct {
	Kind string        `json:"kind"`
	For  time.Duration `json:"for"` // how long what happens is recorded; those of Now ignore it
}

// Over are the kinds that are recorded for a time, Now those that show a moment.
var (
	Over = []string{"cpu", "trace", "mutex", "block"}
	Now  = []string{"heap", "allocs", "goroutine"}
)

// Check says what is wrong with a request.
func (r Request) Check() error {
	switch {
	case slices.Contains(Now, r.Kind):
		return nil
	case !slices.Contains(Over, r.Kind):
		return fmt.Errorf("there is no profile %q: want %s or %s", r.Kind, strings.Join(Over, ", "), strings.Join(Now, ", "))
	case r.For <= 0 || r.For > Longest:
		return fmt.Errorf("a profile is recorded for up to %s, not for %s", Longest, r.For)
	}
	return nil
}

// Handle registers the profiles on a daemon's control socket.
func Handle(mux *http.ServeMux) {
	control.HandleStream(mux, Path, take)
}

// one guards what the runtime has only once: the recording of a profile.
var one sync.Mutex

func take(ctx context.Context, r Request, w io.Writer) error {
	if err := r.Check(); err != nil {
		return err
	}
	if !one.TryLock() {
		return fmt.Errorf("another profile is being taken: ask again when it is done")
	}
	defer one.Unlock()
	switch r.Kind {
	case "cpu":
		return record(ctx, r.For, w, pprof.StartCPUProfile, pprof.StopCPUProfile)
	case "trace":
		return record(ctx, r.For, w, trace.Start, trace.Stop)
	case "mutex":
		before := runtime.SetMutexProfileFraction(10)
		defer runtime.SetMutexProfileFraction(before)
		wait(ctx, r.For)
	case "block":
		runtime.SetBlockProfileRate(int(10 * time.Microsecond))
		defer runtime.SetBlockProfileRate(0)
		wait(ctx, r.For)
	case "heap":
		runtime.GC() // so that it shows what is alive now, and not at the last collection
	}
	return pprof.Lookup(r.Kind).WriteTo(w, 0)
}

func record(ctx context.Context, d time.Duration, w io.Writer, start func(io.Writer) error, stop func()) error {
	if err := start(w); err != nil {
		return fmt.Errorf("take the profile: %w", err)
	}
	defer stop()
	wait(ctx, d)
	return nil
}

// wait ends early with the caller or the daemon.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
