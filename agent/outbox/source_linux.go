package outbox

import (
	"errors"

	"golang.org/x/sys/unix"

	"sealpost/internal/beneath"
)

// beingWritten asks the kernel for a read lease, which it grants only when nobody has the file open for writing, and
// gives it back at once: a lease that is held would hold up writers (fcntl(2), F_SETLEASE). The answer is certain unless
// the lease is refused for another reason, as for the files of other owners without CAP_LEASE.
func beingWritten(d *beneath.Dir, name string) (open, certain bool, err error) {
	f, _, err := d.Open(name)
	if err != nil {
		return false, false, err
	}
	defer f.Close()
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		return false, true, err
	}
	return errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EAGAIN), nil
}
