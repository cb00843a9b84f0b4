//go:build linux

// Package room gives a measurement a file system of its own and says what the machine under it is like.
//
// It promises that nothing of it stays behind, whatever ends the measurement: the file system lies in an image without a
// name, mounted in a mount namespace that goes with the process.
package room

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// inside tells the program that it is the one that runs in the namespace.
const inside = "SEALPOST_BENCH_ROOM"

// Room is where a measurement takes place.
type Room struct {
	Dir string
	Is  string // what it is, for people
}

// Enter runs measure in a room of size bytes under dir. With root's rights that is a fresh ext4 with a journal, for which
// the program starts itself once more in a mount namespace of its own; otherwise, or when plain is asked for, a folder.
func Enter(dir string, size int64, plain bool, measure func(context.Context, Room) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if base := os.Getenv(inside); base != "" {
		r, err := mount(base)
		if err != nil {
			r = Room{filepath.Join(base, "room"), "a folder on " + fileSystem(base) + " (no mount: " + err.Error() + ")"}
		}
		return measure(ctx, r)
	}
	base, err := os.MkdirTemp(dir, "sealpost-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base) //nolint:errcheck // it is a temporary folder
	room := filepath.Join(base, "room")
	if err := os.Mkdir(room, 0o755); err != nil {
		return err
	}
	why := "asked for"
	if !plain {
		if err = makeImage(ctx, image(base), size); err == nil {
			return again(ctx, base)
		}
		why = err.Error()
	}
	return measure(ctx, Room{room, "a folder on " + fileSystem(base) + " (no mount: " + why + ")"})
}

func image(base string) string { return filepath.Join(base, "image") }

// makeImage makes an empty ext4 in a sparse file, with nothing left for the kernel to do in the background.
func makeImage(ctx context.Context, path string, size int64) error {
	if os.Geteuid() != 0 {
		return errors.New("that needs root")
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	return run(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", path)
}

// again starts this program once more, in a mount namespace that ends with it.
func again(ctx context.Context, base string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"="+base)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

// mount puts the image into its place and takes its name away, so that it is gone as soon as nobody uses it.
func mount(base string) (Room, error) {
	ctx := context.Background()
	dir := filepath.Join(base, "room")
	out, err := exec.CommandContext(ctx, "losetup", "--find", "--show", "--direct-io=on", image(base)).Output()
	if err != nil {
		return Room{}, fmt.Errorf("losetup: %w", err)
	}
	device := strings.TrimSpace(string(out))
	err = run(ctx, "mount", "-t", "ext4", device, dir)
	// From here on the device lives as long as the mount does.
	if err = errors.Join(err, run(ctx, "losetup", "--detach", device), os.Remove(image(base))); err != nil {
		return Room{}, err
	}
	return Room{dir, "a fresh ext4 with a journal, on a loop device over a file on " + fileSystem(base)}, nil
}

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// fileSystem names the kind of file system on which a folder lies.
func fileSystem(dir string) string {
	out, err := exec.Command("findmnt", "-n", "-o", "FSTYPE,OPTIONS", "-T", dir).Output()
	if err != nil {
		return "an unknown file system"
	}
	return strings.Join(strings.Fields(string(out)), " ")
}
