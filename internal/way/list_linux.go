package way

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// The tags of a POSIX access list as the kernel keeps it, and the right to write.
const (
	tagUser       = 0x02
	tagOwnerGroup = 0x04
	tagGroup      = 0x08
	tagMask       = 0x10
	write         = 2
)

// accessList returns the users and groups that a folder's access list lets write; nil if the folder
// has none.
func accessList(folder string) ([]entry, error) {
	b := make([]byte, 64<<10) // the most that an attribute can hold
	n, err := unix.Lgetxattr(folder, "system.posix_acl_access", b)
	if errors.Is(err, unix.ENODATA) {
		return nil, nil
	}
	if err != nil {
		return nil, err // of a file system without access lists: ENOTSUP
	}
	b = b[:n]
	if len(b) < 4 || len(b)%8 != 4 || binary.LittleEndian.Uint32(b) != 2 {
		return nil, errors.New("it is of an unknown kind")
	}
	list, mask := []entry{}, uint16(write)
	for b = b[4:]; len(b) > 0; b = b[8:] {
		tag, perm, id := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]),
			int(binary.LittleEndian.Uint32(b[4:]))
		flaw, counts := map[uint16]Flaw{tagUser: ListUserWrites, tagOwnerGroup: GroupWrites,
			tagGroup: ListGroupWrites}[tag]
		switch {
		case tag == tagMask:
			mask = perm
		case counts && perm&write != 0:
			list = append(list, entry{flaw, id})
		}
	}
	if mask&write == 0 {
		return []entry{}, nil
	}
	return list, nil
}
