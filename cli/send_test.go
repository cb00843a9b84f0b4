package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/agent/outbox"
	"sealpost/internal/dropin"
	"sealpost/internal/reason"
)

// The progress line names the step for which a file waits.
func TestWhoWaitsSeesWhatFor(t *testing.T) {
	dir := t.TempDir()
	s := sender{tray: agent.Tray{Name: "outbox", Outbox: filepath.Join(dir, "outbox")}}
	copied := dropin.Copied{Path: filepath.Join(dir, "outbox", "@CA-RC", "data.csv")}
	status := func(change func(*outbox.Status)) agent.Status {
		o := &outbox.Status{Trays: []outbox.TrayStatus{{Name: "outbox"}}}
		change(o)
		return agent.Status{Outbox: o}
	}
	well := status(func(*outbox.Status) {})
	for name, c := range map[string]struct {
		st   agent.Status
		m    agent.SentMessage
		want string
	}{
		"settling": {well, agent.SentMessage{},
			"in outbox; it is taken when it has settled"},
		"left alone": {status(func(o *outbox.Status) {
			o.Trays[0].NotTaken = map[string]reason.Reason{
				filepath.Join("@CA-RC", "data.csv"): reason.Text("it is still open")}
		}), agent.SentMessage{}, "it is still open"},
		"blocked": {status(func(o *outbox.Status) {
			o.Blocked = map[string]reason.Reason{"@CA-RC": reason.Text("waiting for CA-RC to join")}
		}),
			agent.SentMessage{Address: "@CA-RC", State: "taken"},
			"waiting for CA-RC to join"},
		"held": {well, agent.SentMessage{State: "taken", HeldUntil: time.Now()},
			"so that it can be recalled"},
		"explained": {well, agent.SentMessage{State: "sealed",
			Reason: reason.Text("the quota is used up")}, "the quota is used up"},
		"sealed":   {well, agent.SentMessage{State: "sealed"}, "on the way to the hub"},
		"at a hub": {well, agent.SentMessage{State: "published"}, "waiting for the receipts"},
	} {
		if got := s.stage(c.st, copied, c.m).String(); !strings.Contains(got, c.want) {
			t.Errorf("%s: it says %q", name, got)
		}
	}
}

// TestEndedWait names the reason of a file that waits, and of one that stays in outbox.
func TestEndedWait(t *testing.T) {
	s := sender{timeout: time.Second}
	interrupt, cancel := context.WithCancel(t.Context())
	cancel()
	timed, end := context.WithCancelCause(t.Context())
	end(errTimeout)
	waits := &sendResult{Path: "data.csv", Message: &agent.SentMessage{State: "taken",
		Reason: reason.New("not-joined", "sites", []string{"CA-RC"})}}
	stays := &sendResult{Path: "data.csv", left: reason.New("is-link")}
	for _, c := range []struct {
		ctx  context.Context
		file *sendResult
		code int
		want string
	}{
		{interrupt, &sendResult{Path: "data.csv"}, exitInterrupted,
			"interrupted; data.csv goes on by itself, see 'sealpost agent find'"},
		{interrupt, waits, exitInterrupted, "For now it waits: waiting for CA-RC to join"},
		{timed, waits, exitTimedOut, "For now it waits: waiting for CA-RC to join"},
		{interrupt, stays, exitInterrupted,
			"data.csv lies in outbox and is not taken: it is a link: copy the file itself"},
		{timed, stays, exitTimedOut, "data.csv lies in outbox and is not taken"},
	} {
		err := s.ended(c.ctx, c.file)
		if code := exitCode(c.ctx, err); code != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("exit code %d, %v; want %d, %q", code, err, c.code, c.want)
		}
	}
}

// A user may name a file by a way on which links of other accounts lie. The file itself must be
// none.
func TestLinksOnTheWayToAFileAreFollowed(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.Mkdir(at("run 7"), 0o755),
		os.WriteFile(at("run 7/data"), []byte("data"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"latest": "run 7", "run 7/link": "data"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Skipf("SKIPPED: no links here: %v", err)
		}
		if os.Geteuid() == 0 {
			if err := os.Lchown(at(link), 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	}
	if size, err := dropin.Size(withoutLinks(at("latest/data"))); err != nil || size != 4 {
		t.Errorf("%d bytes, %v", size, err)
	}
	if _, err := dropin.Size(withoutLinks(at("latest/link"))); err == nil ||
		!strings.Contains(err.Error(), "is a link: send the file itself") {
		t.Errorf("a link: %v", err)
	}
}
