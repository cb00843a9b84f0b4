package way

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// admit gives a folder an access list: its owner everything, others nothing.
func admit(t *testing.T, folder string, mask uint16, entries ...[3]uint32) {
	t.Helper()
	b := binary.LittleEndian.AppendUint32(nil, 2)
	add := func(tag, perm uint16, id uint32) {
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, perm)
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	const unnamed = 0xffffffff
	add(0x01, 7, unnamed)
	for _, e := range entries {
		if e[0] == tagUser {
			add(tagUser, uint16(e[1]), e[2])
		}
	}
	add(tagOwnerGroup, 5, unnamed)
	for _, e := range entries {
		if e[0] == tagGroup {
			add(tagGroup, uint16(e[1]), e[2])
		}
	}
	add(tagMask, mask, unnamed)
	add(0x20, 0, unnamed)
	if err := unix.Setxattr(folder, "system.posix_acl_access", b, 0); err != nil {
		t.Skipf("SKIPPED: %s has no access lists: %v", folder, err)
	}
}

func TestAnAccessListIsRead(t *testing.T) {
	dir := tree(t)
	a := filepath.Join(dir, "a")
	admit(t, a, 7, [3]uint32{tagUser, 7, serviceID}, [3]uint32{tagGroup, 5, peopleID})
	if info, err := os.Stat(a); err != nil || info.Mode().Perm()&0o020 == 0 {
		t.Fatalf("the list does not show in the mode: %v, %v", info, err)
	}
	if got := above(t, dir, "a/b", serviceID); len(got) != 0 {
		t.Errorf("who is trusted, and a group that reads: %+v", got)
	}
	if got, want := above(t, dir, "a/b"),
		[]Fault{{"a", ListUserWrites, "61001"}}; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	admit(t, a, 7, [3]uint32{tagGroup, 7, peopleID})
	if got, want := above(t, dir, "a/b"),
		[]Fault{{"a", ListGroupWrites, "61002"}}; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	admit(t, a, 5, [3]uint32{tagUser, 7, annID}, [3]uint32{tagGroup, 7, peopleID})
	if got := above(t, dir, "a/b"); len(got) != 0 {
		t.Errorf("what the mask takes away: %+v", got)
	}
}
