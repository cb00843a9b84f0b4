package outbox

import (
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
)

func identified(o *Outbox, day time.Time, kind string, number int64, name string) ledger.Outgoing {
	m := ledger.Outgoing{ID: id.FormatMessage("FL-LAB", kind, day, number), Kind: kind,
		Day: day.Format("20060102"), Number: number, Name: name,
		Source: ledger.Source{Size: 1, ModTime: 2}}
	o.identify(&m)
	return m
}

// Identities grow with day and number, so that an index is written at its end. After the loss of a
// ledger a message gets the same one again; another secret, message or source makes another.
func TestIdentities(t *testing.T) {
	o, other := &Outbox{secret: make([]byte, secretSize)},
		&Outbox{secret: append(make([]byte, secretSize-1), 1)}
	day := time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC)
	var before id.UID
	for _, next := range []struct {
		day    time.Time
		number int64
	}{{day, 1}, {day, 2}, {day, 255}, {day, 256}, {day, 70_000}, {day.AddDate(0, 0, 1), 1},
		{day.AddDate(0, 0, 2), 1}, {day.AddDate(20, 0, 0), 1}} {
		m := identified(o, next.day, "DAT", next.number, "data.csv")
		if m.UID <= before {
			t.Errorf("%s comes before %s", m.UID, before)
		}
		before = m.UID
		if uid, err := id.Parse128[id.UID](string(m.UID)); err != nil || uid != m.UID {
			t.Errorf("%s: %v", m.UID, err)
		}
	}
	m := identified(o, day, "DAT", 1, "data.csv")
	if repeated := identified(o, day, "DAT", 1, "data.csv"); repeated.UID != m.UID ||
		repeated.FingerprintKey != m.FingerprintKey {
		t.Errorf("%s became %s", m.UID, repeated.UID)
	}
	for name, n := range map[string]ledger.Outgoing{
		"secret": identified(other, day, "DAT", 1, "data.csv"), "kind": identified(o, day, "RPT", 1,
			"data.csv"), "name": identified(o, day, "DAT", 1, "data.txt")} {
		if n.UID == m.UID || n.UID[:12] != m.UID[:12] || n.UID[12:] == m.UID[12:] ||
			n.FingerprintKey == m.FingerprintKey {
			t.Errorf("another %s makes %s of %s", name, n.UID, m.UID)
		}
	}
}
