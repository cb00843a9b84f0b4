//go:build unix

package inbox

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Who may take what has arrived is for the umask of the service to say, as it is for every other program.
func TestUmaskSaysWhoMayTakeWhatHasArrived(t *testing.T) {
	before := syscall.Umask(0o007)
	defer syscall.Umask(before)
	dir := t.TempDir()
	s := newSink(held(t, dir))
	defer s.close()
	if err := s.Dir(0, "run", time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, executable := range map[string]bool{"run/data": false, "run/run.sh": true} {
		f, err := s.File(0, name, executable, time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]os.FileMode{"run": 0o770, "run/data": 0o660, "run/run.sh": 0o770} {
		place, err := s.twins.tempName(0, name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, place))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q has %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}
