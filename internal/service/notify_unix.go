//go:build unix

package service

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// notifier sends a daemon's states to systemd, if there is one.
type notifier struct{ socket string }

func newNotifier() notifier { return notifier{os.Getenv("NOTIFY_SOCKET")} }

// say sends one state, such as "READY=1". A name with a leading @ is an abstract socket, as in
// package net.
func (n notifier) say(state string) error {
	if n.socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd %q: %w", state, err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell systemd %q: %w", state, err)
	}
	return nil
}

// watchdog returns the interval of signs of life that systemd wants; 0: none.
func watchdog() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}
