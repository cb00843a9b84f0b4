package inbox

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sealpost/internal/beneath"
	"sealpost/internal/durable"
	"sealpost/internal/fault"
	"sealpost/internal/trouble"
)

// form is the form in which content is written.
type form struct {
	naming         naming
	access         access
	hasList        func() bool // whether a default access list sets permissions
	keepExecutable bool
}

// sink writes content below its own folder, as <message>[/<path below the message's own folder>].
// It maps names to portable ones.
//
// It sets the times of folders at the end, because writing into a folder changes its time. Until
// then they are in a file, because the number of folders has no limit.
type sink struct {
	form
	root    *beneath.Dir
	times   *os.File // of folders; nil: none
	twins   twins
	refused map[int]error // by message: why its disk can never take it
	signed  signed
	entries int64
	room    func(entries int64) error // now and then; nil: not checked
	full    error                     // the inodes did not suffice: entries are counted
	edges   *edges                    // nil: an attempt that ends early begins anew

	open []openFolder // from root down to the folder of the last entry, each in the one before
}

// openFolder is a folder below root that is held open.
type openFolder struct {
	path string // below root, with a separator at the end
	dir  *beneath.Dir
}

func newSink(root *beneath.Dir, f form) *sink {
	return &sink{form: f, root: root, refused: map[int]error{},
		twins:  twins{naming: f.naming, names: sums{root: root}},
		signed: signed{root: root}}
}

// timesFile is no message: those have numbers as names.
const timesFile = "times"

type dirTime struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
}

// folder returns the open folder of an entry. It opens only the folders below the last entry's: the
// entries of an archive follow each other through its tree. At most envelope.MaxDepth are open.
func (s *sink) folder(name string) (dir *beneath.Dir, base string, err error) {
	at, base := filepath.Split(name)
	s.closeUnless(at)
	dir, below := s.root, at
	if last := len(s.open) - 1; last >= 0 {
		dir, below = s.open[last].dir, at[len(s.open[last].path):]
	}
	for below != "" {
		end := strings.IndexByte(below, filepath.Separator)
		if dir, err = dir.Dir(below[:end]); err != nil {
			return nil, "", err
		}
		below = below[end+1:]
		s.open = append(s.open, openFolder{at[:len(at)-len(below)], dir})
	}
	return dir, base, nil
}

// closeUnless closes the open folders that do not lead to a path.
func (s *sink) closeUnless(path string) {
	for n := len(s.open); n > 0 && !strings.HasPrefix(path, s.open[n-1].path); n-- {
		s.open[n-1].dir.Close()
		s.open = s.open[:n-1]
	}
}

// next counts an entry, and reports whether it is to be written. It looks at the room now and then.
// After the end of the inodes the entries are only counted, to find out whether they ever fit.
func (s *sink) next(message int) (isWritten bool, err error) {
	if s.entries++; s.refused[message] == nil && s.room != nil && s.entries%roomInterval == 0 {
		if err := s.room(s.entries); err != nil && !s.stop(message, err) {
			return false, localError{err}
		}
	}
	return s.refused[message] == nil, nil
}

// stop reports whether nothing more of a message is written after an error. Either the disk can
// never take it, or it has no inodes left.
func (s *sink) stop(message int, err error) bool {
	if s.room != nil && trouble.IsNoRoom(err) {
		err = s.room(s.entries)
	}
	if !errors.Is(err, errNoInodes) {
		return s.refuse(message, err)
	}
	s.full, s.refused[message] = err, err
	return true
}

// judgeFull decides about a message for which the inodes did not suffice: it never fits, or may fit
// later.
func (s *sink) judgeFull() error {
	never := s.room(s.entries)
	if !errors.Is(never, errNeverFits) {
		return localError{s.full}
	}
	for n, why := range s.refused {
		if errors.Is(why, errNoInodes) {
			s.refused[n] = never
		}
	}
	return nil
}

// refuse reports whether an error means that the disk can never take an entry. Then the message of
// the entry is refused, and its other content is only verified: no other message waits for it.
func (s *sink) refuse(message int, err error) bool {
	if !isNever(err) {
		return false
	}
	s.refused[message] = err
	return true
}

