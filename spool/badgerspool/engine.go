package badgerspool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"sealpost/internal/durable"
)

// badgerOptions returns the measured options. Small memtables and no caches limit the memory. The
// value log stays empty, because Badger never frees its room.
func badgerOptions(dir string, log badger.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithDetectConflicts(false). // one writer
		WithNumMemtables(2).
		WithMemTableSize(8 << 20).
		WithCompression(options.None). // little that is stored here shrinks
		WithBlockCacheSize(0).
		WithValueThreshold(1 << 20).
		// At least the largest value. Badger syncs the file with each commit, even if it is empty.
		WithValueLogFileSize(1 << 20).
		WithNumCompactors(2).
		// Badger keeps eight buffers of six times this size. With larger ones the garbage collector
		// would run all the time.
		WithBaseTableSize(1 << 20).
		WithNumLevelZeroTables(10). // these three: less work in compaction
		WithNumLevelZeroTablesStall(20).
		WithBaseLevelSize(64 << 20).
		WithMetricsEnabled(false).
		WithLogger(log)
}

// errDamaged tells the admin what to do about a damaged store.
var errDamaged = errors.New("badger's files are damaged: move the spool's folder away, " +
	"or set the hub up in a new folder from its last export (sealpost hub init --restore); " +
	"senders then publish again the envelopes that it does not know")

// openBadger opens the store, unless its tables are damaged.
func openBadger(dir string, log *slog.Logger) (*badger.DB, error) {
	if err := checkTables(dir); err != nil {
		return nil, err
	}
	if err := removeEmptyLogs(dir); err != nil {
		return nil, err
	}
	db, err := badger.OpenManaged(badgerOptions(dir, badgerLog{log}))
	if err != nil {
		return nil, fmt.Errorf("badger: %w", err)
	}
	return db, nil
}

// removeEmptyLogs removes the logs of zero bytes, which Badger 4.9.6 refuses to open. Badger
// creates a log empty and then sets its length, and empties a log before it removes it. A process
// killed in between leaves an empty log, without any commit in it.
func removeEmptyLogs(dir string) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil {
				return err
			}
			if info.Size() > 0 {
				continue
			}
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// badgerLog logs Badger's errors and warnings and drops the rest.
type badgerLog struct{ log *slog.Logger }

// Errorf implements badger.Logger.
func (l badgerLog) Errorf(format string, args ...any) { l.log.Error(sentence(format, args)) }

// Warningf implements badger.Logger.
func (l badgerLog) Warningf(format string, args ...any) { l.log.Warn(sentence(format, args)) }

// Infof implements badger.Logger.
func (l badgerLog) Infof(string, ...any) {}

// Debugf implements badger.Logger.
func (l badgerLog) Debugf(string, ...any) {}

func sentence(format string, args []any) string {
	return "badger: " + strings.TrimSpace(fmt.Sprintf(format, args...))
}

// folder makes the entries of Badger's folder durable. Badger 4.9.6 syncs its files, but not the
// names of new ones: a loss of power could remove a new log with every commit in it. The writer
// calls sync after each commit; it seldom has anything to do.
type folder struct {
	path   string
	synced time.Time // the folder's time of change when it was last synced
	until  time.Time // until then it is synced always: another change may have the same time
}

// folderTick is longer than the resolution of any file system's modification times.
const folderTick = 12 * time.Millisecond

// sync syncs the folder if it has changed since, or may have changed within a tick.
func (f *folder) sync() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	now := time.Now()
	changed := !info.ModTime().Equal(f.synced)
	if !changed && now.After(f.until) {
		return nil
	}
	if changed {
		f.synced, f.until = info.ModTime(), now.Add(folderTick)
	}
	return durable.SyncDir(f.path)
}
