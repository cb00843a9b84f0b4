//go:build linux

package e2e

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/spool"

	_ "modernc.org/sqlite" // to read ledgers, without the code that writes them
)

// audit compares the state after a story with the expected one. It believes the files, the ledgers'
// tables, the receipts' bytes and the hub's records, and none of the code that made them.
type audit struct {
	w    *world
	ids  map[*drop]string // the message id under which a delivered drop lies in its tray
	uids map[string]string
	// message ids by folder, and by digest and name of the drop, from the recipients' records
	shared   map[string]map[string]string
	records  []spool.Record
	problems []string
}

func newAudit(w *world) *audit {
	return &audit{w: w, ids: map[*drop]string{}, uids: map[string]string{},
		shared: map[string]map[string]string{}}
}

func (a *audit) problem(format string, args ...any) {
	a.problems = append(a.problems, fmt.Sprintf(format, args...))
}

// Audit waits until all messages have ended, stops the world, and fails the story for each problem.
func (w *world) Audit() {
	w.t.Helper()
	if w.t.Failed() {
		return
	}
	for _, p := range w.audit() {
		w.t.Errorf("auditor: %s", p)
	}
}

func (w *world) audit() []string {
	w.t.Helper()
	a := newAudit(w)
	a.await()
	a.records = a.readRecords()
	w.stop()
	a.check()
	return a.problems
}

// check looks at a world that stands still.
func (a *audit) check() {
	a.checkTrays()
	a.checkInboxes()
	a.checkLedgers()
	a.checkRecords()
	a.checkCanary()
}

// stop ends all daemons in good order.
func (w *world) stop() {
	w.t.Helper()
	for _, s := range w.sites {
		if s.running() {
			s.Stop()
		}
	}
	w.hub.Stop()
}

// await waits until nothing is under way any more.
func (a *audit) await() {
	t := a.w.t
	t.Helper()
	for _, s := range a.w.sites {
		if s.role != "send" {
			continue
		}
		want := 0
		for _, d := range a.dropsOf(s, delivered) {
			want += d.files()
		}
		eventually(t, fmt.Sprintf("all %d files of %s lie in delivered", want, s.name),
			func() bool { return s.count("delivered") >= want },
			func() string { return fmt.Sprintf("%d do", s.count("delivered")) }, s.statusText)
		eventually(t, s.name+" has written down that all is done", func() bool {
			return s.sum("SELECT count(*) FROM message "+
				"WHERE filed = 0 AND state <> 'withdrawn'") == 0
		}, s.statusText)
	}
	for _, s := range a.w.sites {
		if s.role != "send" {
			eventually(t, s.name+" has settled everything",
				func() bool {
					return s.sum(`SELECT count(*) FROM delivery WHERE target <> ''`) == 0
				}, s.statusText)
		}
	}
	eventually(t, "the hub holds nothing but metadata", func() bool {
		var s hub.Status // of a hub that may have been started just now
		return a.w.hub.ask(hub.ControlStatus, hub.Nothing{}, &s) == nil && s.Spool.Content == 0 &&
			s.Waiting == 0
	}, func() string { return fmt.Sprintf("%+v", a.w.hub.Status()) })
}

// dropsOf lists the drops of a lab that have this fate.
func (a *audit) dropsOf(lab *site, f fate) (list []*drop) {
	for _, d := range a.w.drops {
		if d.lab == lab && d.fate == f {
			list = append(list, d)
		}
	}
	return list
}

// query reads the site's ledger, in which nothing can be changed this way.
func (s *site) query(each func(*sql.Rows) error, statement string, args ...any) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+
		(&url.URL{Path: s.at("state", "ledger.db")}).EscapedPath()+
		"?mode=ro&_pragma=busy_timeout(10000)")
	must(s.t, err)
	defer db.Close()
	rows, err := db.QueryContext(context.Background(), statement, args...)
	must(s.t, err)
	defer rows.Close()
	for rows.Next() {
		must(s.t, each(rows))
	}
	must(s.t, rows.Err())
}

func (s *site) sum(statement string) (n int) {
	s.t.Helper()
	s.query(func(r *sql.Rows) error { return r.Scan(&n) }, statement)
	return n
}

// readRecords returns the hub's records of all messages of all labs.
func (a *audit) readRecords() (list []spool.Record) {
	a.w.t.Helper()
	for _, s := range a.w.sites {
		if s.role == "receive" {
			continue
		}
		in := hub.MessagesRequest{Sender: id.Site(s.name), Max: 1000}
		for more := true; more; more = in.After != 0 {
			var out hub.MessagesAnswer
			must(a.w.t, a.w.hub.ask(hub.ControlMessages, in, &out))
			list, in.After = append(list, out.Messages...), out.Next
		}
	}
	return list
}

func hashFile(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	h.Sum(sum[:0])
	return sum, err
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	list := make([]K, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// few shortens a long list for a message.
func few(list []string) string {
	if len(list) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:5], ", "), len(list)-5)
	}
	return strings.Join(list, ", ")
}
