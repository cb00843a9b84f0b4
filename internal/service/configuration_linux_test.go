package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// configured is a site whose service runs under an account that every machine has.
func configured(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.User, s.Group, s.ByRoot = "daemon", "daemon", false
	if _, err := accountOf(s.Installation); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	return s
}

// The configuration controls install's work as root, so only root and the service may have written
// it.
func TestAConfigurationThatOthersCanChangeIsNotRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*site)
		want  string
	}{
		{"ann's", func(s *site) {
			s.give(s.Config, annID)
		}, "DIR/agent.toml belongs to 61003\n    look at what it says, then: chown -h root " +
			"DIR/agent.toml\n"},
		{"writable", func(s *site) {
			s.chmod(s.Config, 0o666)
		}, "DIR/agent.toml can be changed by the group root and every account\n    look at what " +
			"it says, then: chmod g-w,o-w DIR/agent.toml\n"},
		{"in a folder of ann's", func(s *site) {
			s.give(s.Dir, annID)
		}, "DIR/agent.toml: DIR belongs to 61003, who can replace what lies in it\n    chown -h " +
			"root DIR "},
		{"a link", func(s *site) {
			s.must(os.Remove(s.Config))
			s.give(s.Dir, 1)
			s.link("/etc/passwd", s.Config, 0)
		}, "DIR/agent.toml is a link, and others than root can change where it leads\n"},
		{"a pipe", func(s *site) {
			s.must(os.Remove(s.Config))
			s.must(unix.Mkfifo(s.Config, 0o600))
		}, "DIR/agent.toml is a pipe, where a file has to be\n    look at it, and move it away\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := configured(t)
			c.spoil(s)
			if text, err := ReadConfiguration(&s.Installation); text != nil ||
				!strings.Contains(s.short(fmt.Sprint(err)), "\n  "+c.want) {
				t.Errorf("read %q, %s\nwant %s", text, s.short(fmt.Sprint(err)), c.want)
			}
		})
	}
	s := configured(t)
	s.must(os.Remove(s.Config))
	if _, err := ReadConfiguration(&s.Installation); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing one: %v", err)
	}
	s.write(s.Config)
	s.User = "no such account"
	if _, err := ReadConfiguration(&s.Installation); err == nil ||
		!strings.Contains(err.Error(), "useradd --system") {
		t.Errorf("for a missing account: %v", err)
	}
}

// An attacker with the service's account may change the configuration, and gains nothing by the
// next install.
func TestAConfigurationOfTheServicesOpensNothingElsewhere(t *testing.T) {
	s := configured(t)
	a, err := accountOf(s.Installation)
	s.must(err)
	read := func() error {
		if text, err := ReadConfiguration(&s.Installation); err != nil || string(text) != "x" {
			t.Fatalf("read %q, %v", text, err)
		}
		return refused(s.Installation, a)
	}
	s.must(read()) // it is root's
	for name, change := range map[string]func(*site){
		"a file of the service's": func(s *site) { s.give(s.Config, int(a.uid)) },
		"another name of a file of root's": func(s *site) {
			s.must(os.Remove(s.Config))
			s.must(os.Link(filepath.Join(s.bait, "file"), s.Config))
		},
	} {
		s = configured(t)
		change(s)
		want := "  TRAY/outbox: DIR/agent.toml opens it to the service, and root has not written " +
			"that file\n" +
			"    look at what it says, then: chown -h root DIR/agent.toml\n"
		if err := read(); err == nil || !strings.Contains(s.short(err.Error()), want) {
			t.Errorf("%s: refused with %v", name, err)
		}
		s.State = filepath.Join(s.bait, "file") // outside, too
		if err := read(); err == nil || !strings.Contains(err.Error(), s.State+" is a file") {
			t.Errorf("%s: refused with %v", name, err)
		}
		s.State, s.Shared = s.bait, nil
		if err := read(); err == nil ||
			!strings.Contains(err.Error(), s.bait+": "+s.Config+" opens it to the service") {
			t.Errorf("%s: refused with %v", name, err)
		}
		s.State, s.Writable, s.Shared = filepath.Join(s.Dir, "state"), nil,
			[]string{filepath.Join(s.Dir, "outbox")}
		if err := read(); err != nil {
			t.Errorf("%s, and nothing elsewhere: %v", name, err)
		}
	}
}

func TestWhatAUnitGrants(t *testing.T) {
	i := lab("/srv/fl", "/data/the tray/outbox", "/home/fl/inbox")
	i.Writable = []string{"/data/the tray"}
	unit, err := Unit(i)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/data/the tray": true, "/data/the tray/sending": true,
		"/home/fl/inbox": true, "/srv/fl": true, "/home/fl": false, "/data": false, "/etc": false,
		"/": false} {
		if got := isGranted(unit, path); got != want {
			t.Errorf("%s is granted: %v", path, got)
		}
	}
}
