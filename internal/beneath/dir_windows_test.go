package beneath

import (
	"testing"

	"golang.org/x/sys/windows"
)

func TestReparsePointsThatAreLinks(t *testing.T) {
	for name, c := range map[string]struct {
		tag  uint32
		want bool
	}{
		"symbolic link": {windows.IO_REPARSE_TAG_SYMLINK, true},
		"mount point":   {windows.IO_REPARSE_TAG_MOUNT_POINT, true},
		"deduplicated":  {0x80000013, false}, "in a cloud": {0x9000001A, false},
		"compressed": {0x80000017, false},
	} {
		if isSurrogate(c.tag) != c.want {
			t.Errorf("%s: a link: %t", name, !c.want)
		}
	}
}
