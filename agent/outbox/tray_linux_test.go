package outbox

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Two trays start whose folders another account exchanges for each other meanwhile.
func TestTwoTraysAreExchangedAtTheStart(t *testing.T) {
	s := newSealer(t)
	second := s.cfg.Trays[0]
	second.Name, second.Dir = "second", t.TempDir()
	o := s.cfg
	o.Trays = append(o.Trays, second)
	if _, err := New(o); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				//nolint:errcheck // the next time
				unix.Renameat2(unix.AT_FDCWD, s.at("outbox"), unix.AT_FDCWD,
					filepath.Join(second.Dir, "outbox"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	failed := 0
	var last error
	for range 100 {
		if _, err := New(o); err != nil {
			failed, last = failed+1, err
		}
	}
	close(stop)
	<-done
	if failed > 0 {
		t.Errorf("the agent did not start %d of 100 times: %v", failed, last)
	}
	o.Trays[1].Dir = o.Trays[0].Dir
	if _, err := New(o); err == nil {
		t.Error("two trays with one folder start")
	}
}
