// Package trouble names the causes of failed file operations, each with a remedy.
//
// Each cause has one code, and only missing rights are called so. The package knows nothing of
// trays and inboxes.
package trouble

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sealpost/internal/beneath"
	"sealpost/internal/durable"
	"sealpost/internal/reason"
)

// cause is the meaning of an error of the system.
type cause int

const (
	unknown cause = iota
	otherDisk
	readOnly
	noRoom // or no inodes
	overQuota
	openFiles
	damaged
	unreachable
	tooLarge
	nameTooLong
	nameInvalid // or another argument is
	notPermitted
	noRight
)

// Of returns the cause of an error in a folder, or none if it is unknown. The folder tells a full
// disk from one without inodes.
func Of(err error, dir string) reason.Reason {
	if errors.Is(err, durable.ErrNoSafeRename) {
		return reason.New("no-safe-rename")
	}
	switch causeOf(err) {
	case otherDisk:
		return reason.New("other-disk")
	case readOnly:
		return reason.New("disk-read-only")
	case noRoom:
		if hasNoInodes(dir) {
			return reason.New("no-inodes")
		}
		return reason.New("disk-full")
	case overQuota:
		return reason.New("over-quota")
	case openFiles:
		return reason.New("too-many-open-files")
	case damaged:
		return reason.New("disk-damaged")
	case unreachable:
		return reason.New("disk-away")
	case tooLarge:
		return reason.New("too-large-for-disk")
	case nameTooLong, nameInvalid:
		if IsNameRefused(err) {
			return reason.New("name-refused")
		}
	case notPermitted:
		return reason.New("not-permitted")
	case noRight:
		return reason.New("no-right")
	}
	return reason.Reason{}
}

// IsTooLarge reports whether a file is larger than its disk can take.
func IsTooLarge(err error) bool { return causeOf(err) == tooLarge }

// IsNameRefused reports whether a disk refuses a name. The name is too long there, or has
// characters that the disk does not take.
func IsNameRefused(err error) bool {
	cause := causeOf(err)
	return cause == nameTooLong || cause == nameInvalid && hasOddName(err)
}

// IsOtherDisk reports whether a rename would lead to another disk or mount.
func IsOtherDisk(err error) bool { return causeOf(err) == otherDisk }

// IsNoRoom reports whether a disk has no room, no inodes, or a quota that is used up.
func IsNoRoom(err error) bool {
	cause := causeOf(err)
	return cause == noRoom || cause == overQuota
}

// hasNoInodes reports whether the disk of a folder has a limited number of files, all in use.
func hasNoInodes(dir string) bool {
	d, err := beneath.Open(dir)
	if err != nil {
		return false
	}
	defer d.Close()
	return d.Disk().NoInodes
}

// hasOddName reports whether an error is about a name that some disks refuse. Such a name has
// characters beyond ASCII, or some that Windows reserves.
func hasOddName(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	name := ""
	switch {
	case errors.As(err, &path):
		name = filepath.Base(path.Path)
	case errors.As(err, &link):
		name = filepath.Base(link.New)
	}
	return strings.ContainsFunc(name, func(r rune) bool {
		return r < ' ' || r > '~' || strings.ContainsRune(`<>:"\|?*`, r)
	}) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ")
}
