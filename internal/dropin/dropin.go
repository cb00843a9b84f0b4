// Package dropin copies files and folders into a watched folder, so that each appears there
// complete.
//
// A copy appears under its name in one step, complete, with the times and the executable bit of the
// original. It replaces nothing, and an original that changes meanwhile is an error. After a
// failure no part is left. In the watched folder others may add, rename, swap and remove at any
// time: nothing is written, made or removed outside it. No link in an original or in its place is
// followed, and none of another account on the way to it. The content is durable before the copy
// has its name, so that a power cut leaves no empty file under it. The package does not know the
// watcher.
package dropin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"sealpost/internal/beneath"
	"sealpost/internal/durable"
)

// copySize is the number of bytes copied between two checks of the context.
const copySize = 1 << 20

// errSwapped means that another process replaced a copy before it got its name.
var errSwapped = errors.New("it was replaced while it was copied: try again")

// Folder is an open watched folder, or a folder in it.
type Folder struct{ dir *beneath.Dir }

// Open opens a watched folder, or a folder in it, which it makes if missing.
func Open(path, folder string) (Folder, error) {
	dir, err := beneath.Open(path)
	if err != nil || folder == "" {
		return Folder{dir}, err
	}
	defer dir.Close()
	if err := dir.Mkdir(folder, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return Folder{}, err
	}
	in, err := dir.Dir(folder)
	return Folder{in}, err
}

// Close closes the folder.
func (f Folder) Close() { f.dir.Close() }

// Copied is a finished copy.
type Copied struct {
	Path   string     // of the copy
	ID     beneath.ID // of the copy, to find it under another path
	Folder bool
}

// IsAt reports whether the copy lies under a name below a folder.
func (c Copied) IsAt(folder, name string) bool {
	dir, err := beneath.Open(folder)
	if err != nil {
		return false
	}
	defer dir.Close()
	info, err := dir.Lstat(name)
	return err == nil && info.ID == c.ID
}

// Copy copies the file or folder at source into the folder under its own name. It returns
// fs.ErrExist if that name is taken, and calls moved for each piece.
func (f Folder) Copy(ctx context.Context, source string,
	moved func(bytes int)) (c Copied, err error) {
	from, name, err := parent(source)
	if err != nil {
		return Copied{}, err
	}
	defer from.Close()
	var random [8]byte
	// never fails: crypto/rand ends the process instead
	rand.Read(random[:])
	temp := ".sealpost-" + hex.EncodeToString(random[:]) + ".part" // a name that no file has
	made, err := copier{ctx, moved}.any(from, name, f.dir, temp)
	if err == nil {
		err = f.isStill(temp, made.ID)
	}
	if err == nil {
		err = f.sync(temp, made)
	}
	if err == nil {
		err = f.dir.RenameNoReplace(temp, f.dir, name)
	}
	if err != nil {
		return Copied{}, errors.Join(err, f.discard(temp, made.ID))
	}
	return Copied{Path: filepath.Join(f.dir.Path(), name), ID: made.ID, Folder: made.IsDir()}, nil
}

// Mark makes an empty file that marks a copy as complete. A file of that name stays.
func (f Folder) Mark(name string) error {
	marker, err := f.dir.Create(name, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return marker.Close()
}

// isStill returns an error unless the name is that of the made file or folder.
func (f Folder) isStill(name string, made beneath.ID) error {
	info, err := f.dir.Lstat(name)
	if err == nil && info.ID != made {
		err = errSwapped
	}
	return err
}

// sync makes the content of a copy durable.
func (f Folder) sync(name string, made beneath.Info) error {
	if made.IsDir() {
		return f.dir.SyncTree(name)
	}
	return f.dir.SyncFile(name)
}

// discard removes a copy, if it still has its name.
func (f Folder) discard(name string, made beneath.ID) error {
	err := f.isStill(name, made)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errSwapped) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.dir.RemoveAll(name)
}

// Size returns the number of bytes to copy, or an error for a source that cannot be sent.
func Size(source string) (total int64, err error) {
	from, name, err := parent(source)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	err = walk(from, name, func(info beneath.Info) { total += info.Size })
	return total, err
}

