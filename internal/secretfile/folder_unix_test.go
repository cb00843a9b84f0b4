//go:build unix

package secretfile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	annID    = 61003
	serverID = 61001
)

// put makes a file of this mode, whatever the umask.
func put(t *testing.T, path string, mode fs.FileMode) string {
	t.Helper()
	must(t, os.WriteFile(path, []byte("x"), mode), os.Chmod(path, mode))
	return path
}

// state makes a folder of this mode below a folder that is open to all accounts.
func state(t *testing.T, mode fs.FileMode) string {
	t.Helper()
	above := t.TempDir()
	dir := filepath.Join(above, "state")
	must(t, os.Chmod(above, 0o755), os.Mkdir(dir, 0o700), os.Chmod(dir, mode))
	return dir
}

func expectMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %04o, want %04o", path, got, want)
	}
}

func TestEnterTightensWhatIsLoose(t *testing.T) {
	dir := state(t, 0o755)
	outside := t.TempDir()
	outside, linked := put(t, filepath.Join(outside, "outside"), 0o644),
		put(t, filepath.Join(outside, "linked"), 0o644)
	ledger := put(t, filepath.Join(dir, "ledger.db"), 0o644)
	good := put(t, filepath.Join(dir, "lock"), 0o600)
	key := put(t, filepath.Join(dir, "identity.key"), 0o640)
	sealed := filepath.Join(dir, "sealed")
	must(t, os.Mkdir(sealed, 0o700), os.Chmod(sealed, 0o777))
	envelope := put(t, filepath.Join(sealed, "e1"), 0o666)
	must(t, os.Symlink(outside, filepath.Join(dir, "link")),
		os.Link(linked, filepath.Join(dir, "second")))
	socket, err := net.Listen("unix", filepath.Join(dir, "s"))
	must(t, err)
	defer socket.Close()
	must(t, os.Chmod(filepath.Join(dir, "s"), 0o666))

	found := map[string]FlawKind{}
	must(t, Inspect(dir, func(f Flaw) { found[f.Name] = f.Kind }))
	if want := map[string]FlawKind{".": Open, "ledger.db": Open, "sealed": Open, "sealed/e1": Open,
		"s": Open, "second": Linked, "identity.key": OpenKey}; !maps.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
	loose, err := Enter(dir)
	must(t, err)
	slices.Sort(loose.Tightened.First)
	if got, want := loose.Tightened.First,
		[]string{".", "ledger.db", "sealed", "sealed/e1"}; !slices.Equal(got, want) ||
		loose.Tightened.Count != len(want) {
		t.Errorf("tightened %v, want %v", loose.Tightened, want)
	}
	if got, want := loose.Left.First, []string{"second"}; !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o700, ledger: 0o600, good: 0o600,
		sealed: 0o700, envelope: 0o600, key: 0o640, outside: 0o644, linked: 0o644} {
		expectMode(t, path, want)
	}
	if _, err := Read(key, 100); !errors.Is(err, ErrLoose) {
		t.Errorf("a key that others could read: %v", err)
	}
	must(t, os.Remove(filepath.Join(dir, "second")))
	if loose, err := Enter(dir); err != nil || loose.Tightened.Count+loose.Left.Count != 0 {
		t.Errorf("again: %+v, %v", loose, err)
	}
}

func TestEnterLeavesWhatItIsTold(t *testing.T) {
	dir := state(t, 0o700)
	spool := filepath.Join(dir, "spool")
	must(t, os.Mkdir(spool, 0o700))
	inside := put(t, filepath.Join(spool, "x"), 0o644)
	if loose, err := Enter(dir, "spool"); err != nil || loose.Tightened.Count != 0 {
		t.Errorf("%+v, %v", loose, err)
	}
	expectMode(t, inside, 0o644)
}

func TestFewOfManyLooseNamesAreKept(t *testing.T) {
	dir := state(t, 0o700)
	for n := range 3 * someNames {
		put(t, filepath.Join(dir, fmt.Sprint(n)), 0o644)
	}
	if loose, err := Enter(dir); err != nil || loose.Tightened.Count != 3*someNames ||
		len(loose.Tightened.First) != someNames {
		t.Errorf("%+v, %v", loose, err)
	}
}

func TestAFolderThatOthersCouldReplaceIsNotEntered(t *testing.T) {
	dir := state(t, 0o700)
	above := filepath.Dir(dir)
	must(t, os.Chmod(above, 0o757))
	if _, err := Enter(dir); err == nil || !strings.Contains(err.Error(), "chmod o-w "+above) {
		t.Errorf("it says %v", err)
	}
	must(t, os.Chmod(above, 0o757|os.ModeSticky))
	if _, err := Enter(dir); err != nil {
		t.Errorf("below a sticky folder: %v", err)
	}
	if _, err := Enter(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
}

func TestWhatBelongsToOthersIsNotEntered(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may give files away")
	}
	for _, c := range []struct {
		name     string
		spoil    func(dir string) error
		says     string
		followed bool // a link on the way
	}{
		{"the folder", func(dir string) error { return os.Chown(dir, annID, annID) },
			"run the command as the account to which that folder belongs (it belongs to the " +
				"account 61003)", false},
		{"a file", func(dir string) error {
			return os.Chown(filepath.Join(dir, "ledger.db"), annID, annID)
		}, "ledger.db belongs to the account 61003", false},
		{"a link", func(dir string) error {
			link := filepath.Join(dir, "link")
			return errors.Join(os.Symlink("/etc", link), os.Lchown(link, annID, annID))
		}, "link belongs to the account 61003", false},
		{"a link in its place", func(dir string) error {
			above := filepath.Dir(dir)
			return errors.Join(os.Rename(dir, dir+"-moved"), os.Symlink("state-moved", dir),
				os.Lchown(dir, annID, annID), os.Chmod(above, 0o777|os.ModeSticky))
		}, "state belongs to the account 61003", true},
		{"a folder above", func(dir string) error {
			return os.Chown(filepath.Dir(dir), annID, annID)
		}, "chown -h root", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := state(t, 0o755)
			put(t, filepath.Join(dir, "ledger.db"), 0o644)
			must(t, c.spoil(dir))
			_, err := Enter(dir)
			if c.followed && errors.Is(err, fs.ErrPermission) {
				return // fs.protected_symlinks: the kernel itself does not follow it
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v, want %q", err, c.says)
			}
		})
	}
}

func TestRootEntersAnotherAccountsFolderAsAdmin(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root may give files away")
	}
	dir := state(t, 0o755)
	ledger := put(t, filepath.Join(dir, "ledger.db"), 0o644)
	must(t, os.Chown(ledger, serverID, serverID), os.Chown(dir, serverID, serverID))
	if loose, err := EnterAsAdmin(dir); err != nil || loose.Tightened.Count != 2 {
		t.Errorf("%+v, %v", loose, err)
	}
	expectMode(t, dir, 0o700)
	expectMode(t, ledger, 0o600)
	must(t, os.Chown(ledger, annID, annID))
	if _, err := EnterAsAdmin(dir); err == nil {
		t.Error("a third account's file is taken")
	}
}
