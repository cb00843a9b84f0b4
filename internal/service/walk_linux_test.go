package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// site is an installation in a folder of the test, beside files that must never change.
type site struct {
	Installation
	t    *testing.T
	root string // of all that is below
	bait string // root's folder with a file and a folder in it
	tray string // a tray elsewhere, as install finds it
}

// newSite makes a site. Its folder and state are root's, as after join, and its tray in another
// folder is root's and empty.
func newSite(t *testing.T) *site {
	t.Helper()
	onlyRoot(t)
	root := openFolder(t)
	s := &site{Installation: lab(filepath.Join(root, "fl")), t: t, root: root,
		bait: filepath.Join(root, "bait"), tray: filepath.Join(root, "tray")}
	s.Config, s.ByRoot, s.Group = filepath.Join(s.Dir, "agent.toml"), true, numbered.group
	s.Writable = []string{s.tray}
	s.Shared = []string{filepath.Join(s.tray, "outbox"), filepath.Join(s.tray, "sending")}
	s.mkdir(s.bait, filepath.Join(s.bait, "outbox"), s.tray, s.Dir, s.State)
	s.write(filepath.Join(s.bait, "file"))
	s.write(s.Config)
	if err := unix.Setxattr(s.tray, aclAccess, aclOfMode(0o755).bytes(), 0); err != nil {
		t.Skipf("SKIPPED: the file system of %s has no access lists: %v", root, err)
	}
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) mkdir(folders ...string) {
	s.t.Helper()
	for _, folder := range folders {
		s.must(os.Mkdir(folder, 0o755))
		s.must(os.Chmod(folder, 0o755))
	}
}

func (s *site) write(path string) {
	s.t.Helper()
	s.must(os.WriteFile(path, []byte("x"), 0o644))
}

func (s *site) link(target, path string, uid int) {
	s.t.Helper()
	s.must(os.Symlink(target, path))
	s.must(os.Lchown(path, uid, uid))
}

func (s *site) give(path string, uid int) {
	s.t.Helper()
	s.must(os.Lchown(path, uid, uid))
}

func (s *site) chmod(path string, mode os.FileMode) {
	s.t.Helper()
	s.must(os.Chmod(path, mode))
}

// look describes a folder and its entries: kind, mode, owner, access lists, and targets of links.
func (s *site) look(folder string) (seen []string) {
	s.t.Helper()
	s.must(filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		s.must(unix.Lstat(path, &st))
		line := fmt.Sprintf("%s %o %d:%d %d", path, st.Mode, st.Uid, st.Gid, st.Nlink)
		if e.IsDir() {
			access, inherited := aclsOf(s.t, path)
			line += fmt.Sprint(access, inherited)
		}
		if target, err := os.Readlink(path); err == nil {
			line += " -> " + target
		}
		seen = append(seen, line)
		return nil
	}))
	return seen
}

// unchanged fails if a folder or an entry has changed.
func (s *site) unchanged(folder string, before []string) {
	s.t.Helper()
	if now := s.look(folder); !slices.Equal(now, before) {
		s.t.Errorf("%s has changed:\n%s\nbefore:\n%s", folder, strings.Join(now, "\n"),
			strings.Join(before, "\n"))
	}
}

// Ann owns the tray, replaces the outbox by a link to root's folder, and waits for the next
// install.
func TestInstallFollowsNoLinkInPlaceOfTheOutbox(t *testing.T) {
	s := newSite(t)
	if left := setUp(s.Installation); len(left) > 0 {
		t.Fatal(left)
	}
	s.give(s.tray, annID)
	outbox := s.Shared[0]
	if err := ann.does(t, fmt.Sprintf("mv %s %s.mine; ln -s %s %s", outbox, outbox, s.bait,
		outbox)); err != nil {
		t.Fatal(err)
	}
	before := s.look(s.root)
	err := refused(s.Installation, numbered)
	if err == nil || !strings.Contains(err.Error(), outbox+": "+s.tray+" belongs to 61003, "+
		"who can replace what lies in it\n    chown -h root "+s.tray+" ") {
		t.Errorf("refused with %v", err)
	}
	s.unchanged(s.root, before)
	setUp(s.Installation) // as if it had not been refused
	s.unchanged(s.bait, before[slices.IndexFunc(before, func(line string) bool {
		return strings.HasPrefix(line, s.bait+" ")
	}):][:3])
	if list, _ := aclsOf(t, s.bait); list != nil {
		t.Errorf("the group has rights to the folder of root's: %v", list)
	}
	// The printed command repairs it, and the link is still found.
	s.must(os.Chown(s.tray, 0, 0))
	if err := refused(s.Installation, numbered); err == nil ||
		!strings.Contains(err.Error(), outbox+" is a link") {
		t.Errorf("refused with %v", err)
	}
	s.must(os.Remove(outbox))
	s.must(os.Rename(outbox+".mine", outbox))
	s.must(refused(s.Installation, numbered))
	if left := setUp(s.Installation); len(left) > 0 {
		t.Error(left)
	}
}

