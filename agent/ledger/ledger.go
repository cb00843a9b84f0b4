// Package ledger is the agent's durable memory of what it has sent and received, in one SQLite file.
//
// It promises: what Update returned nil for is on disk, across a kill and a loss of power (WAL, synchronous=FULL); updates
// of several goroutines are grouped into one commit by the one writer, each all or nothing by itself; View sees a
// consistent snapshot. It speaks of messages, envelopes, receipts and pins, and must not know of files' contents, of the
// network or of cryptography. Rows are kept for ever; only the states of section 5 of the design change.
package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite" // and the database/sql driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"sealpost/internal/durable"
)

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("not in the ledger")

// ErrClosed says that the ledger was closed before the update could begin.
var ErrClosed = errors.New("the ledger is closed")

// ErrFull says that the ledger's disk is full.
var ErrFull = errors.New("the disk is full")

// maxGroup bounds the updates of one commit, so that nobody waits long behind others.
const maxGroup = 256

// Ledger is safe for concurrent use.
type Ledger struct {
	db      *sql.DB
	dir     string // in which its file lies
	ops     chan *op
	readers chan *Tx // idle ones; each is one connection with its own prepared statements
	closed  chan struct{}
	numbers *numbers // the writer's
	aside   []string // see Aside
	commits atomic.Uint64
	once    sync.Once
	done    sync.WaitGroup
}

// readers is how many views there can be at once: more would only cost memory.
const readers = 3

type op struct {
	do   func(*Tx) error
	err  error
	done chan struct{}
}

// Tx is one update or view. It is valid only inside the function it is given to, on that goroutine.
type Tx struct {
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	numbers *numbers // of an update
	stamps  *stamps  // of the writer
}

// Open opens the ledger, and makes it when it is not there. The caller holds the state folder's lock: two processes must
// never open one ledger. It answers ErrFull when there is no room to open it, and then says nothing of the ledger itself.
func Open(path string) (*Ledger, error) {
	l, err := openAt(path)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", path, orFull(filepath.Dir(path), err))
	}
	return l, nil
}

func openAt(path string) (*Ledger, error) {
	aside, err := matched(path)
	if err != nil {
		return nil, err
	}
	if err := makeTight(path); err != nil {
		return nil, err
	}
	dsn := fileURL(path) + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_pragma=foreign_keys(ON)&_pragma=cache_size(-4096)&_pragma=temp_store(MEMORY)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	l := &Ledger{db: db, dir: filepath.Dir(path), aside: aside, numbers: openNumbers(path), ops: make(chan *op, maxGroup), readers: make(chan *Tx, readers), closed: make(chan struct{})}
	writer, err := l.connect()
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	writer.stamps = &stamps{}
	err = writer.migrated()
	for range readers {
		if err == nil {
			var r *Tx
			if r, err = l.connect(); err == nil {
				l.readers <- r
			}
		}
	}
	if err != nil {
		for range len(l.readers) {
			err = errors.Join(err, (<-l.readers).close())
		}
		return nil, errors.Join(err, writer.close(), db.Close())
	}
	l.done.Go(func() { l.write(writer) })
	return l, nil
}

// makeTight makes the ledger's file for its owner alone, whatever the umask, unless it is there. SQLite takes an empty one
// for a new database, and gives its mode to the files beside it.
func makeTight(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// Commits counts what was written since Open: while it stays the same, nothing in the ledger has changed.
func (l *Ledger) Commits() uint64 { return l.commits.Load() }

// Aside returns the files that Open has set aside under new names: ledger.db and its write-ahead log were of two times, and
// are not believed together. What is left is an older ledger, or a new one.
func (l *Ledger) Aside() []string { return l.aside }

// fileURL is a path as SQLite takes it with parameters.
func fileURL(path string) string {
	file := url.URL{Path: filepath.ToSlash(path)}
	return "file:" + file.EscapedPath()
}

func (l *Ledger) connect() (*Tx, error) {
	conn, err := l.db.Conn(context.Background())
	return &Tx{conn: conn, stmts: map[string]*sql.Stmt{}, numbers: l.numbers}, err
}

// Close waits for the updates and views under way.
func (l *Ledger) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		l.done.Wait()
		for range readers {
			err = errors.Join(err, (<-l.readers).close())
		}
		err = errors.Join(err, l.db.Close())
	})
	return err
}

