package service

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"sealpost/internal/reason"
)

const (
	deepest  = 64 // nested folders of a state, far above the real depth
	mostLeft = 10 // lines about files that keep their owner
)

// giving is the transfer of a folder with its content to an account.
type giving struct {
	account
	mount string // the mount of the folder
	left  []step // files that keep their owner, with the reason
	more  int
}

// giveTree gives a folder and its content to an account. It goes from folder to folder by handles:
// through no link and no mount. Files with other names and devices keep their owners, and are
// returned as an error.
func giveTree(folder *handle, a account) error {
	g := giving{account: a}
	var err error
	if g.mount, err = folder.mount(); err != nil {
		return err
	}
	if err := g.folder(folder, deepest); err != nil {
		return err
	}
	if len(g.left) > 0 {
		return &g
	}
	return nil
}

func (g *giving) Error() string { return g.lines()[0].String() }

// lines returns the files that keep their owner, for the admin.
func (g *giving) lines() []reason.Reason {
	lines := carryOut(g.left, step.do)
	if g.more > 0 {
		lines = append(lines, reason.New("more-left", "n", g.more))
	}
	return lines
}

// folder gives a folder, and then its content: the old owner can then add no more files.
func (g *giving) folder(folder *handle, depth int) error {
	if depth == 0 {
		g.leave(folder, reason.New("left-too-deep"), "ls", "-ld")
		return nil
	}
	if err := folder.own(g.uid, g.gid); err != nil {
		return err
	}
	list, err := folder.list()
	if err != nil {
		return err
	}
	defer list.Close()
	for {
		names, err := list.Readdirnames(256)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := g.entry(folder, name, depth); err != nil {
				return err
			}
		}
	}
}

// list opens a folder for reading.
func (h *handle) list() (*os.File, error) {
	fd, err := unix.Openat(h.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: h.path, Err: err}
	}
	return os.NewFile(uintptr(fd), h.path), nil
}

// entry gives an entry of a folder. It ignores one that has just vanished: the service may be
// running.
func (g *giving) entry(in *handle, name string, depth int) error {
	h, err := in.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.close()
	mount, err := h.mount()
	switch {
	case err != nil:
		return err
	case mount != g.mount:
		g.leave(h, reason.New("left-mounted"), "chown", "-hR", g.user+":"+g.group)
		return nil
	case h.isFolder():
		return g.folder(h, depth-1)
	case h.kind() == aDevice && h.stat.Uid != g.uid:
		g.leave(h, reason.New("left-no-content", "kind", h.kind()), "ls", "-l")
		return nil
	case h.stat.Nlink > 1 && h.stat.Uid != g.uid:
		g.leave(h, reason.New("left-linked", "n", h.stat.Nlink), "ls", "-li")
		return nil
	}
	return h.own(g.uid, g.gid)
}

// leave records a file that keeps its owner, and the admin's remedy.
func (g *giving) leave(h *handle, why reason.Reason, words ...string) {
	if len(g.left) == mostLeft {
		g.more++
		return
	}
	g.left = append(g.left, step{append(words, h.path), why.AsError})
}
