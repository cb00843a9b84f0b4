package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"sealpost/internal/secretfile"
	"sealpost/internal/testkit"
	"sealpost/statement"
)

func TestOpenKeysMakesThemOnce(t *testing.T) {
	for _, suite := range []string{SuiteHybrid, SuiteX25519} {
		path := filepath.Join(t.TempDir(), "recipient.key")
		first, err := OpenKeys(path, suite)
		if err != nil {
			t.Fatal(err)
		}
		second, err := OpenKeys(path, suite)
		if err != nil {
			t.Fatal(err)
		}
		if first.Recipient() != second.Recipient() || first.Suite() != suite ||
			suiteOf(first.Recipient()) != suite {
			t.Errorf("%s: %s, then %s", suite, first.Recipient(), second.Recipient())
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
	}
}

// age's own parser reads the file, so that users can open envelopes without sealpost.
func TestKeyFileIsAges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recipient.key")
	keys, err := OpenKeys(path, SuiteHybrid)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	identities, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got := identities[0].(*age.HybridIdentity).Recipient().String(); got != keys.Recipient() {
		t.Errorf("age reads %s", got)
	}
}

func TestOpenKeysRefusesLooseFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("access lists are tested in package secretfile")
	}
	path := filepath.Join(t.TempDir(), "recipient.key")
	if _, err := OpenKeys(path, SuiteX25519); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(path, SuiteX25519); !errors.Is(err, secretfile.ErrLoose) {
		t.Errorf("got %v", err)
	}
}

func TestParseKeys(t *testing.T) {
	var secrets []string
	for range MaxKeys + 1 {
		secret, _, err := generate(SuiteX25519)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
	}
	hybrid, _, err := generate(SuiteHybrid)
	if err != nil {
		t.Fatal(err)
	}
	lines := func(lines ...string) string { return strings.Join(lines, "\n") + "\n" }
	tests := []struct {
		name, text string
		good       bool
	}{
		{"one", lines(secrets[0]), true},
		{"four, with comments", lines("# a comment", secrets[0], "", secrets[1], secrets[2],
			"# another", secrets[3]), true},
		{"without a last line's end", secrets[0], true},
		{"none", lines("# nothing"), false},
		{"empty", "", false},
		{"five", lines(secrets...), false},
		{"another suite", lines(hybrid), false},
		{"two suites", lines(secrets[0], hybrid), false},
		{"an SSH key", lines("-----BEGIN OPENSSH PRIVATE KEY-----", secrets[0]), false},
		{"a plugin", lines("AGE-PLUGIN-YUBIKEY-1QQPQYZSRQ"), false},
		{"a public key", lines("age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"),
			false},
		{"a broken key", lines(secrets[0][:len(secrets[0])-1]), false},
		{"a line without an end", strings.Repeat("A", 100<<10), false},
	}
	for _, test := range tests {
		keys, err := ParseKeys([]byte(test.text), SuiteX25519)
		if (err == nil) != test.good {
			t.Errorf("%s: %v", test.name, err)
		}
		if err != nil && slices.ContainsFunc(secrets, func(s string) bool {
			return strings.Contains(err.Error(), s[20:40])
		}) {
			t.Errorf("%s: the error shows a key", test.name)
		}
		if test.name == "four, with comments" &&
			keys.held.Load().recipients[3] != keys.Recipient() {
			t.Errorf("the newest is not the last")
		}
	}
	if _, err := OpenKeys(filepath.Join(t.TempDir(), "k"), "rot13"); err == nil {
		t.Error("a suite that does not exist")
	}
}

// An envelope for an older key opens as long as the site holds that key, and is refused after.
func TestOlderKeys(t *testing.T) {
	w := newWorld(t, SuiteX25519)
	var text string
	var all []Recipient
	for range MaxKeys {
		secret, public, err := generate(SuiteX25519)
		if err != nil {
			t.Fatal(err)
		}
		text += secret + "\n"
		all = append(all, Recipient{Site: "CA-RC", Key: public})
	}
	o := w.opener(t, "CA-RC")
	var err error
	if o.Keys, err = ParseKeys([]byte(text), SuiteX25519); err != nil {
		t.Fatal(err)
	}
	for n, r := range all {
		req := w.request(t, []Message{file(1, "data.csv", fmt.Sprint(n))}, "CA-RC")
		req.Recipients = []Recipient{r}
		ciphertext, want, _ := w.seal(t, req)
		if _, err := o.Open(bytes.NewReader(ciphertext), want, newTray()); err != nil {
			t.Errorf("key %d: %v", n, err)
		}
		_, err := w.opener(t, "CA-RC").Open(bytes.NewReader(ciphertext), want, newTray())
		refusedWith(t, err, statement.CodeNotForMe)
	}
}

func TestKeysDoNotPrintThemselves(t *testing.T) {
	secret, _, err := generate(SuiteX25519)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys([]byte(secret), SuiteX25519)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("opened", "keys", keys)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("opened", "keys", keys)
	raw := fmt.Sprintf("%v", []byte(secret[:20]))
	for _, text := range []string{fmt.Sprint(keys), fmt.Sprintf("%+v %#v", keys, keys),
		log.String()} {
		if strings.Contains(text, secret[16:]) || strings.Contains(text, raw[1:20]) ||
			strings.Contains(text, "0xc0") {
			t.Errorf("it prints %s", text)
		}
	}
}

// A key that is added is the newest, also after a start. The former one opens until it is
// destroyed, and both steps overwrite the file before.
func TestKeysAreAddedAndDestroyed(t *testing.T) {
	for _, suite := range []string{SuiteHybrid, SuiteX25519} {
		path := filepath.Join(t.TempDir(), "recipient.key")
		keys, err := OpenKeys(path, suite)
		testkit.Must(t, err)
		first := keys.Recipient()
		former := filepath.Join(t.TempDir(), "former") // a second name of the file
		content, err := os.ReadFile(path)
		testkit.Must(t, err)
		testkit.Must(t, os.Link(path, former))
		testkit.Must(t, keys.Add(path))
		overwritten := func(before []byte) {
			t.Helper()
			after, err := os.ReadFile(former)
			if err != nil || len(after) != len(before) || bytes.Contains(after, []byte("SECRET")) {
				t.Errorf("the former file has %q, %v", after, err)
			}
			testkit.Must(t, os.Remove(former))
		}
		overwritten(content)
		second := keys.Recipient()
		reopened, err := OpenKeys(path, suite)
		testkit.Must(t, err)
		if reopened.Recipient() != second || second == first || !reopened.Has(first) ||
			keys.Count() != 2 || reopened.Count() != 2 {
			t.Fatalf("added: %s after %s", reopened.Recipient(), first)
		}
		text, err := os.ReadFile(path)
		testkit.Must(t, err)
		testkit.Must(t, os.WriteFile(path, append(text, "# of a user\n\n"...), 0o600))
		testkit.Must(t, os.Link(path, former))
		testkit.Must(t, keys.KeepNewest(path))
		overwritten(append(text, "# of a user\n\n"...))
		reopened, err = OpenKeys(path, suite)
		testkit.Must(t, err)
		if reopened.Recipient() != second || reopened.Count() != 1 || keys.Has(first) ||
			keys.Count() != 1 {
			t.Fatalf("destroyed: %d keys", reopened.Count())
		}
		for range MaxKeys - 1 {
			testkit.Must(t, keys.Add(path))
		}
		if err := keys.Add(path); err == nil || keys.Count() != MaxKeys {
			t.Errorf("%d keys, %v", keys.Count(), err)
		}
		if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
			t.Errorf("the folder has %v, %v", list, err)
		}
	}
}
