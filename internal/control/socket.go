package control

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"time"
)

const (
	socketName  = "control.sock"
	pointerName = "control" // holds the socket's path if it is in another folder
	maxPointer  = 4096      // bytes
)

// hasDaemon reports whether a live daemon of this account, or of root, listens at path.
func hasDaemon(path string, check func(net.Conn) error) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := dial(ctx, path)
	if err != nil {
		return false
	}
	defer conn.Close()
	return check(conn) == nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
