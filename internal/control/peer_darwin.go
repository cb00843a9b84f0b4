package control

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// peer returns the account and the number of the process at the other end of a connection.
func peer(conn net.Conn) (uid, pid int, err error) {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var cred *unix.Xucred
	failed := raw.Control(func(fd uintptr) {
		if cred, err = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL,
			unix.LOCAL_PEERCRED); err == nil {
			pid, err = unix.GetsockoptInt(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERPID)
		}
	})
	if failed != nil {
		err = failed
	}
	if err != nil {
		return 0, 0, fmt.Errorf("look up the peer of the control socket: %w", err)
	}
	return int(cred.Uid), pid, nil
}
