package certs

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sealpost/internal/secretfile"
)

func TestRootIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	first, err := InitRoot(dir, "TEST")
	if err != nil {
		t.Fatal(err)
	}
	again, err := InitRoot(dir, "ANOTHER NAME")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Certificate().Equal(first.Certificate()) || !opened.Certificate().Equal(first.Certificate()) {
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
	again, err := InitRoot(dir, "TEST")
	if err != nil {
		t.Fatal(err)
	}
	if again.Network() != first.Network() {
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
			if err := createKey(filepath.Join(dir, rootKeyFile)); err != nil {
				t.Fatal(err)
			}
		}, nil, "do not belong together"},
		"loose key": {func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, rootKeyFile), 0o644); err != nil {
				t.Fatal(err)
			}
		}, secretfile.ErrLoose, "chmod 600"},
		"damaged certificate": {func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, rootCertFile), []byte("garbage"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, nil, rootCertFile},
	} {
		t.Run(name, func(t *testing.T) {
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

func TestInitRootRefusesNames(t *testing.T) {
	for _, name := range []string{"", "line\nbreak", "Zürich", string(make([]byte, 41))} {
		_, err := InitRoot(t.TempDir(), name)
		wantError(t, err, nil, "name")
	}
}

func TestAuthorityIsMadeOnceAndWithoutTheRootsKeyAfterwards(t *testing.T) {
	base := t.TempDir()
	rootDir, state := filepath.Join(base, "root"), filepath.Join(base, "state")
	root, err := InitRoot(rootDir, "TEST")
	if err != nil {
		t.Fatal(err)
	}
	first, err := InitAuthority(state, root, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(rootDir); err != nil {
		t.Fatal(err)
	}
	again, err := InitAuthority(state, root, now.Add(day))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := OpenAuthority(state)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Issuing().Equal(first.Issuing()) || !opened.Issuing().Equal(first.Issuing()) {
		t.Error("the issuing authority changed")
	}
	if opened.Network() != root.Network() || !opened.Root().Equal(root.Certificate()) {
		t.Error("the issuing authority stands under another root")
	}
}

func TestAuthorityIsMadeAgainAfterACrash(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	root, err := InitRoot(filepath.Join(t.TempDir(), "root"), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	first, err := InitAuthority(state, root, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, lost := range [][]string{{issuingCertFile}, {issuingCertFile, rootCertFile}} {
		for _, file := range lost {
			removeFile(t, filepath.Join(state, file))
		}
		again, err := InitAuthority(state, root, now)
		if err != nil {
			t.Fatalf("after the loss of %v: %v", lost, err)
		}
		if !first.key.Equal(again.key) {
			t.Errorf("after the loss of %v: another key", lost)
		}
	}
}

func TestAuthorityRefusesWhatIsNotItsOwn(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	state := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "state")
		if _, err := InitAuthority(dir, n.root, now); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	write := func(t *testing.T, path string, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("another root at init", func(t *testing.T) {
		_, err := InitAuthority(state(t), other.root, now)
		wantError(t, err, nil, "another root")
	})
	t.Run("another root's certificate", func(t *testing.T) {
		dir := state(t)
		write(t, filepath.Join(dir, rootCertFile), encodeChain(other.Root()))
		_, err := OpenAuthority(dir)
		wantError(t, err, ErrUntrusted, rootCertFile)
	})
	t.Run("the root as issuing authority", func(t *testing.T) {
		dir := state(t)
		write(t, filepath.Join(dir, issuingCertFile), encodeChain(n.Root()))
		_, err := OpenAuthority(dir)
		wantError(t, err, nil, "do not belong together")
	})
	t.Run("a leaf as root", func(t *testing.T) {
		dir := state(t)
		write(t, filepath.Join(dir, rootCertFile), encodeChain(n.site("FL-LAB").Chain()[0]))
		_, err := OpenAuthority(dir)
		wantError(t, err, ErrUntrusted)
	})
	t.Run("loose key", func(t *testing.T) {
		dir := state(t)
		if err := os.Chmod(filepath.Join(dir, issuingKeyFile), 0o640); err != nil {
			t.Fatal(err)
		}
		_, err := OpenAuthority(dir)
		wantError(t, err, secretfile.ErrLoose, "chmod 600")
		_, err = InitAuthority(dir, n.root, now)
		wantError(t, err, secretfile.ErrLoose)
	})
	t.Run("key lost", func(t *testing.T) {
		dir := state(t)
		removeFile(t, filepath.Join(dir, issuingKeyFile))
		_, err := OpenAuthority(dir)
		wantError(t, err, fs.ErrNotExist, issuingKeyFile)
	})
}

func TestCheckClock(t *testing.T) {
	for _, off := range []time.Duration{0, 10 * time.Minute, -10 * time.Minute} {
		if err := CheckClock(now, now.Add(off)); err != nil {
			t.Errorf("%s apart: %v", off, err)
		}
	}
	wantError(t, CheckClock(now, now.Add(3*time.Hour)), ErrClock, "3h0m0s ahead of the hub's")
	wantError(t, CheckClock(now, now.Add(-11*time.Minute)), ErrClock, "11m0s behind the hub's")
}
