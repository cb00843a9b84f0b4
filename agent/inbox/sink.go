package inbox

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"sealpost/internal/beneath"
	"sealpost/internal/durable"
	"sealpost/internal/fault"
)

// form is how content is written.
type form struct {
	naming         naming
	access         access
	isListed       func() bool // a default access list decides who gets what is made
	keepExecutable bool
}

// sink writes content below a folder of its own, as <message>[/<path below the message's own folder>]. It maps names to
// portable ones.
//
// A folder's time is set at the end, because writing into it changes it; until then the times lie in a file, since there
// may be any number of folders.
type sink struct {
	form
	root  *beneath.Dir
	times *os.File // of folders; nil: there is none
	twins twins

	at string       // the folder below root that was written into last; empty: root
	in *beneath.Dir // that folder
}

func newSink(root *beneath.Dir, f form) *sink {
	return &sink{form: f, root: root, in: root, twins: twins{naming: f.naming, names: sums{root: root}}}
}

// timesFile cannot be a message, which is named by its number.
const timesFile = "times"

type dirTime struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
}

// folder opens the folder in which an entry lies. Entries of one folder mostly follow one another.
func (s *sink) folder(name string) (dir *beneath.Dir, base string, err error) {
	at, base := filepath.Split(name)
	if at == s.at {
		return s.in, base, nil
	}
	next := s.root
	if at != "" {
		if next, err = s.root.Dir(filepath.Clean(at)); err != nil {
			return nil, "", err
		}
	}
	s.leave()
	s.at, s.in = at, next
	return next, base, nil
}

// leave closes the folder that was written into last.
func (s *sink) leave() {
	if s.in != s.root {
		s.in.Close()
	}
	s.at, s.in = "", s.root
}

func (s *sink) Dir(message int, path string, mtime time.Time) error {
	name, err := s.make(message, path, func(dir *beneath.Dir, name string) error { return dir.Mkdir(name, s.access.dir) })
	if err == nil {
		err = s.giveFolder(name)
	}
	if err != nil {
		return err
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

// giveFolder gives a folder its access, and makes it the one that is written into next.
func (s *sink) giveFolder(name string) error {
	dir, _, err := s.folder(filepath.Join(name, "x"))
	if err == nil {
		err = s.access.giveFolder(dir, s.isListed)
	}
	if err != nil {
		return localError{err}
	}
	return nil
}

// finish gives the folders their times.
func (s *sink) finish() error {
	s.leave()
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
			err = s.root.Chtimes(d.Name, d.Time)
		}
		if err != nil {
			return localError{err}
		}
	}
}

func (s *sink) close() {
	s.leave()
	s.twins.names.close()
	if s.times != nil {
		s.times.Close() //nolint:errcheck // it was read, and goes with the temporary folder
	}
}

func (s *sink) File(message int, path string, isExecutable bool, mtime time.Time, _ int64) (io.WriteCloser, error) {
	mode := s.access.file
	if isExecutable && s.keepExecutable {
		mode = executable(mode)
	}
	file := &sinkFile{sink: s, mtime: mtime}
	var err error
	file.name, err = s.make(message, path, func(dir *beneath.Dir, name string) (err error) {
		file.File, err = dir.Create(name, mode)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.access.give(file.File, mode, s.isListed), markFromElsewhere(file.File)); err != nil {
		return nil, localError{errors.Join(err, file.File.Close())}
	}
	return file, nil
}

type sinkFile struct {
	*os.File
	sink  *sink
	name  string
	mtime time.Time
}

func (f *sinkFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil {
		return n, localError{err}
	}
	return n, nil
}

// Close gives the file its time. It does not sync: a group of messages is synced at once before it is placed.
func (f *sinkFile) Close() error {
	fault.Point("inbox-written")
	err := durable.SetTime(f.File, f.mtime)
	byName := errors.Is(err, durable.ErrUnsupported)
	if byName {
		err = nil
	}
	err = errors.Join(err, f.File.Close())
	if err == nil && byName {
		err = f.sink.root.Chtimes(f.name, f.mtime)
	}
	if err != nil {
		return localError{err}
	}
	return nil
}
