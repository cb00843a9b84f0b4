package tray

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"sync"
	"time"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// On a share the system knows only the programs of this machine, and times come from the server's
// clock. There a file or folder is finished when it has not changed between looks that are the
// settle time apart by the clock of this process.

const (
	// endSize is the number of bytes that are read at each end of a file. A program may write it in
	// any order, and a server may show a new size late.
	endSize = 64 << 10
	// maxLooks bounds the remembered files of a tray. Others wait until these are taken.
	maxLooks = 8192
	// lookLasts is the time for which a file is remembered after its last look.
	lookLasts = 10 * time.Minute
)

// looks remembers the files that settle on a share. After a restart each of them waits again.
type looks struct {
	mu     sync.Mutex // guards the fields below
	seen   map[string]look
	purged time.Time
}

// look is the state of a file or folder.
type look struct {
	source Source
	ends   uint64    // of its content, hashed
	since  time.Time // when it was first seen so
	last   time.Time // when it was last looked at
}

// rested returns the time for which a file or folder has not changed, according to its looks. It
// calls ends at the first and at the last look of the settle time, and reads no content between
// them.
func (l *looks) rested(rel string, source Source, settle time.Duration, now time.Time,
	ends func() (uint64, error)) (time.Duration, error) {
	before, known := l.of(rel, now)
	known = known && Same(before.source, source)
	rest := now.Sub(before.since)
	if known && rest < settle {
		return rest, nil
	}
	sum, err := ends()
	if err != nil {
		return 0, err
	}
	if known && before.ends == sum {
		return rest, nil
	}
	l.note(rel, look{source, sum, now, now})
	return 0, nil
}

// of returns the state at the last look.
func (l *looks) of(rel string, now time.Time) (look, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one, known := l.seen[rel]
	if known {
		one.last = now
		l.seen[rel] = one
	}
	return one, known
}

func (l *looks) note(rel string, one look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.seen[rel]; !known && len(l.seen) >= maxLooks {
		l.purge(one.last)
		if len(l.seen) >= maxLooks {
			return
		}
	}
	if l.seen == nil {
		l.seen = map[string]look{}
	}
	l.seen[rel] = one
}

// purge removes files whose last look is long ago.
func (l *looks) purge(now time.Time) {
	if now.Sub(l.purged) < lookLasts/10 {
		return
	}
	l.purged = now
	for rel, one := range l.seen {
		if now.Sub(one.last) > lookLasts {
			delete(l.seen, rel)
		}
	}
}

// forget removes a file that is taken or gone.
func (l *looks) forget(rel string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, rel)
}

// seed makes the hashes of this process its own.
var seed = maphash.MakeSeed()

// fileEnds hashes both ends of a file, its size and its time. It asks the open file for size and
// time, because then the server returns the present ones.
func fileEnds(d *beneath.Dir, name string) (uint64, error) {
	if writer, err := d.Writer(name); err != nil {
		return 0, err
	} else if writer == beneath.HasWriter {
		return 0, &Later{Open: true}
	}
	f, info, err := d.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var sum maphash.Hash
	sum.SetSeed(seed)
	writeState(&sum, info)
	_, err = io.Copy(&sum, io.NewSectionReader(f, 0, endSize))
	if tail := max(info.Size-endSize, endSize); err == nil {
		_, err = io.Copy(&sum, io.NewSectionReader(f, tail, endSize))
	}
	return sum.Sum64(), err
}

// treeEnds hashes all entries of a folder. Their order does not matter.
func treeEnds(d *beneath.Dir, name string) (uint64, error) {
	var all uint64
	err := Walk(d, name, func(d *beneath.Dir, rel string, info beneath.Info) error {
		var sum maphash.Hash
		sum.SetSeed(seed)
		sum.WriteString(rel)
		writeState(&sum, info)
		if !info.IsDir() {
			ends, err := fileEnds(d, info.Name)
			if errors.Is(err, fs.ErrPermission) {
				return &Never{reason.New("may-not-read-file", "name", rel)}
			}
			if err != nil {
				return err
			}
			sum.Write(binary.LittleEndian.AppendUint64(nil, ends))
		}
		all += sum.Sum64()
		return nil
	})
	return all, err
}

// writeState adds the size and time of an entry to a hash.
func writeState(sum *maphash.Hash, info beneath.Info) {
	state := binary.LittleEndian.AppendUint64(nil, uint64(info.Size))
	sum.Write(binary.LittleEndian.AppendUint64(state, uint64(info.ModTime.UnixNano())))
}
