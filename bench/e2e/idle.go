//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"sealpost/bench/room"
)

// idle holds the times of single files from a lab's outbox to its centre's inbox, on an idle
// network.
type idle struct {
	Drops int     `json:"drops"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

// rest is the pause between two drops, so that each receipt arrives before the next drop.
const rest = 60 * time.Millisecond

func measureIdle(ctx context.Context, n *network, o *options, rep *report) error {
	lab := n.one
	prepared := filepath.Join(lab.dir, "prepared")
	if err := room.MakeFiles(prepared, "single", o.drops+1, smallSize); err != nil {
		return err
	}
	entries, err := os.ReadDir(prepared)
	if err != nil {
		return err
	}
	inbox := lab.inboxes()[0]
	if err := os.MkdirAll(inbox, 0o777); err != nil {
		return err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Add(inbox); err != nil {
		return err
	}
	var took []time.Duration
	for _, e := range entries {
		d, err := dropOne(ctx, w, filepath.Join(prepared, e.Name()),
			filepath.Join(lab.dir, "outbox", e.Name()))
		if err != nil {
			return err
		}
		took = append(took, d)
		time.Sleep(rest)
	}
	rep.Idle = quantiles(took[1:]) // the first opens connections
	fmt.Print(rep.Idle.line())
	if _, err := n.full(ctx, []string{filepath.Join(lab.dir, "delivered")},
		len(entries)); err != nil {
		return err
	}
	return n.clear(ctx, lab)
}

// dropOne drops a file and waits for it in the inbox.
func dropOne(ctx context.Context, w *fsnotify.Watcher, from, to string) (time.Duration, error) {
	begun := time.Now()
	if err := os.Rename(from, to); err != nil {
		return 0, err
	}
	for {
		select {
		case e := <-w.Events:
			if e.Has(fsnotify.Create) && filepath.Base(e.Name) == filepath.Base(to) {
				return time.Since(begun), nil
			}
		case err := <-w.Errors:
			return 0, err
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(setUpTime):
			return 0, errors.New(filepath.Base(to) + " does not arrive")
		}
	}
}

func quantiles(took []time.Duration) *idle {
	slices.Sort(took)
	at := func(q float64) float64 {
		return took[min(int(q*float64(len(took))), len(took)-1)].Seconds() * 1000
	}
	return &idle{Drops: len(took), P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1)}
}

func (i *idle) line() string {
	return fmt.Sprintf("idle: %d single files, drop to inbox: p50 %.1f ms, p90 %.1f ms, p99 %.1f "+
		"ms, slowest %.1f ms\n", i.Drops, i.P50, i.P90, i.P99, i.Max)
}
