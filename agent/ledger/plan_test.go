package ledger

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// The work for one file must not grow with the number of past files. So SQLite must find every row
// by an index, and read no table from its beginning. Only a change of a pin or an approval reads
// all of those.
func TestNothingLooksThroughTheWholeLedger(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	done := sealed(t, l, taken(t, l, "done"), "CA-RC")
	dropped := sealed(t, l, taken(t, l, "dropped"), "CA-RC")
	waiting := taken(t, l, "waiting")
	update(t, l, func(tx *Tx) error {
		live(t, tx, done, dropped, waiting)
		for query := range tx.stmts {
			if !strings.HasSuffix(query, "FROM approval") &&
				!strings.HasSuffix(query, "USING (site, identity) WHERE TRUE ORDER BY site") {
				explain(t, tx, query)
			}
		}
		return nil
	})
}

// live runs the queries of an agent for each file.
func live(t *testing.T, tx *Tx, done, dropped id.Envelope, waiting Outgoing) {
	t.Helper()
	sent, err := tx.InEnvelope(done)
	if err != nil || len(sent) != 1 {
		t.Fatalf("in the envelope: %v, %v", sent, err)
	}
	in := Received{Sender: "FL-LAB", UID: waiting.UID, ID: waiting.ID, Envelope: done, Path: "a",
		Temp: "b"}
	for name, do := range map[string]func() error{
		"addresses": func() error { _, err := tx.Addresses(); return err },
		"due":       func() error { _, err := tx.NextDue(day); return err },
		"small": func() error {
			return tx.Waiting([]string{"outbox", "other"}, waiting.Address, true, day, 0,
				func(Outgoing) bool {
					return true
				})
		},
		"large": func() error {
			return tx.Waiting([]string{"outbox", "other"}, waiting.Address, false, day, 0,
				func(Outgoing) bool {
					return true
				})
		},
		"segments": func() error { _, err := tx.Segments(done); return err },
		"add segment": func() error {
			err := tx.AddSegment(done, Segment{Checkpoint: "{}"})
			if errors.Is(err, ErrNotFound) {
				return nil // another function of this map came first, and has published it
			}
			return err
		},
		"end seal":    func() error { return tx.EndSeal(done, []uint32{1}, "digest") },
		"no segments": func() error { return tx.DropSegments(done, -1) },
		"take":        func() error { return tx.Take([]int64{waiting.Seq}) },
		"receipts":    func() error { _, err := tx.Receipts(waiting.UID); return err },
		"doubted":     func() error { _, _, err := tx.Doubted("CA-RC", 0, 10); return err },
		"doubts":      func() error { _, err := tx.DoubtedSites(); return err },
		"in doubt":    func() error { _, err := tx.InDoubt("outbox", 10); return err },
		"claimed":     func() error { _, err := tx.Claimed("outbox", 0, 10); return err },
		"backlogs":    func() error { _, err := tx.Backlogs(); return err },
		"away":        func() error { _, err := tx.UnfiledByTray(); return err },
		"last":        func() error { _, err := tx.LastUnderWay("outbox"); return err },
		"under way":   func() error { _, err := tx.UnderWay("outbox", 10); return err },
		"ended":       func() error { _, err := tx.LatestFinal("outbox", Failed, 10); return err },
		"explained":   func() error { _, err := tx.Explained("outbox", 10); return err },
		"at hub":      func() error { _, err := tx.Unanswered("outbox", 10); return err },
		"message":     func() error { _, err := tx.Message(string(waiting.UID)); return err },
		"adopt":       func() error { m := waiting; _, err := tx.Adopt(&m); return err },
		"end":         func() error { return tx.End(waiting.UID, Delivered, reason.Reason{}, day) },
		"resource":    func() error { return tx.Resource(waiting.UID, waiting) },
		"publish":     func() error { return tx.Publish(done, "i", 1, day) },
		"drop":        func() error { return tx.Drop(dropped, reason.Reason{}) },
		"answer": func() error {
			return tx.Answer(Answer{Envelope: done, Site: "CA-RC", Receipt: "r",
				Outcomes: []Outcome{{UID: sent[0].UID, Outcome: OutcomeDelivered}}, Time: day})
		},
		"dead": func() error {
			return tx.Answer(Answer{Envelope: done, Site: "CA-RC",
				Outcomes: []Outcome{{UID: sent[0].UID, Outcome: OutcomeDead}}, Time: day})
		},
		"requeued": func() error {
			return tx.Answer(Answer{Envelope: done, Site: "CA-RC", Requeued: true, Time: day})
		},
		"lost": func() error { return tx.LoseRequeued(done, day) },
		"anew": func() error { return tx.endAnew(Answer{Envelope: done, Time: day}) },
		"open": func() error {
			_, err := tx.OpenEnvelopes(EnvelopeSealed, "", 10)
			return err
		},
		"unfiled":   func() error { _, err := tx.Unfiled("outbox", 0, 10); return err },
		"filed":     func() error { return tx.Filed(sent[:1], time.Now()) },
		"follow":    func() error { return tx.Follow(waiting) },
		"follows":   func() error { _, err := tx.FollowUps(waiting.ID); return err },
		"numbered":  func() error { _, err := tx.Numbered([]int64{waiting.Seq}); return err },
		"next tree": func() error { _, err := tx.NextTree(""); return err },
		"tree of": func() error {
			_, err := tx.TreeOf([]id.UID{waiting.UID}, []string{"a"})
			return err
		},
		"begin":     func() error { _, err := tx.Begin(done, "FL-LAB", time.Now()); return err },
		"receipt":   func() error { return tx.Receipt(done, "r", "t", reason.Reason{}) },
		"unsettled": func() error { _, err := tx.Unsettled(10); return err },
		"settled":   func() error { return tx.Settled(done, "t") },
		"received": func() error {
			_, err := tx.Received("FL-LAB", waiting.UID)
			return ignoreNotFound(err)
		},
		"known": func() error {
			_, err := tx.ReceivedOf("FL-LAB", []id.UID{waiting.UID})
			return err
		},
		"sent in":  func() error { _, err := tx.SentIn(done); return err },
		"outcomes": func() error { _, err := tx.Outcomes(sent[0].UID); return err },
		"place":    func() error { return tx.Place(in) },
		"placed":   func() error { return tx.Placed("FL-LAB", []id.UID{waiting.UID}) },
		"placing":  func() error { _, err := tx.Placing(0, 10); return err },
		"forget sent": func() error {
			_, _, err := tx.forgetSent("outbox", Delivered, day, place{})
			return errors.Join(err, tx.forgetMessages([]Outgoing{{Seq: 1 << 40, UID: "none"}}))
		},
		"forget group": func() error {
			_, err := tx.withoutOpen([]Outgoing{{Group: Group{1, 2}}})
			return err
		},
		"forget withdrawn": func() error { _, err := tx.forgetWithdrawn(day); return err },
		"forget dropped":   func() error { _, err := tx.forgetDropped(day); return err },
		"forget received": func() error {
			_, _, err := tx.forgetReceived(day, place{})
			return err
		},
		"forget leased": func() error { _, _, err := tx.forgetLeased(day, place{}); return err },
		"removal":       func() error { _, err := tx.Removal(1); return ignoreNotFound(err) },
		"removable":     func() error { _, _, err := tx.Removable("outbox", day, 10); return err },
		"removals":      func() error { return tx.SetRemovals("outbox", 1, []Removal{{Seq: 1}}) },
		"kept back":     func() error { _, err := tx.KeptBack("outbox", day, 10); return err },
		"known before": func() error {
			_, err := tx.Known("FL-LAB", []id.UID{waiting.UID})
			return err
		},
	} {
		if err := do(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func ignoreNotFound(err error) error {
	if err == ErrNotFound {
		return nil
	}
	return err
}

// explain checks SQLite's plan of a query. It may read a whole index of unfinished rows.
func explain(t *testing.T, tx *Tx, query string) {
	t.Helper()
	short := map[string]bool{"message_open": true, "message_unfiled": true, "message_large": true,
		"message_held": true, "recipient_doubt": true, "envelope_open": true,
		"delivery_unsettled": true, "received_placing": true}
	rows, err := tx.conn.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query,
		make([]any, strings.Count(query, "?"))...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var a, b, c sql.RawBytes
		var plan string
		if err := rows.Scan(&a, &b, &c, &plan); err != nil {
			t.Fatal(err)
		}
		_, index, _ := strings.Cut(plan, "INDEX ")
		index, _, _ = strings.Cut(index, " ")
		if strings.HasPrefix(plan, "SCAN") && !strings.HasPrefix(plan, "SCAN json_each") &&
			!strings.HasPrefix(plan, "SCAN j ") && plan != "SCAN bad" &&
			plan != "SCAN CONSTANT ROW" && !short[index] ||
			strings.Contains(plan, "message_final") {
			t.Errorf("%s\nis answered by %q", query, plan)
		}
	}
}
