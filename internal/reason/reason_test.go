package reason

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type site string

// render fills a template with the arguments of New.
func render(template string, l Language, args ...any) string {
	var decoded map[string]any
	decoder := json.NewDecoder(strings.NewReader(New("x", args...).Args))
	decoder.UseNumber()
	if err := decoder.Decode(&decoded); err != nil {
		panic(err)
	}
	var b strings.Builder
	filler{l, escaped}.fill(&b, template, decoded)
	return b.String()
}

func TestTemplates(t *testing.T) {
	when := time.Date(2026, 11, 30, 9, 0, 0, 0, time.Local)
	for _, c := range []struct {
		template, want string
		args           []any
	}{
		{"for {site}", "for CA-RC", []any{"site", site("CA-RC")}},
		{"{name:q}", `"a\u0009b"`, []any{"name", "a\tb"}},
		{"{sites}", "CA-RC, NY-RC", []any{"sites", []site{"CA-RC", "NY-RC"}}},
		{"{sites:and}", "A, B and C", []any{"sites", []site{"A", "B", "C"}}},
		{"{sites:or}", "A", []any{"sites", []site{"A"}}},
		{"{all:;}", "A; B", []any{"all", []string{"A", "B"}}},
		{"so:\n  {all:n}", "so:\n  A\n  B", []any{"all", []string{"A", "B"}}},
		{"{sites:takes|take} it", "A takes it", []any{"sites", []site{"A"}}},
		{"{sites:takes|take} it", "A and B take it", []any{"sites", []site{"A", "B"}}},
		{"{n:file is|files are} here", "1 file is here", []any{"n", 1}},
		{"{n:file is|files are} here", "0 files are here", []any{"n", 0}},
		{"{free} of {all}", "1.5 KiB of 5000.0 TiB",
			[]any{"free", Size(1536), "all", Size(5000 << 40)}},
		{"{a}, {b}", "0 B, 1023 B", []any{"a", Size(0), "b", Size(1023)}},
		{"after {wait}", "after 2 min", []any{"wait", 90 * time.Second}},
		{"{a} {b} {c}", "1 s 5 hours 4 days",
			[]any{"a", time.Duration(0), "b", 5 * time.Hour, "c", 100 * time.Hour}},
		{"at {time}", "at 2026-11-30 09:00:00", []any{"time", when}},
		{"it{time? ended at {time}}", "it", []any{"time", time.Time{}}},
		{"it{time? ended at {time}}!", "it ended at 2026-11-30 09:00:00!", []any{"time", when}},
		{"no: {why}", "no: EOF", []any{"why", errors.New("EOF")}},
		{"no: {why}", "no: said", []any{"why", Text("said")}},
		{"no{why?: {why}}", "no", []any{"why", Reason{}}},
		{"{gone}{gone:and}", "", []any{"n", 1}},
	} {
		if got := render(c.template, English, c.args...); got != c.want {
			t.Errorf("%s: got %q, want %q", c.template, got, c.want)
		}
	}
	got := render("{n:Datei|Dateien}, {s}, {d}, {l:or}", German, "n", 2, "s", Size(1536),
		"d", 100*time.Hour, "l", []string{"A", "B"})
	if got != "2 Dateien, 1,5 KiB, 4 Tage, A oder B" {
		t.Errorf("got %q", got)
	}
}

