package certs

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
)

// under returns passphrases that are the same for every key.
func under(passphrase string) Passphrases {
	give := func(string) ([]byte, error) { return []byte(passphrase), nil }
	return Passphrases{Of: give, New: give}
}

const horse = "correct horse battery ü"

// An encrypted root and authority work as others do, and nothing opens them without the passphrase.
func TestKeysUnderAPassphrase(t *testing.T) {
	dir, state := filepath.Join(t.TempDir(), "root"), filepath.Join(t.TempDir(), "state")
	root, err := under(horse).InitRoot(dir, "TEST")
	if err != nil {
		t.Fatal(err)
	}
	reopened, err := under(horse).InitRoot(dir, "TEST")
	if err != nil || reopened.Network() != root.Network() {
		t.Fatalf("opened again: %v", err)
	}
	if _, err := under(horse).InitAuthority(state, root, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{filepath.Join(dir, rootKeyFile),
		filepath.Join(state, issuingKeyFile)} {
		if yes, err := IsEncrypted(key); !yes || err != nil {
			t.Errorf("%s is encrypted: %v, %v", key, yes, err)
		}
	}
	_, err = OpenRoot(dir)
	wantError(t, err, ErrEncrypted, "its passphrase is not known here")
	_, err = OpenAuthority(state)
	wantError(t, err, ErrEncrypted)
	if _, err := ReadAuthority(state); err != nil {
		t.Errorf("the certificates alone: %v", err)
	}
	for _, wrong := range []string{"correct horse battery u", " ", ""} {
		_, err = under(wrong).OpenRoot(dir)
		wantError(t, err, ErrPassphrase, "nothing was changed")
	}
	if _, err := under(horse).OpenAuthority(state); err != nil {
		t.Error(err)
	}
	stop := errors.New("no terminal")
	_, err = Passphrases{Of: func(string) ([]byte, error) { return nil, stop }}.OpenRoot(dir)
	if !strings.Contains(err.Error(), stop.Error()) {
		t.Errorf("without an answer: %v", err)
	}
	short := filepath.Join(t.TempDir(), "short")
	_, err = under("hunter2").InitRoot(short, "TEST")
	wantError(t, err, nil, "at least 12 characters")
	if _, err := os.Stat(filepath.Join(short, rootKeyFile)); err == nil {
		t.Error("a key was made under a short passphrase")
	}
}

// TestOpenSSLOpensAnEncryptedKey opens keys of sealpost with openssl, and the other way round.
func TestOpenSSLOpensAnEncryptedKey(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("SKIPPED: openssl is not installed")
	}
	dir := t.TempDir()
	root, err := under(horse).InitRoot(dir, "TEST")
	if err != nil {
		t.Fatal(err)
	}
	// openssl reads the second passphrase from the second line
	secret := filepath.Join(dir, "passphrase")
	if err := secretfile.Create(secret, []byte(horse+"\n"+horse+"\n")); err != nil {
		t.Fatal(err)
	}
	openssl := func(args ...string) ([]byte, error) {
		return exec.Command("openssl", args...).CombinedOutput()
	}
	key := filepath.Join(dir, rootKeyFile)
	out, err := openssl("pkey", "-in", key, "-passin", "file:"+secret, "-pubout", "-outform", "DER")
	if err != nil || hashOf(out) != root.Network() {
		t.Errorf("the public key by openssl: %v\n%s", err, out)
	}
	for name, args := range map[string][]string{
		"scrypt": {"-scrypt"},
		"pbkdf2": {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256", "-iter", "600000"},
	} {
		converted := filepath.Join(t.TempDir(), rootKeyFile)
		command := []string{"pkcs8", "-topk8", "-in", key, "-passin", "file:" + secret,
			"-passout", "file:" + secret, "-out", converted}
		if out, err := openssl(append(command, args...)...); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		read, err := under(horse).readKey(converted)
		if err != nil || Fingerprint(&read.PublicKey) != root.Network() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out, err := openssl("pkey", "-in", key, "-passin", "pass:"+horse+"x"); err == nil {
		t.Errorf("openssl opens it under another passphrase:\n%s", out)
	}
}

// A changed passphrase, a removed one and a damaged file.
func TestRewriteAKey(t *testing.T) {
	dir := t.TempDir()
	root, err := InitRoot(dir, "TEST")
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, rootKeyFile)
	change := Passphrases{Of: under(horse).Of, New: under("another passphrase").New}
	for _, step := range []struct{ rewrite, open Passphrases }{
		{under(horse), under(horse)},
		{change, under("another passphrase")},
		{Passphrases{Of: change.New}, Passphrases{}},
	} {
		if err := step.rewrite.Rewrite(key); err != nil {
			t.Fatal(err)
		}
		if r, err := step.open.OpenRoot(dir); err != nil || r.Network() != root.Network() {
			t.Fatalf("after a rewrite: %v", err)
		}
	}
	if err := under(horse).Rewrite(key); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, under("a wrong passphrase").Rewrite(key), ErrPassphrase)
	if now, err := os.ReadFile(key); err != nil || !bytes.Equal(now, good) {
		t.Errorf("a wrong passphrase has changed the file: %v", err)
	}
	other := filepath.Join(dir, "identity.key")
	if err := (Passphrases{}).createKey(other); err != nil {
		t.Fatal(err)
	}
	wantError(t, under(horse).Rewrite(other), nil, "only root.key and issuing.key")
	_, err = under(horse).readKey(filepath.Join(dir, "none.key"))
	wantError(t, err, os.ErrNotExist)
}

// A damaged file is an answer and no accident. Every cut is tried, since the library
// checks no lengths.
func TestDamagedEncryptedKeys(t *testing.T) {
	dir := t.TempDir()
	if _, err := under(horse).InitRoot(dir, "TEST"); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, rootKeyFile)
	data, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := onePEM(data, encryptedKind)
	if err != nil {
		t.Fatal(err)
	}
	for n := range der {
		if _, err := open(der[:n], []byte(horse)); err == nil {
			t.Errorf("cut to %d bytes it opens", n)
		}
	}
	_, err = under(horse).decrypt(key, []byte("-----BEGIN "+encryptedKind+"-----\nAA\n"))
	if reason.Of(err).IsZero() {
		t.Errorf("without an end: %v", err)
	}
}

func TestReadPassphrase(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"secret": "secret", "secret\n": "secret", "secret\r\n": "secret",
		" two words \n": " two words ", "a\nb\n": "", "a\rb": "", "a\n\n": "", "\n": "", "": "",
	} {
		path := filepath.Join(dir, "passphrase")
		if err := secretfile.Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPassphrase(path)
		if string(got) != want || (err == nil) != (want != "") ||
			errors.Is(err, ErrPassphraseFile) != (want == "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	_, err := ReadPassphrase(filepath.Join(dir, "none"))
	wantError(t, err, ErrPassphraseFile, "from the file "+filepath.Join(dir, "none"))
	if errors.Is(err, os.ErrNotExist) {
		t.Error("a missing passphrase file counts as a missing key")
	}
}
