package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The commands in docs/for-admins.md work as they stand there: every line of its sh blocks is run,
// in order. Only the values of its first block differ: ports and folders.
func TestAdminsDocument(t *testing.T) {
	t.Parallel()
	parts := blocksIn(t, "../docs/for-admins.md", "(?s)```sh\n(.*?)```|<!-- test: (.*?) -->")
	if len(parts) < 12 {
		t.Fatalf("%d blocks of commands are found", len(parts))
	}
	s := &terminal{t: t, dir: t.TempDir()}
	values := map[string]string{"HOST": "127.0.0.1", "PORT": freePort(t)}
	for line := range strings.Lines(parts[0][1]) {
		name, _, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			t.Fatalf("the first block holds %q", line)
		}
		if values[name] == "" {
			values[name] = filepath.Join(s.dir, strings.ToLower(name))
		}
		s.env = append(s.env, name+"="+values[name])
	}
	for _, part := range parts[1:] {
		switch part[2] {
		case "":
		case "the hub is lost":
			s.kill("sealpost hub run")
			if err := os.RemoveAll(values["HQ"]); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("the document says that %q", part[2])
		}
		for line := range strings.Lines(part[1]) {
			if line = strings.TrimSpace(line); line != "" {
				s.enter(line)
			}
		}
	}
	if !strings.Contains(s.last, "CA-RC") || !strings.Contains(s.last, "joined") {
		t.Errorf("at the end the hub's sites are:\n%s", s.last)
	}
}
