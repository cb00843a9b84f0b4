package control

import (
	"errors"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/windows"

	"sealpost/internal/access"
)

// pipeListener hands out the instances of one named pipe. One instance always waits for the next
// client.
type pipeListener struct {
	path       string
	attributes *windows.SecurityAttributes
	closing    windows.Handle // an event
	once       sync.Once

	mu      sync.Mutex // held by the one Accept; guards the fields below
	next    windows.Handle
	arrived windows.Overlapped // its event is set when a client connects
}

// listen opens a pipe for this account, SYSTEM and Administrators on this machine, and fails if the
// name is taken.
func listen(path string) (net.Listener, error) {
	attributes, err := access.Private()
	if err != nil {
		return nil, err
	}
	l := &pipeListener{path: path, attributes: attributes}
	if l.closing, err = windows.CreateEvent(nil, 1, 0, nil); err != nil {
		return nil, os.NewSyscallError("CreateEvent", err)
	}
	if l.arrived.HEvent, err = windows.CreateEvent(nil, 1, 0, nil); err != nil {
		return nil, errors.Join(os.NewSyscallError("CreateEvent", err),
			windows.CloseHandle(l.closing))
	}
	if l.next, err = l.instance(windows.FILE_FLAG_FIRST_PIPE_INSTANCE); err != nil {
		return nil, errors.Join(err, windows.CloseHandle(l.closing),
			windows.CloseHandle(l.arrived.HEvent))
	}
	return l, nil
}

func (l *pipeListener) instance(flags uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(l.path)
	if err != nil {
		return 0, err
	}
	const buffer = 64 << 10
	h, err := windows.CreateNamedPipe(name,
		flags|windows.PIPE_ACCESS_DUPLEX|windows.FILE_FLAG_OVERLAPPED,
		windows.PIPE_TYPE_BYTE|windows.PIPE_REJECT_REMOTE_CLIENTS, windows.PIPE_UNLIMITED_INSTANCES,
		buffer, buffer, 0, l.attributes)
	if err != nil {
		return 0, &net.OpError{Op: "listen", Net: pipeNet, Addr: pipeAddr(l.path), Err: err}
	}
	return h, nil
}

// Accept implements net.Listener. It makes the next instance before it returns this one: a client
// always finds one.
func (l *pipeListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.next == 0 {
			return nil, net.ErrClosed
		}
		err := l.await()
		if errors.Is(err, windows.ERROR_NO_DATA) { // it left again
			if err = windows.DisconnectNamedPipe(l.next); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, &net.OpError{Op: "accept", Net: pipeNet, Addr: l.Addr(), Err: err}
		}
		next, err := l.instance(0)
		if err != nil {
			return nil, err
		}
		conn := newPipeConn(l.next, l.path)
		l.next = next
		return conn, nil
	}
}

// await waits until a client has opened the next instance, or the listener is closed.
func (l *pipeListener) await() error {
	err := windows.ConnectNamedPipe(l.next, &l.arrived)
	switch {
	case errors.Is(err, windows.ERROR_PIPE_CONNECTED):
		return nil
	case !errors.Is(err, windows.ERROR_IO_PENDING):
		return err
	}
	index, err := windows.WaitForMultipleObjects([]windows.Handle{l.arrived.HEvent, l.closing},
		false, windows.INFINITE)
	if err != nil || index != windows.WAIT_OBJECT_0 {
		err = errors.Join(err, net.ErrClosed, windows.CancelIoEx(l.next, &l.arrived))
	}
	var n uint32
	// the system has released l.arrived
	if done := windows.GetOverlappedResult(l.next, &l.arrived, &n, true); err == nil {
		err = done
	}
	return err
}

// Close implements net.Listener. It ends an Accept under way.
func (l *pipeListener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		err = windows.SetEvent(l.closing)
		l.mu.Lock()
		defer l.mu.Unlock()
		err = errors.Join(err, windows.CloseHandle(l.next), windows.CloseHandle(l.arrived.HEvent),
			windows.CloseHandle(l.closing))
		l.next = 0
	})
	return err
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return pipeAddr(l.path) }