// parent opens the folder of a source.
func parent(source string) (dir *beneath.Dir, name string, err error) {
	source, err = filepath.Abs(source)
	if err != nil {
		return nil, "", err
	}
	dir, err = beneath.Open(filepath.Dir(source))
	return dir, filepath.Base(source), err
}

// walk visits the files in a source.
func walk(dir *beneath.Dir, name string, visit func(beneath.Info)) error {
	info, err := look(dir, name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		visit(info)
		return nil
	}
	in, err := dir.Dir(name)
	if err != nil {
		return err
	}
	defer in.Close()
	return in.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if err := walk(in, e.Name(), visit); err != nil {
				return err
			}
		}
		return nil
	})
}

// look describes a file or folder that can be sent.
func look(dir *beneath.Dir, name string) (beneath.Info, error) {
	info, err := dir.Lstat(name)
	switch path := filepath.Join(dir.Path(), name); {
	case err != nil, info.IsRegular(), info.IsDir():
		return info, err
	case info.Mode&fs.ModeSymlink != 0:
		return info, fmt.Errorf("%s is a link: send the file itself", path)
	default:
		return info, fmt.Errorf("%s is neither a file nor a folder", path)
	}
}

type copier struct {
	ctx   context.Context
	moved func(int)
}

// any copies an entry of one folder into another, and describes the copy, even an incomplete one.
func (c copier) any(from *beneath.Dir, name string, to *beneath.Dir,
	newName string) (beneath.Info, error) {
	info, err := look(from, name)
	switch {
	case err != nil:
		return beneath.Info{}, err
	case info.IsDir():
		return c.folder(from, name, to, newName, info)
	}
	return c.file(from, name, to, newName)
}

func (c copier) folder(from *beneath.Dir, name string, to *beneath.Dir, newName string,
	info beneath.Info) (made beneath.Info, err error) {
	source, err := from.Dir(name)
	if err != nil {
		return made, err
	}
	defer source.Close()
	if err := to.Mkdir(newName, 0o777); err != nil {
		return made, err
	}
	in, err := to.Dir(newName)
	if err != nil {
		return made, err
	}
	defer in.Close()
	if made, err = in.Info(); err != nil {
		return made, err
	}
	err = source.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if _, err := c.any(source, e.Name(), in, e.Name()); err != nil {
				return err
			}
		}
		return nil
	})
	in.Close() // some systems cannot rename an open folder or set its time
	if err == nil {
		err = to.Chtimes(newName, info.ModTime)
	}
	return made, err
}

func (c copier) file(from *beneath.Dir, name string, to *beneath.Dir,
	newName string) (made beneath.Info, err error) {
	src, info, err := from.Open(name)
	if err != nil {
		return made, err
	}
	defer src.Close()
	mode := fs.FileMode(0o666)
	if info.Mode&0o111 != 0 {
		mode = 0o777
	}
	dst, err := to.Create(newName, mode)
	if err != nil {
		return made, err
	}
	made, err = beneath.InfoOf(dst) // by then another may have the name
	var n int64
	if err == nil {
		n, err = c.pieces(dst, io.LimitReader(src, info.Size+1)) // one more than there should be
	}
	timed := durable.SetTime(dst, info.ModTime)
	path := filepath.Join(from.Path(), name)
	if err = errors.Join(err, dst.Close()); err != nil {
		return made, fmt.Errorf("copy %s: %w", path, err)
	}
	after, err := from.Lstat(name)
	if err != nil {
		return made, err
	}
	if n != info.Size || after.ID != info.ID || after.Size != n ||
		!after.ModTime.Equal(info.ModTime) {
		return made, fmt.Errorf("%s has changed while it was copied: send it again when it is "+
			"finished", path)
	}
	if errors.Is(timed, durable.ErrUnsupported) {
		timed = to.Chtimes(newName, info.ModTime)
	}
	return made, timed
}

func (c copier) pieces(dst io.Writer, src io.Reader) (total int64, err error) {
	for {
		if err := c.ctx.Err(); err != nil {
			return total, err
		}
		n, err := io.CopyN(dst, src, copySize)
		total += n
		c.moved(int(n))
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
