// Package freeport finds addresses for the hubs of stories, demos and benchmarks.
//
// Its ports are below the range of outgoing connections: a hub that was killed or stopped must find
// its port free again. No two calls in a process get the same port, and concurrent processes rarely
// do. The package must not know the listener.
package freeport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
)

const (
	first = 20000
	count = 12000
)

var used atomic.Int64

// Address returns a free address of this machine.
func Address() (string, error) {
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", first+(int64(os.Getpid())*61+used.Add(1))%count)
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no port between 20000 and 32000 is free on 127.0.0.1")
}
