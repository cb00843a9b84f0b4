package outbox

import (
	"os"
	"slices"
	"testing"
	"time"

	"sealpost/agent/ledger"
)

// A late receipt moves a file from failed to delivered, out of its own folder or of a shared one.
// A user may have been there first, and a crash may have cut the move short.
func TestALateReceiptMovesAFile(t *testing.T) {
	for name, tc := range map[string]struct {
		names  []string
		meddle func(s *sealer, failed, delivered string)
		want   []string // F is its folder in failed, D that in delivered
	}{
		"alone":    {[]string{"a"}, nil, []string{"D/a"}},
		"in group": {[]string{"a", "b"}, nil, []string{"D/a"}},
		"without its note": {[]string{"a"}, func(s *sealer, failed, _ string) {
			s.must(os.Remove(failed + "/WHY.txt"))
		}, []string{"D/a"}},
		"with a note of the user": {[]string{"a"}, func(s *sealer, failed, _ string) {
			s.must(os.WriteFile(failed+"/WHY.txt", []byte("mine"), 0o600))
		}, []string{"D/WHY.txt", "D/a"}},
		"taken away": {[]string{"a"}, func(s *sealer, failed, _ string) {
			s.must(os.RemoveAll(failed))
		}, nil},
		"sent again": {[]string{"a"}, func(s *sealer, failed, _ string) {
			s.must(os.Rename(failed+"/a", s.at("outbox/a")))
		}, []string{"outbox/a"}},
		"moved before a crash": {[]string{"a"}, func(s *sealer, failed, delivered string) {
			s.must(os.Remove(failed + "/WHY.txt"))
			s.must(os.Rename(failed, delivered))
		}, []string{"D/a"}},
		"file gone from a group": {[]string{"a", "b"}, func(s *sealer, failed, _ string) {
			s.must(os.Remove(failed + "/a"))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			list := s.taken(tc.names...)
			m := list[0]
			e := s.atHub(m, "digest")
			s.hears(ledger.Answer{Envelope: e, Outcomes: []ledger.Outcome{
				{UID: m.UID, Outcome: ledger.OutcomeDead, Code: "expired"}}})
			s.file()
			s.hears(ledger.Answer{Envelope: e, Requeued: true})
			s.file()
			failed, delivered := "failed/"+string(m.ID), "delivered/"+folderName(m)
			if note, err := os.ReadFile(s.at(failed + "/WHY.txt")); err != nil || !isWhy(
				string(note), m) {
				t.Fatalf("the note is %q, %v", note, err)
			}
			if got, err := s.Message(t.Context(), string(m.ID)); err != nil ||
				got.Folder != failed || got.Recipients[0].Code != ledger.CodeRequeued {
				t.Errorf("it is %+v, %v", got, err)
			}
			if tc.meddle != nil {
				tc.meddle(s, s.at(failed), s.at(delivered))
			}
			s.hears(ledger.Answer{Envelope: e, Receipt: "r", Outcomes: []ledger.Outcome{
				{UID: m.UID, Outcome: ledger.OutcomeDelivered}}})
			for range 2 {
				s.file()
			}
			want := slices.Clone(tc.want)
			for i, at := range want {
				if at[0] == 'D' {
					want[i] = delivered + at[1:]
				}
			}
			if len(list) > 1 {
				want = append(want, folderAt(m)+"/"+groupNote, folderAt(m)+"/b")
			}
			s.expectTree(want...)
			if got := s.state(m); got != ledger.Delivered {
				t.Errorf("the message is %s", got)
			}
		})
	}
}

func (s *sealer) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// hears records an answer of CA-RC.
func (s *sealer) hears(a ledger.Answer) {
	s.t.Helper()
	a.Site, a.Time = "CA-RC", time.Now()
	s.update(func(tx *ledger.Tx) error { return tx.Answer(a) })
}
