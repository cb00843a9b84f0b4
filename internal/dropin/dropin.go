// Package dropin copies files and folders into a folder that is watched, so that they are never seen half.
//
// It promises that what it copies appears under its name in one step, complete, with the times and the permission to be
// executed of the original; that nothing is replaced; and that an original which changes meanwhile is an error. After a
// failure nothing is left behind. It does not sync: whoever takes the copy does. It does not know who watches.
package dropin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"sealpost/internal/durable"
)

// copySize is how much is copied between two looks at whether to go on.
const copySize = 1 << 20

// Copied is something that was copied.
type Copied struct {
	Path string      // of the copy
	Info fs.FileInfo // of the copy, to know it again under another path
}

// Copy copies what lies at source, a file or a folder, into dir under its own name; fs.ErrExist when that name is taken.
// moved is told of each piece.
func Copy(ctx context.Context, source, dir string, moved func(bytes int)) (Copied, error) {
	source, err := filepath.Abs(source)
	if err != nil {
		return Copied{}, err
	}
	var random [8]byte
	rand.Read(random[:])
	temp := filepath.Join(dir, ".sealpost-"+hex.EncodeToString(random[:])+".part") // a name that nobody takes
	c := copier{ctx: ctx, moved: moved}
	if err := c.any(source, temp); err != nil {
		return Copied{}, errors.Join(err, os.RemoveAll(temp))
	}
	to := filepath.Join(dir, filepath.Base(source))
	info, err := os.Lstat(temp)
	if err == nil {
		err = durable.RenameNoReplace(temp, to)
	}
	if err != nil {
		return Copied{}, errors.Join(err, os.RemoveAll(temp))
	}
	return Copied{Path: to, Info: info}, nil
}

// Size is how many bytes there are to copy. It refuses what cannot be sent, so that it is said before anything is copied.
func Size(source string) (total int64, err error) {
	err = filepath.WalkDir(source, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			total += info.Size()
		}
		return suitable(path, info)
	})
	return total, err
}

func suitable(path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular(), mode.IsDir():
		return nil
	case mode&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a link: send the file itself", path)
	}
	return fmt.Errorf("%s is neither a file nor a folder", path)
}

type copier struct {
	ctx   context.Context
	moved func(int)
}

func (c copier) any(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := suitable(from, info); err != nil {
		return err
	}
	if info.IsDir() {
		return c.folder(from, to, info)
	}
	return c.file(from, to, info)
}

func (c copier) folder(from, to string, info fs.FileInfo) error {
	if err := os.Mkdir(to, 0o777); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.any(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

func (c copier) file(from, to string, info fs.FileInfo) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	mode := fs.FileMode(0o666)
	if info.Mode()&0o111 != 0 {
		mode = 0o777
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	n, err := c.pieces(dst, io.LimitReader(src, info.Size()+1)) // one more than there should be
	if closed := dst.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	after, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if n != info.Size() || after.Size() != n || !after.ModTime().Equal(info.ModTime()) {
		return fmt.Errorf("%s has changed while it was copied: send it again when it is finished", from)
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
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
