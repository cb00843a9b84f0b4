package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// forget deletes old rows without a rest.
func forget(t testing.TB, l *Ledger, before time.Time) Forgotten {
	t.Helper()
	n, err := l.Forget(t.Context(), before, func(time.Duration) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// count returns the number of rows of a query.
func count(t testing.TB, l *Ledger, from string) (n int) {
	t.Helper()
	view(t, l, func(tx *Tx) error { return tx.row("SELECT COUNT(*) FROM "+from, nil, &n) })
	return n
}

// deliver ends a taken message at a time, and files it.
func deliver(t testing.TB, l *Ledger, m Outgoing, at time.Time) id.Envelope {
	t.Helper()
	e := sealed(t, l, m, "CA-RC")
	update(t, l, func(tx *Tx) error {
		return errors.Join(tx.Publish(e, "i", 1, at), tx.Answer(Answer{Envelope: e, Site: "CA-RC",
			Receipt: "receipt", Time: at,
			Outcomes: []Outcome{{UID: m.UID, Outcome: OutcomeDelivered}}}))
	})
	fileAt(t, l, at)
	return e
}

func fileAt(t testing.TB, l *Ledger, at time.Time) {
	t.Helper()
	update(t, l, func(tx *Tx) error {
		list, err := tx.Unfiled("outbox", 0, 1000)
		return errors.Join(err, tx.Filed(list, at))
	})
}

// receive writes the row of a placed message and of its envelope.
func receive(t testing.TB, l *Ledger, sender id.Site, at time.Time) Received {
	t.Helper()
	r := Received{Sender: sender, UID: id.Random128[id.UID](), ID: "FL-LAB_DAT_20251008_001",
		Envelope: id.Random128[id.Envelope](), Name: "a", Digest: id.Hash(
			strings.Repeat(fmt.Sprintf("%016x", rand.Uint64()), 4)), Path: "a", Temp: "t", Time: at}
	update(t, l, func(tx *Tx) error {
		_, err := tx.Begin(r.Envelope, sender, at)
		return errors.Join(err, tx.Place(r), tx.Placed(sender, []id.UID{r.UID}),
			tx.Receipt(r.Envelope, "receipt", "target", reason.Reason{}),
			tx.Settled(r.Envelope, "target"))
	})
	return r
}

func TestOldRowsAreForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	old, young := day, day.AddDate(0, 1, 0)
	before := day.AddDate(0, 0, 20)
	deliver(t, l, taken(t, l, "old"), old)
	dropped := sealed(t, l, taken(t, l, "again"), "CA-RC")
	var moved Outgoing
	update(t, l, func(tx *Tx) error {
		list, err := tx.InEnvelope(dropped)
		moved = list[0]
		return errors.Join(err, tx.Drop(dropped, reason.Reason{}))
	})
	deliver(t, l, moved, young)
	withdrawn := claim(t, l, "withdrawn")
	update(t, l, func(tx *Tx) error {
		_, err := tx.Advance(withdrawn.UID, Claimed, Withdrawn, reason.Reason{})
		return err
	})
	waits := taken(t, l, "waits")
	update(t, l, func(tx *Tx) error { return tx.SetPin(Pin{Site: "CA-RC"}) })
	first, other := receive(t, l, "NY-LAB", old), receive(t, l, "SF-LAB", old)
	receive(t, l, "NY-LAB", young)
	unsettled := id.Random128[id.Envelope]()
	update(t, l, func(tx *Tx) error {
		_, err := tx.Begin(unsettled, "NY-LAB", old)
		return errors.Join(err, tx.Receipt(unsettled, "receipt", "target", reason.Reason{}))
	})
	view(t, l, func(tx *Tx) error {
		if since, err := tx.History(); !since.IsZero() || err != nil {
			t.Errorf("history since %v, %v", since, err)
		}
		return nil
	})

	want := Forgotten{Sent: 2, Envelopes: 1, Received: 2, Deliveries: 2}
	if n := forget(t, l, before); n != want {
		t.Errorf("forgotten %+v, want %+v", n, want)
	}
	if n := forget(t, l, before); n != (Forgotten{}) {
		t.Errorf("forgotten twice: %+v", n)
	}
	for from, want := range map[string]int{"message": 2, "envelope": 1, "recipient": 1,
		"outcome": 0, "received": 1, "delivery": 2, "known": 2, "pin": 1} {
		if n := count(t, l, from); n != want {
			t.Errorf("%s: %d rows, want %d", from, n, want)
		}
	}
	l.Close()
	l = open(t, path)
	view(t, l, func(tx *Tx) error {
		since, err := tx.History()
		known, err2 := tx.Known("NY-LAB", []id.UID{first.UID, other.UID})
		if err := errors.Join(err, err2); err != nil || !since.Equal(before) {
			t.Errorf("history since %v, %v", since, err)
		}
		if len(known) != 1 || !known[first.UID].IsOf(first.Digest) ||
			known[first.UID].IsOf(other.Digest) {
			t.Errorf("known: %v", known)
		}
		if m, err := tx.Message(string(waits.UID)); err != nil || m.State != Taken {
			t.Errorf("the waiting one: %v, %v", m.State, err)
		}
		return nil
	})
}

// A number stays used after its row is deleted, also without the second memory of the numbers.
func TestForgottenNumbersStayUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	var last Outgoing
	for range 3 {
		last = taken(t, l, "a")
		deliver(t, l, last, day)
	}
	forget(t, l, day.AddDate(1, 0, 0))
	update(t, l, func(tx *Tx) error {
		if older, err := tx.IsOlder("FL-LAB"); older || err != nil {
			t.Errorf("it counts as an older copy: %t, %v", older, err)
		}
		copied := last
		if added, err := tx.Adopt(&copied); added || !errors.Is(err, ErrForgotten) {
			t.Errorf("adopted: %t, %v", added, err)
		}
		copied.Number, copied.ID, copied.UID = 4, "FL-LAB_DAT_20251008_004", id.Random128[id.UID]()
		if added, err := tx.Adopt(&copied); !added || err != nil {
			t.Errorf("a message of a lost ledger is not adopted: %v", err)
		}
		return nil
	})
	l.Close()
	if err := os.Remove(filepath.Join(filepath.Dir(path), numbersFile)); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	update(t, l, func(tx *Tx) error { return tx.exec("DELETE FROM message") })
	if m := claim(t, l, "b"); m.Number != 4 {
		t.Errorf("number %d was used before", m.Number)
	}
}

