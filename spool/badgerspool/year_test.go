package badgerspool

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

const (
	yearDays    = 365
	yearKeep    = 90 // days, of records
	yearAudit   = 120
	yearCentres = 4 // of so many sites one is a centre
)

// year is a hub in a simulated year. One centre fetches its deliveries every 60 days, and one lab
// reads its events every 150 days.
type year struct {
	t             *testing.T
	s             *Spool
	dir           string
	ahead         atomic.Int64 // of the clock
	labs, centres []id.Site
	read          map[id.Site]spool.Cursor
	daily         int           // records
	cost          time.Duration // of the days since the last measurement
	memory        *meter

	random    *rand.Rand
	records   int
	envelopes int
	last      spool.Envelope
	rows      []string
}

// TestYear lets a hub forget its old records every day of a year. Start, lists, memory and disk
// stay flat: the table of docs/spool.md. SEALPOST_RECORDS sets the number of records.
func TestYear(t *testing.T) {
	sites, records, points := 12, 3000, 4
	if soak() {
		sites, records, points = 400, 10_000_000, 24
	}
	if n, err := strconv.Atoi(os.Getenv("SEALPOST_RECORDS")); err == nil {
		sites, records, points = 400, n, 24
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(96 << 20))
	y := &year{t: t, dir: t.TempDir(), read: map[id.Site]spool.Cursor{},
		daily: records / yearDays, memory: newMeter(t),
		random: rand.New(rand.NewPCG(1, 2))}
	for n := range sites {
		if n%yearCentres == 0 {
			y.centres = append(y.centres, id.Site(fmt.Sprintf("RC-%03d", n)))
		} else {
			y.labs = append(y.labs, id.Site(fmt.Sprintf("LAB-%03d", n)))
		}
	}
	y.open()
	t.Cleanup(func() { y.s.Close() })
	for day := range yearDays {
		y.cost += y.took(func() { y.day(day) })
		if (day+1)%(yearDays/points) == 0 {
			y.measure(day+1, y.cost/time.Duration(yearDays/points))
			y.cost = 0
		}
	}
	y.write()
	y.expectFlat()
}

func (y *year) now() time.Time { return time.Now().Add(time.Duration(y.ahead.Load())) }

// open keeps no store of before in memory, as mustOpen does.
func (y *year) open() {
	y.t.Helper()
	var err error
	y.s, err = Open(y.dir, Options{Now: y.now})
	must(y.t, err)
}

// day publishes the records of a day, fetches them, and forgets old ones.
func (y *year) day(day int) {
	y.t.Helper()
	ctx := y.t.Context()
	var envelopes []spool.Envelope
	for n := 0; n < y.daily; {
		e := y.envelope()
		n += len(e.Messages) * len(e.Deliveries)
		y.records += len(e.Messages) * len(e.Deliveries)
		envelopes = append(envelopes, e)
	}
	y.envelopes += len(envelopes)
	y.last = envelopes[0]
	next := make(chan spool.Envelope, len(envelopes))
	for _, e := range envelopes {
		next <- e
	}
	inParallel(len(envelopes), 64, func() {
		if _, err := y.s.Publish(ctx, <-next); err != nil {
			y.t.Error(err)
		}
	})
	queues := make(chan string, len(y.centres))
	for n, site := range y.centres {
		if n > 0 || day%60 == 59 {
			queues <- site.Queue()
		}
	}
	inParallel(len(queues), 8, func() { y.fetch(<-queues) })
	for n, site := range y.labs {
		if n > 0 || day%150 == 149 {
			y.events(site)
		}
	}
	y.ahead.Add(int64(24 * time.Hour))
	if _, err := y.s.Forget(ctx, spool.Retention{
		Before: y.now().AddDate(0, 0, -yearKeep)}); err != nil {
		y.t.Fatal(err)
	}
	if _, err := y.s.AuditTruncate(ctx, y.now().AddDate(0, 0, -yearAudit)); err != nil {
		y.t.Fatal(err)
	}
}

// envelope draws an envelope of 1 to 16 messages for 1 to 3 centres.
func (y *year) envelope() spool.Envelope {
	e := testEnvelope(filler(300))
	e.Sender = y.labs[y.random.IntN(len(y.labs))]
	e.Messages, e.Deliveries = nil, nil
	for n := range []int{1, 1, 2, 16}[y.random.IntN(4)] {
		e.Messages = append(e.Messages, spool.Message{UID: id.Random128[id.UID](), Sent: y.now(),
			ID: id.Message(fmt.Sprintf("%s_DAT_%s_%03d", e.Sender, y.now().Format("20060102"), n))})
	}
	first := y.random.IntN(len(y.centres))
	for n := range 1 + y.random.IntN(3) {
		site := y.centres[(first+n)%len(y.centres)]
		e.Deliveries = append(e.Deliveries, spool.Target{Site: site, Queue: site.Queue()})
	}
	return e
}

