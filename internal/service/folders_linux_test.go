package service

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFoldersOfPeopleAndService(t *testing.T) {
	i := lab("/srv/fl", "/srv/fl/outbox", "/srv/it's here")
	i.Writable = []string{"/srv/fl", "/data/tray"}
	var ran []string
	left := texts(carryOut(folderSteps(i, account{user: "sealpost", group: "lab"}, walker{}),
		func(s step) error {
			ran = append(ran, s.String())
			if s.command[0] == "setfacl" {
				return exec.ErrNotFound
			}
			return nil
		}))
	all := strings.Join(ran, "\n")
	for _, want := range []string{"chown -hR sealpost:lab /srv/fl/state",
		"chmod u+rwx,g+rwxs,o-rwx /srv/fl/outbox", `chown -h sealpost:lab '/srv/it'\''s here'`,
		"mkdir -p /srv/fl/outbox", "mkdir -p /data/tray"} {
		if !strings.Contains(all, want) {
			t.Errorf("no step %s in\n%s", want, all)
		}
	}
	if strings.Contains(all, "sealpost:lab /data/tray") {
		t.Errorf("a folder that holds shared ones is taken from its owner:\n%s", all)
	}
	if len(left) != 3 || !strings.HasPrefix(left[0], "setfacl -m u:sealpost:rwx,g:lab:rx "+
		"/data/tray ") || !strings.HasPrefix(left[1], "setfacl -m ") ||
		!strings.Contains(left[1], "d:g:lab:rwx") || !strings.Contains(left[1], "not found") {
		t.Errorf("left for a person: %q", left)
	}
}

// Numbers that no account of this machine has.
const (
	serviceID = 61001
	peopleID  = 61002
	annID     = 61003
)

var (
	theService = credential{theAccount("61001"),
		&syscall.Credential{Uid: serviceID, Gid: serviceID}}
	ann = credential{theAccount("ann"), &syscall.Credential{Uid: annID, Gid: annID,
		Groups: []uint32{peopleID}}}
	stranger = credential{theAccount("nobody"),
		&syscall.Credential{Uid: overflowUser, Gid: overflowUser}}
)

// does runs a shell with that credential and the strictest umask.
func (p credential) does(t *testing.T, script string) error {
	t.Helper()
	cmd := exec.Command("sh", "-ec", "umask 077; "+script)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("%s: %s: %v: %s", p.name, script, err, out)
	}
	return err
}

func onlyRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may act as others")
	}
}

// openFolder returns a folder that is open to all accounts.
func openFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// numbered is the account of a service whose names are its numbers: this machine has no names for
// them.
var numbered = account{user: "61001", group: "61002", uid: serviceID, gid: peopleID}

// setUp sets up the folders of an installation as install would, and returns the remaining
// commands.
func setUp(i Installation) []string {
	return texts(carryOut(folderSteps(i, numbered, walkerOf(i, numbered)), step.do))
}

// shared makes two folders as install would, and returns them.
func shared(t *testing.T) (outbox, sending string) {
	t.Helper()
	onlyRoot(t)
	i := lab(openFolder(t))
	i.Shared = []string{filepath.Join(i.Dir, "outbox"), filepath.Join(i.Dir, "sending")}
	if err := os.Mkdir(i.State, 0o700); err != nil {
		t.Fatal(err)
	}
	if left := setUp(i); len(left) > 0 {
		if strings.Contains(left[0], "not supported") {
			t.Skipf("SKIPPED: the file system of %s has no access lists", i.Dir)
		}
		t.Fatal(left)
	}
	return i.Shared[0], i.Shared[1]
}

func TestPeopleDropAndTheServiceTakes(t *testing.T) {
	outbox, sending := shared(t)
	for _, c := range []struct {
		who    credential
		script string
		works  bool
	}{
		{ann, "echo 1 > $O/file; mkdir $O/folder; mkdir $O/folder/deep; echo 2 > $O/folder/deep/x",
			true},
		{stranger, "ls $O", false},
		{theService, "cat $O/file $O/folder/deep/x; mkdir $S/001; mv $O/file $O/folder $S/001/",
			true},
		{ann, "cat $S/001/file; mv $S/001/folder $O/again; rm -r $S/001", true},
		{theService, "mkdir $O/received; echo 3 > $O/received/y", true},
		{ann, "mv $O/received $S/taken; rm $S/taken/y", true},
		{ann, "echo secret > $S/closed; chmod 600 $S/closed; mv $S/closed $O/closed", true},
		{theService, "cat $O/closed", false}, // a moved file keeps its owner's mode
	} {
		script := strings.NewReplacer("$O", outbox, "$S", sending).Replace(c.script)
		if err := c.who.does(t, script); (err == nil) != c.works {
			t.Errorf("%s: %s: %v", c.who.name, script, err)
		}
	}
}

// onFolder does something to a folder through a handle.
func onFolder(t *testing.T, folder string, do func(*handle) error) error {
	t.Helper()
	return walker{keepers: keepers{0, uint32(os.Geteuid())}}.at(folder, do)
}

