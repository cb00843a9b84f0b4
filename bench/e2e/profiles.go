//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sealpost/internal/control"
	"sealpost/internal/profile"
)

// profiles records a CPU profile of each process until its result is called. Without a folder it
// does nothing.
func (n *network) profiles(ctx context.Context, dir, name string) (end func() error) {
	if dir == "" {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	errs := make([]error, len(n.daemons))
	var recording sync.WaitGroup
	for i, d := range n.daemons {
		recording.Go(func() {
			errs[i] = recordProfile(ctx, d,
				filepath.Join(dir, fmt.Sprintf("%s-%s.prof", name, d.name)))
		})
	}
	return func() error {
		defer cancel()
		recording.Wait()
		return errors.Join(errs...)
	}
}

// profileTime is the recorded time of a run.
const profileTime = 3 * time.Second

func recordProfile(ctx context.Context, d *daemon, path string) error {
	answer, err := control.Dial(filepath.Join(d.dir, "state")).Stream(ctx, profile.Path,
		profile.Request{Kind: "cpu", For: profileTime})
	if err != nil {
		return fmt.Errorf("profile of %s: %w", d.name, err)
	}
	defer answer.Close()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, answer)
	return errors.Join(err, f.Close())
}
