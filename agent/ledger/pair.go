package ledger

import (
	"bufio"
	"database/sql"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"sealpost/internal/durable"
	"sealpost/internal/reason"
)

// These values are fixed by the format of SQLite's files: https://sqlite.org/fileformat2.html,
// sections 1.3 and 4.
const (
	headerSize    = 100
	walHeaderSize = 32
	frameSize     = 24 // of a frame's header, before its page
	walMagic      = 0x377f0682
	walFormat     = 3007000
)

// matched sets the write-ahead log aside if it does not belong to the database beside it. That
// happens when one of the two was restored from another time, and SQLite would mix them silently.
// The database as of its last checkpoint is left. If a copy was made during a checkpoint, the
// database is set aside too, and a new ledger begins. It returns the new names of the files.
func matched(path string) (renamed []string, err error) {
	ok, err := belongs(path)
	if ok || err != nil {
		return nil, err
	}
	names := []string{path + "-wal"}
	if ok, err = sound(path); err != nil {
		return nil, err
	} else if !ok {
		// in this order: SQLite removes a log without a database
		names = []string{path, path + "-wal"}
	}
	suffix := time.Now().UTC().Format(".20060102T150405Z") + "-set-aside"
	for _, name := range names {
		to := name + suffix
		if err := durable.RenameNoReplace(name, to); err != nil {
			return renamed, reason.Err("ledger-set-aside", "path", name, "why", err)
		}
		renamed = append(renamed, to)
	}
	return renamed, durable.SyncDir(filepath.Dir(path))
}

// belongs reports whether the log belongs to the database. It does if it begins where the database
// ends, or the database is at one of the log's commits. A log without stamps, of an earlier
// version, is accepted.
func belongs(path string) (bool, error) {
	db, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // SQLite removes the log
	}
	if err != nil {
		return false, err
	}
	defer db.Close()
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(db, header); errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) {
		return true, nil // as above, or SQLite reports the error
	} else if err != nil {
		return false, err
	}
	stamp := int32(binary.BigEndian.Uint32(header[stampAt:]))

	wal, err := os.Open(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer wal.Close()
	return belongsTo(stamp, wal)
}

// belongsTo reads the commits of a log like SQLite.
func belongsTo(stamp int32, wal io.Reader) (bool, error) {
	r, err := newLogReader(wal)
	if err != nil {
		return true, ignoreEnd(err) // SQLite ignores it too
	}
	current, stamped := int32(0), false // of the commit under way
	for commits := 0; ; {
		page, err := r.next()
		if err != nil {
			return commits == 0, ignoreEnd(err)
		}
		if page.number == 1 {
			current, stamped = int32(binary.BigEndian.Uint32(page.data[stampAt:])), true
		}
		if !page.commit {
			continue
		}
		if commits == 0 && (!stamped || current == stamp+1) {
			return true, nil
		}
		if current == stamp {
			return true, nil
		}
		commits++
	}
}

// ignoreEnd returns nil for an error that means the end of the valid log.
func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errNoFrame) {
		return nil
	}
	return err
}

// logReader reads the valid frames of a write-ahead log.
type logReader struct {
	r      *bufio.Reader
	order  binary.ByteOrder // of the checksums
	salt   [8]byte
	sum    [2]uint32
	buffer []byte // a frame
}

type frame struct {
	number uint32
	commit bool // it ends a commit
	data   []byte
}

// errNoFrame means that the next frame is incomplete, or from an earlier use of the log.
var errNoFrame = errors.New("no valid frame")

// newLogReader checks the header of a log. It returns errNoFrame if SQLite would ignore the log.
func newLogReader(wal io.Reader) (*logReader, error) {
	l := &logReader{r: bufio.NewReaderSize(wal, 64<<10), order: binary.LittleEndian}
	header := make([]byte, walHeaderSize)
	if _, err := io.ReadFull(l.r, header); err != nil {
		return nil, err
	}
	magic, pageSize := binary.BigEndian.Uint32(header), binary.BigEndian.Uint32(header[8:])
	if magic&^1 != walMagic || binary.BigEndian.Uint32(header[4:]) != walFormat || pageSize < 512 ||
		pageSize > 64<<10 {
		return nil, errNoFrame
	}
	if magic&1 != 0 {
		l.order = binary.BigEndian
	}
	copy(l.salt[:], header[16:])
	l.add(header[:24])
	if !l.is(header[24:]) {
		return nil, errNoFrame
	}
	l.buffer = make([]byte, frameSize+pageSize)
	return l, nil
}

// next returns the next valid frame. Its data is valid until the next call.
func (l *logReader) next() (frame, error) {
	if _, err := io.ReadFull(l.r, l.buffer); err != nil {
		return frame{}, err
	}
	head, data := l.buffer[:frameSize], l.buffer[frameSize:]
	number := binary.BigEndian.Uint32(head)
	if number == 0 || [8]byte(head[8:16]) != l.salt {
		return frame{}, errNoFrame
	}
	l.add(head[:8])
	l.add(data)
	if !l.is(head[16:]) {
		return frame{}, errNoFrame
	}
	return frame{number, binary.BigEndian.Uint32(head[4:]) != 0, data}, nil
}

// add adds data to the checksum, a multiple of eight bytes.
func (l *logReader) add(data []byte) {
	a, b := l.sum[0], l.sum[1]
	for ; len(data) >= 8; data = data[8:] {
		a += l.order.Uint32(data) + b
		b += l.order.Uint32(data[4:]) + a
	}
	l.sum = [2]uint32{a, b}
}

// is reports whether the checksum equals the stored one.
func (l *logReader) is(stored []byte) bool {
	return l.sum == [2]uint32{binary.BigEndian.Uint32(stored), binary.BigEndian.Uint32(stored[4:])}
}

// sound reads the whole database without its log, and reports whether it is intact.
func sound(path string) (bool, error) {
	db, err := sql.Open("sqlite", fileURL(path)+"?immutable=1")
	if err != nil {
		return false, err
	}
	defer db.Close()
	var answer string
	err = db.QueryRow("PRAGMA integrity_check(1)").Scan(&answer)
	if failed, ok := errors.AsType[*sqlite.Error](err); ok &&
		(failed.Code()&0xff == sqlite3.SQLITE_CORRUPT ||
			failed.Code()&0xff == sqlite3.SQLITE_NOTADB) {
		return false, nil
	}
	return answer == "ok", err
}
