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
	pointerName = "control" // names the socket when it lies elsewhere
	maxPointer  = 4096      // bytes
)

// answers reports whether a live daemon of this account, or of root, listens at path.
func answers(path string, check func(net.Conn) error) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := dial(ctx, path)
	if err != nil {
		return false
	}
	defer conn.Close()
	return check(conn) == nil
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
