package hub

import (
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

// Bounds of open connections.
const (
	maxLinks    = 8192
	maxUnproven = 512 // from one address, before the first authenticated request
	maxProven   = 512 // of one site
)

// links holds every open connection. It closes those of a removed site, and bounds those of each
// caller.
type links struct {
	mu       sync.Mutex // guards the fields below
	open     map[net.Conn]*link
	unproven map[netip.Addr]int
	proven   map[id.Site]int
	none     *sync.Cond // signalled when the last one closes
}

// link is one connection.
type link struct {
	conn net.Conn
	from netip.Addr

	mu    sync.Mutex // guards the fields below: the caller's certificates as verified
	site  id.Site
	key   id.Hash
	since time.Time // verified at this time, and valid
	until time.Time
	renew time.Time // from here on a newer certificate is due
}

type linkKey struct{}

func newLinks() *links {
	l := &links{open: map[net.Conn]*link{}, unproven: map[netip.Addr]int{},
		proven: map[id.Site]int{}}
	l.none = sync.NewCond(&l.mu)
	return l
}

// opened registers a connection, and closes it at once if there are too many.
func (l *links) opened(ctx context.Context, c net.Conn) context.Context {
	k := &link{conn: c, from: addressOf(c)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = k
	l.unproven[k.from]++
	if len(l.open) > maxLinks || l.unproven[k.from] > maxUnproven {
		k.cut()
	}
	return context.WithValue(ctx, linkKey{}, k)
}

// changed is the server's ConnState hook.
func (l *links) changed(c net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	k, found := l.open[c]
	if !found {
		return
	}
	delete(l.open, c)
	if s := k.proven(); s == "" {
		less(l.unproven, k.from)
	} else {
		less(l.proven, s)
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

// prove records the verified site of a connection, and the end of its certificates. It returns
// false if the site has too many connections.
func (l *links) prove(k *link, site id.Site, key id.Hash, at time.Time,
	chain []*x509.Certificate) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.proven() == "" {
		if l.proven[site] >= maxProven {
			return false
		}
		less(l.unproven, k.from)
		l.proven[site]++
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.site, k.key, k.since, k.until, k.renew = site, key, at, chain[0].NotAfter,
		certs.RenewAt(chain[0])
	for _, c := range chain {
		if c.NotAfter.Before(k.until) {
			k.until = c.NotAfter
		}
	}
	return true
}

// known returns the verified site of the connection, if its certificates are still valid.
func (k *link) known(at time.Time) (site id.Site, key id.Hash, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.site, k.key, k.site != "" && !at.Before(k.since) && !at.After(k.until)
}

// isOutdated reports whether the connection's certificate is due for renewal. The caller must
// reconnect with its new one; otherwise a request would fail when the old one expires.
func (k *link) isOutdated(at time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.site != "" && at.After(k.renew)
}

func (k *link) proven() id.Site {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.site
}

// cut closes the connection below TLS, and so never waits for the other side.
func (k *link) cut() {
	if secure, ok := k.conn.(*tls.Conn); ok {
		secure.NetConn().Close()
		return
	}
	k.conn.Close()
}

// cutSite closes every connection of a site and returns their number.
func (l *links) cutSite(site id.Site) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, k := range l.open {
		if k.proven() == site {
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

func (l *links) cutAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.open {
		k.cut()
	}
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
