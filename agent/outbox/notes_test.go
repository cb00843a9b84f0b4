package outbox

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
	"sealpost/internal/reason"
)

func TestNotesAreSortedByWhatTheyMean(t *testing.T) {
	in := func(dir string) string { return filepath.Join(dir, "x") }
	of := func(code reason.Code) reason.Reason { return reason.Reason{Code: code} }
	left := Standing{NotTaken: map[string]reason.Reason{
		"b": of("is-link"), "a": of("ignored-name"), "c": of("still-written"),
		"d": of("added-after-pause"), "e": of("came-soon-after"),
		in("@CA-RC"): of("may-not-read"), "sending": of("cannot-move"),
		in("sending"): of("strange-sending"), in("delivered"): of("x"), in("failed"): of("x"),
		"outbox": of("tray-gone"), in("outbox"): of("folder-silent"),
		"failed": of("folder-unreadable"), ".git": of("hidden-name"),
		in("@SF-RC"): of("hidden-name"), "sent": of("left-repeat"),
	}}.Left()
	for name, c := range map[string]struct {
		list []Note
		want []string
	}{
		// a file in outbox may have any name
		"entries": {left[reason.NotTaken],
			[]string{in("@CA-RC"), "b", "sending", "c", "d", "e", "a"}},
		"hidden":  {left[reason.LeftAlone], []string{".git", in("@SF-RC")}},
		"repeats": {left[reason.Repeated], []string{"sent"}},
		"strays": {left[reason.OutOfPlace],
			[]string{in("delivered"), in("failed"), in("sending")}},
		"folders": {left[reason.TrayBroken], []string{"failed", "outbox", in("outbox")}},
	} {
		var got []string
		for _, n := range c.list {
			got = append(got, n.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestNamesThatAreNotUTF8 keeps two such names apart in JSON, and gives each back.
func TestNamesThatAreNotUTF8(t *testing.T) {
	sent := Standing{NotTaken: map[string]reason.Reason{}}
	names := []string{"la\xe1\ufffd.txt", "la\xe2.txt", "plain \ufffd ä.txt"}
	for _, name := range names {
		sent.NotTaken[keyOf(name)] = reason.New("name-not-utf8")
	}
	data, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var read Standing
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range read.Left()[reason.NotTaken] {
		got = append(got, n.Name)
	}
	if !slices.Equal(got, names) {
		t.Errorf("got %q of %s", got, data)
	}
}

// A file that cannot be moved out of outbox is reported as not taken, and not counted as taken.
func TestNothingIsTakenAndNotTakenAtOnce(t *testing.T) {
	counts := func(n int64) map[ledger.State]int64 {
		return map[ledger.State]int64{ledger.Claimed: n}
	}
	for _, c := range []struct{ unmoved, claimed, all, leaves, ofAll int64 }{{1, 3, 5, 2, 4},
		{1, 1, 1, 0, 0}, {2, 1, 1, 0, 0}, {0, 1, 1, 1, 1}} {
		one, all := TrayStatus{unmoved: c.unmoved, Standing: Standing{Counts: counts(c.claimed)}},
			counts(c.all)
		one.lessUnmoved(all)
		if one.Counts[ledger.Claimed] != c.leaves || all[ledger.Claimed] != c.ofAll {
			t.Errorf("%+v: got %v, %v", c, one.Counts, all)
		}
		if _, isCounted := all[ledger.Claimed]; isCounted != (c.ofAll > 0) {
			t.Errorf("%+v: none are counted", c)
		}
	}
}

// TestNoteEndsWithTheClaim shows no file as not taken once it is claimed.
func TestNoteEndsWithTheClaim(t *testing.T) {
	s := newSealer(t)
	s.tray.note(map[string]reason.Reason{
		"slow.txt": reason.Text("it is still written"), "other": reason.Text("why"),
	}, reason.Reason{})
	put(t, s.at("outbox"), "slow.txt")
	f := newFinder(s.tray)
	f.claimers, f.bulkWork = new(errgroup.Group), new(errgroup.Group)
	f.schedule("slow.txt", 0)
	if err := f.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.claimers.Wait(), f.bulkWork.Wait()); err != nil {
		t.Fatal(err)
	}
	status, err := s.Status(t.Context(), 1)
	if notes := status.Trays[0].NotTaken; err != nil || len(notes) != 1 || notes["other"].IsZero() {
		t.Errorf("%v, %v", notes, err)
	}
	if m := s.last(); m.Name != "slow.txt" {
		t.Errorf("%s is claimed", m.Name)
	}
}