// fetch settles all deliveries of a queue.
func (y *year) fetch(queue string) {
	f, _ := y.s.queue(queue).load()
	for left := int(f.waiting); left > 0; {
		ds, err := y.s.Lease(y.t.Context(), spool.LeaseRequest{Queue: queue, Session: "a", Max: 64,
			Duration: time.Hour})
		if err != nil || len(ds) == 0 {
			y.t.Errorf("%d of %s are left: %v", left, queue, err)
			return
		}
		left -= len(ds)
		next := make(chan spool.Delivery, len(ds))
		for _, d := range ds {
			next <- d
		}
		inParallel(len(ds), 16, func() {
			if err := settleOne(y.t.Context(), y.s, <-next); err != nil {
				y.t.Error(err)
			}
		})
	}
}

// events reads the events of a lab, and says so as its next call does, which would wait.
func (y *year) events(site id.Site) {
	st := y.s.site(site)
	for y.read[site] < spool.Cursor(st.load().last) {
		var err error
		_, y.read[site], err = y.s.Events(y.t.Context(), site, y.read[site], 1<<20)
		must(y.t, err)
	}
	st.acknowledge(uint64(y.read[site]))
}

// measure starts the store again, and measures the lists of an admin. A day had a cost before.
func (y *year) measure(day int, cost time.Duration) {
	y.t.Helper()
	ctx := y.t.Context()
	must(y.t, y.s.Close())
	opened := y.took(y.open)
	sites := y.took(func() {
		_, err := y.s.Queues(ctx)
		must(y.t, err)
		_, err = y.s.Usage(ctx)
		must(y.t, err)
	})
	minute := y.took(func() { // the hub's round
		before := y.now().AddDate(0, 0, -yearKeep)
		for _, site := range y.centres {
			n, err := y.s.Expire(ctx, site.Queue(), spool.Bound{Before: before}, "expired")
			if err != nil || n > 0 {
				y.t.Errorf("%d expired, %v", n, err)
			}
		}
		_, err := y.s.Forget(ctx, spool.Retention{Before: before})
		must(y.t, err)
	})
	find := func(q spool.Query, least int) time.Duration {
		return y.took(func() {
			found, _, err := y.s.Find(ctx, q, 0, 100)
			must(y.t, err)
			if len(found) < least {
				y.t.Errorf("day %d: %+v finds %d records", day, q, len(found))
			}
		})
	}
	newest := find(spool.Query{Recipient: y.last.Deliveries[0].Site}, 1)
	one := find(spool.Query{Sender: y.last.Sender, Message: y.last.Messages[0].ID}, 1)
	old := find(spool.Query{Recipient: y.centres[1],
		To: y.now().AddDate(0, 0, min(0, 5-min(day, yearKeep)))}, 0)
	info, err := y.s.Info(ctx)
	must(y.t, err)
	y.memory.look()
	memory := y.memory.most.Swap(0)
	if memory > memoryBound && !raceEnabled {
		y.t.Errorf("day %d: %d MiB of private memory", day, memory>>20)
	}
	row := fmt.Sprintf("| %d | %d | %d | %d | %d |", day, y.records, info.Envelopes,
		diskUse(y.t, y.dir)>>20, memory>>20)
	for _, d := range []time.Duration{opened, sites, newest, one, old, minute, cost} {
		row += fmt.Sprintf(" %.1f |", float64(d.Microseconds())/1000)
	}
	y.rows = append(y.rows, row)
	y.t.Log(y.rows[len(y.rows)-1])
}

// took returns the processor time of f: other programs on the machine change the real one.
func (y *year) took(f func()) time.Duration {
	start := cpuTime()
	f()
	return cpuTime() - start
}

// write writes the table to the file that SEALPOST_YEAR names.
func (y *year) write() {
	text := "| day | records | envelopes kept | disk, MiB | private memory, MiB | start | " +
		"sites | newest messages | one message | oldest messages | a minute's round | " +
		"a day |\n" + strings.Repeat("| ---: ", 12) + "|\n" +
		strings.Join(y.rows, "\n") + "\n"
	if name := os.Getenv("SEALPOST_YEAR"); name != "" {
		must(y.t, os.WriteFile(name, []byte(text), 0o644))
	}
}

// expectFlat expects the records of the last days alone, and the ids of all.
func (y *year) expectFlat() {
	y.t.Helper()
	info, err := y.s.Info(y.t.Context())
	must(y.t, err)
	daily := int64(y.envelopes / yearDays)
	if most := (yearKeep + 60 + 10) * daily; info.Envelopes > most || info.Envelopes < daily {
		y.t.Errorf("%d envelopes have records, want at most %d", info.Envelopes, most)
	}
	if y.daily < 1000 { // reading all rows takes memory
		mustAudit(y.t, y.s)
	}
	y.s.lastEnd.Store(0)
	y.s.drained.Add(flattenFrom)
	must(y.t, y.s.flatten())
	must(y.t, y.s.Close())
	y.t.Logf("flattened: %d MiB on the disk, %d envelopes of %d", diskUse(y.t, y.dir)>>20,
		info.Envelopes, y.envelopes)
}
