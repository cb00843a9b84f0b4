//go:build unix

package trouble

import (
	"errors"
	"io/fs"
	"syscall"
)

var causes = map[syscall.Errno]cause{
	syscall.EXDEV: otherDisk, syscall.EROFS: readOnly, syscall.ENOSPC: noRoom,
	syscall.EDQUOT: overQuota, syscall.EMFILE: openFiles, syscall.ENFILE: openFiles,
	syscall.EIO: damaged, syscall.EBADMSG: damaged,
	syscall.ESTALE: unreachable, syscall.ETIMEDOUT: unreachable,
	syscall.EHOSTDOWN: unreachable, syscall.ENOTCONN: unreachable,
	syscall.EFBIG: tooLarge, syscall.ENAMETOOLONG: nameTooLong,
	syscall.EINVAL: nameInvalid, syscall.EILSEQ: nameInvalid,
	syscall.EPERM: notPermitted, syscall.EACCES: noRight,
}

func causeOf(err error) cause {
	var errno syscall.Errno
	switch {
	case !errors.As(err, &errno):
		if errors.Is(err, fs.ErrPermission) {
			return noRight
		}
		return unknown
	case isDamage(errno):
		return damaged
	}
	return causes[errno]
}
