//go:build linux

package e2e

import (
	"bytes"
	"database/sql"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateGolden = flag.Bool("update-golden", false, "write e2e/testdata/*.golden anew")

// journal makes the ledger note each change of a row's state, in the order of its commits.
const journal = `
CREATE TABLE journal (seq INTEGER PRIMARY KEY, line TEXT NOT NULL);
CREATE TRIGGER journal_claim AFTER INSERT ON message BEGIN
  INSERT INTO journal (line) VALUES (NEW.name || ' ' || NEW.state); END;
CREATE TRIGGER journal_message AFTER UPDATE OF state, filed, reason ON message
  WHEN OLD.state <> NEW.state OR OLD.filed <> NEW.filed OR OLD.reason <> NEW.reason BEGIN
  INSERT INTO journal (line) VALUES (NEW.name || ' ' || NEW.state || iif(NEW.filed, ' filed', '')
    || iif(NEW.reason = '', '', ': ' || NEW.reason)); END;
CREATE TRIGGER journal_seal AFTER INSERT ON envelope BEGIN
  INSERT INTO journal (line)
  VALUES ('envelope ' || NEW.state || iif(NEW.file = '', '', ' in a file')); END;
CREATE TRIGGER journal_envelope AFTER UPDATE OF state ON envelope WHEN OLD.state <> NEW.state BEGIN
  INSERT INTO journal (line) VALUES ('envelope ' || NEW.state); END;
CREATE TRIGGER journal_answer AFTER UPDATE OF believed ON recipient
  WHEN OLD.believed <> NEW.believed BEGIN
  INSERT INTO journal (line) VALUES ('a recipient believed'); END;`

// TestTheStepsOfAFile compares the steps and rows of one scenario, in their order, with those that
// are noted. Steps of files that go on at the same time come in any order, so that each file goes
// alone.
func TestTheStepsOfAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lab := w.NewLab("FL-LAB", w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "fl-lab.*"))
	edit(t, lab.config(), `folder_settle = "1m"`, `folder_settle = "0s"`)
	lab.Start()
	lab.Stop()
	lab.exec(journal)
	var all bytes.Buffer
	filed := func(drops ...*drop) {
		t.Helper()
		eventually(t, "everything is delivered", func() bool {
			return !slices.ContainsFunc(drops, func(d *drop) bool {
				return lab.sum(`SELECT count(*) FROM message WHERE filed AND state = `+
					`'delivered' AND name = '`+d.name+`'`) == 0
			})
		}, lab.statusText)
	}
	w.hub.Stop()
	three := []*drop{lab.Drop("a.csv", smallFile), lab.Drop("b.csv", smallFile),
		lab.Drop("c.csv", smallFile)}
	lab.trace(&all, "three small files, and no hub at first", func() {
		eventually(t, "they wait", func() bool {
			return lab.sum(`SELECT count(*) FROM message WHERE state = 'taken'`) == 3
		})
		w.hub.Start()
		filed(three...)
	})
	lab.trace(&all, "a small file while sealers are free", func() {
		eventually(t, "the lab is connected", func() bool { return lab.Status().Link.Connected })
		filed(lab.Drop("first.csv", smallFile))
		lab.exec("DELETE FROM journal")
		must(t, os.Remove(lab.steps()))
		filed(lab.Drop("second.csv", smallFile))
	})
	huge := lab.Drop("huge.bin", hugeFile)
	lab.trace(&all, "a large file", func() { filed(huge) })
	folder := lab.DropFolder("run 1", "x.csv", "deep/y.csv")
	lab.trace(&all, "a folder", func() { filed(folder) })
	edit(t, lab.config(), `hold = "0s"`, `hold = "1h"`)
	mistake := lab.Drop("mistake.csv", smallFile)
	mistake.fate = recalled
	lab.trace(&all, "a recall", func() {
		eventually(t, "it is taken", func() bool {
			return lab.sum(`SELECT count(*) FROM message WHERE state = 'taken'`) == 1
		})
		sealpost(t, "agent", "recall", lab.messageOf(mistake.name), "--dir", lab.dir)
		eventually(t, "it is filed", func() bool {
			return lab.sum(`SELECT count(*) FROM message WHERE filed AND state = 'failed'`) == 1
		})
	})
	edit(t, lab.config(), `hold = "1h"`, `hold = "0s"`)
	lab.exec("DROP TRIGGER journal_claim; DROP TRIGGER journal_message; DROP TRIGGER " +
		"journal_seal; DROP TRIGGER journal_envelope; DROP TRIGGER journal_answer; DROP TABLE " +
		"journal")
	golden := filepath.Join("testdata", "steps.golden")
	if *updateGolden {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(golden, all.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if !bytes.Equal(all.Bytes(), want) {
		t.Errorf("the steps are\n%s\nand were\n%s", all.Bytes(), want)
	}
	lab.Start()
	w.Audit()
}

// steps returns the path of the agent's list of steps.
func (s *site) steps() string { return filepath.Join(s.w.dir, "steps") }

// trace runs the agent until a story's part has ended, and writes down its steps and the rows.
func (s *site) trace(to *bytes.Buffer, name string, until func()) {
	s.t.Helper()
	path := s.steps()
	s.Start("SEALPOST_TRACE=" + path)
	until()
	s.Stop()
	steps, err := os.ReadFile(path)
	must(s.t, err)
	must(s.t, os.Remove(path))
	fmt.Fprintf(to, "# %s\n", name)
	// Sending and answering go on at the same time.
	answered := []string{"outbox-settled", "outbox-final", "outbox-explained", "outbox-filed"}
	var sends, follows []string
	for _, step := range strings.Fields(string(steps)) {
		switch {
		// it is passed for news of routes, too
		case !strings.HasPrefix(step, "outbox-"), step == "outbox-answered":
		case slices.Contains(answered, step):
			follows = append(follows, step)
		default:
			sends = append(sends, step)
		}
	}
	fmt.Fprintf(to, "steps: %s\n", strings.Join(slices.Compact(sends), " "))
	fmt.Fprintf(to, "answers: %s\n", strings.Join(slices.Compact(follows), " "))
	s.query(func(r *sql.Rows) error {
		var line string
		err := r.Scan(&line)
		fmt.Fprintf(to, "row: %s\n", line)
		return err
	}, "SELECT line FROM journal ORDER BY seq")
	s.exec("DELETE FROM journal")
	to.WriteByte('\n')
}

// exec changes the ledger.
func (s *site) exec(statements string) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+
		(&url.URL{Path: s.at("state", "ledger.db")}).EscapedPath()+"?_pragma=busy_timeout(10000)")
	must(s.t, err)
	defer db.Close()
	_, err = db.Exec(statements)
	must(s.t, err)
}
