//go:build linux

// Command e2e measures the whole of sealpost. A hub and its sites run as processes on a file system
// of their own, set up by the usual commands.
//
// One run prints the speed of the disk, the processor time of the single steps of a file's way, and
// then the rates of the whole with large, small and single files. The ceiling is the rate of all
// cores if only the steps cost time, and each number stands beside its ceiling. Compare only
// numbers of one run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"sealpost/bench/room"
)

// options holds the sizes of a run.
type options struct {
	dir   string
	bin   string
	plain bool
	image string
	room  int64 // bytes
	only  []string

	large int   // files in flight
	size  int64 // bytes of each
	small int   // files of smallSize bytes
	drops int   // single files, one after the other

	json, table, svg string
	profile          string
	exec             string
}

const smallSize = 4096

// makeQuick makes a run small: it only shows that everything works.
func (o *options) makeQuick() {
	o.large, o.size, o.small, o.drops, o.room, o.plain = 2, 4<<20, 200, 5, 1<<30, true
}

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(args []string) error {
	o := options{size: 1 << 30, room: 64 << 30}
	f := flag.NewFlagSet("e2e", flag.ExitOnError)
	f.StringVar(&o.dir, "dir", os.TempDir(), "where there is room; everything made there is "+
		"removed again")
	f.StringVar(&o.bin, "bin", "", "the sealpost program (default: built from this tree)")
	f.BoolVar(&o.plain, "plain", false, "no file system of its own: use a folder")
	f.StringVar(&o.image, "image", "", "a file that is kept as the disk and written once when it "+
		"is made, for disks that are slow at that")
	f.Func("room", "bytes the file system may have, such as 14GiB (default 64GiB, less where "+
		"less is free)", amountFlag(&o.room))
	f.Func("size", "bytes of a large file (default 1GiB, less where there is less room)",
		amountFlag(&o.size))
	f.IntVar(&o.large, "large", 8, "large files in flight")
	f.IntVar(&o.small, "small", 10_000, "files of 4 KiB")
	f.IntVar(&o.drops, "drops", 200, "single files, one after the other")
	f.Func("only", "parts to run, of steps,large,small,single,idle (default all)",
		func(s string) error {
			o.only = strings.Split(s, ",")
			return nil
		})
	f.StringVar(&o.json, "json", "", "write the report for machines to this file")
	f.StringVar(&o.table, "table", "", "write the table to this file, too")
	f.StringVar(&o.svg, "svg", "", "draw the report into this file")
	f.StringVar(&o.profile, "profile", "", "write a CPU profile of each process under load to "+
		"this folder")
	f.StringVar(&o.exec, "exec", "", "carry out this program in the room instead, with ROOM, "+
		"BENCH and BIN in its environment")
	isQuick := f.Bool("quick", false, "only see that everything works")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *isQuick {
		o.makeQuick()
	}
	if free := room.Free(o.dir) - 2<<30; free < o.room && o.image == "" {
		o.room = free
	}
	return room.Enter(room.Wish{Dir: o.dir, Size: o.room, Plain: o.plain, Image: o.image},
		func(ctx context.Context, r room.Room) error {
			return o.measure(ctx, r)
		})
}

func (o *options) hasPart(part string) bool {
	return len(o.only) == 0 || slices.Contains(o.only, part)
}

// measure makes and writes one report.
func (o *options) measure(ctx context.Context, r room.Room) (err error) {
	o.fit(min(room.Free(r.Dir), o.room))
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o755); err != nil {
			return err // before the measurements
		}
	}
	if o.bin == "" {
		if o.bin, err = build(ctx, r.Dir); err != nil {
			return err
		}
	}
	rep, err := newReport(r, *o)
	if err != nil {
		return err
	}
	fmt.Print(rep.head())
	if o.exec != "" {
		return o.carryOut(ctx, r)
	}
	n, err := startNetwork(ctx, filepath.Join(r.Dir, "net"), o.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	for _, part := range []struct {
		name string
		do   func(context.Context, *network, *options, *report) error
	}{{"steps", measureSteps}, {"small", measureSmall}, {"idle", measureIdle},
		{"single", measureSingle}, {"large", measureLarge}} {
		if !o.hasPart(part.name) {
			continue
		}
		if err := part.do(ctx, n, o, rep); err != nil {
			return fmt.Errorf("%s: %w%s", part.name, err, n.tails())
		}
	}
	return rep.write(o)
}

// fit makes the large files smaller until all copies have room.
func (o *options) fit(free int64) {
	const places = 1 + 3 + 2 // the source, three inboxes, and sealed and spooled copies
	for o.size > 1<<20 && o.size*int64(o.large)*places > free-free/10 {
		o.size /= 2
	}
}

// carryOut runs another program in the room.
func (o *options) carryOut(ctx context.Context, r room.Room) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, o.exec)
	cmd.Env = append(os.Environ(), "ROOM="+r.Dir, "BENCH="+self, "BIN="+o.bin)
	cmd.Env = slices.DeleteFunc(cmd.Env, func(s string) bool {
		return strings.HasPrefix(s, room.Inside+"=")
	})
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return cmd.Run()
}

func build(ctx context.Context, dir string) (string, error) {
	out := filepath.Join(dir, "sealpost")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", out,
		"sealpost")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sealpost: %w\n%s", err, text)
	}
	return out, nil
}
