package tray

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sealpost/internal/testkit"
)

// The name of a marker has that of the marked file in it, at any place.
func TestNamesOfMarkers(t *testing.T) {
	tray := &Tray{Markers: []Marker{"*.done", "READY-*"}}
	for rel, want := range map[string][]string{
		"run.csv.done": {"run.csv"}, "@CA-RC/run.csv.done": {"@CA-RC/run.csv"},
		"READY-run.csv": {"run.csv"}, "READY-a.done": {"READY-a", "a.done"},
		".done": nil, "READY-": nil, "run.csv": nil, "done": nil, "ready-run": nil,
	} {
		if got := tray.Marked(rel); !slices.Equal(got, want) {
			t.Errorf("%s marks %q, want %q", rel, got, want)
		}
	}
	if got := Marker("READY-*.ok").Of("a*b"); got != "READY-a*b.ok" {
		t.Errorf("got %s", got)
	}
	if got := Marker("a*a").marked("a"); got != "" {
		t.Errorf("%q is marked by one letter", got)
	}
}

// Every marker of an entry goes, and nothing else.
func TestMarkersAreRemoved(t *testing.T) {
	dir := t.TempDir()
	h := opened(t, &Tray{Dir: dir, Markers: []Marker{"*.done", "*.ready", "*.ok"},
		OnlyMarked: true})
	for name, content := range map[string]string{"a": "data", "a.done": "", "a.ready": "data",
		"a.ok": "", "b.done": ""} {
		testkit.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	if !h.HasMarker("a") || h.HasMarker("b") || h.HasMarker("a.ready") {
		t.Error("other files are marked")
	}
	testkit.Must(t, h.RemoveMarkers("a"))
	testkit.Must(t, h.RemoveMarkers("b"))
	testkit.Must(t, h.RemoveMarkers("a"))
	left, err := os.ReadDir(dir)
	testkit.Must(t, err)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"a", "a.ready", "b.done"}) {
		t.Errorf("there are %q", names)
	}
}
