package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The commands in docs/when-a-key-is-stolen.md work as they stand there, in a network that has a
// roster.
func TestStolenKeyDocument(t *testing.T) {
	t.Parallel()
	blocks := blocksIn(t, "../docs/when-a-key-is-stolen.md", "(?s)```sh\n(.*?)```")
	if len(blocks) != 9 {
		t.Fatalf("%d blocks of commands, want 9", len(blocks))
	}
	s := &terminal{t: t, dir: t.TempDir()}
	s.network(freePort(t))
	s.enter("sealpost hub export DC-HQ.export --dir hq")
	s.enter("sealpost certs roster sign DC-HQ.export --root hq-root --out first.jws --yes")
	s.enter("sealpost hub roster first.jws --dir hq")
	s.kill("sealpost agent run --dir centre")
	s.enter("echo 'w' > waits.csv")
	s.enter("sealpost send waits.csv --dir lab")
	s.enter("sealpost agent status --dir lab | grep 'waits at the hub for CA-RC'")
	waits := regexp.MustCompile(`FL-LAB_DAT_\d+_\d+`).FindString(s.last)
	s.enter("echo 'd,e,f' > data.csv")
	for i, block := range blocks {
		for line := range strings.Lines(block[1]) {
			s.enter(strings.ReplaceAll(strings.TrimSpace(line), "FL-LAB_DAT_20251008_002", waits))
		}
		switch i {
		case 0: // the stolen key is shut out
			s.enter("sealpost agent sites --dir lab | grep 'DISTRUSTED by roster 2'")
			s.enter("sealpost agent doctor --dir lab | grep 'WARN.*DISTRUSTED by roster 2'")
			s.enter("sealpost agent run --dir centre")
			s.enter("sealpost agent status --dir centre | grep 'distrusts'")
		case 4: // the file has come to the new key alone
			expectFile(t, filepath.Join(s.dir, "centre-anew", "inbox", "FL-LAB", "data.csv"),
				"d,e,f\n")
			expectFile(t, filepath.Join(s.dir, "centre", "inbox", "FL-LAB", "data.csv"), "a,b,c\n")
			if !strings.Contains(s.last, "number 3") {
				t.Errorf("the hub's sites are:\n%s", s.last)
			}
		case 5: // and so has the file that waited for the stolen one
			s.enter("test -s centre-anew/inbox/FL-LAB/waits.csv")
			if _, err := os.Stat(filepath.Join(s.dir, "centre", "inbox", "FL-LAB",
				"waits.csv")); err == nil {
				t.Error("the thief has it")
			}
		}
	}
	if !strings.Contains(s.last, "required") {
		t.Errorf("the last roster is:\n%s", s.last)
	}
}
