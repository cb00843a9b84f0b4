package cli

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// complete presses the tab key in a bash, with the cursor after the last word.
const complete = `
compopt() { :; } # readline is not here
source <(sealpost completion bash) || exit 1
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMP_TYPE=9
__start_sealpost
printf '%s\n' "${COMPREPLY[@]}"
`

// A shell completes message ids, sites, routes and trays from the running agent.
func TestBashCompletes(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("SKIPPED: there is no bash here")
	}
	s := &terminal{t: t, dir: t.TempDir()}
	s.network(freePort(t))
	for _, c := range []struct{ line, want string }{
		{"sealpost agent rec", "receipts recall"},
		{"sealpost agent log --dir lab ", "FL-LAB_DAT_"},
		{"sealpost agent recall --dir lab ", "FL-LAB_DAT_"},
		{"sealpost agent approve --dir lab ", "CA-RC"},
		{"sealpost agent approve --dir lab --route ", "fl-lab.dat"},
		{"sealpost agent resend --dir lab --to ", "CA-RC"},
		{"sealpost send --dir lab --to ", "fl-lab.dat @CA-RC"},
		{"sealpost send --dir lab --tray ", "outbox"},
		{"sealpost agent log --dir nowhere ", ""},
	} {
		for _, library := range []string{"", ". /usr/share/bash-completion/bash_completion; "} {
			args := append([]string{"--norc", "-c", library + complete, "bash"},
				strings.Split(c.line, " ")...)
			cmd := exec.CommandContext(t.Context(), bash, args...)
			cmd.Dir = s.dir
			if library != "" && exec.Command("test", "-f",
				"/usr/share/bash-completion/bash_completion").Run() != nil {
				continue // without it is the harder way
			}
			out, err := cmd.CombinedOutput()
			got := strings.Join(strings.Fields(string(out)), " ")
			if err != nil || (c.want == "") != (got == "") ||
				!containsAll(got, strings.Fields(c.want)) {
				t.Errorf("%q offers %q, want %q (%v)", c.line, got, c.want, err)
			}
		}
	}
}

func containsAll(text string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// network sets up a hub, a centre and a lab which has sent data.csv, as the README does.
func (s *terminal) network(port string) {
	s.t.Helper()
	for _, line := range []string{
		"sealpost hub init --dir hq --name DC-HQ --host 127.0.0.1 --listen 127.0.0.1:" + port,
		"sealpost hub run --dir hq",
		"sealpost hub invite CA-RC --role receive --out CA-RC.join --dir hq",
		"sealpost hub invite FL-LAB --role send --out FL-LAB.join --dir hq",
		"sealpost hub bind ca_rc_queue 'fl-lab.*' --dir hq",
		"sealpost agent join CA-RC.join --dir centre",
		"sealpost agent run --dir centre",
		"sealpost agent join FL-LAB.join --dir lab --kind DAT --route fl-lab.dat --approve CA-RC",
		"sealpost agent run --dir lab",
		"echo 'a,b,c' > data.csv",
		"sealpost send data.csv --dir lab --wait",
	} {
		s.enter(line)
	}
	expectFile(s.t, filepath.Join(s.dir, "centre", "inbox", "FL-LAB", "data.csv"), "a,b,c\n")
}
