package ledger

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

func names(list []Outgoing) (names []string) {
	for _, m := range list {
		names = append(names, m.Name)
	}
	return names
}

func TestASearchFindsPartsOfNamesInBoundedSteps(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	for i := range 25 {
		claim(t, l, fmt.Sprintf("run %02d.csv", i))
	}
	claim(t, l, "100%_sure.TXT")
	find := func(part string, span, limit int) (all []string, steps int) {
		for before := int64(0); ; {
			steps++
			view(t, l, func(tx *Tx) error {
				list, next, err := tx.FindSent(part, before, span, limit-len(all))
				all, before = append(all, names(list)...), next
				return err
			})
			if before == 0 || len(all) == limit {
				return all, steps
			}
		}
	}
	for _, c := range []struct {
		part        string
		span, limit int
		want        []string
		steps       int
	}{
		{"run 1", 100, 3, []string{"run 19.csv", "run 18.csv", "run 17.csv"}, 1},
		{"RUN 03", 10, 5, []string{"run 03.csv"}, 3},
		{"%_sure", 10, 5, []string{"100%_sure.TXT"}, 3},
		{"_", 100, 5, []string{"100%_sure.TXT"}, 1},
		{`\`, 100, 5, nil, 1},
		{"nothing of this name", 7, 5, nil, 4},
	} {
		got, steps := find(c.part, c.span, c.limit)
		if !slices.Equal(got, c.want) || steps != c.steps {
			t.Errorf("%q: got %q in %d steps, want %q in %d", c.part, got, steps, c.want, c.steps)
		}
	}
	empty := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	view(t, empty, func(tx *Tx) error {
		if list, next, err := tx.FindSent("x", 0, 10, 10); len(list) > 0 || next != 0 ||
			err != nil {
			t.Errorf("in an empty ledger: %v, %d, %v", list, next, err)
		}
		return nil
	})
}

func TestASearchThroughWhatWasReceived(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	want := map[string]bool{}
	for i := range 25 {
		r := Received{Sender: "FL-LAB", UID: id.Random128[id.UID](), ID: "FL-LAB_DAT_20251008_001",
			Name: fmt.Sprintf("a?%02d", i), Path: fmt.Sprintf("FL-LAB/a%%3F%02d", i), Time: day}
		if i%10 == 7 {
			want[r.Name] = true
		}
		update(t, l, func(tx *Tx) error { return tx.Place(r) })
	}
	for _, part := range []string{"7", "a?07", "A%3F17"} {
		for _, span := range []int{1, 4, 25, 100} {
			got := map[string]bool{}
			for before := int64(0); ; {
				view(t, l, func(tx *Tx) error {
					list, next, err := tx.FindReceived(part, before, span, 10)
					for _, r := range list {
						got[r.Name] = true
					}
					before = next
					return err
				})
				if before == 0 {
					break
				}
			}
			if part == "7" && len(got) != len(want) || part != "7" && len(got) != 1 {
				t.Errorf("%q in steps of %d: got %v", part, span, got)
			}
		}
	}
}

func TestWhatPeopleAreTold(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	before := l.Commits()
	waits, failedOne := claim(t, l, "waits"), claim(t, l, "gone")
	other := taken(t, l, "other")
	unreadable := reason.Text("it cannot be read")
	update(t, l, func(tx *Tx) error { return tx.Explain(waits.UID, unreadable) })
	for i, m := range []Outgoing{failedOne, other} {
		update(t, l, func(tx *Tx) error {
			return tx.Fail(m.UID, reason.Text("no"), day.Add(time.Duration(i)*time.Second))
		})
	}
	taken(t, l, "next")
	if l.Commits() == before {
		t.Error("nothing seems to have changed")
	}
	before = l.Commits()
	view(t, l, func(tx *Tx) error {
		explained, err := tx.Explained("outbox", 10)
		if err != nil || !slices.Equal(names(explained), []string{"waits"}) {
			t.Errorf("explained: %v, %v", names(explained), err)
		}
		failed, err := tx.LatestFinal("outbox", Failed, 10)
		if err != nil || !slices.Equal(names(failed), []string{"other", "gone"}) {
			t.Errorf("failed: %v, %v", names(failed), err)
		}
		backlogs, err := tx.Backlogs()
		if err != nil ||
			!slices.Equal(backlogs, []Backlog{{"outbox", Claimed, "fl-lab.dat", 1},
				{"outbox", Taken, "fl-lab.dat", 1}}) {
			t.Errorf("backlogs: %v, %v", backlogs, err)
		}
		return nil
	})
	if l.Commits() != before {
		t.Error("looking changed something")
	}
}

// A published envelope publishes its messages. An earlier version wrote that in the message's row.
func TestWhatTheHubHasIsCountedAsPublished(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	messages := map[string]Outgoing{}
	for _, name := range []string{"waits", "sealed", "here", "there", "earlier", "delivered"} {
		messages[name] = taken(t, l, name)
	}
	envelopes := map[string]id.Envelope{}
	for _, name := range []string{"sealed", "here", "there", "earlier", "delivered"} {
		envelopes[name] = sealed(t, l, messages[name], "CA-RC")
	}
	update(t, l, func(tx *Tx) error {
		for _, name := range []string{"here", "there", "earlier", "delivered"} {
			if err := tx.Publish(envelopes[name], "incarnation", 1, day); err != nil {
				return err
			}
		}
		if err := tx.exec("UPDATE message SET state = 'published' WHERE uid = ?",
			messages["earlier"].UID); err != nil {
			return err
		}
		return tx.Answer(Answer{Envelope: envelopes["delivered"], Site: "CA-RC", Receipt: "r",
			Time: day})
	})
	view(t, l, func(tx *Tx) error {
		for name, want := range map[string]State{"waits": Taken, "sealed": Sealed,
			"here": Published, "there": Published, "earlier": Published, "delivered": Delivered} {
			if m, err := tx.Message(string(messages[name].UID)); err != nil || m.State != want {
				t.Errorf("%s is %s, want %s: %v", name, m.State, want, err)
			}
		}
		backlogs, err := tx.Backlogs()
		want := []Backlog{{"outbox", Published, "fl-lab.dat", 3},
			{"outbox", Sealed, "fl-lab.dat", 1}, {"outbox", Taken, "fl-lab.dat", 1}}
		if err != nil || !slices.Equal(backlogs, want) {
			t.Errorf("backlogs: %v, %v", backlogs, err)
		}
		return nil
	})
	update(t, l, func(tx *Tx) error { return tx.Drop(envelopes["here"], reason.Reason{}) })
	view(t, l, func(tx *Tx) error {
		if m, err := tx.Message(string(messages["here"].UID)); err != nil || m.State != Taken {
			t.Errorf("what was given up is %s: %v", m.State, err)
		}
		return nil
	})
}

// atHub publishes messages under an address, each in its own envelope, and returns the envelopes.
func atHub(t testing.TB, l *Ledger, tray, address string, count int) (envelopes []id.Envelope) {
	t.Helper()
	for left := count; left > 0; left -= 500 {
		update(t, l, func(tx *Tx) error {
			messages := make([]Outgoing, min(left, 500))
			for i := range messages {
				messages[i] = Outgoing{UID: id.Random128[id.UID](), Tray: tray, Kind: "DAT",
					Name: fmt.Sprint(address, " ", len(envelopes)+i), Address: address,
					Claimed: day}
			}
			if err := tx.Claim(messages, claiming(1)); err != nil {
				return err
			}
			for _, m := range messages {
				e := Envelope{ID: id.Random128[id.Envelope](), Address: address, Sealed: day,
					Recipients: []Recipient{{Site: "CA-RC", Key: "k"}, {Site: "SF-RC", Key: "k"}}}
				if err := tx.Seal(e, []SealedMessage{{m.Seq, m.UID, "d"}}, Claimed); err != nil {
					return err
				}
				if err := tx.Publish(e.ID, "i", 1, day.Add(time.Minute)); err != nil {
					return err
				}
				envelopes = append(envelopes, e.ID)
			}
			return nil
		})
	}
	return envelopes
}

func unanswered(t testing.TB, l *Ledger, tray string, limit int) (list []Outgoing) {
	t.Helper()
	view(t, l, func(tx *Tx) (err error) { list, err = tx.Unanswered(tray, limit); return err })
	return list
}

func TestTheOldestThatWaitAtTheHub(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	taken(t, l, "not sealed")
	sealed(t, l, taken(t, l, "not at the hub"), "CA-RC")
	first := atHub(t, l, "outbox", "b", 3)
	atHub(t, l, "outbox", "a", 2)
	atHub(t, l, "other", "a", 1)
	answer := func(e id.Envelope, sites ...id.Site) {
		for _, s := range sites {
			update(t, l, func(tx *Tx) error {
				return tx.Answer(Answer{Envelope: e, Site: s, Receipt: "r", Time: day})
			})
		}
	}
	answer(first[0], "CA-RC", "SF-RC")
	answer(first[1], "CA-RC")
	list := unanswered(t, l, "outbox", 3)
	if !slices.Equal(names(list), []string{"b 1", "b 2", "a 0"}) || list[0].State != Published {
		t.Errorf("%v, %+v", names(list), list)
	}
	if list := unanswered(t, l, "other", 10); !slices.Equal(names(list), []string{"a 0"}) {
		t.Errorf("of the other tray: %v", names(list))
	}
	update(t, l, func(tx *Tx) error {
		return tx.exec("UPDATE message SET state = 'published' WHERE name = 'b 2'")
	})
	if list := unanswered(t, l, "outbox", 10); !slices.Equal(names(list),
		[]string{"b 1", "b 2", "a 0", "a 1"}) {
		t.Errorf("beside one of an earlier program: %v", names(list))
	}
}

func BenchmarkWaitingAtTheHub(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "ledger.db"))
	for i := range 4 {
		atHub(b, l, "outbox", fmt.Sprint("fl-lab.", i), 25_000)
	}
	for name, do := range map[string]func(*Tx) error{
		"unanswered": func(tx *Tx) error { _, err := tx.Unanswered("outbox", 10); return err },
		"other tray": func(tx *Tx) error { _, err := tx.Unanswered("other", 10); return err },
		"backlogs":   func(tx *Tx) error { _, err := tx.Backlogs(); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				view(b, l, do)
			}
		})
	}
}