// A message is under way as long as others need its row.
func TestNeededRowsAreNotForgotten(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	group := make([]Outgoing, 3)
	for i := range group {
		group[i] = Outgoing{UID: id.Random128[id.UID](), Tray: "outbox", Kind: "DAT", Name: "a",
			Address: "fl-lab.dat", Claimed: day}
	}
	how := claiming(1)
	how.Together = []int{3}
	update(t, l, func(tx *Tx) error {
		return errors.Join(tx.Claim(group, how), tx.Take([]int64{group[0].Seq, group[1].Seq,
			group[2].Seq}))
	})
	deliver(t, l, group[0], day)
	deliver(t, l, group[1], day)
	forget(t, l, day.AddDate(1, 0, 0))
	if n := count(t, l, "message"); n != 3 {
		t.Errorf("%d of a folder of which one message waits", n)
	}
	deliver(t, l, group[2], day)
	// requeued by the hub's admin: its receipt is to come
	requeued := taken(t, l, "requeued")
	e := sealed(t, l, requeued, "CA-RC")
	dead := Answer{Envelope: e, Site: "CA-RC", Time: day,
		Outcomes: []Outcome{{UID: requeued.UID, Outcome: OutcomeDead, Code: "expired"}}}
	update(t, l, func(tx *Tx) error {
		return errors.Join(tx.Publish(e, "i", 1, day), tx.Answer(dead),
			tx.Answer(Answer{Envelope: e, Site: "CA-RC", Requeued: true, Time: day}))
	})
	fileAt(t, l, day)
	forget(t, l, day.AddDate(1, 0, 0))
	if n := count(t, l, "message"); n != 1 {
		t.Errorf("%d messages stay, want the requeued one", n)
	}
	update(t, l, func(tx *Tx) error {
		return tx.Answer(Answer{Envelope: e, Site: "CA-RC", Receipt: "receipt", Time: day,
			Outcomes: []Outcome{{UID: requeued.UID, Outcome: OutcomeDelivered}}})
	})
	fileAt(t, l, day)
	forget(t, l, day.AddDate(1, 0, 0))
	if n := count(t, l, "message"); n != 0 {
		t.Errorf("%d messages stay", n)
	}
}

