package lyinghub

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/cli"
	"sealpost/hub/api"
	"sealpost/internal/testkit"
)

// A hub and a site write escape sequences into every text that an admin of the lab reads. None of
// them reaches the terminal or a status file.
func TestTheHubPaintsOnATerminal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: Windows has no files with such names")
	}
	w, lab, centre, _ := network(t)
	evil := strings.ToValidUTF8(strings.Join(testkit.EvilTexts(), " "), "")
	name := "\x1b[2Jdata\u202ecsv\n.txt"

	w.liar.silent() // nothing arrives until the end

	// The hub knows a reason for each refusal.
	w.liar.tell(api.PathResolve, func(x *exchange) { x.says(api.CodeInternal, evil) })
	lab.drop(name, "secret")
	eventually(t, "the hub's answer is shown", func() bool {
		return strings.Contains(lab.terminal("agent", "status"), "painted")
	})
	lab.paints("painted", name)

	// It says that the lab is another site.
	edit(w.liar, api.PathHello, func(x *exchange, h *api.Hello) {
		if x.Site == "FL-LAB" {
			*(*string)(&h.Site), h.Hub, h.Time = evil, evil, h.Time.Add(-time.Hour)
		}
	})
	lab.Stop()
	lab.Start()
	eventually(t, "the hub's name for the lab is shown", func() bool {
		return strings.Contains(lab.terminal("agent", "status"), "painted")
	})
	lab.paints("painted", name)

	// It refuses the connection, with many words.
	w.liar.tell(api.PathHello, func(x *exchange) { x.says(api.CodeRemoved, evil) })
	lab.Stop()
	lab.Start()
	lab.paints("", name)

	// It gives up a delivery, with a code of its own.
	w.liar.tell(api.PathHello, (*exchange).forward)
	w.liar.tell(api.PathResolve, (*exchange).forward)
	lab.Stop()
	lab.Start()
	eventually(t, "the file is published",
		func() bool { return lab.message().State == "published" })
	w.liar.told(api.Event{Kind: api.EventDead, Time: time.Now(), Envelope: lab.message().Envelope,
		Recipient: "CA-RC", Code: evil})
	testkit.Harmless(t, lab.why("*data*.txt")) // a pattern: the name has a bracket
	lab.paints("", name)
	w.liar.truth()
	lab.drop("plain.txt", "plain")
	eventually(t, "the centre has the plain file", func() bool {
		return slices.ContainsFunc(centre.Inbox(),
			func(path string) bool { return filepath.Base(path) == "plain.txt" })
	})
	centre.paints("", "")
}

// says gives a problem with a detail.
func (x *exchange) says(code api.Code, detail string) {
	x.problem(code)
	x.Out = encode(x.t, api.NewProblem(code, x.Status, detail, detail))
}

// terminal runs a command as an admin of the site does, and returns both outputs.
func (s *site) terminal(args ...string) string {
	var out strings.Builder
	cli.Main(context.Background(), append(args, "--dir", s.Dir), &out, &out)
	return out.String()
}

// paints fails the test if a command or a status file shows a character that acts. The status has
// part of the text, and each JSON is whole and has the name.
func (s *site) paints(part, name string) {
	s.T.Helper()
	for _, command := range [][]string{{"agent", "status"}, {"agent", "status", "--latest", "100"},
		{"agent", "sites"}, {"agent", "doctor"}, {"agent", "find", ""}, {"agent", "find", "data"},
		{"agent", "log", "FL-LAB_DAT_20251008_999"}, {"__complete", "agent", "log", ""}} {
		testkit.Harmless(s.T, s.terminal(command...))
	}
	if name != "" {
		id := s.message().ID
		for _, command := range []string{"log", "receipts"} {
			testkit.Harmless(s.T, s.terminal("agent", command, string(id)))
		}
	}
	text := s.terminal("agent", "status", "--json")
	testkit.Harmless(s.T, text)
	var status any
	must(s.T, json.Unmarshal([]byte(text), &status))
	if quoted, _ := json.Marshal(status); name != "" {
		encoded, err := json.Marshal(name)
		must(s.T, err)
		if !strings.Contains(string(quoted), strings.Trim(string(encoded), `"`)) {
			s.T.Errorf("the JSON does not have the name %q:\n%s", name, text)
		}
	}
	eventually(s.T, "STATUS.txt says it", func() bool {
		text, err := os.ReadFile(filepath.Join(s.Dir, "STATUS.txt"))
		if err == nil {
			testkit.Harmless(s.T, string(text))
		}
		return err == nil && strings.Contains(string(text), part)
	})
}