// Dir makes a folder, and stores its time for finish.
func (s *sink) Dir(message int, path string, mtime time.Time) error {
	if isWritten, err := s.next(message); !isWritten {
		return err
	}
	name, err := s.make(message, path, func(dir *beneath.Dir, name string) error {
		return dir.Mkdir(name, s.access.dir)
	})
	if err != nil {
		if s.stop(message, err) {
			return nil
		}
		return err
	}
	dir, _, err := s.folder(filepath.Join(name, "x")) // stays open for the next entries
	if err == nil {
		err = s.access.applyFolder(dir, s.hasList)
	}
	if err != nil {
		return localError{err}
	}
	if s.times == nil {
		if s.times, err = s.root.Create(timesFile, 0o600); err != nil {
			return localError{err}
		}
	}
	if err := json.NewEncoder(s.times).Encode(dirTime{name, mtime}); err != nil {
		return localError{err}
	}
	return nil
}

// finish sets the times of the folders.
func (s *sink) finish() error {
	s.closeUnless("")
	if s.full != nil {
		if err := s.judgeFull(); err != nil {
			return err
		}
	}
	if s.times == nil {
		return nil
	}
	if _, err := s.times.Seek(0, io.SeekStart); err != nil {
		return localError{err}
	}
	for lines := json.NewDecoder(s.times); ; {
		var d dirTime
		err := lines.Decode(&d)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.setTime(d)
		}
		if err != nil {
			return localError{err}
		}
	}
}

// setTime sets the time of a folder, which is not open.
func (s *sink) setTime(d dirTime) error {
	dir, base, err := s.folder(d.Name)
	if err != nil {
		return err
	}
	return ignoreUnable(dir.Chtimes(base, d.Time))
}

func (s *sink) close() {
	s.closeUnless("")
	s.edges.wait() //nolint:errcheck // the content is given up, or was synced since
	s.signed.close()
	s.twins.names.close()
	if s.times != nil {
		s.times.Close() //nolint:errcheck // only read; the attempt's folder is removed with it
	}
}

// File makes a file for the opener to write and close.
func (s *sink) File(message int, path string, isExecutable bool, mtime time.Time,
	_ int64) (io.WriteCloser, error) {
	if isWritten, err := s.next(message); !isWritten {
		return unwritten{}, err
	}
	mode := s.access.file
	if isExecutable && s.keepExecutable {
		mode |= mode & 0o444 >> 2 // every reader may execute it
	}
	file := &sinkFile{sink: s, message: message, mtime: mtime}
	var err error
	file.name, err = s.make(message, path, func(dir *beneath.Dir, name string) (err error) {
		file.File, err = dir.Create(name, mode)
		return err
	})
	if err != nil {
		if s.stop(message, err) {
			return unwritten{}, nil
		}
		return nil, err
	}
	if err := errors.Join(s.access.apply(file.File, mode, s.hasList),
		markFromElsewhere(file.File)); err != nil {
		return nil, localError{errors.Join(err, file.File.Close())}
	}
	if s.edges != nil {
		s.edges.file = file
	}
	return file, nil
}

// unwritten is content that is read and not written.
type unwritten struct{}

func (unwritten) Write(p []byte) (int, error) { return len(p), nil }

func (unwritten) Close() error { return nil }

type sinkFile struct {
	*os.File
	sink    *sink
	message int
	name    string
	mtime   time.Time
}

// Write marks a failure as local, to separate it from one of the envelope. Of a file that is larger
// than its disk takes, it drops the content.
func (f *sinkFile) Write(p []byte) (int, error) {
	if f.sink.refused[f.message] != nil {
		return len(p), nil
	}
	n, err := f.File.Write(p)
	if err == nil {
		return n, nil
	}
	if trouble.IsTooLarge(err) && f.sink.refuse(f.message, err) {
		if err := f.File.Truncate(0); err != nil {
			return n, localError{err}
		}
		return len(p), nil
	}
	return n, localError{err}
}

// Close sets the file's time, if the disk can. It does not sync: placeGroup syncs a group of
// messages at once.
func (f *sinkFile) Close() error {
	fault.Point("inbox-written")
	kept := f.sink.edges.wait()
	err := durable.SetTime(f.File, f.mtime)
	byName := errors.Is(err, durable.ErrUnsupported)
	err = errors.Join(kept, ignoreUnable(err), f.File.Close())
	if err == nil && byName {
		err = ignoreUnable(f.sink.root.Chtimes(f.name, f.mtime))
	}
	if trouble.IsTooLarge(err) && f.sink.refuse(f.message, err) { // a share may tell it late
		return nil
	}
	if err != nil {
		return localError{err}
	}
	return nil
}

// ignoreUnable returns nil for an error of a disk that cannot set a time. Those are no part of the
// content.
func ignoreUnable(err error) error {
	if beneath.IsUnable(err) {
		return nil
	}
	return err
}
