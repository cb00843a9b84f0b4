package service

import (
	"time"

	"sealpost/internal/reason"
)

// stopping is a service that can be stopped.
type stopping interface {
	// false: it does not listen now, since it is starting or stopping
	stop() (taken bool, err error)
	stopped() (bool, error)
}

// stopWhenPossible stops a service as soon as it listens, and waits until it has stopped.
func stopWhenPossible(s stopping, limit time.Duration) error {
	taken := false
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		done, err := s.stopped()
		if err != nil || done {
			return err
		}
		if time.Now().After(deadline) {
			return reason.Err("not-stopped", "time", limit)
		}
		if !taken {
			if taken, err = s.stop(); err != nil {
				return err
			}
		}
	}
}
