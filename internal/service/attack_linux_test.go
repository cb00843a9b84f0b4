package service

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// swapping has the test run once more, as another account, to exchange two names until its input
// ends.
const swapping = "SEALPOST_SWAP"

// swap exchanges two names in a loop, and reports its start and the number of swaps.
func swap(t *testing.T, names []string) {
	end := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // it ends
		close(end)
	}()
	for n := 0; ; n++ {
		select {
		case <-end:
			fmt.Println(n)
			return
		default:
		}
		if err := unix.Renameat2(unix.AT_FDCWD, names[0], unix.AT_FDCWD, names[1],
			unix.RENAME_EXCHANGE); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			fmt.Println("begun")
		}
	}
}

// attack has an account exchange two names while work is done, again and again, and fails if it
// could not.
func (s *site) attack(as credential, one, other string, work func()) {
	s.t.Helper()
	self, err := os.Executable()
	s.must(err)
	program, err := os.ReadFile(self)
	s.must(err)
	at := filepath.Join(openFolder(s.t), "swap")
	s.must(os.WriteFile(at, program, 0o755))
	test, _, _ := strings.Cut(s.t.Name(), "/")
	cmd := exec.CommandContext(s.t.Context(), at, "-test.run", "^"+test+"$")
	cmd.Dir, cmd.Stderr, cmd.Env = "/", os.Stderr, []string{swapping + "=" + one + "\n" + other,
		"GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as.as}
	stop, err := cmd.StdinPipe()
	s.must(err)
	says, err := cmd.StdoutPipe()
	s.must(err)
	s.must(cmd.Start())
	lines := bufio.NewScanner(says)
	lines.Scan()
	for range 300 {
		work()
	}
	s.must(stop.Close())
	lines.Scan()
	n, _ := strconv.Atoi(lines.Text()) //nolint:errcheck // then it is too few
	for lines.Scan() {                 // for the test's last message
	}
	if err := cmd.Wait(); err != nil || n < 1000 {
		s.t.Fatalf("the attacker has exchanged %d times: %v", n, err)
	}
}

// Each attacker owns a folder in which one name leads to install's target, and then to the bait.
func TestNothingOutsideIsChangedWhileNamesAreExchanged(t *testing.T) {
	if names := os.Getenv(swapping); names != "" {
		swap(t, strings.Split(names, "\n"))
		return
	}
	for _, c := range []struct {
		name string
		as   credential
		set  func(*site) (one, other string)
	}{
		{"an outbox and a link, by the tray's owner", ann, func(s *site) (string, string) {
			s.mkdir(s.Shared[0])
			s.link(s.bait, filepath.Join(s.tray, "evil"), annID)
			s.give(s.tray, annID)
			return s.Shared[0], filepath.Join(s.tray, "evil")
		}},
		{"an outbox and a link, by the service's account", theService,
			func(s *site) (string, string) {
				s.mkdir(s.Shared[0])
				s.link(s.bait, filepath.Join(s.tray, "evil"), serviceID)
				s.give(s.tray, serviceID)
				return s.Shared[0], filepath.Join(s.tray, "evil")
			}},
		{"an outbox and a link of root's, by the service's account", theService,
			func(s *site) (string, string) {
				s.mkdir(s.Shared[0])
				s.link(s.bait, filepath.Join(s.tray, "evil"), 0)
				s.give(s.tray, serviceID)
				return s.Shared[0], filepath.Join(s.tray, "evil")
			}},
		{"a tray and a link, by the service's account", theService, func(s *site) (string, string) {
			middle := filepath.Join(s.root, "between")
			s.mkdir(middle, filepath.Join(middle, "tray"), filepath.Join(middle, "tray", "outbox"))
			s.link(s.bait, filepath.Join(middle, "evil"), serviceID)
			s.give(middle, serviceID)
			s.follow("between/tray")
			return s.Writable[0], filepath.Join(middle, "evil")
		}},
		{"an outbox that is missing and a link", theService, func(s *site) (string, string) {
			s.mkdir(filepath.Join(s.tray, "a"))
			s.link(s.bait, filepath.Join(s.tray, "b"), serviceID)
			s.give(s.tray, serviceID)
			s.Writable, s.Shared = nil, []string{filepath.Join(s.tray, "a", "outbox", "new"),
				filepath.Join(s.tray, "b", "outbox", "new")}
			return filepath.Join(s.tray, "a"), filepath.Join(s.tray, "b")
		}},
		{"an outbox and a file", theService, func(s *site) (string, string) {
			s.mkdir(s.Shared[0])
			s.must(os.Link(filepath.Join(s.bait, "file"), filepath.Join(s.tray, "evil")))
			s.give(s.tray, serviceID)
			return s.Shared[0], filepath.Join(s.tray, "evil")
		}},
		{"a folder in the state and a link", theService, func(s *site) (string, string) {
			s.mkdir(filepath.Join(s.State, "sealed"), filepath.Join(s.State, "sealed", "outbox"))
			s.write(filepath.Join(s.State, "sealed", "file"))
			s.link(s.bait, filepath.Join(s.State, "evil"), serviceID)
			s.give(s.State, serviceID)
			return filepath.Join(s.State, "sealed"), filepath.Join(s.State, "evil")
		}},
		{"a file in the state and another name of root's", theService,
			func(s *site) (string, string) {
				s.write(filepath.Join(s.State, "file"))
				s.must(os.Link(filepath.Join(s.bait, "file"), filepath.Join(s.State, "evil")))
				s.give(s.State, serviceID)
				return filepath.Join(s.State, "file"), filepath.Join(s.State, "evil")
			}},
		{"the state and a link", theService, func(s *site) (string, string) {
			s.link(s.bait, filepath.Join(s.Dir, "evil"), serviceID)
			s.give(s.Dir, serviceID)
			return s.State, filepath.Join(s.Dir, "evil")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			one, other := c.set(s)
			bait := s.look(s.bait)
			s.attack(c.as, one, other, func() {
				setUp(s.Installation)
				s.unchanged(s.bait, bait)
				if t.Failed() {
					t.FailNow()
				}
			})
		})
	}
}
