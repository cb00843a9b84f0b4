package badgerspool

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/spool"
)

// curves measures the cost of one publish, one lease and one settlement in a store that grows.
type curves struct {
	t         *testing.T
	s         *Spool
	published int
	settled   [2]int // in CA-RC's queue, and in SF-RC's
	rows      []row
}

// row is one point of a curve.
type row struct {
	story, op string
	at        int // that wait, or that were settled
	cost      time.Duration
}

// places are the sizes at which it is measured.
func places(n int) (at []int) {
	for _, p := range []int{1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000} {
		if p <= n {
			at = append(at, p)
		}
	}
	return at
}

// queueUpTo publishes until n wait.
func (c *curves) queueUpTo(n int, memory *meter) {
	c.t.Helper()
	for _, at := range places(n) {
		start, more := time.Now(), at-c.published
		c.publish(more)
		c.t.Logf("%8d queued: %6.0f publishes/s, %s", at, perSecond(more, start), memory.peak())
		c.measure("queued", at, 0)
	}
}

// settleUpTo settles until n are, in two queues: in that of SF-RC the first delivery is released
// for days.
func (c *curves) settleUpTo(n int, memory *meter) {
	c.t.Helper()
	c.settled = [2]int{} // few were settled before
	d := c.lease(1, 1)[0]
	must(c.t, c.s.Release(c.t.Context(), d.Token, spool.Nack{Delay: 3 * 24 * time.Hour}))
	for _, at := range places(n) {
		for queue, story := range []string{"settled", "settled, one released"} {
			start, more := time.Now(), at-c.settled[queue]
			settleMany(c.t, c.s, queueNames[queue], more, 64)
			c.settled[queue] += more
			c.t.Logf("%8d %s: %6.0f settlements/s, %s", at, story, perSecond(more, start),
				memory.peak())
		}
		c.measure("settled", at, 0)
		c.measure("settled, one released", at, 1)
	}
}

var queueNames = []string{"ca_rc_queue", "sf_rc_queue"}

// Each point is the median of so many rounds, of so many at a time.
const (
	curveRounds   = 7
	curvePublish  = 128
	curveSettle   = 64
	curveHeads    = 100
	curveParallel = 64
)

func (c *curves) measure(story string, at, queue int) {
	c.t.Helper()
	ops := map[string]func() time.Duration{
		"publish": func() time.Duration {
			return perOne(curvePublish, func() { c.publish(curvePublish) })
		},
		"lease": func() time.Duration {
			return perOne(curveHeads, func() { c.leaseHeads(queue) })
		},
		"settle": func() time.Duration {
			work := make(chan spool.Delivery, curveSettle)
			for _, d := range c.lease(queue, curveSettle) {
				work <- d
			}
			c.settled[queue] += curveSettle
			return perOne(curveSettle, func() {
				inParallel(curveSettle, curveParallel,
					func() { must(c.t, settleOne(c.t.Context(), c.s, <-work)) })
			})
		},
	}
	for _, op := range []string{"publish", "lease", "settle"} {
		var costs []time.Duration
		for range curveRounds {
			costs = append(costs, ops[op]())
		}
		slices.Sort(costs)
		c.rows = append(c.rows, row{story, op, at, costs[curveRounds/2]})
	}
}

// perOne is the time that one of n takes.
func perOne(n int, all func()) time.Duration {
	start := time.Now()
	all()
	return time.Since(start) / time.Duration(n)
}

func (c *curves) publish(n int) {
	publishMany(c.t, c.s, n, curveParallel)
	c.published += n
}

func (c *curves) lease(queue, n int) []spool.Delivery {
	c.t.Helper()
	ds, err := c.s.Lease(c.t.Context(), spool.LeaseRequest{Queue: queueNames[queue], Session: "a",
		Max: n, MaxBytes: 4 << 20, Duration: time.Hour})
	if err != nil || len(ds) != n {
		c.t.Fatalf("leased %d of %d: %v", len(ds), n, err)
	}
	return ds
}

func (c *curves) leaseHeads(queue int) {
	for range curveHeads {
		d := c.lease(queue, 1)[0]
		returnLease(c.s, d)
	}
}

// write writes the curves to the file that SEALPOST_CURVES names; bench/curves draws them.
func (c *curves) write() {
	c.t.Helper()
	var out strings.Builder
	out.WriteString("operation;story;number;microseconds\n")
	for _, r := range c.rows {
		fmt.Fprintf(&out, "%s;%s;%d;%.1f\n", r.op, r.story, r.at,
			float64(r.cost.Nanoseconds())/1000)
	}
	c.t.Logf("\n%s", &out)
	if name := os.Getenv("SEALPOST_CURVES"); name != "" {
		must(c.t, os.WriteFile(name, []byte(out.String()), 0o644))
	}
}
