//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// single holds the results of one large file alone, with one recipient.
type single struct {
	Run    run     `json:"run"`
	Phases []phase `json:"phases"` // in order; together they are the time to the receipt
	// the largest space on the lab's disk, beside the file and that of before
	Extra int64 `json:"lab_extra_disk_bytes"`
}

type phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// singleSize is the size of the file in bytes, if large files are not smaller.
const singleSize = 1 << 30

// measureSingle sends one large file while nothing else is under way.
func measureSingle(ctx context.Context, n *network, o *options, rep *report) error {
	log := filepath.Join(n.hub.dir, "log")
	before, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	size := min(singleSize, o.size)
	d := watchDisk(n.one.dir)
	r, err := n.traffic(ctx, "single", n.one, 1, size, o.profile)
	extra := d.end() - size
	if err != nil {
		return err
	}
	text, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	s := &single{Run: r, Extra: max(0, extra)}
	if s.Phases, err = r.phases(string(bytes.TrimPrefix(text, before))); err != nil {
		return err
	}
	rep.Single = s
	fmt.Print(s.table())
	return nil
}

// phases returns the phases of the one file of a run, by the log of the hub.
func (r run) phases(log string) (list []phase, err error) {
	var opened, published time.Time
	for line := range strings.Lines(log) {
		stamp, event, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, bad := time.Parse(time.RFC3339, stamp)
		switch {
		case bad != nil:
		case strings.Contains(event, `msg="upload opened"`) && opened.IsZero():
			opened = at
		case strings.Contains(event, "msg=published"):
			published = at
		}
	}
	if opened.IsZero() || published.IsZero() {
		return nil, fmt.Errorf("the hub's log has no upload:\n%s", log)
	}
	last := 0.0
	for _, p := range []phase{
		{"found, claimed and addressed", opened.Sub(r.begun).Seconds()},
		{"sealed and uploaded", published.Sub(r.begun).Seconds()},
		{"downloaded, opened and placed", r.Seconds},
		{"receipt verified, and moved", r.Receipts},
	} {
		list = append(list, phase{p.Name, p.Seconds - last})
		last = p.Seconds
	}
	return list, nil
}

func (s *single) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "one file of %s for %s: in the inbox after %.2f s, its receipt after %.2f s\n",
		amount(s.Run.Size), recipients(s.Run.Recipients), s.Run.Seconds, s.Run.Receipts)
	longest := 0.0
	for _, p := range s.Phases {
		fmt.Fprintf(&b, "  %-30s %8.2f s\n", p.Name, p.Seconds)
		longest = max(longest, p.Seconds)
	}
	fmt.Fprintf(&b, "  the whole is %.2f of the longest phase\n", s.Run.Receipts/longest)
	fmt.Fprintf(&b, "  extra disk at the lab %.1f MiB, peak private memory",
		float64(s.Extra)/(1<<20))
	for _, p := range s.Run.Processes {
		fmt.Fprintf(&b, " %s %.0f", p.Name, float64(p.Private)/(1<<20))
	}
	return b.String() + " MiB\n\n"
}

// diskWatch samples the space that a folder takes on the disk.
type diskWatch struct {
	before, peak int64
	stop         chan struct{}
	done         sync.WaitGroup
}

// watchDisk starts the samples. They are rare enough to cost the agent nothing.
func watchDisk(dir string) *diskWatch {
	w := &diskWatch{before: space(dir), stop: make(chan struct{})}
	w.done.Go(func() {
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			w.peak = max(w.peak, space(dir))
			select {
			case <-w.stop:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	})
	return w
}

// end returns the largest growth of the folder in bytes.
func (w *diskWatch) end() int64 {
	close(w.stop)
	w.done.Wait()
	return w.peak - w.before
}

// space returns the bytes of all blocks below a folder. Files may come and go meanwhile.
func space(dir string) (sum int64) {
	//nolint:errcheck // see above
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			sum += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return sum
}