// After each day of random messages the ledger has the rows of the model. It knows all that were
// ever received.
func TestForgettingFollowsTheModel(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	sent, received := map[id.UID]time.Time{}, map[id.UID]time.Time{}
	var all []Received
	newest := id.UID("")
	for now := day; now.Before(day.AddDate(0, 0, 40)); now = now.AddDate(0, 0, 1) {
		for range random.IntN(5) {
			m := taken(t, l, "m")
			if random.IntN(4) == 0 {
				sent[m.UID] = now.AddDate(100, 0, 0) // it never ends
				continue
			}
			at := now.Add(-time.Duration(random.IntN(20)) * 24 * time.Hour)
			if at.Before(day) {
				at = day // of the claim
			}
			deliver(t, l, m, at)
			sent[m.UID] = at
		}
		for range random.IntN(100) {
			at := now.Add(-time.Duration(random.IntN(20)) * 24 * time.Hour)
			r := receive(t, l, []id.Site{"NY-LAB", "SF-LAB"}[random.IntN(2)], at)
			received[r.UID], newest = at, r.UID
			all = append(all, r)
		}
		before := now.AddDate(0, 0, -10)
		forget(t, l, before)
		for _, one := range []struct {
			table string
			times map[id.UID]time.Time
		}{{"message", sent}, {"received", received}} {
			want := 0
			for uid, at := range one.times {
				if !at.Before(before) || one.table == "received" && uid == newest {
					want++
				} else if one.table == "message" {
					delete(sent, uid)
				}
			}
			if n := count(t, l, one.table); n != want {
				t.Fatalf("%s: %d rows of %s, want %d", now, n, one.table, want)
			}
		}
	}
	view(t, l, func(tx *Tx) error {
		for _, r := range all {
			rows, err := tx.ReceivedOf(r.Sender, []id.UID{r.UID})
			known, err2 := tx.Known(r.Sender, []id.UID{r.UID})
			if err := errors.Join(err, err2); err != nil || len(rows)+len(known) != 1 ||
				len(known) == 1 && !known[r.UID].IsOf(r.Digest) {
				t.Fatalf("%s: %d rows, known %v, %v", r.UID, len(rows), known, err)
			}
		}
		return nil
	})
}

// A ledger of an earlier version gives space back at a start, and a new one while it runs.
func TestForgottenSpaceIsGivenBack(t *testing.T) {
	for _, version := range []string{"new", "earlier"} {
		t.Run(version, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.db")
			l := open(t, path)
			if version == "earlier" {
				l.Close()
				makeEarlier(t, path)
				l = open(t, path)
			}
			if err := l.NotCompact(); err != nil {
				t.Fatalf("a new one: %v", err)
			}
			kept := taken(t, l, "kept")
			for range 1000 {
				fill(t, l)
			}
			l.Close()
			full := size(t, path)
			l = open(t, path)
			forget(t, l, day.AddDate(1, 0, 0))
			l.Close()
			if version == "earlier" {
				if now := size(t, path); now != full {
					t.Errorf("%d bytes of %d: it was made compact while it ran", now, full)
				}
				write(t, path+compactSuffix, []byte("of a crash"))
			}
			l = open(t, path)
			if err := l.NotCompact(); err != nil {
				t.Fatal(err)
			}
			next := claim(t, l, "next")
			view(t, l, func(tx *Tx) error {
				m, err := tx.Message(string(kept.UID))
				if err != nil || m.State != Taken {
					t.Errorf("the rest is lost: %v, %v", m.State, err)
				}
				return nil
			})
			l.Close()
			if now := size(t, path); now > full/3 {
				t.Errorf("%d bytes of %d stay", now, full)
			}
			if next.Number != kept.Number+1 {
				t.Errorf("number %d after %d", next.Number, kept.Number)
			}
			if _, err := os.Stat(path + compactSuffix); err == nil {
				t.Error("the copy stays")
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
		})
	}
}

