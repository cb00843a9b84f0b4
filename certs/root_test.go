package certs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"sealpost/internal/secretfile"
)

func TestRootIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	first, err := InitRoot(dir, "TEST")
	if err != nil {
		t.Fatal(err)
	}
	reopened, err := InitRoot(dir, "ANOTHER NAME")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reopened.Certificate().Equal(first.Certificate()) ||
		!opened.Certificate().Equal(first.Certificate()) {
		t.Error("the root changed")
	}
	if first.Network() != Fingerprint(first.key.Public()) || len(first.Network()) != 64 {
		t.Errorf("network id %q is not the fingerprint of the root's key", first.Network())
	}
}

func TestRootSurvivesACrashBetweenKeyAndCertificate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	first, err := InitRoot(dir, "TEST")
	if err != nil {
		t.Fatal(err)
	}
	removeFile(t, filepath.Join(dir, rootCertFile))
	reopened, err := InitRoot(dir, "TEST")
	if err != nil {
		t.Fatal(err)
	}
	if reopened.Network() != first.Network() {
		t.Error("the network's id changed")
	}
}

func TestRootRefusesBrokenFolders(t *testing.T) {
	for name, c := range map[string]struct {
		spoil    func(t *testing.T, dir string)
		sentinel error
		word     string
	}{
		"key of another root": {func(t *testing.T, dir string) {
			removeFile(t, filepath.Join(dir, rootKeyFile))
			err := Passphrases{}.createKey(filepath.Join(dir, rootKeyFile))
			if err != nil {
				t.Fatal(err)
			}
		}, nil, "do not belong together"},
		"loose key": {func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, rootKeyFile), 0o644); err != nil {
				t.Fatal(err)
			}
		}, secretfile.ErrLoose, "chmod 600"},
		"damaged certificate": {func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, rootCertFile), []byte("garbage"),
				0o644); err != nil {
				t.Fatal(err)
			}
		}, nil, rootCertFile},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "loose key" && runtime.GOOS == "windows" {
				t.Skip("SKIPPED: permission bits mean nothing on Windows; internal/secretfile " +
					"has its own")
			}
			dir := filepath.Join(t.TempDir(), "root")
			if _, err := InitRoot(dir, "TEST"); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, dir)
			_, err := OpenRoot(dir)
			wantError(t, err, c.sentinel, c.word)
			_, err = InitRoot(dir, "TEST")
			wantError(t, err, c.sentinel, c.word)
		})
	}
}

func TestOpenRootWantsBothFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	_, err := OpenRoot(dir)
	wantError(t, err, fs.ErrNotExist)
	if _, err := InitRoot(dir, "TEST"); err != nil {
		t.Fatal(err)
	}
	removeFile(t, filepath.Join(dir, rootCertFile))
	_, err = OpenRoot(dir)
	wantError(t, err, fs.ErrNotExist, rootCertFile)
}

// TestATakenAwayKeyIsNotMadeAgain: a new key would look like the old one to users, and be useless.
func TestATakenAwayKeyIsNotMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	if _, err := InitRoot(dir, "TEST"); err != nil {
		t.Fatal(err)
	}
	removeFile(t, filepath.Join(dir, rootKeyFile))
	_, err := InitRoot(dir, "TEST")
	wantLost(t, err, rootKeyFile)
	i := newNetwork(t).site("FL-LAB")
	removeFile(t, keyFileOf(i))
	_, err = OpenIdentity(keyFileOf(i), i.chainPath)
	wantLost(t, err, "identity.key")
	for _, path := range []string{filepath.Join(dir, rootKeyFile), keyFileOf(i)} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was made again", path)
		}
	}
}

// wantLost wants an error that no caller takes for "not there yet".
func wantLost(t *testing.T, err error, file string) {
	t.Helper()
	wantError(t, err, nil, file, "bring")
	if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is fs.ErrNotExist", err)
	}
}

func TestInitRootRefusesNames(t *testing.T) {
	for _, name := range []string{"", "line\nbreak", "Zürich", string(make([]byte, 41))} {
		_, err := InitRoot(t.TempDir(), name)
		wantError(t, err, nil, "name")
	}
}
