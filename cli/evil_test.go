package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/agent/doctor"
	"sealpost/hub"
	"sealpost/hub/api"
	"sealpost/internal/reason"
	"sealpost/internal/service"
	"sealpost/internal/testkit"
	"sealpost/internal/visible"
)

// fromOutside returns a T whose texts come from outside.
func fromOutside[T any](text string) T {
	var v T
	testkit.Fill(&v, text, reason.Text("of "+text))
	return v
}

// printers are the outputs of commands as text, by the arguments that they print. Each one is made
// anew from a text from outside.
var printers = map[string]func(w io.Writer, l reason.Language, text string) error{
	"agent status": func(w io.Writer, l reason.Language, text string) error {
		return printAgentStatus(&printer{w, l}, fromOutside[agent.Status](text))
	},
	"agent status, apart": func(w io.Writer, l reason.Language, text string) error {
		s := fromOutside[agent.Status](text)
		s.Link.Connected, s.Outbox.Trays = false, append(s.Outbox.Trays, s.Outbox.Trays...)
		s.Outbox.Latest[0].Recipients[0].Outcome = "refused"
		return printAgentStatus(&printer{w, l}, s)
	},
	"agent find": func(w io.Writer, l reason.Language, text string) error {
		return printFound(&printer{w, l}, text, fromOutside[agent.Found](text))
	},
	"agent find, nothing": func(w io.Writer, l reason.Language, text string) error {
		return printFound(&printer{w, l}, text, agent.Found{})
	},
	"agent log": func(w io.Writer, l reason.Language, text string) error {
		return printLog(&printer{w, l}, fromOutside[agent.Log](text))
	},
	"agent sites": func(w io.Writer, l reason.Language, text string) error {
		return printRoutes(&printer{w, l}, fromOutside[agent.Status](text))
	},
	"agent roster": func(w io.Writer, l reason.Language, text string) error {
		return printSiteRoster(&printer{w, l}, fromOutside[agent.RosterState](text))
	},
	"agent receipts": func(w io.Writer, l reason.Language, text string) error {
		return printReceipts(&printer{w, l}, fromOutside[agent.Receipts](text))
	},
	"agent receipts, none": func(w io.Writer, l reason.Language, text string) error {
		out := fromOutside[agent.Receipts](text)
		out.Receipts = nil
		return printReceipts(&printer{w, l}, out)
	},
	"agent and hub doctor": func(w io.Writer, l reason.Language, text string) error {
		var cmd cobra.Command
		cmd.SetOut(w)
		jsonFlag(&cmd)
		return showFindings(&cmd, l, func(note func(doctor.Finding)) error {
			note(fromOutside[doctor.Finding](text))
			return nil
		})
	},
	"certs": func(w io.Writer, _ reason.Language, text string) error {
		return printCertificates(w, []certificateReport{fromOutside[certificateReport](text)},
			time.Now())
	},
	"certs roster sign": func(w io.Writer, _ reason.Language, text string) error {
		return printReview(w, fromOutside[review](text))
	},
	"hub sites": func(w io.Writer, _ reason.Language, text string) error {
		return printSites(w, fromOutside[hub.SitesAnswer](text))
	},
	"hub roster": func(w io.Writer, _ reason.Language, text string) error {
		return printRoster(w, fromOutside[hub.RosterState](text))
	},
	"hub queues": func(w io.Writer, _ reason.Language, text string) error {
		return printQueues(w, fromOutside[hub.QueuesAnswer](text))
	},
	"hub messages": func(w io.Writer, _ reason.Language, text string) error {
		return printMessages(w, fromOutside[messagesReport](text))
	},
	"hub invitations": func(w io.Writer, _ reason.Language, text string) error {
		return printInvitations(w, fromOutside[hub.InvitationsAnswer](text))
	},
	"hub quota": func(w io.Writer, _ reason.Language, text string) error {
		return printUsages(w, fromOutside[hub.UsageAnswer](text))
	},
	"hub quota SITE": func(w io.Writer, _ reason.Language, text string) error {
		return printUsage(w, fromOutside[hub.SiteUsage](text))
	},
	"hub status": func(w io.Writer, _ reason.Language, text string) error {
		return printHubStatus(w, fromOutside[hub.Status](text))
	},
	"hub invite": func(w io.Writer, _ reason.Language, text string) error {
		return printInvited(w, fromOutside[hub.Invited](text), text)
	},
	"hub init": func(w io.Writer, _ reason.Language, text string) error {
		var cmd cobra.Command
		cmd.SetOut(w)
		report := fromOutside[hub.InitReport](text)
		report.Listen = "127.0.0.1:8443"
		return printInit(&cmd, report)
	},
	"service": func(w io.Writer, _ reason.Language, text string) error {
		return printService(w, service.Instance{Kind: service.Hub, Name: "hub"},
			fromOutside[service.State](text))
	},
}

// Text from outside neither acts on the terminal of a command nor adds a line to its output.
func TestOutputOfEvilText(t *testing.T) {
	for name, print := range printers {
		t.Run(name, func(t *testing.T) {
			for _, l := range reason.Languages() {
				lines := strings.Count(printedBy(t, print, l, "a"), "\n")
				for _, evil := range testkit.EvilTexts() {
					text := printedBy(t, print, l, evil)
					testkit.Harmless(t, text)
					if got := strings.Count(text, "\n"); got != lines {
						t.Errorf("%q makes %d lines of %d:\n%s", evil, got, lines, text)
					}
				}
			}
		})
	}
}

