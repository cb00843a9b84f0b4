package service

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"
)

// POSIX access lists in the kernel's form, so that no other program is needed.

const (
	aclAccess  = "system.posix_acl_access"  // of the folder itself
	aclDefault = "system.posix_acl_default" // of new files and folders in it

	aclVersion = 2
	aclNobody  = 0xffffffff // the id of entries without an account or group
)

// The tags of entries, in the order in which the kernel wants them.
const (
	aclOwner      = 0x01
	aclUser       = 0x02
	aclOwnerGroup = 0x04
	aclGroup      = 0x08
	aclMask       = 0x10 // the limit of users and groups
	aclOther      = 0x20
)

const rwx, r_x = 7, 5

// aclEntry is one line of an access list, in the kernel's layout.
type aclEntry struct {
	Tag, Perm uint16
	ID        uint32
}

type acl []aclEntry

// set sets the permissions of one entry, and leaves the others.
func (a *acl) set(tag uint16, id uint32, perm uint16) {
	for n, e := range *a {
		if e.Tag == tag && e.ID == id {
			(*a)[n].Perm = perm
			return
		}
	}
	*a = append(*a, aclEntry{tag, perm, id})
	slices.SortFunc(*a, func(x, y aclEntry) int {
		return cmp.Or(cmp.Compare(x.Tag, y.Tag), cmp.Compare(x.ID, y.ID))
	})
}

// widest returns the permissions of all users and groups together: the mask that removes none.
func (a acl) widest() (perm uint16) {
	for _, e := range a {
		if e.Tag == aclUser || e.Tag == aclOwnerGroup || e.Tag == aclGroup {
			perm |= e.Perm
		}
	}
	return perm
}

func (a acl) bytes() []byte {
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range a {
		b = binary.LittleEndian.AppendUint16(b, e.Tag)
		b = binary.LittleEndian.AppendUint16(b, e.Perm)
		b = binary.LittleEndian.AppendUint32(b, e.ID)
	}
	return b
}

func parseACL(b []byte) (a acl, err error) {
	if len(b) < 4 || len(b)%8 != 4 || binary.LittleEndian.Uint32(b) != aclVersion {
		return nil, errors.New("an access list of an unknown kind")
	}
	for b = b[4:]; len(b) > 0; b = b[8:] {
		a = append(a, aclEntry{binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]),
			binary.LittleEndian.Uint32(b[4:])})
	}
	return a, nil
}

// aclOfMode returns the access list of a folder that has only a mode.
func aclOfMode(mode uint32) acl {
	perm := uint16(mode)
	return acl{{aclOwner, perm >> 6 & rwx, aclNobody}, {aclOwnerGroup, perm >> 3 & rwx, aclNobody},
		{aclOther, perm & rwx, aclNobody}}
}

// readACL returns the access list of a folder, or nil if it has none.
func readACL(h *handle, attribute string) (acl, error) {
	var b [64 << 10]byte // maximum size of an attribute
	n, err := unix.Getxattr(h.proc(), attribute, b[:])
	if errors.Is(err, unix.ENODATA) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseACL(b[:n])
}

// changeACL reads an access list of a folder, lets edit change it, and writes it.
func (h *handle) changeACL(attribute string, edit func(*acl)) error {
	list, err := readACL(h, attribute)
	if err == nil {
		edit(&list)
		err = unix.Setxattr(h.proc(), attribute, list.bytes(), 0)
	}
	if err != nil {
		return fmt.Errorf("access list of %s: %w", h.path, err)
	}
	return nil
}

// share gives a group all permissions in a folder. New files in it get all permissions for the
// service and the group, with any umask. Other entries of the access lists stay.
func (h *handle) share(uid, gid uint32) error {
	if err := h.admit(aclEntry{aclGroup, rwx, gid}); err != nil {
		return err
	}
	return h.changeACL(aclDefault, func(a *acl) {
		a.set(aclOwner, aclNobody, rwx)
		a.set(aclUser, uid, rwx)
		a.set(aclOwnerGroup, aclNobody, rwx)
		a.set(aclGroup, gid, rwx)
		a.set(aclMask, aclNobody, rwx)
		a.set(aclOther, aclNobody, 0)
	})
}

// admit gives more users and groups rights to a folder.
func (h *handle) admit(more ...aclEntry) error {
	var now unix.Stat_t
	if err := unix.Fstat(h.fd, &now); err != nil {
		return &fs.PathError{Op: "stat", Path: h.path, Err: err}
	}
	return h.changeACL(aclAccess, func(a *acl) {
		if *a == nil {
			*a = aclOfMode(now.Mode)
		}
		for _, e := range more {
			a.set(e.Tag, e.ID, e.Perm)
		}
		a.set(aclMask, aclNobody, a.widest())
	})
}
