//go:build linux

package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkIdleWatch measures an agent that watches unfinished files. There are 100,000 of them in
// 1,000 folders of its outbox.
func BenchmarkIdleWatch(b *testing.B) {
	bin, err := plainProgram()
	must(b, err)
	for range b.N {
		w := newWorldOf(b, bin)
		centre := w.Centre("CA-RC", "fl-lab.*")
		lab := w.NewLab("FL-LAB", centre)
		edit(b, lab.config(), `folder_settle = "1m"`, `folder_settle = "10h"`)
		edit(b, lab.config(), `sweep = "2s"`, `sweep = "10s"`) // the default
		for folder := range 1000 {
			dir := lab.at("outbox", fmt.Sprintf("run %d", folder))
			must(b, os.Mkdir(dir, 0o755))
			for file := range 100 {
				must(b, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.csv", file)), nil, 0o644))
			}
		}
		lab.Start()
		time.Sleep(15 * time.Second) // its start is not measured
		const watched = 40 * time.Second
		before := processorTime(b, lab.Process().Pid)
		time.Sleep(watched)
		used := processorTime(b, lab.Process().Pid) - before
		b.ReportMetric(used.Seconds()*float64(time.Minute/time.Second)/watched.Seconds(),
			"CPU-s/min")
		b.ReportMetric(float64(privateMemory(lab.Process().Pid))/mib, "MiB-private")
	}
}

// processorTime returns the processor time of a process.
func processorTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	text := read(t, fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	var user, system int64
	_, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	must(t, err)
	return time.Duration(user+system) * time.Second / 100 // USER_HZ
}

// BenchmarkMemoryByLedger measures the private memory of agents whose ledgers have so many rows. It
// measures a lab's and a centre's at rest, and the most while a hundred files pass and a user looks
// at the status and searches.
func BenchmarkMemoryByLedger(b *testing.B) {
	bin, err := plainProgram()
	must(b, err)
	for _, rows := range []int{1, 1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			for range b.N {
				memoryByLedger(b, bin, rows)
			}
		})
	}
}

func memoryByLedger(b *testing.B, bin string, rows int) {
	w := newWorldOf(b, bin)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.Lab("FL-LAB", centre)
	lab.Drop("first.csv", smallFile)
	eventually(b, "it is delivered", func() bool { return lab.count("delivered") == 1 },
		lab.statusText)
	lab.Stop()
	centre.Stop()
	lab.fill(rows, "message", "seq", "uid", "message_id", "number", "name", "file", "envelope_id")
	lab.fill(rows, "envelope", "envelope_id", "sequence")
	lab.fill(rows, "recipient", "seq", "envelope_id")
	centre.fill(rows, "received", "seq", "uid", "message_id", "envelope_id", "name", "temp", "path")
	centre.fill(rows, "delivery", "seq", "envelope_id")
	lab.Start()
	centre.Start()
	m := measure(b, lab.daemon, centre.daemon)
	for i := range 100 {
		lab.Drop(fmt.Sprintf("later %d.csv", i), smallFile)
	}
	eventually(b, "they are delivered", func() bool { return lab.count("delivered") == 101 },
		lab.statusText)
	for _, s := range []*site{lab, centre} {
		sealpost(b, "agent", "find", "first", "--dir", s.dir)
		s.statusText()
	}
	for name, peak := range m.stop() {
		b.ReportMetric(float64(peak)/mib, "MiB-most-"+name)
	}
	for _, s := range []*site{lab, centre} {
		b.ReportMetric(float64(privateMemory(s.Process().Pid))/mib, "MiB-after-"+s.name)
	}
}

// fill adds rows to a table in the ledger of an agent that does not run. They are copies of the
// first row, apart from some columns that count.
func (s *site) fill(rows int, table string, counting ...string) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+
		(&url.URL{Path: s.at("state", "ledger.db")}).EscapedPath()+"?_pragma=synchronous(OFF)")
	must(s.t, err)
	defer db.Close()
	columns, err := db.Query("SELECT name, type FROM pragma_table_info(?)", table)
	must(s.t, err)
	defer columns.Close()
	var values []string
	for columns.Next() {
		var name, kind string
		must(s.t, columns.Scan(&name, &kind))
		switch {
		case slices.Contains(counting, name) && kind == "INTEGER":
			name += "+n"
		case slices.Contains(counting, name):
			name += "||'-'||n"
		}
		values = append(values, name)
	}
	must(s.t, errors.Join(columns.Err(), columns.Close()))
	_, err = db.Exec(fmt.Sprintf("WITH RECURSIVE some(n) AS (SELECT 1 UNION ALL SELECT n+1 "+
		"FROM some WHERE n < ?) INSERT INTO %s SELECT %s FROM %s, some",
		table, strings.Join(values, ", "), table), rows)
	must(s.t, err)
}

// BenchmarkDropToInbox measures the time of one small file from the outbox to the inbox. It does so
// with no settle time and with the default one.
func BenchmarkDropToInbox(b *testing.B) {
	for _, settle := range []string{"0s", "2s"} {
		b.Run("settle="+settle, func(b *testing.B) { dropToInbox(b, settle) })
	}
}

func dropToInbox(b *testing.B, settle string) {
	bin, err := plainProgram()
	must(b, err)
	w := newWorldOf(b, bin)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	edit(b, lab.config(), `settle = "0s"`, fmt.Sprintf("settle = %q", settle))
	lab.Start()
	lab.Drop("first.csv", smallFile)
	centre.Expect(lab, "first.csv")
	drops := 200
	if settle != "0s" {
		drops = 30
	}
	var took []time.Duration
	for i := range drops {
		name := fmt.Sprintf("drop %d.csv", i)
		arrived := centre.at("inbox", lab.name, name)
		lab.MoveIn(name, smallFile)
		began := time.Now()
		for hasArrived := false; !hasArrived; time.Sleep(200 * time.Microsecond) {
			_, err := os.Lstat(arrived)
			hasArrived = err == nil
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}
