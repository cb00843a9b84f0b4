// Package patience bounds the wait for calls that may never return, such as on a share whose server
// is away.
package patience

import "time"

// Within returns the result of do, or false after the limit. The goroutine of a call that does not
// return in time stays until it does.
func Within[T any](limit time.Duration, do func() T) (result T, ok bool) {
	answer := make(chan T, 1)
	go func() { answer <- do() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case result = <-answer:
		return result, true
	case <-timer.C:
		return result, false
	}
}
