package reason

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestEachSituationAnswersEveryQuestion(t *testing.T) {
	for _, l := range Languages() {
		for _, s := range Situations() {
			w := s.Words()
			for _, r := range []Reason{w.Label, w.Safe, w.Next, w.Ask} {
				if r.In(l) == "" || !strings.HasPrefix(string(r.Code), string(s)+".") {
					t.Errorf("%s in %s leaves a question open: %+v", s, l, w)
				}
			}
			label, event, next := w.Label.In(l), w.What.In(l), w.Next.In(l)
			if label != strings.ToUpper(label) || strings.HasSuffix(event, ".") ||
				!strings.HasSuffix(next, ".") {
				t.Errorf("%s in %s differs in form from others: %+v", s, l, w)
			}
		}
	}
}

// A template whose situation is not listed is never shown.
func TestSituationsAreListed(t *testing.T) {
	known := Situations()
	for _, code := range slices.Sorted(maps.Keys(Templates(English))) {
		name, _, ok := strings.Cut(string(code), ".")
		if ok && !slices.Contains(known, Situation(name)) {
			t.Errorf("%s belongs to no situation", code)
		}
	}
}

func TestReceiversAreNotToldToDropFiles(t *testing.T) {
	for _, s := range Situations() {
		sender, receiver := s.Words().Safe.String(), s.WordsOfReceiver().Safe.String()
		if strings.Contains(receiver, "dropping") {
			t.Errorf("%s: a receiver reads %q", s, receiver)
		}
		if strings.Contains(sender, "dropping") == (sender == receiver) {
			t.Errorf("%s: a sender reads %q, and a receiver %q", s, sender, receiver)
		}
	}
}
