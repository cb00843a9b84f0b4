package tray

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/windows"

	"sealpost/internal/durable"
)

// open opens a file as another program would that shares it like this.
func open(t *testing.T, path string, access, share uint32) (closed func()) {
	t.Helper()
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := windows.CreateFile(name, access, share, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func() { windows.CloseHandle(h) }
}

const shareAll = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

func TestAFileThatAnotherProgramHasOpen(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name                        string
		access, share               uint32
		written, unmovable, unsaved bool
	}{
		{"writes, sharing all", windows.GENERIC_WRITE, shareAll, true, false, false},
		{"writes, sharing nothing", windows.GENERIC_WRITE, 0, true, true, true},
		{"reads, sharing nothing", windows.GENERIC_READ, 0, true, true, true},
		{"reads, sharing reading", windows.GENERIC_READ, windows.FILE_SHARE_READ, false, true,
			true},
		{"reads, as most programs", windows.GENERIC_READ,
			windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE, false, true, false},
		{"reads, as our sealer", windows.GENERIC_READ,
			windows.FILE_SHARE_READ | windows.FILE_SHARE_DELETE, false, false, true},
		{"reads, sharing all", windows.GENERIC_READ, shareAll, false, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := put(t, dir, "data.csv")
			closed := open(t, path, c.access, c.share)
			var wait *Later
			_, _, err := finishedAt(t, path, Settling{}, inTime())
			if errors.As(err, &wait) != c.written || !c.written && err != nil {
				t.Errorf("finished: %v", err)
			}
			if err := durable.SyncFile(path); durable.InUse(err) != c.unsaved || !c.unsaved &&
				err != nil {
				t.Errorf("sync: %v", err)
			}
			err = durable.RenameNoReplace(path, path+".moved")
			if durable.InUse(err) != c.unmovable || !c.unmovable && err != nil {
				t.Errorf("rename: %v", err)
			}
			closed()
			os.Remove(path)
			os.Remove(path + ".moved")
		})
	}
}

func TestAReadOnlyFileIsSynced(t *testing.T) {
	path := put(t, t.TempDir(), "from a disc.csv")
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := durable.SyncFile(path); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o200 != 0 {
		t.Errorf("it is %v afterwards, %v", info.Mode(), err)
	}
}
