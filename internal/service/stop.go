package service

import (
	"fmt"
	"time"
)

// stopping is a service that can be asked to stop.
type stopping interface {
	stop() (taken bool, err error) // false: it does not listen now, as one that is starting, or stopping already
	stopped() (bool, error)
}

// stopWhenPossible asks a service to stop as soon as it listens, and waits until it has stopped.
func stopWhenPossible(s stopping, limit time.Duration) error {
	taken := false
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		done, err := s.stopped()
		if err != nil || done {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it has not stopped within %s", limit)
		}
		if !taken {
			if taken, err = s.stop(); err != nil {
				return err
			}
		}
	}
}
