package doctor

import (
	"context"

	"sealpost/internal/beneath"
	"sealpost/internal/durable"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

// usualName is the length in bytes of the longest name on most disks.
const usualName = 255

// abilities finds files that the inbox's disk will not take. A disk that cannot be tried is a
// finding of folders.
func abilities(_ context.Context, o Options) (list []Finding) {
	if !o.Config.Receives() {
		return nil
	}
	dir, check := o.Config.Inbox.Dir, reason.New("check-inbox")
	d, err := beneath.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	a, err := d.Probe(probeName())
	if err != nil {
		return nil
	}
	otherDisk := reason.New("use-other-disk")
	if !a.Times {
		list = append(list, fail(check, reason.New("disk-without-times", "folder", dir),
			otherDisk)...)
	}
	if !a.Modes {
		list = append(list, fail(check, reason.New("disk-without-modes", "folder", dir),
			otherDisk)...)
	}
	if !a.SafeRename {
		list = append(list, fail(check, reason.New("disk-without-rename", "folder", dir),
			trouble.Of(durable.ErrNoSafeRename, dir))...)
	}
	if !a.Unicode {
		list = append(list, warn(check, reason.New("disk-without-unicode", "folder", dir),
			otherDisk)...)
	}
	if a.NameMax < usualName {
		list = append(list, warn(check, reason.New("disk-with-short-names", "folder", dir,
			"most", a.NameMax), otherDisk)...)
	}
	return list
}
