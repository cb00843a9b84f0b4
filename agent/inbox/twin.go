package inbox

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"sealpost/internal/beneath"
)

// Names in one folder that differ only in case or in the encoding of accents are one name on many
// disks: those of Windows and macOS, and USB sticks. So the first of them keeps its name, and each
// other is a twin and gets its own name, the same on every system.

// folded returns the same text for all names that differ only in case or in the encoding of
// accents.
func folded(name string) string {
	if strings.IndexFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return strings.ToUpper(name) // the same result, faster
	}
	return norm.NFD.String(strings.Map(firstCase, norm.NFD.String(name)))
}

// firstCase returns the lowest character that differs from r only in case.
func firstCase(r rune) rune {
	lowest := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		lowest = min(lowest, other)
	}
	return lowest
}

// twins remembers the names in the folders of an envelope's messages, in constant memory.
type twins struct {
	naming   naming
	names    sums
	hasTwins bool // a twin exists
}

// add reports whether many disks would confuse an entry's name with an earlier one in its
// folder.
func (t *twins) add(message int, path string) (bool, error) {
	at := strings.LastIndexByte(path, '/')
	if at < 0 {
		return false, nil // the message itself: no entry beside it
	}
	isNew, err := t.names.add(sum("name", message, path[:at],
		folded(t.naming.portable(path[at+1:], inFolder))))
	if err != nil || isNew {
		return false, err
	}
	return true, t.mark(message, path)
}

// mark records a twin, so that tempName finds entries in it under its name.
func (t *twins) mark(message int, path string) error {
	t.hasTwins = true
	_, err := t.names.add(sum("twin", message, path))
	return err
}

// tempName returns the path of an entry in the temporary folder: <message>[/<portable path below
// the message's own folder>].
func (t *twins) tempName(message int, path string) (string, error) {
	name := strconv.Itoa(message)
	for start := strings.IndexByte(path, '/') + 1; start > 0 && start <= len(path); {
		end := len(path)
		if n := strings.IndexByte(path[start:], '/'); n >= 0 {
			end = start + n
		}
		k := inFolder
		if t.hasTwins {
			isTwin, err := t.names.has(sum("twin", message, path[:end]))
			if err != nil {
				return "", err
			}
			if isTwin {
				k = asTwin
			}
		}
		name = filepath.Join(name, t.naming.portable(path[start:end], k))
		start = end + 1
	}
	return name, nil
}

// make creates an entry under its name. If the disk confuses even more names than folded, the entry
// becomes a twin too.
func (s *sink) make(message int, path string,
	create func(dir *beneath.Dir, name string) error) (string, error) {
	twin, err := s.twins.add(message, path)
	if err != nil {
		return "", localError{err}
	}
	for {
		name, err := s.twins.tempName(message, path)
		if err == nil {
			var dir *beneath.Dir
			var base string
			if dir, base, err = s.folder(name); err == nil {
				err = create(dir, base)
			}
		}
		if err == nil {
			return name, nil
		}
		if twin || !errors.Is(err, fs.ErrExist) || !strings.Contains(path, "/") {
			return "", localError{err}
		}
		twin = true
		if err := s.twins.mark(message, path); err != nil {
			return "", localError{err}
		}
	}
}

// sum returns a hash of words. A collision makes a name a twin without need: on every system, and
// it still decodes.
func sum(kind string, message int, words ...string) uint64 {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d", kind, message)
	for _, w := range words {
		io.WriteString(h, "\x00"+w) //nolint:errcheck // a hash never fails; no name has a NUL
	}
	return max(1, binary.BigEndian.Uint64(h.Sum(nil))) // 0 means an empty slot
}

// maxInMemory limits the sums in memory.
const maxInMemory = 4096

// sums is a set. A large one is a hash table in a file, and frees no slot.
type sums struct {
	root     *beneath.Dir // the folder of the file
	inMemory map[uint64]bool
	file     *os.File // nil: all are in inMemory
	slots    int64
	used     int64
}

// sumsFile begins the file's name. It is no message: those have numbers as names.
const sumsFile = "names"

func (s *sums) has(sum uint64) (bool, error) {
	if s.file == nil {
		return s.inMemory[sum], nil
	}
	_, found, err := s.find(sum)
	return found, err
}

// add adds a sum and reports whether it is new.
func (s *sums) add(sum uint64) (isNew bool, err error) {
	if s.file == nil {
		if s.inMemory[sum] {
			return false, nil
		}
		if len(s.inMemory) < maxInMemory {
			if s.inMemory == nil {
				s.inMemory = map[uint64]bool{}
			}
			s.inMemory[sum] = true
			return true, nil
		}
	}
	if s.used >= s.slots/2 { // or no file yet
		if err := s.grow(); err != nil {
			return false, err
		}
	}
	return s.put(sum)
}

// put adds a sum to the file. At most half of the slots are used, so that find ends soon.
func (s *sums) put(sum uint64) (isNew bool, err error) {
	slot, found, err := s.find(sum)
	if err != nil || found {
		return false, err
	}
	s.used++
	_, err = s.file.WriteAt(binary.BigEndian.AppendUint64(nil, sum), slot*8)
	return true, err
}

// find returns the slot of a sum, or the empty slot for it.
func (s *sums) find(sum uint64) (slot int64, found bool, err error) {
	var buf [8]byte
	for slot = int64(sum % uint64(s.slots)); ; slot = (slot + 1) % s.slots {
		if _, err := s.file.ReadAt(buf[:], slot*8); err != nil {
			return 0, false, err
		}
		switch binary.BigEndian.Uint64(buf[:]) {
		case sum:
			return slot, true, nil
		case 0:
			return slot, false, nil
		}
	}
}

// grow moves all sums into a table of four times the size.
func (s *sums) grow() error {
	old := *s
	s.slots, s.used = max(4*old.slots, 4*maxInMemory), 0
	file, err := s.root.Create(fmt.Sprint(sumsFile, s.slots), 0o600)
	if err != nil {
		return err
	}
	s.file = file
	if err := file.Truncate(s.slots * 8); err != nil {
		return err
	}
	for sum := range old.inMemory {
		if _, err := s.put(sum); err != nil {
			return err
		}
	}
	s.inMemory = nil
	if old.file == nil {
		return nil
	}
	defer old.file.Close()
	buf := make([]byte, 64<<10)
	for at := int64(0); at < old.slots*8; at += int64(len(buf)) {
		n, err := old.file.ReadAt(buf[:min(int64(len(buf)), old.slots*8-at)], at)
		if err != nil {
			return err
		}
		for some := buf[:n]; len(some) > 0; some = some[8:] {
			if sum := binary.BigEndian.Uint64(some); sum != 0 {
				if _, err := s.put(sum); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *sums) close() {
	if s.file != nil {
		s.file.Close() //nolint:errcheck // it is not read again
	}
}
