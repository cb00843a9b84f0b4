package hub

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sealpost/hub/api"
	"sealpost/internal/id"
)

// Limits of one site. All callers without a certificate share one budget, at a lower rate.
const (
	maxRequests  = 256  // at the same time, waits included
	siteRate     = 5000 // per second
	strangerRate = 50
	rateBurst    = 2 // seconds' worth at once
)

var errRate = &api.Error{Code: api.CodeBusy, After: time.Second,
	Detail: "too many requests of this site in one second"}

// intake bounds the bytes of all request bodies in memory and the requests of each site. One site
// may use a quarter of the bytes.
type intake struct {
	mu       sync.Mutex // guards the fields below
	total    int64
	used     int64
	bySite   map[id.Site]int64
	requests map[id.Site]int
	rates    map[id.Site]*rate.Limiter
}

func newIntake(total int64) *intake {
	return &intake{total: total, bySite: map[id.Site]int64{}, requests: map[id.Site]int{},
		rates: map[id.Site]*rate.Limiter{}}
}

// begin counts a request of the site.
func (i *intake) begin(site id.Site, now time.Time) (end func(), err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.requests[site] >= maxRequests {
		return nil, &api.Error{Code: api.CodeBusy, After: time.Second,
			Detail: "too many requests of this site are under way"}
	}
	if !i.rate(site).AllowN(now, 1) {
		return nil, errRate
	}
	i.requests[site]++
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.requests[site]--; i.requests[site] == 0 {
			delete(i.requests, site)
		}
	}, nil
}

// rate returns the site's limiter. There are as many as there are sites. The caller holds i.mu.
func (i *intake) rate(site id.Site) *rate.Limiter {
	l := i.rates[site]
	if l == nil {
		most := siteRate
		if site == "" {
			most = strangerRate
		}
		l = rate.NewLimiter(rate.Limit(most), most*rateBurst)
		i.rates[site] = l
	}
	return l
}

// take reserves n bytes for a body. One body of any size fits if no other is in memory.
func (i *intake) take(site id.Site, n int64) (give func(), err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	ofSite := i.bySite[site]
	if i.used > 0 && i.used+n > i.total || ofSite > 0 && ofSite+n > i.total/4 {
		return nil, &api.Error{Code: api.CodeBusy, After: time.Second,
			Detail: "too many bytes are under way"}
	}
	i.used += n
	i.bySite[site] += n
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.used -= n
		if i.bySite[site] -= n; i.bySite[site] == 0 {
			delete(i.bySite, site)
		}
	}, nil
}

// Limits of invalid invitations: ten at once for each address, then one in six seconds.
const (
	wrongAtOnce   = 10
	wrongInterval = 6 * time.Second
	maxGuessers   = 10_000
)

// guesses limits the rate of wrong secrets from each address. A right secret costs nothing.
type guesses struct {
	mu   sync.Mutex // guards wrong
	from map[netip.Addr]*rate.Limiter
}

func newGuesses() *guesses { return &guesses{from: map[netip.Addr]*rate.Limiter{}} }

// allowed returns an error if the address must wait before its next attempt.
func (g *guesses) allowed(from netip.Addr, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.from[from]
	if l == nil || l.TokensAt(now) >= 1 {
		return nil
	}
	return &api.Error{Code: api.CodeBusy, After: wrongInterval,
		Detail: "too many invitations that are not valid came from your address"}
}

// wrong records a failed attempt.
func (g *guesses) wrong(from netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from[from] == nil {
		if len(g.from) >= maxGuessers {
			clear(g.from) // memory stays bounded
		}
		g.from[from] = rate.NewLimiter(rate.Every(wrongInterval), wrongAtOnce)
	}
	g.from[from].AllowN(now, 1)
}