// printedBy prints as Main does.
func printedBy(t *testing.T, print func(io.Writer, reason.Language, string) error,
	l reason.Language, text string) string {
	t.Helper()
	var b strings.Builder
	if err := print(visible.NewWriter(&b), l, text); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The JSON of every command is harmless too, and has exactly the text.
func TestJSONOfEvilText(t *testing.T) {
	for command, values := range outputs {
		for _, v := range values {
			for _, evil := range testkit.EvilTexts() {
				evil = strings.ToValidUTF8(evil, "")
				filled := reflect.New(reflect.TypeOf(v))
				testkit.Fill(filled.Interface(), evil, reason.Text(evil))
				var direct, through bytes.Buffer
				err := errors.Join(printJSON(&direct, filled.Interface()),
					printJSON(visible.NewWriter(&through), filled.Interface()))
				if err != nil {
					t.Fatalf("%s: %v", command, err)
				}
				testkit.Harmless(t, through.String())
				var a, b any
				err = errors.Join(json.Unmarshal(direct.Bytes(), &a),
					json.Unmarshal(through.Bytes(), &b))
				if err != nil || !reflect.DeepEqual(a, b) {
					t.Errorf("%s: %q differs: %v", command, evil, err)
				}
			}
		}
	}
}

// Errors on standard error hold a hub's problems, names of files, and arguments.
func TestErrorsOfEvilText(t *testing.T) {
	for _, evil := range testkit.EvilTexts() {
		for name, err := range map[string]error{
			"a hub's problem": &api.Error{Code: "busy", Detail: evil},
			"a hub's code":    fmt.Errorf("publish: %w", &api.Error{Code: api.Code(evil)}),
			"a file": fmt.Errorf("open: %w",
				&fs.PathError{Op: "open", Path: evil, Err: fs.ErrNotExist}),
			"a reason in an error": fmt.Errorf("%s: %w", evil,
				reason.Err("no-agent-in", "dir", evil)),
			"several": fmt.Errorf("close: %w", errors.Join(errors.New(evil), fs.ErrClosed)),
		} {
			for _, l := range reason.Languages() {
				text := reason.Of(err).In(l)
				testkit.Harmless(t, text)
				if strings.ContainsAny(text, "\r\n\t") {
					t.Errorf("%s has several lines: %q", name, text)
				}
			}
		}
		if strings.Contains(evil, "\x00") {
			continue
		}
		var out, errs strings.Builder
		for _, args := range [][]string{{evil}, {"agent", "status", "--dir", evil},
			{"agent", "log", "--" + evil}, {"certs", evil}, {"hub", "admit", evil}} {
			if code := Main(context.Background(), args, &out, &errs); code == exitDone {
				t.Errorf("%q succeeds", args)
			}
		}
		testkit.Harmless(t, out.String())
		testkit.Harmless(t, errs.String())
		if n := strings.Count(errs.String(), "\n"); n > 10 {
			t.Errorf("%q makes %d lines:\n%s", evil, n, &errs)
		}
	}
}

// A log in each form is harmless: of a daemon at a terminal, or read by its journal.
func TestLogsOfEvilText(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		for _, evil := range testkit.EvilTexts() {
			var b strings.Builder
			log, err := newLog(visible.NewWriter(&b), format, "info")
			if err != nil {
				t.Fatal(err)
			}
			log.Info(evil, "name", evil, "error", errors.New(evil), "why", reason.Text(evil), evil,
				[]string{evil})
			testkit.Harmless(t, b.String())
			if strings.Count(b.String(), "\n") != 1 {
				t.Errorf("%s: %q makes several lines: %s", format, evil, &b)
			}
		}
	}
}

// A shell shows completions as they are.
func TestCompletionsOfEvilText(t *testing.T) {
	for _, evil := range testkit.EvilTexts() {
		s := fromOutside[agent.Status](evil)
		s.Outbox.Latest[0].ID, s.Inbox.Latest[0].ID = "FL-LAB_DAT_20251008_001", "X"
		for _, c := range messagesOf(s) {
			testkit.Harmless(t, c)
			if strings.Count(c, "\t") != 1 || strings.ContainsAny(c, "\r\n") {
				t.Errorf("%q completes as %q", evil, c)
			}
		}
	}
}

// The line of progress has the control sequences of the program, and no others.
func TestProgressOfEvilText(t *testing.T) {
	for _, evil := range testkit.EvilTexts() {
		path := filepath.Join(t.TempDir(), "terminal")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		(&bar{w: f}).line(evil, 1, 2, evil)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		testkit.Harmless(t, strings.TrimPrefix(string(text), "\r\x1b[K"))
	}
}

// A name with odd characters does not shift the columns of other rows.
func TestColumnsOfEvilText(t *testing.T) {
	for _, evil := range testkit.EvilTexts() {
		table := newTable("NAME", "SIZE")
		table.add(quoted(evil), "1")
		table.add("b", "2")
		var b strings.Builder
		if err := table.print(visible.NewWriter(&b), ""); err != nil {
			t.Fatal(err)
		}
		var at []int
		for i, line := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
			size := []string{"SIZE", "1", "2"}[i]
			at = append(at, len([]rune(line))-len(size))
		}
		if at[0] != at[1] || at[1] != at[2] {
			t.Errorf("the columns begin at %v:\n%s", at, &b)
		}
	}
}
