package hub

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"sealpost/internal/id"
)

const (
	flowTime = 10 * time.Minute // over which rates are averaged
	maxFlows = 4096             // pairs that are remembered
)

// FlowAnswer lists the pairs of sites with traffic since the hub's start, the busiest first.
type FlowAnswer struct {
	Pairs []FlowPair `json:"pairs"`
}

// FlowPair is the traffic from one site to another, over the last ten minutes.
type FlowPair struct {
	Sender    id.Site   `json:"sender_id"`
	Recipient id.Site   `json:"recipient_id"`
	Messages  int64     `json:"messages_per_hour"`
	Bytes     int64     `json:"bytes_per_hour"`
	Last      time.Time `json:"last"` // when an envelope was published
}

// flows holds the present traffic between sites. It is in memory only.
type flows struct {
	mu sync.Mutex // guards by
	by map[flowPair]*flow
}

type flowPair struct{ from, to id.Site }

// flow is decaying sums: each count loses its weight with its age.
type flow struct {
	messages, bytes float64
	last            time.Time
}

func newFlows() *flows { return &flows{by: map[flowPair]*flow{}} }

// at returns the sums as they are at a time.
func (f flow) at(now time.Time) (messages, bytes float64) {
	weight := math.Exp(-max(0, now.Sub(f.last)).Seconds() / flowTime.Seconds())
	return f.messages * weight, f.bytes * weight
}

// note counts a published envelope. Above the bound the pair that is quiet for the longest time is
// forgotten.
func (f *flows) note(from id.Site, to []id.Site, messages int, size int64, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, site := range to {
		pair := flowPair{from, site}
		one := f.by[pair]
		if one == nil {
			f.makeRoom()
			one = &flow{}
			f.by[pair] = one
		}
		m, b := one.at(now)
		*one = flow{m + float64(messages), b + float64(size), now}
	}
}

// makeRoom forgets a pair if there are too many. The caller holds f.mu.
func (f *flows) makeRoom() {
	if len(f.by) < maxFlows {
		return
	}
	var quietest flowPair
	for pair, one := range f.by {
		if quietest == (flowPair{}) || one.last.Before(f.by[quietest].last) {
			quietest = pair
		}
	}
	delete(f.by, quietest)
}

// flow lists the traffic between sites.
func (h *Hub) flow(context.Context, Nothing) (FlowAnswer, error) {
	now := h.now()
	perHour := func(sum float64) int64 { return int64(math.Round(sum / flowTime.Hours())) }
	h.flows.mu.Lock()
	defer h.flows.mu.Unlock()
	out := FlowAnswer{Pairs: make([]FlowPair, 0, len(h.flows.by))}
	for pair, one := range h.flows.by {
		m, b := one.at(now)
		out.Pairs = append(out.Pairs, FlowPair{Sender: pair.from, Recipient: pair.to,
			Messages: perHour(m), Bytes: perHour(b), Last: one.last.UTC()})
	}
	slices.SortFunc(out.Pairs, func(a, b FlowPair) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), b.Last.Compare(a.Last),
			cmp.Compare(a.Sender, b.Sender), cmp.Compare(a.Recipient, b.Recipient))
	})
	return out, nil
}
