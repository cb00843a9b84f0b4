package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// SQLite validates the frames of a write-ahead log by the log only, and applies them to any
// database beside it. To detect a log and a database of two different times (pair.go), each commit
// has a stamp: SQLite's application_id, in the header of the database's first page. So it is in the
// log once for each commit, and in the database file after the checkpoint. Each stamp is the one
// before plus one, except after Open, which begins at a random one: two copies of a ledger share no
// stamps after the copy.

const stampAt = 68 // offset of the stamp's four bytes in a database's header

// stamps is the writer's memory of the newest stamp.
type stamps struct {
	last    int32
	known   bool
	changes int64 // SQLite's count of changed rows at the newest commit
}

// migrated updates the schema and begins a new run of stamps. It prevents a checkpoint meanwhile:
// the first commit has only the stamp after the database's, and the second begins the new run.
func (tx *Tx) migrated() error {
	var pages int // size of the log at which SQLite makes a checkpoint
	if err := tx.row("PRAGMA wal_autocheckpoint", nil, &pages); err != nil {
		return err
	}
	if err := tx.exec("PRAGMA wal_autocheckpoint = 0"); err != nil {
		return err
	}
	if err := migrate(tx.conn); err != nil {
		return err
	}
	if err := tx.readStamp(); err != nil {
		return err
	}
	for _, stamp := range []int32{tx.stamps.last + 1, int32(rand.Uint32())} {
		if err := tx.setStamp(stamp); err != nil { // its own commit
			return err
		}
		tx.stamps.last = stamp
	}
	tx.stamps.known = true
	return tx.exec(fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", pages))
}

// readStamp reads the stamp of the newest commit.
func (tx *Tx) readStamp() error {
	return tx.row("PRAGMA application_id", nil, &tx.stamps.last)
}

// setStamp sets the stamp without a prepared statement: its text is used once.
func (tx *Tx) setStamp(stamp int32) error {
	_, err := tx.conn.ExecContext(context.Background(), fmt.Sprintf("PRAGMA application_id = %d",
		stamp))
	return err
}

// commitStamped commits the writer's transaction with a new stamp. Without changes it writes
// nothing.
func (tx *Tx) commitStamped() error {
	s := tx.stamps
	before := s.changes
	if err := tx.row("SELECT total_changes()", nil, &s.changes); err != nil {
		return err
	}
	if s.changes == before {
		return tx.exec("COMMIT")
	}
	if !s.known {
		if err := tx.readStamp(); err != nil {
			return err
		}
	}
	s.known = false // until the commit succeeds
	if err := tx.setStamp(s.last + 1); err != nil {
		return err
	}
	if err := tx.exec("COMMIT"); err != nil {
		return err
	}
	s.last, s.known = s.last+1, true
	return nil
}
