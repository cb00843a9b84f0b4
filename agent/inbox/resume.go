package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/internal/beneath"
	"sealpost/internal/fault"
	"sealpost/internal/id"
)

// An attempt at a single file of many segments leaves an edge in its folder: a file with the state
// of the opening there, written after the content before it is durable. The next attempt goes on in
// that folder. Only this account and root can enter the folder; a disk without owners and modes
// has no edges. See docs/decisions/0058-opening-goes-on.md.

const (
	edgeFile  = "edge" // no message: those have numbers as names
	edgeLimit = 2 << 20
	// edgeAge is the age of an edge after which its folder is removed.
	edgeAge = 7 * 24 * time.Hour
)

// edges writes the edges of one attempt. While the content before one is being synced, the content
// behind it is written.
type edges struct {
	file   *sinkFile    // the one file, once it is open
	parent func() error // makes the attempt's folder durable; nil: it is
	synced chan error   // of the sync under way; nil: none
}

// Keep makes the content before an edge durable, and then the edge.
func (s *sink) Keep(at envelope.Resumption) error {
	if s.edges == nil || s.refused[0] != nil {
		return nil
	}
	if err := s.edges.wait(); err != nil {
		return err
	}
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	synced := make(chan error, 1)
	file, parent := s.edges.file.File, s.edges.parent
	s.edges.synced, s.edges.parent = synced, nil
	go func() {
		err := file.Sync()
		if err == nil && parent != nil {
			err = parent()
		}
		if err == nil {
			err = s.root.WriteFile(edgeFile, text, 0o600)
		}
		if err == nil {
			fault.Point("inbox-edge")
		}
		synced <- err
	}()
	return nil
}

// wait waits for the sync under way.
func (e *edges) wait() error {
	if e == nil || e.synced == nil {
		return nil
	}
	err := <-e.synced
	e.synced = nil
	if err != nil {
		return localError{err}
	}
	return nil
}

// Continue opens the one file of an earlier attempt behind an edge.
func (s *sink) Continue(path string, mtime time.Time, written int64) (io.WriteCloser, error) {
	if isWritten, err := s.next(0); !isWritten {
		return unwritten{}, err
	}
	file := &sinkFile{sink: s, mtime: mtime, name: strconv.Itoa(0)}
	var err error
	if file.File, err = s.root.Append(file.name); err != nil {
		return nil, errors.Join(envelope.ErrUnproven, err)
	}
	info, err := beneath.InfoOf(file.File)
	if err == nil && info.Size < written {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = file.File.Truncate(written)
	}
	if err == nil { // a crash came before its message was to be placed
		err = ignoreMissing(s.root.Remove(listFile))
	}
	if err != nil {
		return nil, errors.Join(envelope.ErrUnproven, err, file.File.Close())
	}
	s.edges.file = file
	return file, nil
}

// findEdge returns the edge of an earlier attempt at an envelope, and its folder; nil: none. It
// removes an unreadable one.
func (b *Inbox) findEdge(f *folders, temp *beneath.Dir,
	d *delivery) (dir string, at *envelope.Resumption, err error) {
	b.collecting.Lock() // since this delivery is held, collect leaves its folder from here on
	defer b.collecting.Unlock()
	all, err := f.edges()
	for _, e := range all {
		if e.envelope != d.Envelope || at != nil {
			continue
		}
		text, err := e.temp.ReadFile(e.base+"/"+edgeFile, edgeLimit)
		isTrusted := err == nil && e.temp == temp && f.formOf(d.Sender).access.hasOwners
		if isTrusted && json.Unmarshal(text, &at) == nil && at != nil {
			dir = e.dir
			continue
		}
		at = nil
		if err := f.discard(e.dir); err != nil {
			return "", nil, err
		}
	}
	return dir, at, err
}

// hasEdge reports whether an attempt has an edge.
func (f *folders) hasEdge(dir string) bool {
	d, err := f.envelope(dir)
	return err == nil && d.Exists(edgeFile)
}

