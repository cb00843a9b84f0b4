//go:build linux

package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// drop is one file or folder that a user has put into an outbox.
type drop struct {
	lab    *site
	to     []*site // its recipients, if not all of the lab's
	name   string
	size   int64
	sum    [sha256.Size]byte // of a file
	mtime  time.Time         // whole seconds
	exec   bool
	marks  [][]byte // pieces of its content, at both ends, that can only come from it
	folder bool
	parts  []part // of a folder, in the order of their paths
	fate   fate
}

// recipients returns the sites that must get the drop.
func (d *drop) recipients() []*site {
	if d.to != nil {
		return d.to
	}
	return d.lab.to
}

// fate is the expected end of a drop.
type fate int

const (
	delivered fate = iota // each recipient has it, and has signed for it
	withdrawn             // the user took it back before it was sent
	recalled              // the user recalled it before it was sent: it lies in failed/
	waiting               // it still lies in outbox/, with the reason in the status
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	// smallFile and largeFile are sealed in memory and in one part, the others in two and three.
	smallFile, largeFile, hugeFile, threeParts = 20 * kib, 3 * mib, 17 * mib, 33 * mib
)

// Drop puts a file of this size and random content into the outbox, the way cp does it.
func (s *site) Drop(name string, size int64) *drop {
	s.t.Helper()
	f, err := os.OpenFile(s.at("outbox", name), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	must(s.t, err)
	return s.write(f, name, size)
}

// MoveIn makes a file elsewhere on the disk and renames it into the outbox.
func (s *site) MoveIn(name string, size int64) *drop {
	s.t.Helper()
	temp := filepath.Join(s.w.dir, fmt.Sprintf("made-%d", len(s.w.drops)))
	f, err := os.Create(temp)
	must(s.t, err)
	d := s.write(f, name, size)
	must(s.t, os.Rename(temp, s.at("outbox", name)))
	return d
}

func (s *site) write(f *os.File, name string, size int64) *drop {
	s.t.Helper()
	var seed [32]byte
	rand.Read(seed[:])
	sum := sha256.New()
	var marks ends
	_, err := io.CopyN(io.MultiWriter(f, sum, &marks), mathrand.NewChaCha8(seed), size)
	must(s.t, err)
	d := &drop{lab: s, name: name, size: size, marks: marks.pieces()}
	sum.Sum(d.sum[:0])
	info, err := f.Stat()
	must(s.t, err)
	must(s.t, f.Close())
	d.mtime = info.ModTime().Truncate(time.Second)
	s.w.drops = append(s.w.drops, d)
	return d
}

// reread replaces the drop's content and time by those of a file that was changed.
func (d *drop) reread(path string) {
	d.lab.t.Helper()
	content, err := os.ReadFile(path)
	must(d.lab.t, err)
	info, err := os.Stat(path)
	must(d.lab.t, err)
	var marks ends
	marks.Write(content)
	d.size, d.sum, d.mtime, d.marks = int64(len(content)), sha256.Sum256(content),
		info.ModTime().Truncate(time.Second), marks.pieces()
}

// mark is how long a piece of content must be to be found nowhere by chance.
const mark = 24

// ends keeps the first and the last bytes written.
type ends struct{ first, last []byte }

func (e *ends) Write(p []byte) (int, error) {
	if room := mark - len(e.first); room > 0 {
		e.first = append(e.first, p[:min(room, len(p))]...)
	}
	e.last = append(e.last, p[max(0, len(p)-mark):]...)
	e.last = bytes.Clone(e.last[max(0, len(e.last)-mark):])
	return len(p), nil
}

func (e *ends) pieces() [][]byte {
	if len(e.first) < mark {
		return nil
	}
	return [][]byte{e.first, e.last}
}
