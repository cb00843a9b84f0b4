package badgerspool

import (
	"fmt"
	"log/slog"
	"strings"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// badgerOptions are the measured choices: small memtables and no caches bound the memory, and the value log stays empty,
// because its room never comes back.
func badgerOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithDetectConflicts(false). // one writer
		WithNumMemtables(2).
		WithMemTableSize(8 << 20).
		WithCompression(options.None). // ciphertext does not shrink
		WithBlockCacheSize(0).
		WithValueThreshold(1 << 20).
		WithValueLogFileSize(4 << 20).
		WithNumCompactors(2).
		WithMetricsEnabled(false).
		WithLogger(badgerLog{log})
}

// badgerLog keeps Badger's warnings and drops its chatter.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(format string, args ...any)   { l.log.Error(line1(format, args)) }
func (l badgerLog) Warningf(format string, args ...any) { l.log.Warn(line1(format, args)) }
func (l badgerLog) Infof(string, ...any)                {}
func (l badgerLog) Debugf(string, ...any)               {}

func line1(format string, args []any) string {
	return "badger: " + strings.TrimSpace(fmt.Sprintf(format, args...))
}
