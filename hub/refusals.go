package hub

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Classes of refusals. Each is an event of the log.
const (
	refusedCaller      = "caller not admitted"
	refusedRole        = "call beyond the role"
	refusedCertificate = "caller not trusted"
	refusedExpired     = "caller's certificate not valid now"
	refusedInvitation  = "enrolment refused"
	refusedSettlement  = "not settled"
	refusedQuota       = "over quota"
	refusedConnection  = "connection failed"
	refusedStranger    = "connection closed for others"
)

const (
	refusalEvery = time.Minute      // between two lines of one class
	refusalCheck = 10 * time.Second // between two looks for lines that are due
	maxRefused   = 256              // addresses that are counted for each class
	busiestShown = 3
)

// refusals logs refused callers by class. The first refusal has a line at once; then one line a
// minute has the count and the busiest addresses. So the log stays small.
type refusals struct {
	log *slog.Logger

	mu      sync.Mutex // guards classes and total
	classes map[string]*refused
	total   map[string]int // by class, since the last count for the audit chain
}

// refused counts the refusals of one class since its last line.
type refused struct {
	level slog.Level
	since time.Time // of the last line
	count int
	from  map[netip.Addr]int
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, classes: map[string]*refused{}, total: map[string]int{}}
}

// note records a refusal. The attributes appear only in the line that is written at once.
func (r *refusals) note(level slog.Level, class string, from netip.Addr, now time.Time,
	attrs ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total[class]++
	c := r.classes[class]
	if c == nil {
		r.classes[class] = &refused{level: level, since: now, from: map[netip.Addr]int{}}
		r.log.Log(context.Background(), level, class, append(attrs, "from", from)...)
		return
	}
	c.count++
	c.add(from)
}

// add counts an address. If too many are counted, it takes the place and the count of the rarest.
func (c *refused) add(from netip.Addr) {
	if _, counted := c.from[from]; !counted && len(c.from) >= maxRefused {
		rarest := from
		for a, n := range c.from {
			if rarest == from || n < c.from[rarest] {
				rarest = a
			}
		}
		c.from[from] = c.from[rarest]
		delete(c.from, rarest)
	}
	c.from[from]++
}

// sum writes the lines that are due. A class without a refusal in its last minute ends: its next
// refusal is written at once.
func (r *refusals) sum(now time.Time, every time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for class, c := range r.classes {
		if now.Sub(c.since) < every {
			continue
		}
		if c.count == 0 {
			delete(r.classes, class)
			continue
		}
		r.log.Log(context.Background(), c.level, class, "count", c.count,
			"since", c.since.UTC().Format(time.RFC3339), "busiest", c.busiest())
		c.since, c.count, c.from = now, 0, map[netip.Addr]int{}
	}
}

// busiest returns the addresses with the most refusals.
func (c *refused) busiest() string {
	all := slices.SortedFunc(maps.Keys(c.from), func(a, b netip.Addr) int {
		return cmp.Or(c.from[b]-c.from[a], a.Compare(b))
	})
	var list []string
	for _, a := range all[:min(len(all), busiestShown)] {
		list = append(list, fmt.Sprintf("%s (%d)", a, c.from[a]))
	}
	return strings.Join(list, " ")
}

// cutStranger logs a connection that was closed before its caller had authenticated.
func (h *Hub) cutStranger(from netip.Addr) {
	h.refusals.note(slog.LevelInfo, refusedStranger, from, time.Now())
}

// watchRefusals writes the counts of refusals until the context ends, and then the last ones.
func (h *Hub) watchRefusals(ctx context.Context) error {
	tick := time.NewTicker(refusalCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			h.refusals.sum(time.Now(), 0)
			return nil
		case <-tick.C:
			h.refusals.sum(time.Now(), refusalEvery)
		}
	}
}
