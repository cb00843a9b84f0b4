package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Any text gives a configuration, or an error with a place inside the file. A configuration can be
// written and read again.
func FuzzAgent(f *testing.F) {
	seed(f, "agent-*.toml", agentExample)
	f.Fuzz(func(t *testing.T, text string) {
		a := DefaultAgent()
		file := &file{path: filepath.Join(t.TempDir(), "agent.toml"), text: text}
		err := file.decode(&a, fullAgent)
		if err == nil {
			err = file.checkAgent(a)
		}
		expectPlace(t, text, err)
		if err != nil {
			return
		}
		if err := WriteAgent(file.path, a); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadAgent(file.path); err != nil {
			t.Errorf("accepted once, then refused: %v", err)
		}
	})
}

func FuzzHub(f *testing.F) {
	seed(f, "hub-*.toml", hubExample)
	f.Fuzz(func(t *testing.T, text string) {
		h := DefaultHub()
		file := &file{path: filepath.Join(t.TempDir(), "hub.toml"), text: text}
		err := file.decode(&h, fullHub)
		if err == nil {
			err = first(file.checkHub(h))
		}
		expectPlace(t, text, err)
		if err != nil {
			return
		}
		if err := WriteHub(file.path, h); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadHub(file.path); err != nil {
			t.Errorf("accepted once, then refused: %v", err)
		}
	})
}

func seed(f *testing.F, pattern, example string) {
	files, err := filepath.Glob(filepath.Join("testdata", "broken", pattern))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(example)
	f.Add("site = 'A'\nrole = 'receive'\nhub = ['h:1']\nnetwork = '" + strings.Repeat("0a", 32) +
		"'\n")
	f.Add("name = 'A'\nhosts = ['h']\n")
}

func expectPlace(t *testing.T, text string, err error) {
	t.Helper()
	var typed *Error
	if err == nil {
		return
	}
	if !errors.As(err, &typed) {
		t.Fatalf("not an *Error: %v", err)
	}
	if lines := strings.Count(text, "\n") + 1; typed.Line < 0 || typed.Line > lines {
		t.Errorf("line %d of %d: %v", typed.Line, lines, err)
	}
	if typed.Text == "" {
		t.Errorf("nothing said: %v", err)
	}
}
