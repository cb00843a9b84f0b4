package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// The walk-through of the README works: its lines are run as they stand, on a free port.
func TestReadmeWalkThrough(t *testing.T) {
	t.Parallel()
	blocks := blocksIn(t, "../README.md", "(?s)```sh\n(.*?)```")
	if len(blocks) != 5 {
		t.Fatalf("%d blocks of commands, want 5", len(blocks))
	}
	s := &terminal{t: t, dir: t.TempDir()}
	port := freePort(t)
	for _, block := range blocks {
		for line := range strings.Lines(block[1]) {
			s.enter(strings.ReplaceAll(strings.TrimSpace(line), "7443", port))
		}
	}
	expectFile(t, filepath.Join(s.dir, "centre", "inbox", "FL-LAB", "data.csv"), "a,b,c\n")
	if !strings.Contains(s.last, "delivered") {
		t.Errorf("the last command says:\n%s", s.last)
	}
}