// parentOf returns a function that makes the folder of an attempt durable.
func (f *folders) parentOf(dir string) func() error {
	return func() error {
		temp, _, err := f.attempt(dir)
		if err != nil {
			return err
		}
		return temp.Sync()
	}
}

// edge is the folder of an attempt with an edge.
type edge struct {
	temp      *beneath.Dir
	base, dir string // its name in temp, and as an attempt
	envelope  id.Envelope
	written   time.Time
}

// edges lists the edges on all disks.
func (f *folders) edges() (all []edge, err error) {
	err = f.eachTemp(func(temp *beneath.Dir, prefix string) error {
		return temp.Each(func(entries []fs.DirEntry) error {
			for _, e := range entries {
				envelope, _, _ := strings.Cut(e.Name(), "-")
				info, err := temp.Lstat(e.Name() + "/" + edgeFile)
				if err == nil && !strings.HasSuffix(e.Name(), trashSuffix) {
					all = append(all, edge{temp, e.Name(), prefix + e.Name(),
						id.Envelope(envelope), info.ModTime})
				}
			}
			return nil
		})
	})
	return all, err
}

// collect removes the folders of some edges, and reports whether there were any. It leaves half
// placed content, and the edges of held deliveries.
func (b *Inbox) collect(ctx context.Context, f *folders,
	isUseless func(edge) (bool, error)) (isAny bool, err error) {
	b.collecting.Lock()
	defer b.collecting.Unlock()
	all, err := f.edges()
	if err != nil || len(all) == 0 {
		return false, err
	}
	kept, err := b.placingFolders(ctx)
	if err != nil {
		return false, err
	}
	for _, e := range all {
		b.mu.Lock()
		isHeld := b.held[e.envelope] != nil
		b.mu.Unlock()
		if isHeld || kept[e.dir] {
			continue
		}
		if remove, err := isUseless(e); err != nil {
			return isAny, err
		} else if !remove {
			continue
		}
		if err := f.discard(e.dir); err != nil {
			return isAny, localError{err}
		}
		b.log.Info("begun download removed", "envelope", e.envelope, "written", e.written)
		isAny = true
	}
	return isAny, nil
}

// makeRoom removes the begun downloads on a disk, and reports whether there were any. Nothing is
// lost but work.
func (b *Inbox) makeRoom(ctx context.Context, f *folders, temp *beneath.Dir) (bool, error) {
	return b.collect(ctx, f, func(e edge) (bool, error) { return e.temp == temp, nil })
}

// collectOver removes the edges that are old, or whose envelopes have their receipts.
func (b *Inbox) collectOver(ctx context.Context, f *folders) error {
	_, err := b.collect(ctx, f, func(e edge) (bool, error) { return b.isOver(ctx, e) })
	return err
}

func (b *Inbox) isOver(ctx context.Context, e edge) (bool, error) {
	if age := time.Since(e.written); age > edgeAge || age < -edgeAge {
		return true, nil
	}
	isOver := false
	err := b.ledger.View(ctx, func(tx *ledger.Tx) error {
		d, err := tx.Delivery(e.envelope)
		isOver = errors.Is(err, ledger.ErrNotFound) || d.Receipt != ""
		if isOver {
			return nil
		}
		return err
	})
	return isOver, err
}

// placingFolders returns the folders of attempts with half placed content.
func (b *Inbox) placingFolders(ctx context.Context) (map[string]bool, error) {
	all := map[string]bool{}
	err := b.ledger.View(ctx, func(tx *ledger.Tx) error {
		for after := int64(0); ; {
			rows, err := tx.Placing(after, recoverPage)
			if err != nil || len(rows) == 0 {
				return err
			}
			for _, r := range rows {
				after = r.Seq
				envelope, _, _ := splitTemp(r.Temp)
				all[envelope] = true
			}
		}
	})
	return all, err
}
