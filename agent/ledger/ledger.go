// Package ledger is the agent's durable memory of sent and received messages, in one SQLite file.
//
// It promises that an update is on disk when Update returns nil, and survives a kill and a loss of
// power (WAL, synchronous=FULL); that the one writer groups the updates of several goroutines into
// one commit, each all or nothing; and that View sees a consistent snapshot. It knows messages,
// envelopes, receipts and pins, and must not know the content of files, the network or
// cryptography. It keeps rows until Forget deletes those of ended messages. Otherwise only the
// states of section 5 of the design change.
package ledger

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite" // also registers the database/sql driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"sealpost/internal/durable"
	"sealpost/internal/reason"
)

// ErrNotFound means that there is no such row.
var ErrNotFound = errors.New("not in the ledger")

// ErrClosed means that the ledger was closed before the update or view began.
var ErrClosed = reason.Err("ledger-closed")

// ErrFull means that the ledger's disk is full.
var ErrFull = reason.Err("ledger-disk-full")

// maxGroup limits the updates of one commit, and so the wait of each.
const maxGroup = 256

// Ledger is one open ledger. It is safe for concurrent use.
type Ledger struct {
	db       *sql.DB
	dir      string // the folder of its file
	ops      chan *op
	readers  chan *Tx // idle readers; each is one connection with its own prepared statements
	closed   chan struct{}
	numbers  *numbers // of the writer
	setAside []string // see Aside
	// why the file could not be made compact; nil: it is, or need not be
	compacting error
	recalled   int // see Recalled
	commits    atomic.Uint64
	once       sync.Once
	done       sync.WaitGroup
}

// readers is the number of concurrent views: more would only cost memory.
const readers = 3

type op struct {
	do   func(*Tx) error
	err  error
	done chan struct{}
}

// Tx is one update or view. It is valid only inside the function that gets it, on that goroutine.
type Tx struct {
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	numbers *numbers // of an update
	stamps  *stamps  // of the writer
	trust   *trust   // of the writer
}

// Open opens the ledger, and makes a missing one. The caller holds the state folder's lock: two
// processes must never open one ledger. It returns ErrFull if the disk has no space to open it;
// that error means nothing about the ledger itself.
func Open(path string) (*Ledger, error) {
	l, err := openAt(path)
	if err != nil {
		return nil, reason.Err("ledger-unopened", "path", path,
			"why", orFull(filepath.Dir(path), err))
	}
	return l, nil
}

// Check returns the error that Open would return for a newer ledger, or for another file. It makes
// no change, and reads no rows. A missing ledger is no error.
func Check(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	mode := "?mode=ro&_pragma=busy_timeout(10000)"
	if _, err := os.Lstat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		mode = "?immutable=1" // otherwise SQLite makes files beside it
	}
	if err := checkAt(path, mode); err != nil {
		return reason.Err("ledger-unopened", "path", path,
			"why", orFull(filepath.Dir(path), err))
	}
	return nil
}

func checkAt(path, mode string) (err error) {
	db, err := sql.Open("sqlite", fileURL(path)+mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := formatOf(conn); err != nil {
		return err
	}
	var objects int
	return conn.QueryRowContext(context.Background(), "SELECT COUNT(*) FROM sqlite_master").
		Scan(&objects)
}

func openAt(path string) (*Ledger, error) {
	setAside, err := matched(path)
	if err != nil {
		return nil, err
	}
	compacting := compacted(path)
	if err := makeTight(path); err != nil {
		return nil, err
	}
	dsn := fileURL(path) + "?_pragma=auto_vacuum(INCREMENTAL)" +
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=busy_timeout(10000)&_pragma=foreign_keys(ON)&_pragma=cache_size(-4096)" +
		"&_pragma=temp_store(MEMORY)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	l := &Ledger{db: db, dir: filepath.Dir(path), setAside: setAside, compacting: compacting,
		numbers: openNumbers(path),
		ops:     make(chan *op, maxGroup), readers: make(chan *Tx, readers),
		closed: make(chan struct{})}
	writer, err := l.connect()
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	writer.stamps, writer.trust = &stamps{}, newTrust(path)
	if err = writer.migrated(); err == nil {
		err = writer.recallTrust()
	}
	l.recalled = writer.trust.restored
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

// makeTight makes a missing ledger file with access for its owner only, independent of the umask.
// SQLite accepts an empty file as a new database, and copies its mode to the files beside it.
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

// Commits returns the number of commits since Open. While it is constant, the ledger is unchanged.
func (l *Ledger) Commits() uint64 { return l.commits.Load() }

// Aside returns the new names of files that Open has set aside. A ledger.db and a write-ahead log
// of two different times are never used together: Open continues with an older ledger, or a new
// one.
func (l *Ledger) Aside() []string { return l.setAside }

// NotCompact returns the error for which Open could not give free space back to the disk, or nil.
func (l *Ledger) NotCompact() error { return l.compacting }

// fileURL returns a path as a URL, to which SQLite's parameters can be added.
func fileURL(path string) string {
	file := url.URL{Path: filepath.ToSlash(path)}
	return "file:" + file.EscapedPath()
}

// connect returns a connection of its own, for the writer or a reader.
func (l *Ledger) connect() (*Tx, error) {
	conn, err := l.db.Conn(context.Background())
	return &Tx{conn: conn, stmts: map[string]*sql.Stmt{}, numbers: l.numbers}, err
}

// Close closes the ledger after the updates and views under way.
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

// Update runs do in the next commit, and returns when that is durable. If do returns an error,
// Update returns it, and do has changed nothing. The commit may have other updates too. After any
// other error the outcome is uncertain, as with every database: read the rows. do must be short and
// must not wait.
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
	// The update is now under way, so this waits even if the context ends: a caller must not
	// believe that nothing was written when it was.
	<-o.done
	return o.err
}

