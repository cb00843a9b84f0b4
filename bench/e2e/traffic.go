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

	"golang.org/x/sys/unix"

	"sealpost/bench/room"
	"sealpost/hub"
	"sealpost/internal/control"
)

// run is one load with its results.
type run struct {
	Name       string `json:"name"`
	Files      int    `json:"files"`
	Size       int64  `json:"size_bytes"` // of each
	Recipients int    `json:"recipients"`
	// from the first drop to the last file in the last inbox
	Seconds float64 `json:"seconds"`
	// to the last file in delivered/, its receipts verified
	Receipts  float64   `json:"seconds_to_sign"`
	Ceiling   float64   `json:"ceiling"` // bytes or files per second
	Machine   float64   `json:"machine_cpu_seconds"`
	Processes []process `json:"processes"`
	begun     time.Time // the first drop
}

func (r run) bytesPerSecond() float64 { return float64(r.Files) * float64(r.Size) / r.Seconds }
func (r run) filesPerSecond() float64 { return float64(r.Files) / r.Seconds }

func measureLarge(ctx context.Context, n *network, o *options, rep *report) error {
	for _, lab := range []*site{n.one, n.three} {
		r, err := n.traffic(ctx, "large", lab, o.large, o.size, o.profile)
		if err != nil {
			return err
		}
		r.Ceiling = rep.largeCeiling(r.Recipients)
		rep.add(r)
	}
	return nil
}

func measureSmall(ctx context.Context, n *network, o *options, rep *report) error {
	for _, lab := range []*site{n.one, n.three} {
		r, err := n.traffic(ctx, "small", lab, o.small, smallSize, o.profile)
		if err != nil {
			return err
		}
		r.Ceiling = rep.smallCeiling(r.Recipients)
		rep.add(r)
	}
	return nil
}

// traffic drops files at once and waits for all receipts. The files are on the disk before: the
// measurement starts with the drop.
func (n *network) traffic(ctx context.Context, name string, lab *site, files int, size int64,
	profiles string) (run, error) {
	r := run{Name: name, Files: files, Size: size, Recipients: len(lab.to)}
	prepared := filepath.Join(lab.dir, "prepared")
	if err := room.MakeFiles(prepared, name, files, size); err != nil {
		return r, err
	}
	take := n.profiles(ctx, profiles, fmt.Sprintf("%s-%d", name, r.Recipients))
	m, err := startMeter(n.daemons)
	if err != nil {
		return r, err
	}
	r.begun = time.Now()
	if err := dropAll(prepared, filepath.Join(lab.dir, "outbox")); err != nil {
		return r, err
	}
	inboxes := lab.inboxes()
	arrived, err := n.full(ctx, inboxes, files)
	if err != nil {
		return r, err
	}
	signed, err := n.full(ctx, []string{filepath.Join(lab.dir, "delivered")}, files)
	if err != nil {
		return r, err
	}
	if r.Processes, r.Machine, err = m.end(); err != nil {
		return r, err
	}
	r.Seconds, r.Receipts = arrived.Sub(r.begun).Seconds(), signed.Sub(r.begun).Seconds()
	if err := take(); err != nil {
		return r, err
	}
	if err := checkSizes(inboxes, size); err != nil {
		return r, err
	}
	return r, n.clear(ctx, lab)
}

// inboxes returns the folders in which a lab's files arrive.
func (s *site) inboxes() (list []string) {
	for _, c := range s.to {
		list = append(list, filepath.Join(c.dir, "inbox", s.name))
	}
	return list
}

// records returns the folders of the notes about them, a file for each.
func (s *site) records() (list []string) {
	for _, c := range s.to {
		list = append(list, filepath.Join(c.dir, "inbox", ".sealpost", s.name))
	}
	return list
}

func dropAll(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Open(to)
	if err != nil {
		return err
	}
	defer out.Close()
	for _, e := range entries {
		// os.Rename would look at each path first, and walk both of them.
		if err := unix.Renameat(int(in.Fd()), e.Name(), int(out.Fd()), e.Name()); err != nil {
			return fmt.Errorf("drop %s into %s: %w", e.Name(), to, err)
		}
	}
	return nil
}

// full waits until there are n entries in each folder, and returns the time of the last one. That
// is the folder's own time, so it is exact with rare checks, which cost the others little.
func (n *network) full(ctx context.Context, folders []string, want int) (time.Time, error) {
	pause := time.Duration(10+want/20) * time.Millisecond
	moved := time.Now()
	for before := -1; ; {
		var last time.Time
		all, sum := true, 0
		for _, dir := range folders {
			have, changed := count(dir)
			all = all && have >= want
			sum += have
			if changed.After(last) {
				last = changed
			}
		}
		if all {
			return last, nil
		}
		if sum != before {
			before, moved = sum, time.Now()
		}
		if time.Since(moved) > setUpTime {
			return last, fmt.Errorf("nothing moves any more: %d of %d are in %v", sum,
				want*len(folders), folders)
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// count returns the number of files below a folder, without notes, and the time of its last change.
func count(dir string) (files int, changed time.Time) {
	f, err := os.Open(dir)
	if err != nil {
		return 0, time.Time{}
	}
	defer f.Close()
	entries, _ := f.ReadDir(-1)
	for _, e := range entries {
		switch {
		case e.IsDir():
			within, _ := count(filepath.Join(dir, e.Name()))
			files += within
		case e.Name()[0] != '.':
			files++
		}
	}
	info, err := f.Stat()
	if err != nil {
		return 0, time.Time{}
	}
	return files, info.ModTime()
}

func checkSizes(folders []string, size int64) error {
	for _, dir := range folders {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if info, err := e.Info(); err != nil || info.Size() != size {
				return fmt.Errorf("%s/%s does not have %d bytes: %w", dir, e.Name(), size, err)
			}
		}
	}
	return nil
}

// clear makes room for the next run, also at the hub. A file system has a limited number of files.
func (n *network) clear(ctx context.Context, lab *site) error {
	for _, dir := range slices.Concat(lab.inboxes(), lab.records(),
		[]string{filepath.Join(lab.dir, "delivered")}) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for deadline := time.Now().Add(setUpTime); ; {
		var s hub.Status
		err := control.Dial(filepath.Join(n.hub.dir, "state")).Call(ctx, hub.ControlStatus,
			hub.Nothing{}, &s)
		if err != nil || s.Spool.Content == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("the hub keeps content that everybody has")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
