package certs

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"sealpost/internal/secretfile"
)

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
	reopened, err := InitAuthority(state, root, now.Add(day))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := OpenAuthority(state)
	if err != nil {
		t.Fatal(err)
	}
	if !reopened.Issuing().Equal(first.Issuing()) || !opened.Issuing().Equal(first.Issuing()) {
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
		reopened, err := InitAuthority(state, root, now)
		if err != nil {
			t.Fatalf("after the loss of %v: %v", lost, err)
		}
		if !first.key.Equal(reopened.key) {
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
		if runtime.GOOS == "windows" {
			t.Skip("SKIPPED: permission bits mean nothing on Windows; internal/secretfile has " +
				"its own")
		}
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
		wantLost(t, err, issuingKeyFile)
		_, err = InitAuthority(dir, n.root, now)
		wantLost(t, err, issuingKeyFile)
	})
	t.Run("root's certificate lost", func(t *testing.T) {
		dir := state(t)
		removeFile(t, filepath.Join(dir, rootCertFile))
		_, err := OpenAuthority(dir)
		wantLost(t, err, rootCertFile)
	})
	t.Run("another root after a crash", func(t *testing.T) {
		dir := state(t)
		removeFile(t, filepath.Join(dir, issuingCertFile))
		_, err := InitAuthority(dir, other.root, now)
		wantError(t, err, nil, "another root")
	})
}
