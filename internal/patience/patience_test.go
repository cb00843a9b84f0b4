package patience

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if n, ok := Within(time.Second, func() int { return 7 }); n != 7 || !ok {
			t.Errorf("got %d, %t", n, ok)
		}
		answer := make(chan int)
		begun := time.Now()
		if n, ok := Within(time.Second, func() int { return <-answer }); n != 0 || ok {
			t.Errorf("got %d, %t", n, ok)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it took %s", took)
		}
		answer <- 1 // the call ends although its result is too late
	})
}
