package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, path string) *Ledger {
	t.Helper()
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func update(t testing.TB, l *Ledger, do func(*Tx) error) {
	t.Helper()
	if err := l.Update(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, l *Ledger, do func(*Tx) error) {
	t.Helper()
	if err := l.View(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

var day = time.Date(2025, 10, 8, 12, 0, 0, 0, time.UTC)

// claiming returns a Claiming that keeps the test's identity.
func claiming(first int64) Claiming {
	return Claiming{Site: "FL-LAB", First: first, Identify: func(*Outgoing) {}}
}

// waits lists at most limit small messages to seal.
func waits(tx *Tx, trays []string, now time.Time, limit int) (list []Outgoing, err error) {
	err = tx.Waiting(trays, "fl-lab.dat", true, now, 0, func(m Outgoing) bool {
		list = append(list, m)
		return len(list) < limit
	})
	return list, err
}

func claimOne(tx *Tx, m *Outgoing, how Claiming) error {
	list := []Outgoing{*m}
	err := tx.Claim(list, how)
	*m = list[0]
	return err
}

func claim(t testing.TB, l *Ledger, name string) Outgoing {
	t.Helper()
	return claimIn(t, l, "outbox", name)
}

func claimIn(t testing.TB, l *Ledger, tray, name string) Outgoing {
	t.Helper()
	m := Outgoing{UID: id.Random128[id.UID](), Tray: tray, Kind: "DAT", Name: name,
		Source: Source{Size: 5, ModTime: 7, File: "1:2"}, Address: "fl-lab.dat", Claimed: day}
	rand.Read(m.FingerprintKey[:])
	update(t, l, func(tx *Tx) error { return claimOne(tx, &m, claiming(1)) })
	return m
}

func taken(t testing.TB, l *Ledger, name string) Outgoing {
	t.Helper()
	m := claim(t, l, name)
	update(t, l, func(tx *Tx) error { err := tx.Take([]int64{m.Seq}); return err })
	return m
}

func sealed(t testing.TB, l *Ledger, m Outgoing, sites ...id.Site) id.Envelope {
	t.Helper()
	e := Envelope{ID: id.Random128[id.Envelope](), Address: m.Address, RouteVersion: "rv",
		Size: 100, CRC32C: []uint32{1, 4294967295}, Sealed: day}
	for _, s := range sites {
		e.Recipients = append(e.Recipients, Recipient{Site: s, Key: "k"})
	}
	update(t, l, func(tx *Tx) error {
		return tx.Seal(e, []SealedMessage{{m.Seq, m.UID, "digest"}}, Taken)
	})
	return e.ID
}

func TestNumbersCountPerKindAndDay(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	number := func(kind string, at time.Time, first int64) id.Message {
		t.Helper()
		m := Outgoing{UID: id.Random128[id.UID](), Kind: kind, Name: "a", Address: "x", Claimed: at}
		update(t, l, func(tx *Tx) error { return claimOne(tx, &m, claiming(first)) })
		return m.ID
	}
	steps := []struct {
		got  id.Message
		want id.Message
	}{
		{number("DAT", day, 1), "FL-LAB_DAT_20251008_001"},
		{number("DAT", day, 1), "FL-LAB_DAT_20251008_002"},
		{number("RPT", day, 125), "FL-LAB_RPT_20251008_125"},
		{number("RPT", day, 125), "FL-LAB_RPT_20251008_126"},
		{number("DAT", day.Add(24*time.Hour), 1), "FL-LAB_DAT_20251009_001"},
		{number("DAT", day, 5), "FL-LAB_DAT_20251008_005"},
		{number("DAT", day, 1), "FL-LAB_DAT_20251008_006"},
		{number("DAT", day, 1500), "FL-LAB_DAT_20251008_1500"},
	}
	for _, s := range steps {
		if s.got != s.want {
			t.Errorf("got %s, want %s", s.got, s.want)
		}
	}
}

func TestWhatUpdateConfirmedIsThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "with space & ü?", "..", "ledger#1.db")
	l := open(t, path)
	m := taken(t, l, "data.csv")
	e := sealed(t, l, m, "CA-RC", "SF-RC")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	view(t, l, func(tx *Tx) error {
		got, err := tx.Message(string(m.ID))
		if err != nil {
			return err
		}
		if got.State != Sealed || got.Envelope != e || got.FingerprintKey != m.FingerprintKey ||
			got.Source != m.Source || !got.Claimed.Equal(day) {
			t.Errorf("got %+v", got)
		}
		env, err := tx.Envelope(e)
		if len(env.Recipients) != 2 || env.CRC32C[1] != 4294967295 {
			t.Errorf("got %+v", env)
		}
		return err
	})
}

// Close closes every connection: the last one merges the log into the ledger and removes it. On
// Windows an open connection would prevent a rename or removal of the ledger.
func TestACloseLetsGoOfTheFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	taken(t, l, "data.csv")
	view(t, l, func(tx *Tx) error { _, err := tx.Explained("outbox", 10); return err })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(path + "-*")
	if err != nil || len(left) > 0 {
		t.Errorf("left open: %v, %v", left, err)
	}
}

func TestAFailingUpdateTakesNothingElseWithIt(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	refused := errors.New("refused")
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			err := l.Update(context.Background(), func(tx *Tx) error {
				if err := tx.Set(fmt.Sprint("key", i), "value"); err != nil {
					return err
				}
				if i%3 == 0 {
					return refused
				}
				return nil
			})
			if (i%3 == 0) != errors.Is(err, refused) {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	view(t, l, func(tx *Tx) error {
		for i := range 200 {
			v, err := tx.Setting(fmt.Sprint("key", i))
			if err != nil {
				return err
			}
			if (i%3 == 0) != (v == "") {
				t.Errorf("key%d is %q", i, v)
			}
		}
		return nil
	})
}

func TestManyViewsAtOnceDoNotBlockEachOther(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			err := l.View(context.Background(), func(tx *Tx) error {
				// each query is new, so that statements are prepared while others read
				var n int64
				return tx.row(fmt.Sprintf("SELECT COUNT(*) + %d FROM message", i), nil, &n)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestUpdateAfterCloseIsRefused(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	l.Close()
	if err := l.Update(context.Background(), func(*Tx) error {
		return nil
	}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := l.View(context.Background(), func(*Tx) error {
		return nil
	}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestAMessageIsFinalOnlyWhenEveryRecipientAnswered(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	answer := func(e id.Envelope, uid id.UID, site id.Site, outcome string) {
		t.Helper()
		update(t, l, func(tx *Tx) error {
			sent, err := tx.SentIn(e)
			if err != nil {
				return err
			}
			receipt := "jws"
			if outcome == OutcomeDead {
				receipt = "" // the hub reported it
			}
			o := Outcome{UID: uid, Outcome: outcome,
				Elsewhere: !slices.ContainsFunc(sent, func(m SentMessage) bool {
					return m.UID == uid
				})}
			return tx.Answer(Answer{Envelope: e, Site: site, Receipt: receipt,
				Outcomes: []Outcome{o}, Time: day})
		})
	}
	state := func(m Outgoing) (State, reason.Reason) {
		t.Helper()
		var got Outgoing
		view(t, l, func(tx *Tx) error {
			var err error
			got, err = tx.Message(string(m.UID))
			return err
		})
		return got.State, got.Reason
	}
	t.Run("delivered", func(t *testing.T) {
		m := taken(t, l, "a")
		e := sealed(t, l, m, "CA-RC", "SF-RC")
		update(t, l, func(tx *Tx) error { return tx.Publish(e, "inc", 1, day) })
		answer(e, m.UID, "CA-RC", OutcomeDelivered)
		answer(e, m.UID, "CA-RC", OutcomeDelivered)
		if s, _ := state(m); s != Published {
			t.Fatalf("one of two answered: %s", s)
		}
		answer(e, m.UID, "SF-RC", OutcomeDelivered)
		if s, _ := state(m); s != Delivered {
			t.Fatalf("both answered: %s", s)
		}
	})
	t.Run("refused by one", func(t *testing.T) {
		m := taken(t, l, "b")
		e := sealed(t, l, m, "CA-RC", "SF-RC")
		answer(e, m.UID, "CA-RC", OutcomeRefused)
		if s, _ := state(m); s != Sealed {
			t.Fatalf("one of two answered: %s", s)
		}
		answer(e, m.UID, "SF-RC", OutcomeDelivered)
		want := reason.New("not-delivered", "sites", []id.Site{"CA-RC"})
		if s, why := state(m); s != Failed || why != want {
			t.Fatalf("got %s, %q", s, why)
		}
	})
	t.Run("an answer to a dropped envelope counts for the message", func(t *testing.T) {
		m := taken(t, l, "c")
		old := sealed(t, l, m, "CA-RC", "SF-RC")
		update(t, l, func(tx *Tx) error { return tx.Drop(old, reason.Reason{}) })
		if s, _ := state(m); s != Taken {
			t.Fatalf("dropped: %s", s)
		}
		answer(old, m.UID, "CA-RC", OutcomeDelivered)
		e := sealed(t, l, m, "CA-RC", "SF-RC")
		answer(e, m.UID, "SF-RC", OutcomeDelivered)
		if s, _ := state(m); s != Delivered {
			t.Fatalf("each answered one of the envelopes: %s", s)
		}
	})
	t.Run("a receipt outranks dead, and dead never outranks a receipt", func(t *testing.T) {
		m := taken(t, l, "d")
		e := sealed(t, l, m, "CA-RC", "SF-RC")
		answer(e, m.UID, "CA-RC", OutcomeDead)
		answer(e, m.UID, "CA-RC", OutcomeDelivered)
		answer(e, m.UID, "CA-RC", OutcomeDead)
		answer(e, m.UID, "SF-RC", OutcomeDelivered)
		if s, why := state(m); s != Delivered {
			t.Fatalf("got %s, %q", s, why)
		}
	})
	t.Run("what was signed for holds when its envelope is given up", func(t *testing.T) {
		m := taken(t, l, "f")
		old := sealed(t, l, m, "CA-RC", "SF-RC")
		answer(old, m.UID, "CA-RC", OutcomeDelivered)
		update(t, l, func(tx *Tx) error { return tx.Drop(old, reason.Reason{}) })
		e := sealed(t, l, m, "CA-RC", "SF-RC")
		answer(e, m.UID, "SF-RC", OutcomeDelivered)
		if s, _ := state(m); s != Delivered {
			t.Fatalf("got %s", s)
		}
		answer(e, m.UID, "CA-RC", OutcomeDelivered)
		var got []Outcome
		view(t, l, func(tx *Tx) (err error) { got, err = tx.Outcomes(m.UID); return err })
		if len(got) != 2 || got[0].Site != "CA-RC" || got[1].Site != "SF-RC" ||
			got[0].Outcome != OutcomeDelivered || got[1].Outcome != OutcomeDelivered {
			t.Fatalf("got %+v", got)
		}
		var receipts []Receipt
		view(t, l, func(tx *Tx) (err error) { receipts, err = tx.Receipts(m.UID); return err })
		if len(receipts) != 2 || receipts[0].Envelope != old || receipts[1].Envelope != e {
			t.Fatalf("the first receipt of each site: %+v", receipts)
		}
	})
	t.Run("a second receipt of another content changes nothing", func(t *testing.T) {
		m := taken(t, l, "g")
		e := sealed(t, l, m, "CA-RC", "SF-RC")
		answer(e, m.UID, "CA-RC", OutcomeDelivered)
		answer(e, m.UID, "CA-RC", OutcomeRefused)
		answer(e, m.UID, "SF-RC", OutcomeDelivered)
		if s, why := state(m); s != Delivered {
			t.Fatalf("got %s, %q", s, why)
		}
	})
	t.Run("a receipt in doubt ends nothing until it is believed", func(t *testing.T) {
		m := taken(t, l, "e")
		e := sealed(t, l, m, "CA-RC")
		update(t, l, func(tx *Tx) error {
			return tx.Answer(Answer{Envelope: e, Site: "CA-RC", Receipt: "jws",
				Doubt: reason.Text("another key"), Time: day})
		})
		var doubted []Answer
		view(t, l, func(tx *Tx) error {
			var err error
			doubted, _, err = tx.Doubted("CA-RC", 0, 10)
			return err
		})
		if s, _ := state(m); s != Sealed || len(doubted) != 1 || doubted[0].Receipt != "jws" {
			t.Fatalf("got %s, %+v", s, doubted)
		}
		answer(e, m.UID, "CA-RC", OutcomeDelivered)
		view(t, l, func(tx *Tx) error {
			var err error
			doubted, _, err = tx.Doubted("CA-RC", 0, 10)
			return err
		})
		if s, _ := state(m); s != Delivered || len(doubted) != 0 {
			t.Fatalf("got %s, %+v", s, doubted)
		}
	})
}

func TestPlacingKeepsTheFirstRowOfAMessage(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	r := Received{Sender: "FL-LAB", UID: "u", ID: "FL-LAB_DAT_20251008_001", Envelope: "e",
		Name: "a", Digest: "d1", Fingerprint: "f1", Temp: "t", Path: "FL-LAB/a", Time: day}
	update(t, l, func(tx *Tx) error { return tx.Place(r) })
	r.Path = "FL-LAB/a (FL-LAB_DAT_20251008_001)"
	update(t, l, func(tx *Tx) error { return tx.Place(r) })
	update(t, l, func(tx *Tx) error { return tx.Placed("FL-LAB", []id.UID{"u"}) })
	second := r
	second.Digest, second.Path = "d2", "elsewhere"
	update(t, l, func(tx *Tx) error { return tx.Place(second) })
	view(t, l, func(tx *Tx) error {
		got, err := tx.Received("FL-LAB", "u")
		if got.Path != r.Path || got.Digest != "d1" || !got.Placed || got.Temp != "" {
			t.Errorf("got %+v", got)
		}
		return err
	})
}

func TestTheFirstReceiptStaysAndIsSettledForEachDelivery(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	begin := func() (d Delivery) {
		t.Helper()
		update(t, l, func(tx *Tx) error {
			var err error
			d, err = tx.Begin("e", "FL-LAB", day)
			return err
		})
		return d
	}
	begin()
	if d := begin(); d.Attempts != 2 {
		t.Errorf("attempts: %d", d.Attempts)
	}
	var none reason.Reason
	update(t, l, func(tx *Tx) error { return tx.Receipt("e", "first", "delivery 1", none) })
	update(t, l, func(tx *Tx) error { return tx.Settled("e", "delivery 1") })
	if d := begin(); d.Attempts != 2 || d.Receipt != "first" || d.Target != "" {
		t.Errorf("got %+v", d)
	}
	update(t, l, func(tx *Tx) error { return tx.Receipt("e", "second", "delivery 2", none) })
	update(t, l, func(tx *Tx) error { return tx.Settled("e", "delivery 1") })
	view(t, l, func(tx *Tx) error {
		list, err := tx.Unsettled(10)
		if len(list) != 1 || list[0].Receipt != "first" || list[0].Target != "delivery 2" {
			t.Errorf("got %+v", list)
		}
		return err
	})
}

func TestALedgerOfALaterProgramIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	update(t, l, func(tx *Tx) error { return tx.exec("PRAGMA user_version = 99") })
	l.Close()
	if _, err := Open(path); err == nil {
		t.Error("it was opened")
	}
	if left, _ := filepath.Glob(path + "-*"); len(left) > 0 {
		t.Errorf("left open: %v", left)
	}
}

func BenchmarkUpdate(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "ledger.db"))
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m := Outgoing{UID: id.Random128[id.UID](), Kind: "DAT", Name: "a", Address: "x",
				Claimed: day}
			if err := l.Update(context.Background(), func(tx *Tx) error {
				return claimOne(tx, &m, claiming(1))
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A group is claimed in a few statements, and each message gets the number of its row.
func TestAGroupOfClaims(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	for _, n := range []int{1, insertRows - 1, insertRows, 2*insertRows + 3} {
		list := make([]Outgoing, n)
		for i := range list {
			list[i] = Outgoing{Tray: "outbox", Kind: "DAT", Name: fmt.Sprintf("%d of %d", i, n),
				Address: "fl-lab.dat", Claimed: day}
		}
		how := claiming(1)
		how.Identify = func(m *Outgoing) { m.UID = id.Random128[id.UID]() }
		update(t, l, func(tx *Tx) error { return tx.Claim(list, how) })
		for i, m := range list {
			if i > 0 && (m.Number != list[i-1].Number+1 || m.Seq != list[i-1].Seq+1) {
				t.Fatalf("after %+v comes %+v", list[i-1], m)
			}
			view(t, l, func(tx *Tx) error {
				row, err := tx.Message(string(m.UID))
				if row.Seq != m.Seq || row.ID != m.ID || row.Number != m.Number ||
					row.Name != m.Name || row.State != Claimed {
					t.Errorf("claimed %+v, and its row is %+v", m, row)
				}
				return err
			})
		}
	}
}

// A failing update that is the only one of its commit has no savepoint, and still changes nothing.
func TestAnUpdateAloneThatFailsLeavesNothing(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	no := errors.New("no")
	err := l.Update(t.Context(), func(tx *Tx) error {
		if err := tx.Set("a", "b"); err != nil {
			return err
		}
		return no
	})
	if !errors.Is(err, no) {
		t.Fatalf("got %v", err)
	}
	view(t, l, func(tx *Tx) error {
		if value, err := tx.Setting("a"); err != nil || value != "" {
			t.Errorf("it is there: %q, %v", value, err)
		}
		return nil
	})
	update(t, l, func(tx *Tx) error { return tx.Set("a", "c") })
}

// Messages of several claims can be sealed together, all or none of them.
func TestSealingIsOfAllOrNone(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	var list []Outgoing
	for i := range 7 {
		list = append(list, taken(t, l, fmt.Sprint(i)))
	}
	row := func(i int) SealedMessage {
		return SealedMessage{list[i].Seq, list[i].UID, id.Hash(fmt.Sprint("digest ", i))}
	}
	seal := func(rows ...SealedMessage) (id.Envelope, error) {
		e := Envelope{ID: id.Random128[id.Envelope](), Address: "fl-lab.dat", Sealed: day,
			Recipients: []Recipient{{Site: "CA-RC", Key: "k"}}}
		return e.ID, l.Update(t.Context(), func(tx *Tx) error { return tx.Seal(e, rows, Taken) })
	}
	other := row(1)
	other.UID = list[2].UID
	for name, rows := range map[string][]SealedMessage{
		"another's identity":      {row(0), other},
		"a row that is not there": {row(0), {list[6].Seq + 1, list[6].UID, "d"}},
		"twice":                   {row(0), row(0)},
	} {
		if _, err := seal(rows...); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e, err := seal(row(0), row(1), row(4), row(6), row(5))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal(row(2), row(4)); !errors.Is(err, ErrNotFound) {
		t.Errorf("what is sealed already: %v", err)
	}
	view(t, l, func(tx *Tx) error {
		for i, m := range list {
			got, err := tx.Message(string(m.UID))
			if err != nil {
				return err
			}
			in := i != 2 && i != 3
			if in && (got.State != Sealed || got.Envelope != e || got.Digest != row(i).Digest) ||
				!in && (got.State != Taken || got.Envelope != "" || got.Digest != "") {
				t.Errorf("%d: %+v", i, got)
			}
		}
		return nil
	})
}

// TestDoubtedReceiptsAreReadPageByPage reads every receipt in doubt once, while those before it are
// believed.
func TestDoubtedReceiptsAreReadPageByPage(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	uids := map[id.Envelope]id.UID{}
	for i := range 5 {
		m := taken(t, l, fmt.Sprint(i))
		e := sealed(t, l, m, "CA-RC", "SF-RC")
		uids[e] = m.UID
		update(t, l, func(tx *Tx) error {
			a := Answer{Envelope: e, Site: "CA-RC", Receipt: "jws", Time: day,
				Doubt: reason.Text("another key")}
			b := a
			b.Site = "SF-RC"
			return errors.Join(tx.Answer(a), tx.Answer(b))
		})
	}
	for after := int64(0); ; {
		var page []Answer
		view(t, l, func(tx *Tx) (err error) {
			page, after, err = tx.Doubted("CA-RC", after, 2)
			return err
		})
		if len(page) == 0 {
			break
		}
		for _, a := range page {
			uid, ok := uids[a.Envelope]
			if !ok || a.Site != "CA-RC" {
				t.Errorf("%s of %s is listed twice", a.Envelope, a.Site)
			}
			delete(uids, a.Envelope)
			update(t, l, func(tx *Tx) error {
				return tx.Answer(Answer{Envelope: a.Envelope, Site: a.Site, Receipt: "jws",
					Time: day, Outcomes: []Outcome{{UID: uid, Outcome: OutcomeDelivered}}})
			})
		}
	}
	if len(uids) > 0 {
		t.Errorf("not listed: %v", uids)
	}
}

// TestTheFirstProposalReplacesNoApproval approves other sites between the look at an approval and
// the proposal.
func TestTheFirstProposalReplacesNoApproval(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	update(t, l, func(tx *Tx) error { return tx.Approve("fl-lab.dat", nil) })
	update(t, l, func(tx *Tx) error { return tx.Approve("fl-lab.dat", []id.Site{"CA-RC"}) })
	update(t, l, func(tx *Tx) error {
		sites, err := tx.ApproveFirst("fl-lab.dat", []id.Site{"CA-RC", "SF-RC"})
		if err == nil && !slices.Equal(sites, []id.Site{"CA-RC"}) {
			t.Errorf("approved are %v", sites)
		}
		return err
	})
	view(t, l, func(tx *Tx) error {
		sites, first, err := tx.Approval("fl-lab.dat")
		if err == nil && (first || !slices.Equal(sites, []id.Site{"CA-RC"})) {
			t.Errorf("approved are %v, first proposal %t", sites, first)
		}
		return err
	})
}

// TestTheLatestReceivedAreByTheirTime writes rows in another order than the messages came, as after
// the loss of a ledger. The latest of all is not placed yet.
func TestTheLatestReceivedAreByTheirTime(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	for i, hours := range []int{2, 3, 1, 4} {
		r := Received{Sender: "FL-LAB", UID: id.UID(fmt.Sprint(i)), ID: "FL-LAB_DAT_20251008_001",
			Envelope: "e", Temp: "t", Path: fmt.Sprint(hours),
			Time: day.Add(time.Duration(hours) * time.Hour)}
		update(t, l, func(tx *Tx) error {
			if err := tx.Place(r); err != nil || hours == 4 {
				return err
			}
			return tx.Placed(r.Sender, []id.UID{r.UID})
		})
	}
	view(t, l, func(tx *Tx) error {
		list, err := tx.LatestReceived(2)
		if err == nil && (len(list) != 2 || list[0].Path != "3" || list[1].Path != "2") {
			t.Errorf("the latest are %+v", list)
		}
		return err
	})
}
