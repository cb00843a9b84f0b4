package oddfs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/text/unicode/norm"
)

// The server's answers: once when it is mounted, then to each change of habits.
const (
	mounted = "mounted\n"
	changed = "changed\n"
)

// disk is the server's side of a Disk.
type disk struct {
	back, mount string
	root        *fs.Inode

	mu     sync.Mutex // guards the rest
	habits Habits
	change chan struct{} // closed when the habits change
}

// Serve mounts a folder at a mount point until the changes end. It unmounts even if calls hang.
func Serve(back, mount string, changes io.Reader, answers io.Writer) error {
	d := &disk{back: back, mount: mount, change: make(chan struct{})}
	root := &node{disk: d}
	d.root = root.EmbeddedInode()
	none := time.Duration(0) // other machines change files, so nothing is cached
	isRoot := os.Geteuid() == 0
	options := fuse.MountOptions{
		AllowOther: isRoot, DirectMount: isRoot, DisableXAttrs: true, Name: "oddfs", FsName: back,
		Options: []string{"default_permissions"}}
	if _, err := fs.Mount(mount, root, &fs.Options{
		EntryTimeout: &none, AttrTimeout: &none, NegativeTimeout: &none, NullPermissions: true,
		MountOptions: options,
	}); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	err := d.follow(changes, answers)
	return errors.Join(err, unmount(mount)) // the end of the process ends the calls that hang
}

// follow takes over habits until the changes end.
func (d *disk) follow(changes io.Reader, answers io.Writer) error {
	if _, err := io.WriteString(answers, mounted); err != nil {
		return err
	}
	lines := bufio.NewScanner(changes)
	for lines.Scan() {
		var habits Habits
		if err := json.Unmarshal(lines.Bytes(), &habits); err != nil {
			return err
		}
		d.mu.Lock()
		d.habits = habits
		close(d.change)
		d.change = make(chan struct{})
		d.mu.Unlock()
		if _, err := io.WriteString(answers, changed); err != nil {
			return err
		}
	}
	return lines.Err()
}

// now returns the present habits, and a channel that is closed when they change.
func (d *disk) now() (Habits, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.habits, d.change
}

// begin returns the error that an operation must fail with. It waits while the operation hangs.
func (d *disk) begin(ctx context.Context, op Op, name string) syscall.Errno {
	for {
		habits, change := d.now()
		fault := find(habits.Faults, op, name)
		if fault == nil {
			return 0
		}
		if fault.Errno != 0 {
			return fault.Errno
		}
		select {
		case <-change:
		case <-time.After(50 * time.Millisecond): // the kernel tells of the first signal only
			if caller, ok := fuse.FromContext(ctx); ok && isKilled(caller.Pid) {
				return syscall.EINTR
			}
		}
	}
}

func find(faults []Fault, op Op, name string) *Fault {
	for i, f := range faults {
		if (f.On == Any || f.On == op) && (f.Name == "" || f.Name == name) {
			return &faults[i]
		}
	}
	return nil
}

// isKilled reports whether a thread is about to end. The kernel waits for the answer before it
// lets the thread go, and a server that is gone for good would never give it.
func isKilled(thread uint32) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return os.IsNotExist(err)
	}
	for line := range strings.Lines(string(status)) {
		var pending uint64
		for _, field := range []string{"SigPnd:", "ShdPnd:"} {
			if text, ok := strings.CutPrefix(line, field); ok {
				pending, _ = strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			}
		}
		if pending&(1<<(syscall.SIGKILL-1)) != 0 {
			return true
		}
	}
	return false
}

// name returns the name under which an entry lies in the folder behind, or why there can be none.
func (h *Habits) name(dir, name string) (string, syscall.Errno) {
	if h.NFD {
		name = norm.NFD.String(name)
	}
	if h.NameMax > 0 && len(name) > h.NameMax {
		return "", syscall.ENAMETOOLONG
	}
	if h.ASCII && strings.ContainsFunc(name, func(r rune) bool { return r > 127 }) {
		return "", syscall.EINVAL
	}
	if h.FoldCase {
		entries, _ := os.ReadDir(dir) //nolint:errcheck // the operation itself meets the error
		for _, e := range entries {
			if strings.EqualFold(e.Name(), name) {
				return e.Name(), 0
			}
		}
	}
	return name, 0
}

// path returns the place of an entry in the folder behind.
func (d *disk) path(n *node) string {
	habits, _ := d.now()
	rel := n.Path(d.root)
	if !habits.NFD && !habits.FoldCase {
		return filepath.Join(d.back, rel)
	}
	at := d.back
	for part := range strings.SplitSeq(rel, "/") {
		name, errno := habits.name(at, part)
		if errno != 0 {
			name = part
		}
		at = filepath.Join(at, name)
	}
	return at
}

// show fills in the attributes of a file, with the times of the server's clock.
func (d *disk) show(st *syscall.Stat_t, out *fuse.Attr) {
	habits, _ := d.now()
	out.FromStat(st)
	for _, t := range []struct {
		sec  *uint64
		nsec *uint32
	}{{&out.Atime, &out.Atimensec}, {&out.Mtime, &out.Mtimensec}, {&out.Ctime, &out.Ctimensec}} {
		shown := time.Unix(int64(*t.sec), int64(*t.nsec)).Add(habits.Skew)
		if habits.Granularity > 0 {
			shown = shown.Truncate(habits.Granularity)
		}
		*t.sec, *t.nsec = uint64(shown.Unix()), uint32(shown.Nanosecond())
	}
}