// Entries of others stay in access lists, as with setfacl -m.
func TestAccessListsKeepWhatOthersHave(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := onFolder(t, dir, func(h *handle) error {
		return h.admit(aclEntry{aclUser, r_x, 501})
	}); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	for range 2 {
		if err := onFolder(t, dir, func(h *handle) error { return h.share(502, 503) }); err != nil {
			t.Fatal(err)
		}
	}
	access, inherited := aclsOf(t, dir)
	want := acl{{aclOwner, 7, aclNobody}, {aclUser, 5, 501}, {aclOwnerGroup, 5, aclNobody},
		{aclGroup, 7, 503}, {aclMask, 7, aclNobody}, {aclOther, 5, aclNobody}}
	if !slices.Equal(access, want) {
		t.Errorf("access list %v; want %v", access, want)
	}
	want = acl{{aclOwner, 7, aclNobody}, {aclUser, 7, 502}, {aclOwnerGroup, 7, aclNobody},
		{aclGroup, 7, 503}, {aclMask, 7, aclNobody}, {aclOther, 0, aclNobody}}
	if !slices.Equal(inherited, want) {
		t.Errorf("default access list %v; want %v", inherited, want)
	}
	if err := unix.Setxattr(dir, aclAccess, aclOfMode(0o750).bytes(), 0); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the list of a mode is another mode: %v, %v", info, err)
	}
}

// aclsOf reads the access lists of a folder by its name.
func aclsOf(t *testing.T, folder string) (access, inherited acl) {
	t.Helper()
	read := func(attribute string) acl {
		b := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(folder, attribute, b)
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil
		}
		if err != nil {
			t.Fatal(err)
		}
		list, err := parseACL(b[:n])
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	return read(aclAccess), read(aclDefault)
}

func TestAccessListsOfAnUnknownKind(t *testing.T) {
	for name, b := range map[string][]byte{"nothing": nil, "another version": {3, 0, 0, 0},
		"cut": acl{{aclOwner, 7, aclNobody}}.bytes()[:10]} {
		if a, err := parseACL(b); err == nil {
			t.Errorf("%s: %v", name, a)
		}
	}
}

func TestFileSystemWithoutAccessLists(t *testing.T) {
	onlyRoot(t)
	i := lab("/srv/fl", "/proc/sys")
	steps := folderSteps(i, account{user: "sealpost", group: "lab"}, walkerOf(i, numbered))
	left := texts(carryOut(steps, func(s step) error {
		if s.command[0] != "setfacl" {
			return nil
		}
		return s.do()
	}))
	if len(left) != 1 || !strings.HasPrefix(left[0], "setfacl -m g:lab:rwx,d:u::rwx,") ||
		!strings.Contains(left[0], " /proc/sys   # access list of /proc/sys: ") {
		t.Errorf("left for a person: %q", left)
	}
}

func TestAccountOfAnInstallation(t *testing.T) {
	i := lab("/srv/fl")
	i.User, i.Group = "root", "root"
	if a, err := accountOf(i); err != nil || a.uid != 0 || a.gid != 0 ||
		!slices.Contains(a.also, 0) {
		t.Errorf("%+v, %v", a, err)
	}
	i.Group = "no such group"
	if _, err := accountOf(i); err == nil ||
		!strings.Contains(err.Error(), "groupadd --system 'no such group'") {
		t.Error(err)
	}
	i.User = "no such account"
	if _, err := accountOf(i); err == nil || !strings.Contains(err.Error(), "useradd --system") {
		t.Error(err)
	}
}

func TestClosedFoldersAboveAreTold(t *testing.T) {
	onlyRoot(t)
	dir := openFolder(t)
	closed := filepath.Join(dir, "closed")
	i := lab(filepath.Join(closed, "fl"), filepath.Join(closed, "fl", "outbox"))
	i.Program = filepath.Join(dir, "sealpost")
	a := account{user: "sealpost", group: "people", uid: serviceID, gid: peopleID}
	for _, folder := range append(slices.Clone(i.Shared), i.State) {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{i.Dir, i.State, i.Shared[0]} {
		if err := os.Chown(folder, serviceID, peopleID); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]os.FileMode{i.Shared[0]: 0o770, closed: 0o700} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(i.Program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	said := strings.Join(texts(carryOut(reachSteps(i, a), step.do)), "\n")
	want := "chmod a+rx " + i.Program + "   # the account sealpost may not run it\n" +
		"chmod o+x " + closed + "   # the account sealpost cannot get through it to " + i.Dir
	if said != want {
		t.Errorf("said\n%s\nwant\n%s", said, want)
	}
	a.also = []uint32{annID} // by a group that the account belongs to besides, it gets through
	if err := errors.Join(os.Chown(closed, 0, annID), os.Chmod(closed, 0o710)); err != nil {
		t.Fatal(err)
	}
	said = strings.Join(texts(carryOut(reachSteps(i, a)[1:], step.do)), "\n")
	if said != "chmod o+x "+closed+"   # the group people cannot get through it to "+i.Shared[0] {
		t.Errorf("of what only people cannot pass is said\n%s", said)
	}
	// as it was told
	for path, mode := range map[string]os.FileMode{i.Program: 0o755, closed: 0o711} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if left := carryOut(reachSteps(i, a), step.do); len(left) > 0 {
		t.Errorf("still said: %q", left)
	}
}
