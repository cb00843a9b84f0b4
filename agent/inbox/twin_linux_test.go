package inbox

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/durable"
	"sealpost/internal/id"
)

// foldingDisk mounts a real file system that ignores case and has the features that a test needs.
func foldingDisk(t *testing.T, can func(dir string) error) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: a disk that ignores case can be mounted by root only")
	}
	var why []string
	for _, kind := range []struct{ mkfs, mount, folder string }{
		{"mkfs.ext4 -q -O casefold -E encoding=utf8", "ext4", "chattr +F"},
		{"mkfs.exfat", "exfat", ""},
		{"mkfs.exfat", "exfat-fuse", ""},
		{"mkfs.vfat", "vfat", ""},
		{"mkfs.ntfs -F -q", "lowntfs-3g -o ignore_case", ""},
	} {
		dir, trouble := mountDisk(t, kind.mkfs, kind.mount, kind.folder)
		if trouble == "" {
			err := can(dir)
			if err == nil {
				t.Logf("on %s", kind.mount)
				return dir
			}
			trouble = err.Error()
		}
		why = append(why, kind.mount+": "+trouble)
	}
	t.Skipf("SKIPPED: no disk that ignores case can be had here:\n%s", strings.Join(why, "\n"))
	return ""
}

func mountDisk(t *testing.T, mkfs, kind, folder string) (dir, trouble string) {
	t.Helper()
	image, mounted := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	run := func(command string, args ...string) string {
		words := append(strings.Fields(command), args...)
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		if err != nil {
			trouble = strings.TrimSpace(err.Error() + " " + string(out))
		}
		return strings.TrimSpace(string(out))
	}
	if run(mkfs, image); trouble != "" {
		return "", trouble
	}
	device := run("losetup --find --show", image)
	if trouble != "" {
		return "", trouble
	}
	detach := func() { exec.Command("losetup", "--detach", device).Run() }
	if run("mount -t "+kind, device, mounted); trouble != "" {
		detach()
		return "", trouble
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mounted).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v: %s", err, out)
		}
		detach()
	})
	dir = filepath.Join(mounted, "inbox")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err.Error()
	}
	if folder != "" {
		if run(folder, dir); trouble != "" {
			return "", trouble
		}
	}
	return dir, ""
}

// ignoresCase returns an error if a disk does not ignore case.
func ignoresCase(dir string) error {
	if err := os.Mkdir(filepath.Join(dir, "Try"), 0o755); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(dir, "tRY"))
	return err
}

// The rule finds all names that such a disk confuses, and every entry is there.
func TestTwinsOnADiskThatIgnoresCase(t *testing.T) {
	checkTwins(t, foldingDisk(t, func(dir string) error {
		err := ignoresCase(dir)
		if kept, _ := filepath.Glob(filepath.Join(dir, "T*")); err == nil && kept == nil {
			err = errors.New("it shows small letters only")
		}
		return err
	}))
}

// Two messages with names that such a disk confuses are not twins. The second gets its message id,
// as with equal names.
func TestEqualNamesIgnoringCase(t *testing.T) {
	dir := foldingDisk(t, func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "from"), nil, 0o600); err != nil {
			return err
		}
		return errors.Join(ignoresCase(dir), durable.RenameNoReplace(filepath.Join(dir, "from"),
			filepath.Join(dir, "to")))
	})
	b := inboxIn(t, dir)
	f := entered(t, b)
	if err := f.temp.Mkdir("e", 0o700); err != nil {
		t.Fatal(err)
	}
	var list []*placement
	for n, name := range []string{"Data.csv", "data.csv", "DATA.csv"} {
		p := &placement{isFile: true, signer: "s", from: "e", item: strconv.Itoa(n),
			Received: ledger.Received{Sender: "FL-LAB", UID: id.Random128[id.UID](),
				ID:   id.FormatMessage("FL-LAB", "DAT", time.Now(), int64(n+1)),
				Name: name, Temp: joinTemp("e", strconv.Itoa(n))}}
		if err := os.WriteFile(filepath.Join(dir, p.Temp), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if err := b.placeFiles(t.Context(), f, list); err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if got, err := os.ReadFile(filepath.Join(dir, p.Path)); err != nil ||
			string(got) != p.Name {
			t.Errorf("%s lies at %s: %q, %v", p.Name, p.Path, got, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "FL-LAB")); err != nil ||
		len(entries) != len(list) {
		t.Errorf("there are %d (%v)", len(entries), err)
	}
}
