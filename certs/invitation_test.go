package certs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func invitation() Invitation {
	return Invitation{
		Site: "FL-LAB", Role: "send", Hub: []string{"hub.example.org:7443", "[::1]:7443"},
		Network: HashSecret("any"),
		Suite:   "hybrid", Secret: NewSecret(), Expires: now.Add(7*day + 1),
	}
}

func TestInvitationRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "FL-LAB.join")
	want := invitation()
	want.Roster = "required"
	for range 2 { // a second invitation replaces the first
		want.Secret = NewSecret()
		if err := want.Write(path); err != nil {
			t.Fatal(err)
		}
		got, err := ReadInvitation(path)
		if err != nil {
			t.Fatal(err)
		}
		if got.Secret != want.Secret || got.Site != want.Site || got.Network != want.Network ||
			fmt.Sprint(got.Hub) != fmt.Sprint(want.Hub) || got.Roster != want.Roster {
			t.Errorf("read %+v, wrote %+v", got, want)
		}
		if !got.Expires.Equal(now.Add(7 * day)) {
			t.Errorf("expires %s", got.Expires)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %04o", info.Mode().Perm())
	}
}

func TestInvitationTellsPeopleWhatItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "FL-LAB.join")
	if err := invitation().Write(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"invitation to join", "KEEP IT SECRET",
		"sealpost agent join FL-LAB.join"} {
		if !strings.Contains(string(data), words) {
			t.Errorf("the file does not say %q:\n%s", words, data)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil { // as it arrives by mail
		t.Fatal(err)
	}
	if _, err := ReadInvitation(path); err != nil {
		t.Error(err)
	}
}

func TestInvitationsAreRefused(t *testing.T) {
	var good bytes.Buffer
	inv := invitation()
	path := filepath.Join(t.TempDir(), "FL-LAB.join")
	if err := inv.Write(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good.Write(data)
	replace := func(old, new string) string {
		if !strings.Contains(good.String(), old) {
			t.Fatalf("no %q in the file", old)
		}
		return strings.Replace(good.String(), old, new, 1)
	}
	for name, c := range map[string]struct{ text, word string }{
		"empty":   {"", `"site"`},
		"no TOML": {"PK\x03\x04", "line 1"},
		"cut in the middle": {good.String()[:strings.Index(good.String(), "secret =")+12],
			"line"},
		"unknown key":   {good.String() + "port = 1\n", `"port" is not known`},
		"unknown table": {good.String() + "[more]\nx = 1\n", "is not known"},
		"key twice":     {good.String() + "role = \"send\"\n", "role"},
		"wrong kind":    {replace(`role = "send"`, "role = 1"), "role"},
		"site":          {replace(`"FL-LAB"`, `"fl-lab"`), `"site"`},
		"role":          {replace(`"send"`, `"root"`), `"role"`},
		"no hub": {replace(`["hub.example.org:7443", "[::1]:7443"]`, "[]"),
			`"hub"`},
		"hub without port": {replace("hub.example.org:7443", "hub.example.org"),
			`"hub"`},
		"hub on port 0": {replace("hub.example.org:7443", "hub.example.org:0"),
			`"hub"`},
		"hub with a path": {replace("hub.example.org:7443", "hub.example.org/x:7443"),
			`"hub"`},
		"network": {replace(string(inv.Network), string(inv.Network)[1:]),
			`"network"`},
		"suite":                       {replace(`"hybrid"`, `"none"`), `"suite"`},
		"short secret":                {replace(inv.Secret, inv.Secret[1:]), `"secret"`},
		"padded secret":               {replace(inv.Secret, inv.Secret+"="), `"secret"`},
		"secret that is no base64url": {replace(inv.Secret, strings.Repeat("+", 43)), `"secret"`},
		"no expiry":                   {replace("expires = ", "# expires = "), `"expires"`},
		"huge": {good.String() + strings.Repeat("#\n", maxInvitation),
			"more than"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := ReadInvitation(path)
			wantError(t, err, ErrInvitation, path, c.word)
			if strings.Contains(err.Error(), inv.Secret) {
				t.Errorf("the error shows the secret: %v", err)
			}
			if got.Secret != "" && err == nil {
				t.Error("refused, and yet it has a secret")
			}
		})
	}
	_, err = ReadInvitation(path + "x")
	wantError(t, err, fs.ErrNotExist)
	wantError(t, Invitation{Site: "FL-LAB"}.Write(path+"x"), ErrInvitation, `"role"`)
	if _, err := os.Stat(path + "x"); err == nil {
		t.Error("a bad invitation was written")
	}
}

func TestInvitationsDoNotShowTheirSecret(t *testing.T) {
	inv := invitation()
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("invited", "invitation", inv)
	slog.New(slog.NewTextHandler(&log, nil)).Info("invited", "invitation", &inv)
	for _, shown := range []string{log.String(), fmt.Sprintf("%v %+v %#v %s %q %v", inv, inv, inv,
		inv, inv, &inv)} {
		if strings.Contains(shown, inv.Secret) {
			t.Errorf("shows the secret: %s", shown)
		}
		if !strings.Contains(shown, "FL-LAB") {
			t.Errorf("does not say whose invitation: %s", shown)
		}
	}
}

func TestSecrets(t *testing.T) {
	a, b := NewSecret(), NewSecret()
	if a == b || len(a) != 43 {
		t.Errorf("secrets %q and %q", a, b)
	}
	hash := HashSecret(a)
	if strings.Contains(string(hash), a) || !MatchSecret(a, hash) {
		t.Error("the secret does not match its hash")
	}
	for _, wrong := range []string{b, "", a[1:], a + " ", string(hash)} {
		if MatchSecret(wrong, hash) || MatchSecret(a, HashSecret(wrong)) {
			t.Errorf("%q matches", wrong)
		}
	}
	if MatchSecret("", "") {
		t.Error("nothing matches nothing")
	}
}

func FuzzReadInvitation(f *testing.F) {
	path := filepath.Join(f.TempDir(), "FL-LAB.join")
	if err := invitation().Write(path); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(""))
	f.Add([]byte("site = \"A\"\n[x]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		inv, err := parseInvitation(data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(inv); err != nil || inv.validate() != nil ||
			inv.Expires.Equal(time.Time{}) {
			t.Errorf("accepted %q", data)
		}
	})
}
