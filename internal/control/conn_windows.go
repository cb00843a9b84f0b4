package control

import (
	"errors"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/windows"
)

const pipeNet = "pipe"

// pipeAddr is the name of a pipe.
type pipeAddr string

func (pipeAddr) Network() string  { return pipeNet }
func (a pipeAddr) String() string { return string(a) }

// pipeConn is one end of a pipe, with the deadlines that the runtime gives to files opened for
// overlapped I/O.
type pipeConn struct {
	*os.File
	path pipeAddr
}

func newPipeConn(h windows.Handle, path string) net.Conn {
	return &pipeConn{File: os.NewFile(uintptr(h), path), path: pipeAddr(path)}
}

func (c *pipeConn) LocalAddr() net.Addr  { return c.path }
func (c *pipeConn) RemoteAddr() net.Addr { return c.path }

func (c *pipeConn) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	return n, c.netError("read", err)
}

func (c *pipeConn) Write(p []byte) (int, error) {
	n, err := c.File.Write(p)
	return n, c.netError("write", err)
}

// netError turns a file's error into one of a connection: io.EOF unchanged, every other as a
// net.Error.
func (c *pipeConn) netError(op string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return &net.OpError{Op: op, Net: pipeNet, Addr: c.path, Err: pe.Err}
	}
	return err
}
