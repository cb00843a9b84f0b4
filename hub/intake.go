package hub

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sealpost/hub/api"
	"sealpost/internal/id"
)

// Limits of one site, and of one stranger: an address without an admitted certificate, on one path.
const (
	maxRequests     = 256  // at the same time, waits included
	siteRate        = 5000 // per second
	rateBurst       = 2    // seconds' worth at once
	strangerCalls   = 16   // at the same time
	strangerRate    = 20   // per second
	strangerBurst   = 100
	strangersPart   = 16 // of the memory for bodies, one part is the strangers'
	partsOfOneParty = 3  // one party may use a part of the bytes that are left
)

var errRate = &api.Error{Code: api.CodeBusy, After: time.Second,
	Detail: "too many requests of this site in one second"}

// party is a caller with limits of its own: an admitted site or admin, or a stranger.
type party struct {
	site id.Site
	from netip.Addr // of a stranger
	path string     // of a stranger: a flood on one path leaves another open
	// an admin on another computer, which has the rate of a stranger: no admin asks more often
	admin bool
}

// isRare reports whether the party has the rate of strangers.
func (p party) isRare() bool { return p.site == "" || p.admin }

// intake bounds the bytes of all request bodies in memory and the requests of each party. Sites and
// strangers share nothing. A party may use a third of the bytes that it leaves to others: alone it
// gets a quarter of all, and others always find room.
type intake struct {
	sites     pool
	strangers pool

	mu       sync.Mutex // guards the fields below
	requests map[party]int
	rates    map[id.Site]*rate.Limiter // as many as there are sites

	strange *limiters[party]
}

// pool is memory for bodies.
type pool struct {
	mu    sync.Mutex // guards the fields below
	total int64
	used  int64
	by    map[party]int64
}

func newIntake(total int64) *intake {
	return &intake{
		sites:     pool{total: total - total/strangersPart, by: map[party]int64{}},
		strangers: pool{total: total / strangersPart, by: map[party]int64{}},
		requests:  map[party]int{}, rates: map[id.Site]*rate.Limiter{},
		strange: newLimiters[party](strangerRate, strangerBurst),
	}
}

// begin counts a request of the party.
func (i *intake) begin(p party, now time.Time) (end func(), err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	most := maxRequests
	if p.isRare() {
		most = strangerCalls
	}
	if i.requests[p] >= most {
		return nil, &api.Error{Code: api.CodeBusy, After: time.Second,
			Detail: "too many requests of this site are under way"}
	}
	if p.isRare() && !i.strange.allow(p, now) || !p.isRare() && !i.rate(p.site).AllowN(now, 1) {
		return nil, errRate
	}
	i.requests[p]++
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		less(i.requests, p)
	}, nil
}

// rate returns the site's limiter. The caller holds i.mu.
func (i *intake) rate(site id.Site) *rate.Limiter {
	l := i.rates[site]
	if l == nil {
		l = rate.NewLimiter(siteRate, siteRate*rateBurst)
		i.rates[site] = l
	}
	return l
}

// take reserves n bytes for a body.
func (i *intake) take(p party, n int64) (give func(), err error) {
	if p.site == "" {
		return i.strangers.take(p, n)
	}
	return i.sites.take(p, n)
}

// take reserves n bytes. One body of any size fits if no other is in memory.
func (o *pool) take(p party, n int64) (give func(), err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	left := o.total - o.used - n
	if o.used > 0 && o.by[p]+n > left/partsOfOneParty {
		return nil, &api.Error{Code: api.CodeBusy, After: time.Second,
			Detail: "too many bytes are under way"}
	}
	o.used += n
	o.by[p] += n
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.used -= n
		if o.by[p] -= n; o.by[p] == 0 {
			delete(o.by, p)
		}
	}, nil
}

// Limits of invalid invitations: ten at once for each address, then one in six seconds.
const (
	wrongAtOnce   = 10
	wrongInterval = 6 * time.Second
)

// newGuesses limits the rate of wrong secrets from each address. A right secret costs nothing.
func newGuesses() *limiters[netip.Addr] {
	return newLimiters[netip.Addr](rate.Every(wrongInterval), wrongAtOnce)
}

var errGuesses = &api.Error{Code: api.CodeBusy, After: wrongInterval,
	Detail: "too many invitations that are not valid came from your address"}