// A newer or damaged ledger holds codes without a template. They never end the agent.
func TestUnknownCodesAreShown(t *testing.T) {
	for r, want := range map[Reason]string{
		{}: "",
		{Code: "of-a-newer-program", Args: `{"a":"b"}`}: `of-a-newer-program {"a":"b"}`,
		{Code: plain, Args: `{`}:                        `text {`,
		{Code: plain, Args: `[]`}:                       `text []`,
		{Code: plain, Args: `{"text":{"x":{}}}`}:        `{"x":{}}`,
	} {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	inner := Err(plain, "text", "it hangs", "cause", fs.ErrPermission)
	outer := fmt.Errorf("open it: %w, so wait", inner)
	if !errors.Is(outer, fs.ErrPermission) {
		t.Error("the cause is lost")
	}
	if got := Of(outer); got.Code != "wrapped" || got.String() != "open it: it hangs, so wait" {
		t.Errorf("got %+v", got)
	}
	if Of(errors.Join(inner)) != Of(inner) {
		t.Error("an error that adds no text differs from its cause")
	}
	if Of(inner) != inner.(*Error).Reason || !Of(nil).IsZero() || Text("").AsError() != nil {
		t.Error("a reason differs from its error's")
	}
	a, b := Text("a").AsError(), Text("b").AsError()
	if !errors.Is(a, Text("a").AsError()) || errors.Is(a, b) {
		t.Error("equal reasons are equal errors, and others are not")
	}
}

// A program finds the code of a wrapped reason, however deep.
func TestTheCauseStandsInJSON(t *testing.T) {
	inner := New("hub-full")
	for _, r := range []Reason{
		Verdict{Says: inner, Do: Text("wait")}.Line(),
		Of(fmt.Errorf("open it: %w", Verdict{Says: inner, Do: Text("wait")}.Line().AsError())),
	} {
		text, err := json.Marshal(r)
		var out struct{ Cause Code }
		err = errors.Join(err, json.Unmarshal(text, &out))
		if err != nil || out.Cause != inner.Code {
			t.Errorf("%s: %v", text, err)
		}
		var back Reason
		if err := json.Unmarshal(text, &back); err != nil || back != r {
			t.Errorf("%+v came back as %+v, %v", r, back, err)
		}
	}
	if text, err := json.Marshal(inner); err != nil || strings.Contains(string(text), "cause") {
		t.Errorf("%s: %v", text, err)
	}
}

func TestReasonsSurviveJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		want := New(plain, "text", text, "n", rapid.Int().Draw(t, "n"), "why", Text(text),
			"wait", time.Duration(rapid.Int64().Draw(t, "wait")),
			"size", Size(rapid.Int64().Draw(t, "size")))
		if text == "" {
			want = Reason{}
		}
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Reason
		if err := json.Unmarshal(data, &got); err != nil || got.String() != want.String() {
			t.Fatalf("%s: got %+v (%v), want %+v", data, got, err, want)
		}
	})
}

func TestLanguages(t *testing.T) {
	for n, want := range map[int]string{0: "Inbox: 0 werden geöffnet",
		1: "Inbox: 1 wird geöffnet", 2: "Inbox: 2 werden geöffnet"} {
		if got := New("status-opening", "n", n).In(German); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for name, want := range map[string]Language{"": English, "en": English, "de": German} {
		if got, err := ParseLanguage(name); got != want || err != nil {
			t.Errorf("%q: got %q, %v", name, got, err)
		}
	}
	if _, err := ParseLanguage("fr"); err == nil || !strings.Contains(err.Error(), "[en de]") {
		t.Errorf("got %v", err)
	}
}

// FuzzIn renders arbitrary arguments by arbitrary templates.
func FuzzIn(f *testing.F) {
	f.Add("{a:b|c}{d?{e:q}}", `{"a":1,"d":{"code":"text"},"e":{"bytes":1e9}}`)
	f.Add("{{a}}}{", `{"a":[[],{"seconds":1e300}]}`)
	f.Fuzz(func(t *testing.T, template, args string) {
		var decoded map[string]any
		decoder := json.NewDecoder(strings.NewReader(args))
		decoder.UseNumber()
		if decoder.Decode(&decoded) != nil {
			return
		}
		for _, l := range Languages() {
			var b strings.Builder
			filler{l, escaped}.fill(&b, template, decoded)
		}
		_ = Reason{Code: Code(template), Args: args}.String()
	})
}
