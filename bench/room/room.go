//go:build linux

// Package room gives a measurement a file system of its own, and describes the machine.
//
// No file of it stays after any end of the measurement: the file system is in an image without a
// name, mounted in a mount namespace that ends with the process.
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

// Inside is the variable that marks the program in the namespace.
const Inside = "SEALPOST_BENCH_ROOM"

// Room is the place of a measurement.
type Room struct {
	Dir string
	Is  string // its description for users
}

// Wish configures a room.
type Wish struct {
	Dir   string // parent folder
	Size  int64  // bytes
	Plain bool   // a folder is enough
	Image string // a file that is kept as the disk, made if missing; empty: a temporary sparse one
}

// Enter runs measure in a room. For root that is a new ext4 with a journal, for which the program
// starts itself again in a mount namespace of its own. Otherwise, or with Plain, it is a folder.
func Enter(wish Wish, measure func(context.Context, Room) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if base := os.Getenv(Inside); base != "" {
		r, err := mount(base)
		if err != nil {
			r = Room{filepath.Join(base, "room"), "a folder on " + fileSystem(base) +
				" (no mount: " + err.Error() + ")"}
		}
		return measure(ctx, r)
	}
	base, err := os.MkdirTemp(wish.Dir, "sealpost-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base) //nolint:errcheck // it is a temporary folder
	room := filepath.Join(base, "room")
	if err := os.Mkdir(room, 0o755); err != nil {
		return err
	}
	why := "asked for"
	if !wish.Plain {
		if err = makeImage(ctx, image(base), wish); err == nil {
			return rerun(ctx, base)
		}
		why = err.Error()
	}
	return measure(ctx, Room{room, "a folder on " + fileSystem(base) + " (no mount: " + why + ")"})
}

func image(base string) string { return filepath.Join(base, "image") }

// makeImage makes an empty ext4, without background work left for the kernel.
func makeImage(ctx context.Context, path string, wish Wish) error {
	if os.Geteuid() != 0 {
		return errors.New("that needs root")
	}
	if wish.Image == "" {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Truncate(wish.Size), f.Close()); err != nil {
			return err
		}
	} else if err := keptImage(wish, path); err != nil {
		return err
	}
	return run(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-E",
		"nodiscard,lazy_itable_init=0,lazy_journal_init=0", path)
}

// keptImage links the kept image to its place. Every block was written when it was made: on some
// disks, mainly of virtual machines, the first write of a block takes several times longer.
func keptImage(wish Wish, link string) error {
	path, err := filepath.Abs(wish.Image)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := makeFile(path, noise(4<<20), wish.Size); err != nil {
			return err
		}
	}
	return os.Symlink(path, link)
}

// rerun starts this program again, in a mount namespace that ends with it.
func rerun(ctx context.Context, base string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), Inside+"="+base)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS,
		Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

// mount mounts the image and removes its name, so that its space is freed after the last use.
func mount(base string) (Room, error) {
	ctx := context.Background()
	dir := filepath.Join(base, "room")
	out, err := exec.CommandContext(ctx, "losetup", "--find", "--show", "--direct-io=on",
		image(base)).Output()
	if err != nil {
		return Room{}, fmt.Errorf("losetup: %w", err)
	}
	device := strings.TrimSpace(string(out))
	err = run(ctx, "mount", "-t", "ext4", device, dir)
	// From here on the device lives as long as the mount does.
	if err = errors.Join(err, run(ctx, "losetup", "--detach", device),
		os.Remove(image(base))); err != nil {
		return Room{}, err
	}
	return Room{dir, "a fresh ext4 with a journal, on a loop device over a file on " +
		fileSystem(base)}, nil
}

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// fileSystem returns the kind of a folder's file system.
func fileSystem(dir string) string {
	out, err := exec.Command("findmnt", "-n", "-o", "FSTYPE", "-T", dir).Output()
	if err != nil {
		return "an unknown file system"
	}
	return strings.TrimSpace(string(out))
}
