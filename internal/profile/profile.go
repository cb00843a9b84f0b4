// Package profile takes profiles of a running daemon for its administrator.
//
// Profiles leave the daemon through its control socket only, and one is taken at a time. Without a
// request nothing is measured, at no cost. Importing the package opens nothing, unlike
// net/http/pprof, which serves on the default handler. A profile holds names of functions, counts
// and times, but no content.
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

// Path is the path on the control socket.
const Path = "/profile"

// Longest bounds the duration of a profile.
const Longest = 10 * time.Minute

// Request asks for a profile for `go tool pprof`, or for a trace for `go tool trace`.
type Request struct {
	Kind string        `json:"kind"`
	For  time.Duration `json:"for"` // duration of the recording; ignored by kinds of Now
}

// Over holds the kinds that are recorded for a time, Now the snapshots.
var (
	Over = []string{"cpu", "trace", "mutex", "block"}
	Now  = []string{"heap", "allocs", "goroutine"}
)

// Check returns an error for an invalid request.
func (r Request) Check() error {
	switch {
	case slices.Contains(Now, r.Kind):
		return nil
	case !slices.Contains(Over, r.Kind):
		return fmt.Errorf("there is no profile %q: want %s or %s", r.Kind, strings.Join(Over, ", "),
			strings.Join(Now, ", "))
	case r.For <= 0 || r.For > Longest:
		return fmt.Errorf("a profile is recorded for up to %s, not for %s", Longest, r.For)
	}
	return nil
}

// Handle registers the profiles on a daemon's control socket.
func Handle(mux *http.ServeMux) {
	control.HandleStream(mux, Path, take)
}

// one guards the recording of a profile, since the runtime makes one at a time.
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
		runtime.GC() // the profile shows the heap of the last collection
	}
	return pprof.Lookup(r.Kind).WriteTo(w, 0)
}

func record(ctx context.Context, d time.Duration, w io.Writer, start func(io.Writer) error,
	stop func()) error {
	if err := start(w); err != nil {
		return fmt.Errorf("take the profile: %w", err)
	}
	defer stop()
	wait(ctx, d)
	return nil
}

// wait waits for d, or until the caller or the daemon ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
