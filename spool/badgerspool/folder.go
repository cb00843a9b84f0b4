package badgerspool

import (
	"os"
	"time"

	"sealpost/internal/durable"
)

// folder makes the entries of Badger's folder durable. Badger syncs its files but, in 4.9.6, not the names of new ones: after
// a loss of power a log that was begun could be missing with every commit in it. The writer asks after each commit, and nearly
// always there is nothing to do.
type folder struct {
	path   string
	synced time.Time // the folder's time of change when it was last synced
	until  time.Time // until then it is synced in any case: another change may bear the same time
}

// folderTick is longer than the step in which any file system counts the time of a change.
const folderTick = 12 * time.Millisecond

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
