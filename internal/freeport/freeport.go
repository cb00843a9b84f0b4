// Package freeport finds addresses for the hubs of stories, demos and benchmarks.
//
// Its ports are below the range from which systems take those of outgoing connections: a hub that was killed, or stopped for a
// while, must find its port free again. No two calls in a process get the same one, and those of processes that run at the
// same time rarely. The package must not know what listens.
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

var given atomic.Int64

// Address returns an address of this machine on which nobody listens.
func Address() (string, error) {
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", first+(int64(os.Getpid())*61+given.Add(1))%count)
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no port between 20000 and 32000 is free on 127.0.0.1")
}
