package ledger

import (
	"fmt"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// A message ends with the last final answer of a recipient, in any order of answers. It is
// delivered if all have it, and failed otherwise. The envelope ends with its last message.
func TestAMessageEndsWithItsLastAnswer(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	round := 0
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

		// the first outcome, except that a receipt outranks dead
		said := map[id.UID]map[id.Site]string{}
		for _, m := range messages {
			said[m.UID] = map[id.Site]string{}
		}
		for range rapid.IntRange(0, 5).Draw(r, "answers") {
			a := Answer{Envelope: e.ID, Site: rapid.SampledFrom(sites).Draw(r, "site"), Time: day}
			kind := rapid.SampledFrom([]string{"delivered", "delivered", "mixed", "dead",
				"doubtful"}).Draw(r, "kind")
			if kind != "dead" {
				a.Receipt = "receipt"
			}
			for _, m := range messages {
				outcome := OutcomeDelivered
				switch {
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
				if was := said[o.UID][a.Site]; was == "" || was == OutcomeDead &&
					final(said[o.UID], sites) == "" {
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