// View runs do on a snapshot, with every update that returned before. do must not begin another
// view.
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
		return reason.Err("ledger-unread", "why", err)
	}
	err := do(tx)
	if end := tx.exec("ROLLBACK"); end != nil {
		err = errors.Join(err, reason.Err("ledger-unread", "why", end))
	}
	return err
}

// write is the one writer. It puts all waiting updates, up to maxGroup, into one commit.
func (l *Ledger) write(tx *Tx) {
	defer tx.close() //nolint:errcheck // every commit is on disk
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

// gather adds all waiting updates to the first one, up to maxGroup.
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

// commit runs a group as savepoints of one transaction, so that one failing update does not undo
// others.
func (l *Ledger) commit(tx *Tx, group []*op) {
	defer func() {
		l.commits.Add(1) // a failed commit may have changed the ledger too
		for _, o := range group {
			close(o.done)
		}
	}()
	fail := func(err error) {
		for _, o := range group {
			if o.err == nil {
				o.err = reason.Err("ledger-unwritten", "why", orFull(l.dir, err))
			}
		}
	}
	if err := tx.exec("BEGIN IMMEDIATE"); err != nil {
		fail(err)
		return
	}
	if len(group) == 1 { // a savepoint would copy every page that it changes a second time
		group[0].err = orFull(l.dir, group[0].do(tx))
		if tx.numbers.endUpdate(group[0].err); group[0].err != nil {
			if err := tx.exec("ROLLBACK"); err != nil {
				fail(err)
			}
			return
		}
	} else if err := l.each(tx, group); err != nil {
		clear(tx.numbers.written)
		fail(errors.Join(err, tx.exec("ROLLBACK")))
		return
	}
	tx.numbers.save()
	err := tx.countTrust()
	if err == nil {
		err = tx.commitStamped()
	}
	if err != nil {
		clear(tx.numbers.written)
		fail(errors.Join(err, tx.exec("ROLLBACK")))
		return
	}
	tx.saveTrust()
	tx.numbers.confirm()
}

// probe is the space that a ledger needs to open: SQLite's shared memory and a few pages of its
// log.
const probe = 64 << 10

// orFull wraps an error as ErrFull if a full disk causes it. SQLite has a code for that only where
// a write fails; for its other I/O errors a trial write decides. SQLite has rolled back by itself
// then, and the error of a second rollback is dropped.
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
	return reason.Err("ledger-full", "cause", ErrFull, "dir", dir, "why", err)
}

// each runs the updates of a group. An error is SQLite's, and fails the whole commit.
func (l *Ledger) each(tx *Tx, group []*op) error {
	for _, o := range group {
		if err := l.one(tx, o); err != nil {
			return err
		}
	}
	return nil
}

// one runs an update in a savepoint. It stores the update's own error in o.
func (l *Ledger) one(tx *Tx, o *op) error {
	if err := tx.exec("SAVEPOINT one"); err != nil {
		return err
	}
	o.err = orFull(l.dir, o.do(tx))
	if tx.numbers.endUpdate(o.err); o.err != nil {
		if err := tx.exec("ROLLBACK TO one"); err != nil {
			return err
		}
	}
	return tx.exec("RELEASE one")
}

// close closes the connection with its statements. Only this connection can close them, and an open
// one keeps the ledger's files open until the process ends.
func (tx *Tx) close() error {
	var errs []error
	for _, s := range tx.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, tx.conn.Close())...)
}
