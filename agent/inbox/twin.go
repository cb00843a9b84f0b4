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

	"golang.org/x/text/unicode/norm"

	"sealpost/internal/beneath"
)

// Names in one folder that differ in the case of letters, or in how an accent is written, are one name on many disks: those
// of Windows and of the Mac, and the stick that a folder is copied to. So of several such the first keeps its name, and each
// other one is a twin and gets a name of its own: on every system, in the same way.

// folded is the same for all names that are one where case and the way of writing accents do not count.
func folded(name string) string {
	if isASCII(name) {
		return strings.ToUpper(name) // what the other way comes to
	}
	return norm.NFD.String(strings.Map(firstCase, norm.NFD.String(name)))
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

// firstCase is the lowest of the characters that differ in case alone.
func firstCase(r rune) rune {
	lowest := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		lowest = min(lowest, other)
	}
	return lowest
}

// twins remembers, in constant memory, which names in the folders of an envelope's messages are taken.
type twins struct {
	naming naming
	names  sums
	any    bool // there is one
}

// second says whether the name of an entry would be taken for that of one before it in the same folder.
func (t *twins) second(message int, path string) (bool, error) {
	at := strings.LastIndexByte(path, '/')
	if at < 0 {
		return false, nil // the message itself: nothing lies beside it
	}
	fresh, err := t.names.add(sum("name", message, path[:at], folded(t.naming.portable(path[at+1:], inFolder))))
	if err != nil || fresh {
		return false, err
	}
	return true, t.mark(message, path)
}

// mark remembers a twin: what lies in it is looked for under its name.
func (t *twins) mark(message int, path string) error {
	t.any = true
	_, err := t.names.add(sum("twin", message, path))
	return err
}

func (t *twins) is(message int, path string) (bool, error) {
	if !t.any {
		return false, nil
	}
	return t.names.has(sum("twin", message, path))
}

// tempName is where an entry lies under the temporary folder: <message>[/<portable path below the message's own folder>].
func (t *twins) tempName(message int, path string) (string, error) {
	name := strconv.Itoa(message)
	for start := strings.IndexByte(path, '/') + 1; start > 0 && start <= len(path); {
		end := len(path)
		if n := strings.IndexByte(path[start:], '/'); n >= 0 {
			end = start + n
		}
		isTwin, err := t.is(message, path[:end])
		if err != nil {
			return "", err
		}
		k := inFolder
		if isTwin {
			k = asTwin
		}
		name = filepath.Join(name, t.naming.portable(path[start:end], k))
		start = end + 1
	}
	return name, nil
}

// make creates an entry under its name. A disk may take even more names for one than folded does; then it is a twin too.
func (s *sink) make(message int, path string, create func(dir *beneath.Dir, name string) error) (string, error) {
	twin, err := s.twins.second(message, path)
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

// sum stands for a few words. Should two things ever have the same, a name is taken for a twin that is none: on every
// system, and it can still be told what it was.
func sum(kind string, message int, words ...string) uint64 {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d", kind, message)
	for _, w := range words {
		io.WriteString(h, "\x00"+w) //nolint:errcheck // a hash never fails; no name holds a NUL
	}
	return max(1, binary.BigEndian.Uint64(h.Sum(nil))) // 0 is an empty slot
}

// fewSums is how many sums are kept in memory.
const fewSums = 4096

// sums is a set. What does not stay small is a hash table in a file, of which no slot is ever freed.
type sums struct {
	root  *beneath.Dir // of the file
	few   map[uint64]bool
	file  *os.File // nil: all are among the few
	slots int64
	used  int64
}

// sumsFile cannot be a message, which is named by its number.
const sumsFile = "names"

func (s *sums) has(sum uint64) (bool, error) {
	if s.file == nil {
		return s.few[sum], nil
	}
	_, found, err := s.find(sum)
	return found, err
}

// add says whether the sum is new.
func (s *sums) add(sum uint64) (fresh bool, err error) {
	if s.file == nil {
		if s.few[sum] {
			return false, nil
		}
		if len(s.few) < fewSums {
			if s.few == nil {
				s.few = map[uint64]bool{}
			}
			s.few[sum] = true
			return true, nil
		}
	}
	if s.used >= s.slots/2 { // also when there is no file yet
		if err := s.grow(); err != nil {
			return false, err
		}
	}
	return s.put(sum)
}

func (s *sums) put(sum uint64) (fresh bool, err error) {
	slot, found, err := s.find(sum)
	if err != nil || found {
		return false, err
	}
	s.used++
	_, err = s.file.WriteAt(binary.BigEndian.AppendUint64(nil, sum), slot*8)
	return true, err
}

// find returns the slot of a sum, or the empty one that it would take.
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
	s.slots, s.used = max(4*old.slots, 4*fewSums), 0
	file, err := s.root.Create(fmt.Sprint(sumsFile, s.slots), 0o600)
	if err != nil {
		return err
	}
	s.file = file
	if err := file.Truncate(s.slots * 8); err != nil {
		return err
	}
	for sum := range old.few {
		if _, err := s.put(sum); err != nil {
			return err
		}
	}
	s.few = nil
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
		s.file.Close() //nolint:errcheck // nothing reads it again
	}
}