// short has short names for the folders of the site.
func (s *site) short(text string) string {
	return strings.NewReplacer(s.tray, "TRAY", s.Dir, "DIR", s.root, "ROOT").Replace(text)
}

// Each case spoils a way to a folder, and has the expected path, reason and command.
func TestFoldersThatOthersCanReplaceAreRefused(t *testing.T) {
	listed := func(s *site, folder string, entry aclEntry) {
		s.must(onFolder(s.t, folder, func(h *handle) error { return h.admit(entry) }))
	}
	for _, c := range []struct {
		name  string
		spoil func(*site)
		want  string // with short names
	}{
		{"a tray of ann's", func(s *site) { s.give(s.tray, annID) },
			"TRAY/outbox: TRAY belongs to 61003, who can replace what lies in it\n    chown -h " +
				"root TRAY   (or let the service run as that account: --user 61003)"},
		{"a tray in a folder of ann's", func(s *site) { s.give(s.root, annID) },
			"DIR: ROOT belongs to 61003, who can replace what lies in it\n    chown -h root ROOT "},
		{"a link in place of the tray", func(s *site) {
			s.must(os.Remove(s.tray))
			s.link(s.bait, s.tray, annID)
		}, "TRAY/outbox: TRAY is a link, and others than root can change where it leads\n    " +
			"write the folder to which it leads into the configuration, or remove the link"},
		{"a link of ann's above the tray", func(s *site) {
			s.link(s.root, filepath.Join(s.bait, "link"), annID)
			s.Writable[0] = filepath.Join(s.bait, "link", "bait")
		}, "ROOT/bait/link/bait: ROOT/bait/link is a link, "},
		{"a link of root's in a folder of the service's", func(s *site) {
			s.give(s.tray, serviceID)
			s.link(s.bait, s.Shared[0], 0)
		}, "TRAY/outbox is a link, "},
		{"a link of root's in a folder that the group may write to", func(s *site) {
			s.chmod(s.tray, 0o775)
			s.link(s.bait, s.Shared[0], 0)
		}, "TRAY/outbox: TRAY can be changed by the group root, who can replace what lies in " +
			"it\n    chmod g-w TRAY   (or, if they are to go on adding to it: chmod +t TRAY)"},
		{"a link of root's in the daemon's folder, which the service is given", func(s *site) {
			s.Shared[0] = filepath.Join(s.Dir, "outbox")
			s.link(s.bait, s.Shared[0], 0)
		}, "DIR/outbox is a link, "},
		{"a link in place of the state", func(s *site) {
			s.must(os.Remove(s.State))
			s.link(s.bait, s.State, serviceID)
		}, "DIR/state is a link, "},
		{"a file in place of the outbox", func(s *site) { s.write(s.Shared[0]) },
			"TRAY/outbox is a file, where a folder has to be\n    look at it, and move it away"},
		{"a pipe in place of the outbox", func(s *site) {
			s.must(unix.Mkfifo(s.Shared[0], 0o600))
		}, "TRAY/outbox is a pipe, "},
		{"a file in place of the tray", func(s *site) {
			s.must(os.Remove(s.tray))
			s.write(s.tray)
		}, "TRAY/outbox: TRAY is a file, "},
		{"a tray to which its group may write", func(s *site) {
			s.must(os.Chown(s.tray, 0, peopleID))
			s.chmod(s.tray, 0o775)
		}, "TRAY/outbox: TRAY can be changed by the group 61002, who can replace what lies in " +
			"it\n    chmod g-w TRAY   (or, if they are to go on adding to it: chmod +t TRAY)"},
		{"a tray to which all may write", func(s *site) { s.chmod(s.tray, 0o777) },
			"TRAY/outbox: TRAY can be changed by the group root and every account, who can " +
				"replace what lies in it\n    chmod g-w,o-w TRAY "},
		{"a sticky one of the service's with an outbox of ann's in it", func(s *site) {
			s.mkdir(s.Shared[0])
			s.give(s.Shared[0], annID)
			s.give(s.tray, serviceID)
			s.chmod(s.tray, 0o777|os.ModeSticky)
		}, "TRAY/outbox belongs to 61003, who can replace it\n    chown -h root TRAY/outbox "},
		{"a sticky one of ann's", func(s *site) {
			s.give(s.tray, annID)
			s.chmod(s.tray, 0o777|os.ModeSticky)
		}, "TRAY/outbox: TRAY belongs to 61003, "},
		{"a tray to which ann may write by its list", func(s *site) {
			listed(s, s.tray, aclEntry{aclUser, rwx, annID})
		},
			"TRAY/outbox: TRAY can be changed by the account 61003, who can replace what lies in " +
				"it\n    setfacl -m u:61003:r-x TRAY "},
		{"a tray to which a group may write by its list", func(s *site) {
			listed(s, s.tray, aclEntry{aclGroup, rwx, peopleID})
		},
			"TRAY/outbox: TRAY can be changed by the group 61002, who can replace what lies in " +
				"it\n    setfacl -m g:61002:r-x TRAY "},
		{"a right of ann's that the mask takes away until the list is changed", func(s *site) {
			listed(s, s.tray, aclEntry{aclUser, rwx, annID})
			s.chmod(s.tray, 0o755)
		}, "TRAY/outbox: TRAY can be changed by the account 61003, "},
		{"a daemon's folder to which all may write", func(s *site) { s.chmod(s.Dir, 0o757) },
			"DIR/state: DIR can be changed by every account, who can replace what lies in it\n   " +
				" chmod o-w DIR "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.spoil(s)
			before, bait := s.look(s.root), s.look(s.bait)
			said := s.short(fmt.Sprint(refused(s.Installation, numbered)))
			if !strings.Contains(said, "\n  "+c.want) {
				t.Errorf("refused with\n%s\nwant\n  %s", said, c.want)
			}
			s.unchanged(s.root, before)
			// A folder may change between the check and the work: then the step is not one to
			// repeat.
			left := setUp(s.Installation)
			for _, step := range folderSteps(s.Installation, numbered, walker{}) {
				if slices.ContainsFunc(left, func(line string) bool {
					return strings.HasPrefix(line, step.String()+"   #")
				}) {
					t.Errorf("a person is told to type %s", s.short(step.String()))
				}
			}
			s.unchanged(s.bait, bait)
		})
	}
}

