package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The commands in docs/for-scientists.md work as they stand there. Only the folder and the
// message's number differ, and commands that run for ever are ended.
func TestScientistsDocument(t *testing.T) {
	t.Parallel()
	lines := blocksIn(t, "../docs/for-scientists.md", "(?m)^- `(sealpost [^`]*)`")
	if len(lines) != 4 {
		t.Fatalf("%d commands are found, want 4", len(lines))
	}
	s := &terminal{t: t, dir: t.TempDir()}
	s.network(freePort(t))
	sent, err := filepath.Glob(filepath.Join(s.dir, "lab", "delivered", "*"))
	if err != nil || len(sent) != 1 {
		t.Fatalf("delivered: %v, %v", sent, err)
	}
	for i, want := range []string{"delivered to CA-RC", `"data.csv"`, "delivered; it lies in " +
		"delivered/", "Site FL-LAB"} {
		line := strings.NewReplacer("DIR", "lab", "FL-LAB_DAT_20251008_001", filepath.Base(
			sent[0])).Replace(lines[i][1])
		if strings.HasSuffix(line, "--watch") {
			s.background(line + " > watched") // it ends in good order when it is told to
			line = "grep '" + want + "' watched"
		}
		s.enter(line)
		if !strings.Contains(s.last, want) {
			t.Errorf("%s says:\n%s", line, s.last)
		}
	}
}

// It is for busy readers: two pages, and no word of ours that they would have to look up.
func TestScientistsDocumentIsShortAndPlain(t *testing.T) {
	text, err := os.ReadFile("../docs/for-scientists.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(string(text))); n > 1200 {
		t.Errorf("it has %d words, and two pages have about 1200", n)
	}
	for _, word := range []string{"envelope", "spool", "ledger", "binding", "routing",
		"stanza", "cipher", "TLS", "inotify", "daemon", "queue", "incarnation", "settle"} {
		if m := regexp.MustCompile(`(?i)\b` + word + `\w*`).FindString(string(text)); m != "" {
			t.Errorf("it says %q", m)
		}
	}
}
