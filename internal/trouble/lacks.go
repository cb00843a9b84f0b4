package trouble

import (
	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// usualName is the length in bytes of the longest name on most disks.
const usualName = 255

// Lacks returns the losses of received files on a disk without some abilities, a sentence for each.
func Lacks(a beneath.Abilities, dir string) (list []reason.Reason) {
	if !a.Times {
		list = append(list, reason.New("disk-without-times", "folder", dir))
	}
	if !a.Modes {
		list = append(list, reason.New("disk-without-modes", "folder", dir))
	}
	if !a.SafeRename {
		list = append(list, reason.New("disk-without-rename", "folder", dir))
	}
	if !a.Unicode {
		list = append(list, reason.New("disk-without-unicode", "folder", dir))
	}
	if a.NameMax < usualName {
		list = append(list, reason.New("disk-with-short-names", "folder", dir, "most", a.NameMax))
	}
	return list
}