func TestFoldersThatOnlyKeepersCanReplace(t *testing.T) {
	for name, change := range map[string]func(*site){
		"root's": func(*site) {},
		"the service's": func(s *site) {
			s.give(s.tray, serviceID)
			s.give(s.Dir, serviceID)
		},
		"missing": func(s *site) { s.must(os.Remove(s.tray)) },
		"an outbox of ann's in them": func(s *site) {
			s.mkdir(s.Shared[0])
			s.give(s.Shared[0], annID)
		},
		"a list for the service": func(s *site) {
			s.must(onFolder(s.t, s.tray, func(h *handle) error {
				return h.admit(aclEntry{aclUser, rwx, serviceID})
			}))
		},
		"sticky": func(s *site) { s.chmod(s.root, 0o777|os.ModeSticky) },
		"sticky, for ann as well": func(s *site) { // as docs/services.md says
			s.must(onFolder(s.t, s.tray, func(h *handle) error {
				return h.admit(aclEntry{aclUser, rwx, annID})
			}))
			s.chmod(s.tray, 0o775|os.ModeSticky)
		},
		"missing in a sticky one": func(s *site) {
			s.must(os.Remove(s.tray))
			s.chmod(s.root, 0o777|os.ModeSticky)
		},
		"sticky, and the service's": func(s *site) {
			s.give(s.tray, serviceID)
			s.chmod(s.root, 0o777|os.ModeSticky)
		},
		"over a link of root's": func(s *site) {
			s.link(s.root, filepath.Join(s.bait, "way"), 0)
			s.follow("bait/way/tray")
		},
		"over a link that leads back": func(s *site) {
			s.link("../bait/../tray/.", filepath.Join(s.bait, "way"), 0)
			s.follow("bait/way")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			change(s)
			bait := s.look(s.bait)
			for range 2 { // again is no different
				s.must(refused(s.Installation, numbered))
				if left := setUp(s.Installation); len(left) > 0 {
					t.Fatalf("left for a person: %q", left)
				}
			}
			s.unchanged(s.bait, bait)
			for _, folder := range []string{"outbox", "sending"} {
				var st unix.Stat_t
				s.must(unix.Lstat(filepath.Join(s.root, "tray", folder), &st))
				if st.Uid != serviceID || st.Gid != peopleID || st.Mode&0o7777 != 0o2770 {
					t.Errorf("%s is %d:%d %o", folder, st.Uid, st.Gid, st.Mode)
				}
			}
			if err := ann.does(t, "ls "+s.tray+"; echo 1 >"+s.Shared[0]+"/file"); err != nil {
				t.Error("ann cannot drop a file")
			}
			if err := ann.does(t, fmt.Sprintf("mv %[1]s %[1]s.mine", s.Shared[0])); err == nil {
				t.Error("ann can replace the outbox")
			}
		})
	}
}