// fill writes the rows of 100 received messages with large receipts.
func fill(t *testing.T, l *Ledger) {
	t.Helper()
	update(t, l, func(tx *Tx) error {
		e := id.Random128[id.Envelope]()
		_, err := tx.Begin(e, "NY-LAB", day)
		return errors.Join(err, tx.Receipt(e, strings.Repeat("r", 24<<10), "", reason.Reason{}))
	})
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// makeEarlier gives a ledger the form of an earlier version, which gives no pages back.
func makeEarlier(t *testing.T, path string) {
	t.Helper()
	l := open(t, path)
	defer l.Close()
	update(t, l, func(*Tx) error { return nil })
	conn, err := l.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, query := range []string{"PRAGMA auto_vacuum = NONE", "VACUUM"} {
		if _, err := conn.ExecContext(context.Background(), query); err != nil {
			t.Fatal(err)
		}
	}
	var mode int
	if err := conn.QueryRowContext(t.Context(), "PRAGMA auto_vacuum").Scan(&mode); err != nil ||
		mode != 0 {
		t.Fatalf("mode %d, %v", mode, err)
	}
}

// A kill between two updates, or inside one, leaves a ledger that goes on.
func TestForgettingIsInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	var all []Received
	for range 3 * forgetGroup {
		all = append(all, receive(t, l, "NY-LAB", day))
	}
	stop := errors.New("stopped")
	steps := 0
	_, err := l.Forget(t.Context(), day.AddDate(1, 0, 0), func(time.Duration) error {
		if steps++; steps == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if n := count(t, l, "received"); n != forgetGroup {
		t.Errorf("%d rows after two steps", n)
	}
	failed := errors.New("failed")
	err = l.Update(t.Context(), func(tx *Tx) error {
		_, _, err := tx.forgetReceived(day.AddDate(1, 0, 0), place{})
		return errors.Join(err, failed)
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	l.Close()
	l = open(t, path)
	forget(t, l, day.AddDate(1, 0, 0))
	if n := count(t, l, "known"); n != 3*forgetGroup-1 {
		t.Errorf("%d known", n)
	}
	uids := make([]id.UID, len(all))
	for i, r := range all {
		uids[i] = r.UID
	}
	view(t, l, func(tx *Tx) error {
		known, err := tx.Known("NY-LAB", uids)
		if len(known) != len(all)-1 || err != nil {
			t.Errorf("%d known, %v", len(known), err)
		}
		return nil
	})
	if slices.Contains(uids, "") {
		t.Error("an empty identity")
	}
}

// BenchmarkForget reports the longest update, and the bytes of a received message that stay.
func BenchmarkForget(b *testing.B) {
	path := filepath.Join(b.TempDir(), "ledger.db")
	l := open(b, path)
	steps := life{l: l, took: map[string]time.Duration{}}
	for done := 0; done < b.N; done += lifeGroup {
		steps.send(b)
		steps.receive(b)
	}
	var longest, all time.Duration
	var updates int
	b.ResetTimer()
	n, err := l.Forget(b.Context(), time.Now().Add(time.Hour), func(took time.Duration) error {
		longest, all, updates = max(longest, took), all+took, updates+1
		return nil
	})
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	var pages float64
	if err := l.View(b.Context(), func(tx *Tx) error {
		return tx.row("SELECT CAST(SUM(pgsize) AS REAL) FROM dbstat WHERE name = 'known'", nil,
			&pages)
	}); err == nil {
		b.ReportMetric(pages/float64(max(1, n.Received)), "B/known")
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest")
	b.ReportMetric(float64(all.Microseconds())/1000/float64(max(1, updates)), "ms/update")
	b.ReportMetric(float64(n.Sent), "sent")
	b.ReportMetric(float64(n.Received), "received")
}