// Update runs do in the next commit and returns when that is durable, or do's own error, and then nothing of do has
// happened. It may share the commit with others. After an error that is not do's own the outcome is uncertain, as with
// every database: the rows say which it was. do must be short and must not wait for anything.
func (l *Ledger) Update(ctx context.Context, do func(*Tx) error) error {
	o := &op{do: do, done: make(chan struct{})}
	select {
	case <-l.closed:
		return ErrClosed
	default:
	}
	select {
	case l.ops <- o:
	case <-l.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	// From here on it happens, so the answer is awaited whatever the context says: a caller must not believe
	// that nothing was written when it was.
	<-o.done
	return o.err
}

// View runs do on a snapshot. It sees every update that returned before it began. do must not begin another view.
func (l *Ledger) View(ctx context.Context, do func(*Tx) error) error {
	var tx *Tx
	select {
	case <-l.closed:
		return ErrClosed
	default:
	}
	select {
	case tx = <-l.readers:
	case <-l.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { l.readers <- tx }()
	if err := tx.exec("BEGIN"); err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	err := do(tx)
	if end := tx.exec("ROLLBACK"); end != nil {
		err = errors.Join(err, fmt.Errorf("read ledger: %w", end))
	}
	return err
}

// write is the one writer: it takes what waits, up to maxGroup updates, into one commit.
func (l *Ledger) write(tx *Tx) {
	defer tx.close() //nolint:errcheck // what was committed is on disk
	for {
		select {
		case o := <-l.ops:
			l.commit(tx, l.gather(o))
		case <-l.closed:
			for {
				select {
				case o := <-l.ops:
					l.commit(tx, l.gather(o))
				default:
					return
				}
			}
		}
	}
}

func (l *Ledger) gather(first *op) []*op {
	group := []*op{first}
	for len(group) < maxGroup {
		select {
		case o := <-l.ops:
			group = append(group, o)
		default:
			return group
		}
	}
	return group
}

// commit runs a group as savepoints of one transaction, so that one failing update takes nothing else with it.
func (l *Ledger) commit(tx *Tx, group []*op) {
	defer func() {
		l.commits.Add(1) // also when it failed: then it may have changed something or not
		for _, o := range group {
			close(o.done)
		}
	}()
	fail := func(err error) {
		for _, o := range group {
			if o.err == nil {
				o.err = fmt.Errorf("write ledger: %w", orFull(l.dir, err))
			}
		}
	}
	if err := tx.exec("BEGIN IMMEDIATE"); err != nil {
		fail(err)
		return
	}
	if len(group) == 1 { // a savepoint of its own would cost it a second copy of every page that it changes
		if group[0].err = orFull(l.dir, group[0].do(tx)); group[0].err != nil {
			if err := tx.exec("ROLLBACK"); err != nil {
				fail(err)
			}
			return
		}
	} else if err := l.each(tx, group); err != nil {
		fail(errors.Join(err, tx.exec("ROLLBACK")))
		return
	}
	tx.numbers.save()
	if err := tx.commitStamped(); err != nil {
		fail(errors.Join(err, tx.exec("ROLLBACK")))
	}
}

// probe is what a ledger needs at least to be opened: SQLite's shared memory and a few pages of its log.
const probe = 64 << 10

// orFull returns ErrFull, with the error, for one that a full disk causes. SQLite has a code for this only where a write
// fails; of its other errors of input and output the disk itself is asked. SQLite has rolled back by itself then, and the
// error of a second rollback is left out.
func orFull(dir string, err error) error {
	if err == nil || errors.Is(err, ErrFull) {
		return err
	}
	full := durable.IsFull(err)
	if failed, ok := errors.AsType[*sqlite.Error](err); ok && !full {
		switch failed.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			full = true
		case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
			full = durable.IsFull(durable.TryWrite(dir, probe))
		}
		if full {
			err = failed
		}
	}
	if !full {
		return err
	}
	return fmt.Errorf("%w (%s): nothing is lost; make room there (%w)", ErrFull, dir, err)
}

func (l *Ledger) each(tx *Tx, group []*op) error {
	for _, o := range group {
		if err := l.one(tx, o); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) one(tx *Tx, o *op) error {
	if err := tx.exec("SAVEPOINT one"); err != nil {
		return err
	}
	if o.err = orFull(l.dir, o.do(tx)); o.err != nil {
		if err := tx.exec("ROLLBACK TO one"); err != nil {
			return err
		}
	}
	return tx.exec("RELEASE one")
}

// close ends the connection. Statements prepared on a connection are nobody else's to close, and one that stays keeps the
// ledger's files open for as long as the process lives.
func (tx *Tx) close() error {
	var errs []error
	for _, s := range tx.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, tx.conn.Close())...)
}

func (tx *Tx) prepare(query string) (*sql.Stmt, error) {
	if s := tx.stmts[query]; s != nil {
		return s, nil
	}
	s, err := tx.conn.PrepareContext(context.Background(), query)
	if err == nil {
		tx.stmts[query] = s
	}
	return s, err
}

func (tx *Tx) exec(query string, args ...any) error {
	_, err := tx.do(query, args...)
	return err
}

// do runs a statement.
func (tx *Tx) do(query string, args ...any) (sql.Result, error) {
	s, err := tx.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.Exec(args...)
}

// change runs a statement and returns how many rows it touched.
func (tx *Tx) change(query string, args ...any) (int64, error) {
	res, err := tx.do(query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row scans the one row of a query; ErrNotFound when there is none.
func (tx *Tx) row(query string, args []any, dest ...any) error {
	s, err := tx.prepare(query)
	if err != nil {
		return err
	}
	err = s.QueryRow(args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// rows calls scan for each row of a query.
func (tx *Tx) rows(query string, args []any, scan func(*sql.Rows) error) error {
	s, err := tx.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// list is a set of names or numbers as a parameter of json_each: one statement for all of them costs a fraction of one each.
func list[T ~string | ~int64](values []T) string {
	text, _ := json.Marshal(values) // these always can be
	return string(text)
}

// Times are stored as milliseconds since 1970, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
