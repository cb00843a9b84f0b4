package service

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sealpost/internal/reason"
)

// maxLinks bounds the links on one way, like the system's limit.
const maxLinks = 40

// walker opens paths from the root of the file system down, folder by folder. It never opens an
// entry that an account other than keepers can replace. It follows a link only if root made it and
// only root can change its folder.
type walker struct {
	keepers   keepers
	ownFolder inode // the folder of the account, now or later: no link in it is followed
}

// inode is the identity of a file or folder.
type inode struct{ dev, ino uint64 }

func (h *handle) inode() inode { return inode{uint64(h.stat.Dev), h.stat.Ino} }

// walkerOf returns a walker for an installation.
func walkerOf(i Installation, a account) walker {
	w := walker{keepers: keepers{0, a.uid}}
	//nolint:errcheck // a folder with a flaw is refused later
	w.at(i.Dir, func(h *handle) error { w.ownFolder = h.inode(); return nil })
	return w
}

// at opens an existing folder and calls do with it.
func (w walker) at(path string, do func(*handle) error) error {
	return w.with(path, missingStays, func(h *handle) error {
		if !h.isFolder() {
			return notFolder(h)
		}
		return do(h)
	})
}

// atFile opens a file and calls do with it.
func (w walker) atFile(path string, do func(*handle) error) error {
	return w.with(path, missingStays, do)
}

// make makes a folder and missing folders above it.
func (w walker) make(path string) error {
	return w.with(path, makeFolder, func(h *handle) error {
		if !h.isFolder() {
			return notFolder(h)
		}
		return nil
	})
}

// with follows a path and calls do with its target. It calls lacking for each missing folder on the
// way.
func (w walker) with(path string, lacking func(in *handle, name string) error,
	do func(*handle) error) error {
	at, err := openRoot()
	if err != nil {
		return err
	}
	way := []*handle{at}
	defer func() {
		for _, h := range way {
			h.close()
		}
	}()
	links := 0
	for rest := elements(path); len(rest) > 0; {
		name, in := rest[0], way[len(way)-1]
		rest = rest[1:]
		if name == ".." { // of a link: back to its folder
			if len(way) > 1 {
				in.close()
				way = way[:len(way)-1]
			}
			continue
		}
		if !in.isFolder() {
			return notFolder(in)
		}
		next, err := w.step(in, name, lacking)
		if err != nil {
			return err
		}
		if !next.isLink() {
			way = append(way, next)
			continue
		}
		target, err := next.target()
		next.close()
		if links++; links > maxLinks {
			err = &fs.PathError{Op: "follow", Path: path, Err: unix.ELOOP}
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(target, "/") {
			for len(way) > 1 {
				way[len(way)-1].close()
				way = way[:len(way)-1]
			}
		}
		rest = append(elements(target), rest...)
	}
	return do(way[len(way)-1])
}

// step opens one entry of a folder, if only keepers can replace it.
func (w walker) step(in *handle, name string, lacking func(in *handle, name string) error) (
	*handle, error) {
	next, err := in.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := w.keepers.judge(in, nil); err != nil {
			return nil, err
		}
		if err := lacking(in, name); err != nil {
			return nil, err
		}
		next, err = in.open(name)
	}
	if err != nil {
		return nil, err
	}
	err = w.keepers.judge(in, next)
	if err == nil && next.isLink() {
		err = w.judgeLink(in, next)
	}
	if err != nil {
		next.close()
		return nil, err
	}
	return next, nil
}

// judgeLink returns the flaw of a link that accounts other than root can change.
func (w walker) judgeLink(in, link *handle) error {
	others, _, err := keepers{0}.writers(in)
	if err != nil {
		return err
	}
	if in.stat.Uid != 0 || len(others) > 0 || link.stat.Uid != 0 || in.inode() == w.ownFolder {
		return &flaw{reason.Verdict{Says: reason.New("link-loose", "path", link.path),
			Do: reason.New("link-away")}, link.path, 0}
	}
	return nil
}

// target returns the target of a link.
func (h *handle) target() (string, error) {
	var b [unix.PathMax]byte
	n, err := unix.Readlinkat(h.fd, "", b[:])
	if err != nil {
		return "", &fs.PathError{Op: "read the link", Path: h.path, Err: err}
	}
	return string(b[:n]), nil
}

// missingStays returns an error for a missing folder.
func missingStays(in *handle, name string) error {
	return &fs.PathError{Op: "open", Path: join(in.path, name), Err: os.ErrNotExist}
}

// makeFolder makes a folder of root's that only keepers may write to.
func makeFolder(in *handle, name string) error {
	err := unix.Mkdirat(in.fd, name, 0o755)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return &fs.PathError{Op: "mkdir", Path: join(in.path, name), Err: err}
	}
	return nil
}

// elements splits a path. A name before .. stays, as a link may have it.
func elements(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(name string) bool {
		return name == "" || name == "."
	})
}

func join(folder, name string) string { return strings.TrimSuffix(folder, "/") + "/" + name }