// follow names the tray by another path.
func (s *site) follow(path string) {
	s.Writable[0] = filepath.Join(s.root, path)
	s.Shared = []string{filepath.Join(s.root, path, "outbox"),
		filepath.Join(s.root, path, "sending")}
}

// An account that can replace the program has the rights of the service: install warns of it.
func TestWhoCanReplaceTheProgramIsTold(t *testing.T) {
	for want, spoil := range map[string]func(*site){
		"": func(*site) {},
		"chown -h root ROOT/bin/sealpost   # ROOT/bin/sealpost belongs to 61003": func(s *site) {
			s.give(s.Program, annID)
		},
		"chmod o-w ROOT/bin/sealpost   " +
			"# ROOT/bin/sealpost can be changed by every account": func(s *site) {
			s.chmod(s.Program, 0o757)
		},
		"chown -h root ROOT/bin   " +
			"# ROOT/bin belongs to 61003, who can replace what lies in it": func(s *site) {
			s.give(filepath.Dir(s.Program), annID)
		},
	} {
		s := newSite(t)
		s.Program = filepath.Join(s.root, "bin", "sealpost")
		s.mkdir(filepath.Dir(s.Program))
		s.write(s.Program)
		s.chmod(s.Program, 0o755)
		spoil(s)
		if got := s.short(
			strings.Join(texts(carryOut(programSteps(s.Installation,
				walkerOf(s.Installation, numbered)), step.do)), "\n")); got != want {
			t.Errorf("said\n%s\nwant\n%s", got, want)
		}
	}
}

// A handle changes the file it was opened for, even if another one has its name.
func TestAHandleKeepsToWhatItWasOpenedFor(t *testing.T) {
	s := newSite(t)
	bait := s.look(s.bait)
	moved := s.tray + ".moved"
	s.must(onFolder(t, s.tray, func(h *handle) error {
		s.must(os.Rename(s.tray, moved))
		s.link(s.bait, s.tray, annID)
		return errors.Join(h.own(serviceID, peopleID), h.permit(0o2770, 0o007),
			h.share(serviceID, peopleID))
	}))
	s.unchanged(s.bait, bait)
	var st unix.Stat_t
	s.must(unix.Lstat(moved, &st))
	if list, _ := aclsOf(t, moved); st.Uid != serviceID || st.Gid != peopleID ||
		st.Mode&0o7777 != 0o2770 || len(list) != 5 {
		t.Errorf("what was opened is %d:%d %o %v", st.Uid, st.Gid, st.Mode, list)
	}
}

// A loop of links ends, and a name that is too long is an error.
func TestWaysThatLeadNowhere(t *testing.T) {
	s := newSite(t)
	s.link("loop", filepath.Join(s.bait, "loop"), 0)
	for path, want := range map[string]error{"bait/loop/x": unix.ELOOP,
		"bait/" + strings.Repeat("n", 300): unix.ENAMETOOLONG, "bait/absent": fs.ErrNotExist} {
		if err := onFolder(t, filepath.Join(s.root, path), func(*handle) error {
			return nil
		}); !errors.Is(err, want) {
			t.Errorf("%.20s: %v, want %v", path, err, want)
		}
	}
}
