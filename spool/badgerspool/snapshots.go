package badgerspool

import (
	"sync"

	badger "github.com/dgraph-io/badger/v4"
)

// snapshots counts the readers of each version. The spool numbers Badger's versions itself: a
// version is one commit. A reader sees the newest durable version and never waits for the commit
// under way; with Badger's own numbering it would.
type snapshots struct {
	mu      sync.Mutex // guards everything below
	version uint64     // the newest that is durable
	readers []readers  // by version, oldest first
}

// readers are the calls that read one version.
type readers struct {
	version uint64
	count   int
}

// begin returns the version to read; end must be called with it.
func (n *snapshots) begin() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if last := len(n.readers) - 1; last < 0 || n.readers[last].version != n.version {
		n.readers = append(n.readers, readers{version: n.version})
	}
	n.readers[len(n.readers)-1].count++
	return n.version
}

// end ends one read of a version, and drops the oldest versions if they have no readers.
func (n *snapshots) end(version uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.readers {
		if n.readers[i].version == version {
			n.readers[i].count--
			break
		}
	}
	done := 0
	for done < len(n.readers) && n.readers[done].count == 0 {
		done++
	}
	n.readers = append(n.readers[:0], n.readers[done:]...)
}

// newest returns the newest durable version.
func (n *snapshots) newest() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.version
}

// advance sets the newest version, and returns the one below which no call reads any more.
func (n *snapshots) advance(version uint64) (unread uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.version = version
	if len(n.readers) > 0 {
		return n.readers[0].version
	}
	return version
}

// view calls f with a snapshot of everything that is committed.
func (s *Spool) view(f func(txn *badger.Txn) error) error {
	version := s.snapshots.begin()
	defer s.snapshots.end(version)
	txn := s.db.NewTransactionAt(version, false)
	defer txn.Discard()
	return f(txn)
}
