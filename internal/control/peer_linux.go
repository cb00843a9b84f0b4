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
	var cred *unix.Ucred
	failed := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if failed != nil {
		err = failed
	}
	if err != nil {
		return 0, 0, fmt.Errorf("look up the peer of the control socket: %w", err)
	}
	return int(cred.Uid), int(cred.Pid), nil
}
