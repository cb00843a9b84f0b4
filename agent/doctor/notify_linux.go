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
	"sealpost/internal/reason"
)

// fewWatches is a limit that other programs may use up.
const fewWatches = 8192

// notifications checks that the system can notify the agent of new files. Otherwise it finds them
// by sweeps.
func notifications(_ context.Context, o Options) []Finding {
	check := reason.New("check-notifications")
	if !o.Config.Sends() {
		return nil
	}
	trays := o.Config.Trays()
	sweep := time.Duration(slices.MaxFunc(trays, func(a, b config.Tray) int {
		return cmp.Compare(a.Sweep, b.Sweep)
	}).Sweep)
	moreWatches := reason.New("raise-limit", "limit", "max_user_watches", "to", 65536)
	noneNeeded := reason.New("quick-enough")
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if errors.Is(err, unix.EMFILE) {
		return warn(check, reason.New("instances-used-up", "sweep", sweep),
			reason.New("raise-limit", "limit", "max_user_instances", "to", 1024))
	}
	if err != nil {
		return warn(check, reason.New("not-notified", "why", err, "sweep", sweep), noneNeeded)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	for _, t := range trays {
		if err == nil {
			_, err = unix.InotifyAddWatch(fd, t.Folders()[0], unix.IN_CREATE)
		}
	}
	if errors.Is(err, unix.ENOSPC) {
		return warn(check, reason.New("watches-used-up", "sweep", sweep), moreWatches)
	}
	if err != nil {
		return warn(check, reason.New("outbox-not-watched", "why", err, "sweep", sweep), noneNeeded)
	}
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_user_watches")
	if err != nil {
		return good(check, reason.New("notified"))
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil && limit < fewWatches {
		return warn(check, reason.New("watches-few", "limit", limit, "sweep", sweep), moreWatches)
	}
	return good(check, reason.New("notified"))
}
