package doctor

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/config"
	"sealpost/internal/words"
)

// fewWatches is a limit that other programs may use up.
const fewWatches = 8192

// notifications asks whether the system can tell the agent of new files. Without it files are found by sweeps.
func notifications(_ context.Context, o Options) []Finding {
	const what = "notifications"
	if !o.Config.Sends() {
		return nil
	}
	trays := o.Config.Trays()
	sweep := time.Duration(slices.MaxFunc(trays, func(a, b config.Tray) int { return cmp.Compare(a.Sweep, b.Sweep) }).Sweep)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if errors.Is(err, unix.EMFILE) {
		return warn(what, words.InstancesUsedUp(sweep))
	}
	if err != nil {
		return warn(what, words.NotNotified(err, sweep))
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	for _, t := range trays {
		if err == nil {
			_, err = unix.InotifyAddWatch(fd, t.Folders()[0], unix.IN_CREATE)
		}
	}
	if errors.Is(err, unix.ENOSPC) {
		return warn(what, words.WatchesUsedUp(sweep))
	}
	if err != nil {
		return warn(what, words.OutboxNotWatched(err, sweep))
	}
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_user_watches")
	if err != nil {
		return ok(what, words.Notified())
	}
	if limit, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && limit < fewWatches {
		return warn(what, words.WatchesFew(limit, sweep))
	}
	return ok(what, words.Notified())
}
