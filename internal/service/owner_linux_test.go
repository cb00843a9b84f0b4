package service

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// working makes the test run again in a process of its own, which gives up its rights.
const working = "SEALPOST_WORKING"

// worksAs returns as whom MakeAsOwner works in a folder, and why not; after "only ", WorkAsOwner.
func (s *site) worksAs(dir string) string {
	s.t.Helper()
	test, _, _ := strings.Cut(s.t.Name(), "/")
	cmd := exec.CommandContext(s.t.Context(), os.Args[0], "-test.run", "^"+test+"$")
	cmd.Dir, cmd.Env = "/", []string{working + "=" + dir, "GORACE=atexit_sleep_ms=0"}
	out, err := cmd.CombinedOutput()
	said, _, found := strings.Cut(string(out), "<end>")
	if err != nil || !found {
		s.t.Fatalf("%v: %s", err, out)
	}
	return s.short(said)
}

func TestRootWorksAsTheOwnerOfAFolder(t *testing.T) {
	if dir := os.Getenv(working); dir != "" {
		work := MakeAsOwner
		if name, found := strings.CutPrefix(dir, "only "); found {
			dir, work = name, WorkAsOwner
		}
		account, err := work(dir)
		groups, failed := os.Getgroups()
		fmt.Printf("as %q %d:%d:%d %v %v, %v<end>\n", account, os.Getuid(), os.Geteuid(),
			os.Getegid(), groups, failed, err)
		return
	}
	const asRoot, asAnn = `as "" 0:0:0 `, `as "61003" 61003:61003:61003 [] <nil>, <nil>`
	for _, c := range []struct {
		name string
		set  func(*site)
		dir  string
		want string
	}{
		{"root's", func(*site) {}, "fl", asRoot},
		{"missing in root's", func(*site) {}, "new/one", asRoot},
		{"ann's", func(s *site) { s.give(s.Dir, annID) }, "fl", asAnn},
		{"missing in ann's", func(s *site) { s.give(s.Dir, annID) }, "fl/new/one", asAnn},
		{"ann's in the group of root", func(s *site) {
			s.must(os.Chown(s.Dir, annID, 0))
		}, "fl", `as "61003" 61003:61003:65534 [] <nil>, <nil>`},
		{"ann's in ann's", func(s *site) {
			s.give(s.Dir, annID)
			s.give(s.State, annID)
		}, "fl/state", asAnn},
		{"root's in ann's", func(s *site) {
			s.give(s.Dir, annID)
		}, "fl/state", "other accounts can replace a folder in which root would work: DIR " +
			"belongs to 61003, who can replace what lies in it\n  chown -h root DIR<"},
		{"of two", func(s *site) {
			s.give(s.Dir, annID)
			s.give(s.State, serviceID)
		}, "fl/state/new", "DIR/state belongs to 61001, "},
		{"for all", func(s *site) {
			s.chmod(s.Dir, 0o777)
		}, "fl", "DIR can be changed by the group root and every account, "},
		{"for all, and sticky", func(s *site) {
			s.chmod(s.Dir, 0o777|os.ModeSticky)
		}, "fl", "DIR can be changed by the group root and every account, "},
		{"for all, of ann's", func(s *site) {
			s.chmod(s.Dir, 0o777)
			s.give(s.Dir, annID)
		}, "fl", "DIR can be changed by the group 61003 and every account, "},
		{"missing in a sticky one", func(s *site) {
			s.chmod(s.Dir, 0o777|os.ModeSticky)
		}, "fl/new/one", asRoot},
		{"ann's in a sticky one", func(s *site) {
			s.chmod(s.Dir, 0o777|os.ModeSticky)
			s.give(s.State, annID)
		}, "fl/state", asAnn},
		{"a link of ann's", func(s *site) {
			s.link(s.bait, filepath.Join(s.Dir, "link"), annID)
		}, "fl/link", "DIR/link is a link, "},
		{"a file", func(*site) {}, "bait/file", "ROOT/bait/file is a file, "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.set(s)
			if got := s.worksAs(filepath.Join(s.root, c.dir)); !strings.Contains(got+"<", c.want) {
				t.Errorf("works %s\nwant %s", got, c.want)
			}
		})
	}
	// Where others could have made the folder meanwhile, it is made.
	s := newSite(t)
	s.chmod(s.Dir, 0o777|os.ModeSticky)
	if got := s.worksAs("only " + filepath.Join(s.Dir, "new", "one")); !strings.HasPrefix(got,
		asRoot) {
		t.Errorf("works %s", got)
	}
	if _, err := os.Lstat(filepath.Join(s.Dir, "new")); !os.IsNotExist(err) {
		t.Errorf("made by who only looks: %v", err)
	}
	s.worksAs(filepath.Join(s.Dir, "new", "one"))
	if got := s.owners(s.Dir, "new"); got[0] != "new 0:0" {
		t.Errorf("made: %q", got)
	}
	s.worksAs(filepath.Join(s.root, "new"))
	if _, err := os.Lstat(filepath.Join(s.root, "new")); !os.IsNotExist(err) {
		t.Errorf("made although nobody else could: %v", err)
	}
}
