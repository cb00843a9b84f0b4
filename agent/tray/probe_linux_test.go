package tray

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// A writer that opens a file without waiting, in the very instant of a probe, is asked to retry.
// The kernel offers no probe without this. The writer gets no other error, and meets no probe while
// it writes now and then, or has the file open: the settle time comes before the first, and the
// second ends at once.
func TestAWriterThatDoesNotWait(t *testing.T) {
	path := put(t, t.TempDir(), "data.csv")
	stop, probed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(probed)
		for {
			select {
			case <-stop:
				return
			default:
				_, _, _ = finishedAt(t, path, Settling{}, inTime())
			}
		}
	}()
	const opens = 2000
	retries := 0
	for range opens {
		w, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			retries++
			w, err = os.OpenFile(path, os.O_WRONLY, 0) // which waits for as long as the probe takes
		}
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	close(stop)
	<-probed
	t.Logf("with probes that never rest, %d of %d opens were told to try again", retries, opens)
}
