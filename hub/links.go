package hub

import (
	"container/list"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
)

// Bounds of open connections. Strangers and sites share none of them.
const (
	maxStrangers = 1024 // not authenticated yet, of all addresses
	maxUnproven  = 512  // not authenticated yet, of one address
	maxSiteLinks = 6144 // of all sites
	maxProven    = 512  // of one site
	keptLinks    = 8    // each site has these, even above maxSiteLinks
)

// Limits of addresses whose connections end after a handshake without an authenticated request.
const (
	failedRate  = 10 // per second
	failedBurst = 200
	reopenRate  = 200 // new connections per second of an address above that
)

// links holds every open connection. It closes those of a removed site, and bounds those of each
// caller. Above a bound of strangers the oldest connection of the busiest address is closed: a
// caller that authenticates at once is never the oldest, whatever others hold open.
type links struct {
	refused func(from netip.Addr) // reports a closed connection; must not block

	mu        sync.Mutex // guards the fields below
	number    int        // of the last opened
	open      map[net.Conn]*link
	unproven  map[netip.Addr]*list.List // of *link, the oldest first
	strangers int                       // in unproven
	proven    map[id.Site]int
	sites     int        // sum of proven
	none      *sync.Cond // signalled when the last one closes

	failed   *limiters[netip.Addr] // handshakes without an authenticated request
	reopened *limiters[netip.Addr] // connections of addresses above that
}

// link is one connection.
type link struct {
	conn    net.Conn
	from    netip.Addr
	number  int           // in the order of opening
	waiting *list.Element // in links.unproven, guarded by links.mu; nil: proven, or closed

	mu sync.Mutex // guards the fields below: the caller's certificates as verified
	client
	since time.Time // verified at this time, and valid
	until time.Time
	renew time.Time // from here on a newer certificate is due
}

type linkKey struct{}

func newLinks(refused func(from netip.Addr)) *links {
	l := &links{refused: refused, open: map[net.Conn]*link{},
		unproven: map[netip.Addr]*list.List{}, proven: map[id.Site]int{},
		failed:   newLimiters[netip.Addr](failedRate, failedBurst),
		reopened: newLimiters[netip.Addr](reopenRate, reopenRate)}
	l.none = sync.NewCond(&l.mu)
	return l
}

// opened registers a connection. It closes an older one if there are too many, or the new one if
// its address has failed too often.
func (l *links) opened(ctx context.Context, c net.Conn) context.Context {
	k := &link{conn: c, from: addressOf(c)}
	ctx = context.WithValue(ctx, linkKey{}, k)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	k.number = l.number
	l.open[c] = k
	if !l.failed.has(k.from, now) && !l.reopened.allow(k.from, now) {
		l.refuse(k)
		return ctx
	}
	if l.unproven[k.from] == nil {
		l.unproven[k.from] = list.New()
	}
	k.waiting = l.unproven[k.from].PushBack(k)
	l.strangers++
	if l.unproven[k.from].Len() > maxUnproven || l.strangers > maxStrangers {
		l.refuse(l.victim())
	}
	return ctx
}

// victim returns the oldest connection of the address with the most unauthenticated ones. Among
// equal addresses it is the oldest of all. The caller holds l.mu.
func (l *links) victim() *link {
	var victim *link
	most := 0
	for _, of := range l.unproven {
		oldest := of.Front().Value.(*link)
		if of.Len() > most || of.Len() == most && oldest.number < victim.number {
			victim, most = oldest, of.Len()
		}
	}
	return victim
}

// refuse closes a connection that is not authenticated. The caller holds l.mu.
func (l *links) refuse(k *link) {
	l.leave(k)
	k.cut()
	l.refused(k.from)
}

// leave takes a connection from those that are not authenticated, and reports whether it was one.
// The caller holds l.mu.
func (l *links) leave(k *link) bool {
	if k.waiting == nil {
		return false
	}
	of := l.unproven[k.from]
	of.Remove(k.waiting)
	if k.waiting = nil; of.Len() == 0 {
		delete(l.unproven, k.from)
	}
	l.strangers--
	return true
}

// changed is the server's ConnState hook.
func (l *links) changed(c net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	secure, ok := c.(interface{ ConnectionState() tls.ConnectionState })
	wasExpensive := ok && secure.ConnectionState().HandshakeComplete
	l.mu.Lock()
	defer l.mu.Unlock()
	k, found := l.open[c]
	if !found {
		return
	}
	delete(l.open, c)
	if s := k.proven(); s != "" {
		less(l.proven, s)
		l.sites--
	} else {
		l.leave(k)
		if wasExpensive {
			l.failed.charge(k.from, 1, time.Now())
		}
	}
	if len(l.open) == 0 {
		l.none.Broadcast()
	}
}

// less decrements a count, and deletes it at zero.
func less[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// prove records the admitted site or admin of a connection, and the end of its certificates. It
// returns false if it has too many connections: more than a third of those that it leaves to
// others.
func (l *links) prove(k *link, c client, at time.Time, chain []*x509.Certificate) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.proven() == "" {
		most := min(maxProven, max(keptLinks, (maxSiteLinks-l.sites)/3))
		if l.proven[c.name] >= most || !l.leave(k) {
			return false
		}
		l.proven[c.name]++
		l.sites++
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.client, k.since, k.until, k.renew = c, at, chain[0].NotAfter,
		certs.RenewAt(chain[0])
	for _, cert := range chain {
		if cert.NotAfter.Before(k.until) {
			k.until = cert.NotAfter
		}
	}
	return true
}

// known returns the verified caller of the connection, if its certificates are still valid.
func (k *link) known(at time.Time) (c client, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.client, k.name != "" && !at.Before(k.since) && !at.After(k.until)
}

// isOutdated reports whether the connection's certificate is due for renewal. The caller must
// reconnect with its new one; otherwise a request would fail when the old one expires.
func (k *link) isOutdated(at time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.name != "" && at.After(k.renew)
}

func (k *link) proven() id.Site {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.name
}

// cut closes the connection below TLS, and so never waits for the other side.
func (k *link) cut() {
	if secure, ok := k.conn.(*tls.Conn); ok {
		secure.NetConn().Close()
		return
	}
	k.conn.Close()
}

// cut closes the connections of the site, or of all sites for "", and returns their number.
func (l *links) cut(site id.Site) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, k := range l.open {
		if site == "" || k.proven() == site {
			k.cut()
			n++
		}
	}
	return n
}

// count returns the number of open connections of the site, or of all sites for "".
func (l *links) count(site id.Site) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if site == "" {
		return len(l.open)
	}
	return l.proven[site]
}

// wait waits until no connection is open.
func (l *links) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.open) > 0 {
		l.none.Wait()
	}
}

func linkOf(ctx context.Context) *link {
	k, _ := ctx.Value(linkKey{}).(*link)
	return k
}

// addressOf returns the remote address of a connection; for IPv6 its /64, which one host owns.
func addressOf(c net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	a := at.Addr().Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
