package agent_test

import (
	"path/filepath"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/agent/ledger"
)

// A lab whose hub has another past than before says so, and files travel all the same.
func TestTheHubHasAnotherPast(t *testing.T) {
	t.Parallel() // it waits more than it works
	_, lab, centre := labAndCentre(t)
	setting := func(s *site, change func(string) string) (stored string) {
		l, err := ledger.Open(filepath.Join(s.dir, "state", "ledger.db"))
		must(t, err)
		defer l.Close()
		must(t, l.Update(t.Context(), func(tx *ledger.Tx) (err error) {
			if stored, err = tx.Setting("audit-head"); err == nil {
				err = tx.Set("audit-head", change(stored))
			}
			return err
		}))
		return stored
	}
	eventually(t, "it is connected", func() bool { return lab.status().Link.Connected })
	if why := lab.status().Link.Audit; !why.IsZero() {
		t.Errorf("at first it says %s", why)
	}
	lab.stop()
	if stored := setting(lab, func(seen string) string {
		at := strings.Index(seen, `"hash":"`) + len(`"hash":"`)
		return seen[:at] + strings.Repeat("0", 64) + seen[at+64:]
	}); !strings.Contains(stored, `"block":`) {
		t.Fatalf("it remembers %q", stored)
	}
	lab.start()
	eventually(t, "the alarm", func() bool {
		return lab.status().Link.Audit.Code == "audit-rewritten"
	})
	eventually(t, "the status file has it", func() bool {
		return strings.Contains(lab.statusFile(), "THE HUB'S PAST")
	})
	lab.drop("data.csv", []byte("1;2"))
	centre.expect("FL-LAB", "data.csv", []byte("1;2"))
	if lab.status().Link.Audit.IsZero() {
		t.Error("the alarm is forgotten")
	}

	// the head in the answer to a receipt is compared, too
	must(t, centre.call(agent.PathRetry, agent.Nothing{}, nil)) // which says hello
	eventually(t, "the centre has compared the head of its receipt", func() bool {
		return centre.status().Link.Audit.IsZero()
	})
	centre.stop()
	setting(centre, func(seen string) string {
		return strings.TrimSuffix(seen, "}") +
			`,"receipt":{"block":1,"hash":"` + strings.Repeat("0", 64) + `"}}`
	})
	centre.start()
	eventually(t, "the alarm of the centre", func() bool {
		why := centre.status().Link.Audit
		return why.Code == "audit-rewritten" && strings.Contains(why.Args, `"block":1,`)
	})
}
