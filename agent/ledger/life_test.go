package ledger

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// BenchmarkLife moves messages through all states at a sender and at a recipient, in groups like an
// agent. It reports the time of each step for one message.
func BenchmarkLife(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "ledger.db"))
	steps := life{l: l, took: map[string]time.Duration{}}
	b.ResetTimer()
	for done := 0; done < b.N; done += lifeGroup {
		steps.send(b)
		steps.receive(b)
	}
	b.StopTimer()
	for name, d := range steps.took {
		b.ReportMetric(float64(d.Nanoseconds())/1000/float64(steps.groups*lifeGroup),
			name+"-µs/file")
	}
}

const lifeGroup = 256

type life struct {
	l      *Ledger
	took   map[string]time.Duration
	groups int
	sent   []Outgoing
}

func (s *life) step(b *testing.B, name string, how func(context.Context, func(*Tx) error) error,
	do func(*Tx) error) {
	b.Helper()
	begun := time.Now()
	if err := how(b.Context(), do); err != nil {
		b.Fatal(err)
	}
	s.took[name] += time.Since(begun)
}

func (s *life) send(b *testing.B) {
	s.groups++
	list := make([]Outgoing, lifeGroup)
	for i := range list {
		list[i] = Outgoing{Tray: "outbox", Kind: "DAT",
			Name: fmt.Sprintf("small-%05d.dat", s.groups*lifeGroup+i), Address: "fl-lab.dat",
			Claimed: time.Now(), Due: time.Now(),
			Source: Source{Size: 4096, Entries: 1, ModTime: time.Now().UnixNano(),
				File: "fe00:123456"}}
	}
	how := claiming(1)
	how.Identify = func(m *Outgoing) { m.UID = id.Random128[id.UID]() }
	s.step(b, "claim", s.l.Update, func(tx *Tx) error { return tx.Claim(list, how) })
	seqs := make([]int64, len(list))
	for i, m := range list {
		seqs[i] = m.Seq
	}
	s.step(b, "take", s.l.Update, func(tx *Tx) error { return tx.Take(seqs) })
	var waiting []Outgoing
	s.step(b, "waiting", s.l.View, func(tx *Tx) (err error) {
		waiting, err = waits(tx, []string{"outbox"}, time.Now(), lifeGroup)
		return err
	})
	if len(waiting) != lifeGroup {
		b.Fatalf("%d wait", len(waiting))
	}
	e := Envelope{ID: id.Random128[id.Envelope](), Address: "fl-lab.dat",
		RouteVersion: id.Hash(strings.Repeat("a", 64)), Size: 1 << 20, CRC32C: []uint32{1},
		Sealed:     time.Now(),
		Recipients: []Recipient{{Site: "CA-RC", Key: id.Hash(strings.Repeat("b", 64))}}}
	rows := make([]SealedMessage, len(list))
	outcomes := make([]Outcome, len(list))
	for i, m := range list {
		rows[i] = SealedMessage{m.Seq, m.UID, id.Hash(strings.Repeat("c", 64))}
		outcomes[i] = Outcome{UID: m.UID, Outcome: OutcomeDelivered}
	}
	s.step(b, "seal", s.l.Update, func(tx *Tx) error { return tx.Seal(e, rows, Taken) })
	s.step(b, "publish", s.l.Update, func(tx *Tx) error {
		return tx.Publish(e.ID, "incarnation", 1, time.Now())
	})
	s.step(b, "sent-in", s.l.View, func(tx *Tx) error { _, err := tx.SentIn(e.ID); return err })
	s.step(b, "answer", s.l.Update, func(tx *Tx) error {
		return tx.Answer(Answer{Envelope: e.ID, Site: "CA-RC", Receipt: strings.Repeat("r", 32<<10),
			Outcomes: outcomes, Time: time.Now()})
	})
	s.step(b, "unfiled", s.l.View, func(tx *Tx) (err error) {
		s.sent, err = tx.Unfiled("outbox", 0, lifeGroup)
		return err
	})
	if len(s.sent) != lifeGroup {
		b.Fatalf("%d are final", len(s.sent))
	}
	s.step(b, "filed", s.l.Update, func(tx *Tx) error { return tx.Filed(s.sent, time.Now()) })
}

func (s *life) receive(b *testing.B) {
	e := id.Random128[id.Envelope]()
	rows := make([]Received, len(s.sent))
	for i, m := range s.sent {
		rows[i] = Received{Sender: "FL-LAB", UID: m.UID, ID: m.ID, Envelope: e, Name: m.Name,
			Digest: id.Hash(strings.Repeat("c", 64)), Fingerprint: id.Hash(strings.Repeat("d", 64)),
			Size: 4096,
			Sent: m.Claimed, Temp: ".sealpost/tmp/" + string(e) + "/12", Path: "FL-LAB/" + m.Name,
			Time: time.Now()}
	}
	uids := make([]id.UID, len(rows))
	for i, r := range rows {
		uids[i] = r.UID
	}
	s.step(b, "begin", s.l.Update, func(tx *Tx) error {
		_, err := tx.Begin(e, "FL-LAB", time.Now())
		return err
	})
	s.step(b, "unknown", s.l.View, func(tx *Tx) error {
		known, err := tx.ReceivedOf("FL-LAB", uids)
		if len(known) > 0 {
			err = fmt.Errorf("%d are known", len(known))
		}
		return err
	})
	s.step(b, "place", s.l.Update, func(tx *Tx) error { return tx.Place(rows...) })
	s.step(b, "placed", s.l.Update, func(tx *Tx) error {
		if err := tx.Placed("FL-LAB", uids); err != nil {
			return err
		}
		return tx.Receipt(e, strings.Repeat("r", 32<<10), "target", reason.Reason{})
	})
	s.step(b, "settled", s.l.Update, func(tx *Tx) error { return tx.Settled(e, "target") })
}
