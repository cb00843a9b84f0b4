//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"sealpost/bench/room"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/envelope"
	"sealpost/internal/id"
)

// step is the processor time of one step of a file's way, done alone with the project's own
// functions.
type step struct {
	Name       string `json:"name"`
	Load       string `json:"load"`          // large or small
	Recipients int    `json:"recipients"`    // 0: the same for any number
	Each       bool   `json:"per_recipient"` // done once for each recipient
	// large: CPU seconds per GiB; small: CPU microseconds per file
	Cost float64 `json:"cost"`
}

// The steps.
const (
	stepSeal  = "seal to file"
	stepUp    = "HTTPS up"
	stepWrite = "hub write"
	stepDown  = "HTTPS down"
	stepOpen  = "open to file"
)

// workshop measures single steps. It has the keys of a network's sites, and a folder of its own.
type workshop struct {
	ctx     context.Context
	dir     string
	network id.Hash
	sender  *certs.Identity
	hub     *certs.Identity
	keys    *envelope.Keys // of the first centre
	to      []envelope.Recipient
}

// measureSteps measures each step alone, for large files and for small ones.
func measureSteps(ctx context.Context, n *network, o *options, rep *report) error {
	w, err := newWorkshop(ctx, n)
	if err != nil {
		return err
	}
	defer os.RemoveAll(w.dir) //nolint:errcheck // the room is removed at the end
	large, err := w.large(min(o.size, 512<<20))
	if err != nil {
		return fmt.Errorf("large: %w", err)
	}
	small, err := w.small(min(o.small, 2560))
	if err != nil {
		return fmt.Errorf("small: %w", err)
	}
	rep.Steps = append(large, small...)
	fmt.Print(rep.stepsTable())
	return nil
}

func newWorkshop(ctx context.Context, n *network) (*workshop, error) {
	w := &workshop{ctx: ctx, dir: filepath.Join(n.dir, "steps")}
	cfg, err := config.LoadAgent(config.AgentFile(n.three.dir))
	if err != nil {
		return nil, err
	}
	w.network = id.Hash(cfg.Network)
	if w.sender, err = identityOf(n.three.dir, "identity.key"); err != nil {
		return nil, err
	}
	if w.hub, err = identityOf(n.hub.dir, "hub.key"); err != nil {
		return nil, err
	}
	for i, c := range n.three.to {
		keys, err := envelope.OpenKeys(filepath.Join(c.dir, "state", "recipient.key"), cfg.Suite)
		if err != nil {
			return nil, err
		}
		r, err := envelope.Recipient{Site: id.Site(c.name), Key: keys.Recipient()}.Prepare()
		if err != nil {
			return nil, err
		}
		if w.to = append(w.to, r); i == 0 {
			w.keys = keys
		}
	}
	return w, os.MkdirAll(w.dir, 0o755)
}

func identityOf(dir, key string) (*certs.Identity, error) {
	return certs.OpenIdentity(filepath.Join(dir, "state", key),
		filepath.Join(dir, "state", "chain.pem"))
}

// cost returns the processor time of this process for do, with its garbage collection.
func cost(do func() error) (time.Duration, error) {
	runtime.GC()
	before := used()
	err := do()
	return used() - before, err
}

func used() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u) //nolint:errcheck // it never fails
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// task is one step to be measured.
type task struct {
	name       string
	recipients int
	each       bool
	do         func() error
}

func measureTasks(load string, unit float64, tasks []task) (list []step, err error) {
	for _, t := range tasks {
		took, err := cost(t.do)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		list = append(list, step{Name: t.name, Load: load, Recipients: t.recipients, Each: t.each,
			Cost: took.Seconds() / unit})
	}
	return list, nil
}

// request returns an envelope for the first n recipients with the files of a folder.
func (w *workshop) request(n int, files []string) (envelope.SealRequest, error) {
	req := envelope.SealRequest{Network: w.network, Envelope: id.Random128[id.Envelope](),
		Sender:  w.sender.Site(),
		Address: id.Address{RoutingKey: "pa-lab.dat"}, Recipients: w.to[:n]}
	for i, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return req, err
		}
		req.Messages = append(req.Messages, w.message(i, path, info.Size()))
	}
	return req, nil
}

// small measures the steps of n small files, as many to an envelope as fit.
func (w *workshop) small(n int) ([]step, error) {
	const perEnvelope = 128
	from := filepath.Join(w.dir, "from")
	if err := room.MakeFiles(from, "small", n, smallSize); err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(from, "small*"))
	if err != nil {
		return nil, err
	}
	var one, three []ciphertext
	sealAll := func(recipients int, into *[]ciphertext) func() error {
		return func() error {
			for at := 0; at < n; at += perEnvelope {
				c, err := w.sealSmall(recipients, paths[at:min(at+perEnvelope, n)])
				if err != nil {
					return err
				}
				*into = append(*into, c)
			}
			return nil
		}
	}
	line, err := w.listen()
	if err != nil {
		return nil, err
	}
	tasks := []task{
		{stepSeal, 1, false, sealAll(1, &one)},
		{stepSeal, 3, false, sealAll(3, &three)},
		{stepUp, 0, false, func() error { return line.publishAll(w.ctx, three) }},
		{stepWrite, 0, false, func() error { return w.spoolSmall(three) }},
		{stepDown, 0, true, func() error { return line.leaseAll(w.ctx, three) }},
		{stepOpen, 0, true, func() error { return w.openAll(three) }},
	}
	steps, err := measureTasks("small", float64(n)/1e6, tasks)
	return steps, errors.Join(err, line.close())
}

// large measures the steps of one large file.
func (w *workshop) large(size int64) ([]step, error) {
	from := filepath.Join(w.dir, "from")
	if err := room.MakeFiles(from, "large", 1, size); err != nil {
		return nil, err
	}
	defer os.RemoveAll(from) //nolint:errcheck // the room is removed at the end
	var sealed ciphertext
	line, err := w.listen()
	if err != nil {
		return nil, err
	}
	tasks := []task{
		{stepSeal, 0, false, func() (err error) {
			sealed, err = w.sealLarge(filepath.Join(from, "large00000.dat"))
			return err
		}},
		{stepUp, 0, false, func() error { return line.putAll(w.ctx, sealed) }},
		{stepWrite, 0, false, func() error { return w.spoolLarge(sealed) }},
		{stepDown, 0, true, func() error { return line.readAll(w.ctx, sealed) }},
		{stepOpen, 0, true, func() error { return w.openLarge(sealed) }},
	}
	steps, err := measureTasks("large", float64(size)/(1<<30), tasks)
	return steps, errors.Join(err, line.close(), os.Remove(sealed.path))
}
