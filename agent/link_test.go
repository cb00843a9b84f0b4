package agent

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"sealpost/agent/stranger"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// The status follows the last request to the hub, even before the next hello.
func TestTheStatusFollowsTheLastContact(t *testing.T) {
	broken := errors.New("connection refused")
	lost := Link{Hub: "DC-HQ", Trouble: stranger.Unreachable("", io.EOF).Says}
	suite := Link{Hub: "DC-HQ", Trouble: stranger.SuiteDiffers("a", "b").Line(), Refusal: "suite"}
	well := Link{Hub: "DC-HQ", Connected: true}
	for name, c := range map[string]struct {
		link      Link
		heard     error
		connected bool
		asks      bool // hello at once
	}{
		"an answer after a broken line":       {lost, nil, true, true},
		"an answer while connected":           {well, nil, true, false},
		"an answer before the first hello":    {Link{}, nil, false, true},
		"an answer of a hub of another suite": {suite, nil, false, true},
		"a problem after a broken line":       {lost, &api.Error{Code: api.CodeFull}, false, true},
		"a broken line":                       {well, broken, true, true},
		"a broken line again":                 {lost, broken, false, false},
		"a removal": {well, &api.Error{Code: api.CodeRemoved}, true,
			true},
		"a problem that says nothing of links": {well, &api.Error{Code: api.CodeRoute}, true,
			false},
	} {
		t.Run(name, func(t *testing.T) {
			a := &Agent{log: slog.New(slog.DiscardHandler), link: c.link,
				changed: make(chan struct{}, 1)}
			a.heard(c.heard)
			if a.link.Connected != c.connected || len(a.changed) == 1 != c.asks {
				t.Errorf("connected %t, asks %t", a.link.Connected, len(a.changed) == 1)
			}
			isNew := a.link.Connected && !c.link.Connected
			if isNew && (!a.link.Trouble.IsZero() || a.link.Since.IsZero() ||
				a.linkChanges.Load() == 0) {
				t.Errorf("it is connected: %+v", a.link)
			}
		})
	}
}

// An agent that ends by itself reports why, and not that it was stopped.
func TestHowAnAgentHasEnded(t *testing.T) {
	for err, want := range map[error]reason.Situation{
		errors.New("write ledger: broken"):             reason.Stopped,
		fmt.Errorf("it is displaced: %w", api.ErrHeld): reason.TakenOver,
	} {
		cause, why := howEnded(err)
		if cause != want || why == reason.New("was-stopped") || cause == reason.Stopped &&
			!strings.Contains(why.String(), err.Error()) {
			t.Errorf("of %v it says %s: %s", err, cause, why)
		}
	}
}

// A hub that refuses something at each hello answers other requests. That changes nothing: no hello
// follows at once, and the site does not count as connected.
func TestAnswersDoNotHideARefusal(t *testing.T) {
	a := &Agent{changed: make(chan struct{}, 1), log: slog.New(slog.DiscardHandler)}
	a.link.Hub = "DC-HQ"
	a.welcomed(&api.Error{Code: api.CodeConflict})
	a.heard(nil)
	if a.link.Connected || len(a.changed) > 0 {
		t.Errorf("connected: %t, and %d hellos follow", a.link.Connected, len(a.changed))
	}
	a.welcomed(nil)
	a.heard(nil)
	if !a.link.Connected || len(a.changed) != 1 {
		t.Errorf("afterwards: %t, %d", a.link.Connected, len(a.changed))
	}
}

// The log names the sites that refuse something as plain attributes, and the end of each trouble.
func TestRefusalsInTheLog(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	first := api.Hello{BlockedBy: []id.Site{"CA-RC"},
		Withheld: []api.Withheld{{Site: "SF-RC", Why: api.WithheldToday},
			{Site: "CA-RC", Why: api.WithheldUncompared}},
		Uncompared: []api.Sender{{Site: "FL-LAB", Fingerprint: "f"}}}
	logRefusals(log, Link{}, first)
	for _, want := range []string{`level=WARN msg="sites block this one" sites=[CA-RC]`,
		`now" why=enough-today sites=[SF-RC]`, `now" why=not-compared sites=[CA-RC]`,
		`msg="files of sites that were not compared wait" sites=[FL-LAB]`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%s is not in the log:\n%s", want, text.String())
		}
	}
	began := Link{BlockedBy: first.BlockedBy, Withheld: first.Withheld,
		Uncompared: first.Uncompared}
	before := text.Len()
	logRefusals(log, began, first)
	if text.Len() > before {
		t.Errorf("said twice:\n%s", text.String()[before:])
	}
	logRefusals(log, began, api.Hello{})
	ended := text.String()[before:]
	if strings.Count(ended, `level=INFO msg="ended: `) != 4 || strings.Contains(ended, "WARN") {
		t.Errorf("at the end:\n%s", ended)
	}
	for _, syntax := range []string{"[{", "map[", "&{", "%!", "sites=[]"} {
		if strings.Contains(text.String(), syntax) {
			t.Errorf("%s is in the log:\n%s", syntax, text.String())
		}
	}
}
