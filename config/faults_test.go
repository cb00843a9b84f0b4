package config

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestHubFaults(t *testing.T) {
	path := HubFile(t.TempDir())
	if faults := HubFaults(path); len(faults) != 1 || !errors.Is(faults[0], fs.ErrNotExist) {
		t.Errorf("without a file: %v", faults)
	}
	for text, want := range map[string][]string{
		"name = \"DC-HQ\"\nhosts = [\"hub.example.org\"]": nil,
		"name = \"a hub\"\nhosts = []\nlisten = \"x\"": {":1: name: ", ":3: listen: ",
			":2: hosts: "},
		"nam = \"DC-HQ\"\nlisten = \"x\"": {":1: nam: unknown key; did you mean name?"},
		"nam = \"DC-HQ\"\nhots = []\n[quotas]\nsite_uploads = 1\n[spool]\nreserves = \"1GiB\"": {
			":1: nam: unknown key", ":2: hots: unknown key; did you mean hosts?",
			":3: quotas: unknown key; did you mean quota?", ":6: spool.reserves: unknown key"},
		"name = \"DC-HQ\"\nhosts = [\"hub.example.org\"]\n[quota]\nsite_metadata = \"1KiB\"": {
			":4: quota.site_metadata: want at least 16KiB, not 1KiB"},
		"name = ": {":1: "},
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		faults := HubFaults(path)
		if len(faults) != len(want) {
			t.Errorf("%q has the faults %v", text, faults)
			continue
		}
		for i, w := range want {
			if !strings.Contains(faults[i].Error(), path+w) {
				t.Errorf("%q: fault %d is %v, want %q", text, i, faults[i], w)
			}
		}
		if _, err := LoadHub(path); (err == nil) != (len(want) == 0) {
			t.Errorf("%q: and LoadHub says %v", text, err)
		}
	}
}

// A configuration that is not written yet has faults without a file.
func TestFaultsBeforeWriting(t *testing.T) {
	h := DefaultHub()
	h.Name, h.Hosts = "DC-HQ", []string{"hub.example.org"}
	if err := CheckHub(h); err != nil {
		t.Error(err)
	}
	h.Suite = "rot13"
	if err := CheckHub(h); err == nil ||
		err.Error() != `suite: want "hybrid" or "x25519", not "rot13"` {
		t.Errorf("a bad suite: %v", err)
	}
	a := sampleAgent()
	if err := CheckAgent(a); err != nil {
		t.Error(err)
	}
	a.Outbox.Kind = "much too long"
	if err := CheckAgent(a); err == nil || !strings.HasPrefix(err.Error(), "outbox.kind: ") {
		t.Errorf("a bad kind: %v", err)
	}
}
