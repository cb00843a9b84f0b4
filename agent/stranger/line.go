package stranger

import (
	"errors"
	"net"
	"os"
	"syscall"

	"sealpost/internal/reason"
)

// lineTrouble returns the reason of a failed connection. An error without a known cause is its own
// reason.
func lineTrouble(err error) reason.Reason {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return reason.New("no-such-host", "host", dns.Name)
		}
		return reason.New("host-not-looked-up", "host", dns.Name)
	}
	address := ""
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		address = op.Addr.String()
	}
	switch {
	case isAny(err, refused):
		return reason.New("connection-refused", "address", address)
	case isAny(err, noWay):
		return reason.New("no-network", "address", address)
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return reason.New("no-answer", "address", address)
	}
	return reason.Of(err)
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func isAny(err error, list []syscall.Errno) bool {
	for _, e := range list {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
