package doctor

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sealpost/config"
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
	sweeps := "files are found all the same, every " + slices.MaxFunc(trays, func(a, b config.Tray) int { return cmp.Compare(a.Sweep, b.Sweep) }).Sweep.String()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if errors.Is(err, unix.EMFILE) {
		return warn(what, "raise the limit: sysctl fs.inotify.max_user_instances=1024", "this account has used up its inotify instances; %s", sweeps)
	}
	if err != nil {
		return warn(what, "nothing, if that is quick enough", "the system gives none (%v); %s", err, sweeps)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	for _, t := range trays {
		if err == nil {
			_, err = unix.InotifyAddWatch(fd, t.Folders()[0], unix.IN_CREATE)
		}
	}
	if errors.Is(err, unix.ENOSPC) {
		return warn(what, "raise the limit: sysctl fs.inotify.max_user_watches=65536", "this account has used up its inotify watches; %s", sweeps)
	}
	if err != nil {
		return warn(what, "nothing, if that is quick enough", "outbox cannot be watched (%v); %s", err, sweeps)
	}
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_user_watches")
	if err != nil {
		return ok(what, "the system tells of new files")
	}
	if limit, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && limit < fewWatches {
		return warn(what, "raise the limit: sysctl fs.inotify.max_user_watches=65536", "only %d folders can be watched by all programs of this account; %s", limit, sweeps)
	}
	return ok(what, "the system tells of new files")
}
