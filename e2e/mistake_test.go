//go:build linux

package e2e

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// messageOf returns the id of the message that was claimed under this name.
func (s *site) messageOf(name string) (id string) {
	s.t.Helper()
	eventually(s.t, name+" is claimed", func() bool {
		s.query(func(r *sql.Rows) error { return r.Scan(&id) },
			`SELECT message_id FROM message WHERE name = ?`, name)
		return id != ""
	}, s.statusText)
	return id
}

// state returns the state of the message that was claimed under this name. Its envelope shows that
// it is published.
func (s *site) state(name string) (state string) {
	s.t.Helper()
	s.query(func(r *sql.Rows) error { return r.Scan(&state) }, `
		SELECT CASE WHEN m.state = 'sealed' AND e.state = 'published' THEN e.state ELSE m.state END
		FROM message m LEFT JOIN envelope e USING (envelope_id) WHERE m.name = ?`, name)
	return state
}

// A held file can be recalled. One that was not recalled goes out in time, and cannot be recalled
// any more.
func TestWhatIsHeldCanBeRecalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	const hold = 20 * time.Second // enough for a user, and for a machine that is busy
	edit(t, lab.config(), `hold = "0s"`, fmt.Sprintf("hold = %q", hold))
	lab.Start()
	began := time.Now()
	mistake := lab.Drop("a mistake.csv", smallFile)
	mistake.fate = recalled
	meant := lab.Drop("what was meant.csv", largeFile)
	id := lab.messageOf(mistake.name)
	out := sealpost(t, "agent", "recall", id, "--dir", lab.dir)
	if !strings.Contains(out, id+" is recalled") {
		t.Errorf("it says %q", out)
	}
	centre.Expect(lab, meant.name)
	if held := time.Since(began); held < hold {
		t.Errorf("it was held for %s", held)
	}
	for _, message := range []string{lab.messageOf(meant.name), id, "FL-LAB_DAT_20200101_001"} {
		if _, errs, code := run(t, "agent", "recall", message, "--dir", lab.dir); code == 0 ||
			!strings.Contains(errs, message) {
			t.Errorf("recalling %s: exit code %d, %q", message, code, errs)
		}
	}
	w.Audit()
}

// A small sealed file is on its way, also while the hub is gone: it cannot be recalled. A large one
// can until the hub has all of it.
func TestWhatIsSealedCannotBeRecalled(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.Drop("before.csv", smallFile)
	centre.Expect(lab, "before.csv")
	w.hub.Stop()
	large := lab.Drop("in time.csv", hugeFile)
	large.fate = recalled
	eventually(t, "it is begun", func() bool { return lab.state(large.name) == "sealed" },
		lab.statusText)
	if out := sealpost(t, "agent", "recall", lab.messageOf(large.name), "--dir",
		lab.dir); !strings.Contains(out, "is recalled") {
		t.Errorf("it says %q", out)
	}
	d := lab.Drop("too late.csv", smallFile)
	eventually(t, "it is sealed", func() bool { return lab.state(d.name) == "sealed" },
		lab.statusText)
	if _, errs, code := run(t, "agent", "recall", lab.messageOf(d.name), "--dir",
		lab.dir); code == 0 || !strings.Contains(errs, "cannot be recalled") {
		t.Errorf("exit code %d, %q", code, errs)
	}
	w.hub.Start()
	w.Audit()
}

// A delivered file goes to one more site, as a message of its own, and to no other site again.
func TestWhatWasDeliveredIsSentAgainToOneSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "nobody.*")
	lab := w.NewLab("FL-LAB", ca)
	edit(t, lab.config(), `folder_settle = "1m"`, `folder_settle = "0s"`)
	lab.Start()
	sealpost(t, "agent", "approve", "SF-RC", "--route", "@SF-RC", "--dir", lab.dir)
	drops := []*drop{lab.Drop("measurements.csv", largeFile),
		lab.DropFolder("run 7", "a", "analyse.sh", "empty/", "deep/er/b")}
	for _, d := range drops {
		eventually(t, d.name+" lies in delivered", func() bool {
			places, err := filepath.Glob(lab.at("delivered", "*", d.name))
			return err == nil && len(places) == 1
		}, lab.statusText)
		resent := *d
		resent.to = []*site{sf}
		w.drops = append(w.drops, &resent)
		sealpost(t, "agent", "resend", lab.messageOf(d.name), "--to", "SF-RC", "--dir", lab.dir)
	}
	if _, errs, code := run(t, "agent", "resend", lab.messageOf("measurements.csv"), "--to",
		"no site", "--dir", lab.dir); code == 0 || errs == "" {
		t.Errorf("exit code %d, %q", code, errs)
	}
	w.Audit()
}
