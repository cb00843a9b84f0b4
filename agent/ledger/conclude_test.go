package ledger

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// A message ends with the last final answer of a recipient, in any order of answers. It is
// delivered if all have it, and failed otherwise. The envelope ends with its last message. A
// message whose outcomes have changed since it was filed is to be filed again.
func TestAMessageEndsWithItsLastAnswer(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	round, filed := 0, map[id.UID]string{}
	rapid.Check(t, func(r *rapid.T) {
		round++
		sites := []id.Site{"CA-RC", "NY-RC", "SF-RC"}[:rapid.IntRange(1, 3).Draw(r, "recipients")]
		messages := make([]Outgoing, rapid.IntRange(1, 4).Draw(r, "messages"))
		e := Envelope{ID: id.Random128[id.Envelope](), Address: "fl-lab.dat", Sealed: day}
		for _, s := range sites {
			e.Recipients = append(e.Recipients, Recipient{Site: s, Key: "k"})
		}
		rows := make([]SealedMessage, len(messages))
		for i := range messages {
			messages[i] = taken(t, l, fmt.Sprint(round, ".", i))
			rows[i] = SealedMessage{messages[i].Seq, messages[i].UID, "digest"}
		}
		update(t, l, func(tx *Tx) error { return tx.Seal(e, rows, Taken) })
		update(t, l, func(tx *Tx) error { return tx.Publish(e.ID, "incarnation", 1, day) })

		// the first outcome, except that a receipt outranks dead, and dead can be taken back
		said := map[id.UID]map[id.Site]string{}
		for _, m := range messages {
			said[m.UID] = map[id.Site]string{}
		}
		for range rapid.IntRange(0, 9).Draw(r, "answers") {
			a := Answer{Envelope: e.ID, Site: rapid.SampledFrom(sites).Draw(r, "site"), Time: day}
			kind := rapid.SampledFrom([]string{"delivered", "delivered", "mixed", "dead", "dead",
				"doubtful", "requeued", "filed"}).Draw(r, "kind")
			switch kind {
			case "dead":
			case "requeued":
				a.Requeued = true
			case "filed":
				file(t, l, filed)
				continue
			default:
				a.Receipt = "receipt"
			}
			for _, m := range messages {
				outcome := OutcomeDelivered
				switch was := said[m.UID]; {
				case kind == "requeued":
					if was[a.Site] == OutcomeDead && final(was, sites) == "" {
						was[a.Site] = ""
					}
					continue
				case kind == "doubtful":
					a.Doubt = reason.Text("who is that?")
					continue
				case kind == "dead":
					outcome = OutcomeDead
				case kind == "mixed" && rapid.Bool().Draw(r, "refused"):
					outcome = OutcomeRefused
				}
				a.Outcomes = append(a.Outcomes, Outcome{UID: m.UID, Site: a.Site, Outcome: outcome,
					Code: "code", Time: day})
			}
			update(t, l, func(tx *Tx) error { return tx.Answer(a) })
			for _, o := range a.Outcomes {
				if was := said[o.UID][a.Site]; was == "" || was == OutcomeDead {
					said[o.UID][a.Site] = o.Outcome
				}
			}
		}

		view(t, l, func(tx *Tx) error {
			open := 0
			for _, m := range messages {
				got, err := tx.Message(string(m.UID))
				if err != nil {
					return err
				}
				if now := outcomesOf(t, tx, got); got.Filed && filed[m.UID] != now {
					r.Errorf("%s is filed as %s, and is %s", got.Name, filed[m.UID], now)
				}
				want := final(said[m.UID], sites)
				if want == "" {
					want = Published
					open++
				}
				if got.State != want || got.Reason.IsZero() != (want != Failed) {
					r.Errorf("%s is %s (%s), want %s: %v of %v", got.Name, got.State, got.Reason,
						want, said[m.UID], sites)
				}
			}
			env, err := tx.Envelope(e.ID)
			if err == nil && (env.State == EnvelopeFinal) != (open == 0) {
				r.Errorf("the envelope is %s with %d messages open", env.State, open)
			}
			return err
		})
	})
}

// file files the messages that have ended, and notes their outcomes.
func file(t *testing.T, l *Ledger, filed map[id.UID]string) {
	t.Helper()
	update(t, l, func(tx *Tx) error {
		list, err := tx.Unfiled("outbox", 0, 100)
		for _, m := range list {
			if _, before := filed[m.UID]; m.WasFiled() != before {
				t.Errorf("%s was filed before: %v", m.Name, m.WasFiled())
			}
			filed[m.UID] = outcomesOf(t, tx, m)
		}
		return errors.Join(err, tx.Filed(list, day))
	})
}

// outcomesOf returns the state and the outcomes of a message, as a user reads them.
func outcomesOf(t *testing.T, tx *Tx, m Outgoing) string {
	t.Helper()
	outcomes, err := tx.Outcomes(m.UID)
	if err != nil {
		t.Fatal(err)
	}
	text := string(m.State)
	for _, o := range outcomes {
		text += fmt.Sprint(" ", o.Site, o.Outcome, o.Code)
	}
	return text
}

// A filing that was under way when an outcome changed does not count.
func TestAFilingOfAnOlderOutcome(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	m := taken(t, l, "a")
	e := Envelope{ID: id.Random128[id.Envelope](), Address: "fl-lab.dat", Sealed: day,
		Recipients: []Recipient{{Site: "CA-RC", Key: "k"}}}
	update(t, l, func(tx *Tx) error {
		return tx.Seal(e, []SealedMessage{{m.Seq, m.UID, "digest"}}, Taken)
	})
	update(t, l, func(tx *Tx) error { return tx.Publish(e.ID, "incarnation", 1, day) })
	dead := Answer{Envelope: e.ID, Site: "CA-RC", Time: day,
		Outcomes: []Outcome{{UID: m.UID, Outcome: OutcomeDead, Code: "removed"}}}
	requeued := Answer{Envelope: e.ID, Site: "CA-RC", Requeued: true, Time: day}
	receipt := Answer{Envelope: e.ID, Site: "CA-RC", Receipt: "r", Time: day,
		Outcomes: []Outcome{{UID: m.UID, Outcome: OutcomeDelivered}}}
	for _, a := range []Answer{dead, requeued, dead, requeued, receipt} {
		update(t, l, func(tx *Tx) error { return tx.Answer(a) })
		var list []Outgoing
		update(t, l, func(tx *Tx) (err error) {
			list, err = tx.Unfiled("outbox", 0, 10)
			return err
		})
		if len(list) != 1 {
			t.Fatalf("after %+v %d are to be filed", a, len(list))
		}
		if a.Requeued { // the next answer comes before the filing is recorded
			continue
		}
		old := list[0]
		old.FiledAt = old.FiledAt.Add(-time.Millisecond)
		for i, m := range []Outgoing{old, list[0]} {
			update(t, l, func(tx *Tx) error { return tx.Filed([]Outgoing{m}, day) })
			view(t, l, func(tx *Tx) error {
				got, err := tx.Message(string(m.UID))
				if got.Filed != (i == 1) {
					t.Errorf("after %+v filing %d counts: %v", a, i, got.Filed)
				}
				return err
			})
		}
	}
}

// final returns the final state of a message, or "" while an answer is missing.
func final(said map[id.Site]string, sites []id.Site) State {
	state := Delivered
	for _, s := range sites {
		switch said[s] {
		case "":
			return ""
		case OutcomeRefused, OutcomeDead:
			state = Failed
		}
	}
	return state
}
