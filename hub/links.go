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
	maxUnproven = 512 // from one address, before a first request has shown who calls
	maxProven   = 512 // of one site
)

// links knows every open connection, so that those of a removed site can be cut and that nobody can take them all.
type links struct {
	mu       sync.Mutex // guards all that follows
	open     map[net.Conn]*link
	unproven map[netip.Addr]int
	proven   map[id.Site]int
	none     *sync.Cond // signalled when the last one closes
}

// link is one connection.
type link struct {
	conn net.Conn
	from netip.Addr

	mu    sync.Mutex // guards what follows: the caller's certificates as they were verified
	site  id.Site
	key   id.Hash
	since time.Time // verified at this time, and valid
	until time.Time
	renew time.Time // from here on there should be a newer certificate
}

type linkKey struct{}

func newLinks() *links {
	l := &links{open: map[net.Conn]*link{}, unproven: map[netip.Addr]int{}, proven: map[id.Site]int{}}
	l.none = sync.NewCond(&l.mu)
	return l
}

// opened registers a connection, or closes it at once when there are too many.
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

// less counts one less.
func less[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// prove notes whose connection it is, and for how long that holds. It answers false when the site has too many.
func (l *links) prove(k *link, site id.Site, key id.Hash, at time.Time, chain []*x509.Certificate) bool {
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
	k.site, k.key, k.since, k.until, k.renew = site, key, at, chain[0].NotAfter, certs.RenewAt(chain[0])
	for _, c := range chain {
		if c.NotAfter.Before(k.until) {
			k.until = c.NotAfter
		}
	}
	return true
}

// known returns whose connection it is, unless that has to be verified again.
func (k *link) known(at time.Time) (site id.Site, key id.Hash, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.site, k.key, k.site != "" && !at.Before(k.since) && !at.After(k.until)
}

// outdated says that the certificate of this connection should have been renewed meanwhile. The caller has to come with its
// new one on another connection: otherwise a request would be the one at which the old one expires.
func (k *link) outdated(at time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.site != "" && at.After(k.renew)
}

func (k *link) proven() id.Site {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.site
}

// cut closes the connection under TLS, which never waits for the other side.
func (k *link) cut() {
	if secure, ok := k.conn.(*tls.Conn); ok {
		secure.NetConn().Close()
		return
	}
	k.conn.Close()
}

// cutSite closes every connection of a site and returns how many they were.
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

// count returns how many connections of the site are open; of all when the name is empty.
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

// wait returns when no connection is open any more.
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

// addressOf returns the host of a connection's other end; of an IPv6 address the network of which one host has all.
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
