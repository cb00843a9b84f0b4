package ledger

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"sealpost/internal/reason"
)

// formerLedger makes a ledger of format 4, with rows of each text in each table.
func formerLedger(t *testing.T, path string, texts []string) {
	t.Helper()
	db, err := sql.Open("sqlite", fileURL(path))
	if err != nil {
		t.Fatal(err)
	}
	do := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range steps[:4] {
		do(step)
	}
	do("PRAGMA user_version = 4")
	for i, text := range texts {
		do(`INSERT INTO message (uid, message_id, kind, day, number, name, type, fingerprint_key,
			size, entries, mtime, file, executable, address, dir, claimed, due, state, reason)
			VALUES (?1,?1,'DAT','20251008',1,'a','file',x'01',5,1,7,'1:2',0,'fl-lab.dat','',1,1,
			'taken',?2)`, fmt.Sprint("u", i), text)
		do(`INSERT INTO envelope (envelope_id, address, route_version, size, crc32c, file, state,
			sealed) VALUES (?,'fl-lab.dat','rv',5,'[1]','','published',1)`, fmt.Sprint("e", i))
		do(`INSERT INTO recipient (envelope_id, site, key, receipt, doubt)
			VALUES (?,'CA-RC','k','jws',?)`, fmt.Sprint("e", i), text)
		do(`INSERT INTO pin (site, identity, recipient_key, version, statement, seen, trouble)
			VALUES (?,'i','r',1,'s',1,?)`, fmt.Sprint("S", i), text)
		do(`INSERT INTO delivery (envelope_id, sender, attempts, detail, time)
			VALUES (?,'FL-LAB',1,?,1)`, fmt.Sprint("e", i), text)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A ledger that held texts keeps them. Those that programs compare get their codes.
func TestALedgerOfTextsGoesOn(t *testing.T) {
	cases := []struct {
		text string
		want reason.Reason
	}{
		{"", reason.Reason{}},
		{`it is "late": {so} it's ü`, reason.Text(`it is "late": {so} it's ü`)},
		{formerTexts[0].text, reason.New(reason.LedgerLost)},
		{formerTexts[1].text, reason.New(reason.LedgerLost)},
		{formerTexts[2].text, reason.New(reason.RecalledAfterLoss)},
		{"it shows another identity key", reason.New("other-identity")},
		{"its recipient key is the one of SF-RC", reason.New("shared-key", "site", "SF-RC")},
		{"not delivered to CA-RC", reason.New("not-delivered", "sites", []string{"CA-RC"})},
		{"not delivered to CA-RC, SF-RC",
			reason.New("not-delivered", "sites", []string{"CA-RC", "SF-RC"})},
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	texts := make([]string, len(cases))
	for i, c := range cases {
		texts[i] = c.text
	}
	formerLedger(t, path, texts)
	l := open(t, path)
	view(t, l, func(tx *Tx) error {
		for i, c := range cases {
			m, err := tx.Message(fmt.Sprint("u", i))
			if err != nil || m.Reason != c.want {
				t.Errorf("%q: the message has %+v, %v", c.text, m.Reason, err)
			}
		}
		pins, err := tx.Pins()
		if err != nil || len(pins) != len(cases) {
			t.Fatalf("%d pins, %v", len(pins), err)
		}
		doubted, _, err := tx.Doubted("CA-RC", 0, 100)
		if err != nil || len(doubted) != len(cases)-1 {
			t.Fatalf("%d receipts in doubt, %v", len(doubted), err)
		}
		refused, err := tx.Refusals(100)
		if err != nil || len(refused) != len(cases)-1 {
			t.Fatalf("%d refusals, %v", len(refused), err)
		}
		for i, c := range cases {
			if pins[i].Trouble != c.want {
				t.Errorf("%q: the pin has %+v", c.text, pins[i].Trouble)
			}
			if i > 0 && doubted[i-1].Doubt != c.want {
				t.Errorf("%q: the receipt has %+v", c.text, doubted[i-1].Doubt)
			}
			d, err := tx.Delivery(refused[max(i-1, 0)].Envelope)
			if i > 0 && (err != nil || d.Detail != refused[i-1].Detail || d.Detail.IsZero()) {
				t.Errorf("%q: the delivery has %+v, %v", c.text, d, err)
			}
		}
		return nil
	})
	var waiting []Outgoing
	view(t, l, func(tx *Tx) (err error) { waiting, err = tx.Explained("outbox", 100); return err })
	if len(waiting) != len(cases)-1 {
		t.Errorf("%d messages are explained", len(waiting))
	}
}

// A reason of any arguments survives its column.
func TestReasonsAreKept(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := reason.New("text", "text", rapid.String().Draw(r, "text"))
		if rapid.Bool().Draw(r, "bare") {
			want = reason.New(reason.LedgerLost)
		}
		var got reason.Reason
		if err := (*column)(&got).Scan(stored(want)); err != nil || got != want {
			r.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	})
}
