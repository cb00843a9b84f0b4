package ledger

import (
	"context"
	"database/sql"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/internal/reason"
)

// firstLedger makes a ledger of the first version, with its tables, indexes and three messages.
func firstLedger(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(tables + `
CREATE INDEX message_final ON message (state, finished) WHERE state IN ('delivered','failed');
CREATE INDEX message_explained ON message (seq) WHERE reason <> '' AND state IN ('claimed','taken');
INSERT INTO message (uid, message_id, kind, day, number, name, type, fingerprint_key, size, entries,
	mtime, file, executable, address, dir, claimed, due, state, reason, finished)
VALUES ('u1','FL-LAB_DAT_20251008_001','DAT','20251008',1,'waits','file',x'01',5,1,7,'1:2',0,
	'fl-lab.dat','',1,1,'taken','late',0),
       ('u2','FL-LAB_DAT_20251008_002','DAT','20251008',2,'done','file',x'02',5,1,7,'1:3',0,
	'fl-lab.dat','',1,1,'delivered','',9),
       ('u3','FL-LAB_DAT_20251008_003','DAT','20251008',3,'taking','file',x'03',5,1,7,'1:4',0,
	'@CA-RC','@CA-RC',1,1,'claimed','',0);
INSERT INTO envelope (envelope_id, address, route_version, size, crc32c, file, state, sealed)
VALUES ('e1','fl-lab.dat','rv',5,'[1]','','published',1);
UPDATE message SET envelope_id = 'e1' WHERE uid = 'u2';
INSERT INTO recipient (envelope_id, site, key, receipt, believed, time)
VALUES ('e1','CA-RC','k','jws',1,9), ('e1','SF-RC','k','',0,0);
INSERT INTO outcome VALUES ('u2','CA-RC','delivered','',9);
INSERT INTO delivery VALUES ('e9','TX-LAB',2,'jws','{}','',5);
INSERT INTO received VALUES ('TX-LAB','r2','TX-LAB_DAT_20251008_002','e9','late','d','f',5,1,'t2',
	'TX-LAB/late','placing',6),
                            ('TX-LAB','r1','TX-LAB_DAT_20251008_001','e9','soon','d','f',5,1,'',
	'TX-LAB/soon','placed',5);
PRAGMA user_version = 1;`)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// shape returns the tables and indexes of a ledger.
func shape(t *testing.T, l *Ledger) (parts []string) {
	t.Helper()
	view(t, l, func(tx *Tx) error {
		return tx.rows("SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM "+
			"sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1", nil,
			func(rows *sql.Rows) error {
				var part string
				err := rows.Scan(&part)
				parts = append(parts, part)
				return err
			})
	})
	return parts
}

func TestALedgerOfTheFirstProgramGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	firstLedger(t, path)
	l := open(t, path)
	if got, want := shape(t, l),
		shape(t, open(t, filepath.Join(t.TempDir(), "ledger.db"))); !slices.Equal(got, want) {
		t.Errorf("it is made of\n%s\nand a new one of\n%s", strings.Join(got, "\n"),
			strings.Join(want, "\n"))
	}
	view(t, l, func(tx *Tx) error {
		for _, uid := range []string{"u1", "u2", "u3"} {
			if m, err := tx.Message(uid); err != nil || m.Tray != "outbox" ||
				m.FingerprintKey[0] == 0 || m.Source.ModTime != 7 {
				t.Errorf("%s: got %+v, %v", uid, m, err)
			}
		}
		waiting, err := waits(tx, []string{"outbox"}, day, 10)
		if err != nil || !slices.Equal(names(waiting), []string{"waits"}) {
			t.Errorf("waiting: %v, %v", names(waiting), err)
		}
		unfiled, err := tx.Unfiled("outbox", 0, 10)
		if err != nil || !slices.Equal(names(unfiled), []string{"done"}) {
			t.Errorf("unfiled: %v, %v", names(unfiled), err)
		}
		outcomes, err := tx.Outcomes("u2")
		if err != nil || len(outcomes) != 1 || outcomes[0].Site != "CA-RC" ||
			outcomes[0].Outcome != OutcomeDelivered {
			t.Errorf("outcomes: %+v, %v", outcomes, err)
		}
		e, err := tx.Envelope("e1")
		if err != nil || len(e.Recipients) != 2 || e.Recipients[0].Receipt != "jws" ||
			!e.Recipients[0].Believed || e.Recipients[1].Believed {
			t.Errorf("envelope: %+v, %v", e, err)
		}
		d, err := tx.Delivery("e9")
		if err != nil || d.Receipt != "jws" || d.Target != "{}" || d.Attempts != 2 {
			t.Errorf("delivery: %+v, %v", d, err)
		}
		latest, err := tx.LatestReceived(10)
		if err != nil || len(latest) != 1 || latest[0].UID != "r1" || !latest[0].Placed {
			t.Errorf("received: %+v, %v", latest, err)
		}
		placing, err := tx.Placing(0, 10)
		if err != nil || len(placing) != 1 || placing[0].UID != "r2" || placing[0].Placed {
			t.Errorf("placing: %+v, %v", placing, err)
		}
		return nil
	})
	next := claimIn(t, l, "sequencer", "next")
	if next.Number != 4 {
		t.Errorf("the next message is %s", next.ID)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	view(t, open(t, path), func(tx *Tx) error {
		if m, err := tx.Message(string(next.UID)); err != nil || m.Tray != "sequencer" {
			t.Errorf("opened again: got %+v, %v", m, err)
		}
		return nil
	})
}

// A failing step changes nothing, and the next attempt starts at the same step.
func TestAStepHappensAsAWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	firstLedger(t, path)
	spoil := func(statement string) {
		t.Helper()
		db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	spoil("DROP INDEX message_unfiled") // the step replaces it half way
	if l, err := Open(path); err == nil || !strings.Contains(err.Error(), "bring it to format 2") {
		l.Close()
		t.Fatalf("opened: %v", err)
	}
	spoil("CREATE INDEX message_unfiled ON message (seq) WHERE filed = 0 AND state IN " +
		"('delivered','failed')")
	view(t, open(t, path), func(tx *Tx) error {
		m, err := tx.Message("u1")
		if m.Tray != "outbox" {
			t.Errorf("got %+v", m)
		}
		return err
	})
}

func TestTraysAreKeptApartAndCountTogether(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	for _, tray := range []string{"outbox", "sequencer", "gone"} {
		for _, name := range []string{"claimed", "taken", "failed"} {
			m := claimIn(t, l, tray, name+" in "+tray)
			update(t, l, func(tx *Tx) error {
				if name != "claimed" {
					if _, err := tx.Advance(m.UID, Claimed, Taken, reason.Text("why")); err != nil {
						return err
					}
				}
				if name == "failed" {
					return tx.Fail(m.UID, reason.Text("no"), day)
				}
				return nil
			})
		}
	}
	view(t, l, func(tx *Tx) error {
		for question, list := range map[string]func() ([]Outgoing, error){
			"claimed in sequencer": func() ([]Outgoing, error) {
				return tx.Claimed("sequencer", 0, 10)
			},
			"taken in sequencer": func() ([]Outgoing, error) {
				return tx.Explained("sequencer", 10)
			},
			"failed in sequencer": func() ([]Outgoing, error) {
				return tx.Unfiled("sequencer", 0, 10)
			},
			"failed in gone": func() ([]Outgoing, error) {
				return tx.LatestFinal("gone", Failed, 10)
			},
		} {
			if got, err := list(); err != nil || !slices.Equal(names(got), []string{question}) {
				t.Errorf("%s: got %v, %v", question, names(got), err)
			}
		}
		for _, c := range []struct {
			trays []string
			want  []string
		}{{nil, nil}, {[]string{"gone"}, []string{"taken in gone"}},
			{[]string{"sequencer", "outbox"}, []string{"taken in outbox", "taken in sequencer"}}} {
			if got, err := waits(tx, c.trays, day.Add(time.Hour), 10); err != nil ||
				!slices.Equal(names(got), c.want) {
				t.Errorf("waiting in %v: got %v, %v", c.trays, names(got), err)
			}
		}
		unfiled, err := tx.UnfiledByTray()
		if err != nil ||
			!maps.Equal(unfiled, map[string]int64{"outbox": 1, "sequencer": 1, "gone": 1}) {
			t.Errorf("unfiled: %v, %v", unfiled, err)
		}
		last, err := tx.Latest(1)
		if err != nil || last[0].Number != 9 {
			t.Errorf("the last of nine is %v, %v", last, err)
		}
		return nil
	})
}
