package hub

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

func TestRequestsThatAreNotUnderstood(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "#")
	const address = `{"address":{"routing_key":"fl-lab.dat"}}`
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
		code                     api.Code
	}{
		{"fine", "POST", api.PathResolve, address, 200, ""},
		{"unknown field", "POST", api.PathResolve, `{"address":{"routing_key":"fl-lab.dat"},"x":1}`,
			400, api.CodeInvalid},
		{"twice", "POST", api.PathResolve,
			`{"address":{"routing_key":"fl-lab.dat"},"address":{"routing_key":"fl-lab.dat"}}`, 400,
			api.CodeInvalid},
		{"odd case", "POST", api.PathResolve, `{"Address":{"routing_key":"fl-lab.dat"}}`, 400,
			api.CodeInvalid},
		{"white space", "POST", api.PathResolve, address + "\n", 400, api.CodeInvalid},
		{"no body", "POST", api.PathResolve, "", 400, api.CodeInvalid},
		{"too large", "POST", api.PathResolve, strings.Repeat(" ", smallBody+1), 413,
			api.CodeTooLarge},
		{"another method", "GET", api.PathResolve, "", 404, api.CodeNotFound},
		{"another path", "POST", "/v2/resolve", address, 404, api.CodeNotFound},
		{"empty frame", "POST", api.PathPublish, "", 400, api.CodeInvalid},
		{"long frame", "POST", api.PathPublish, "\xff\xff\xff\xff{}", 400, api.CodeInvalid},
		{"part of nothing", "PUT", api.PathUploads + "/x/0", "x", 400, api.CodeInvalid},
		{"abort of nothing", "DELETE", api.PathUploads + "/x", "", 400, api.CodeInvalid},
		{"too many known", "POST", api.PathKnown,
			body(t, api.KnownRequest{Envelopes: make([]id.Envelope, api.MaxKnown+1)}), 400,
			api.CodeInvalid},
		{"known of nothing", "POST", api.PathKnown, `{"envelope_ids":["x"]}`, 400, api.CodeInvalid},
		{"future cursor", "POST", api.PathEvents, `{"after":99999,"wait_ns":0}`, 400,
			api.CodeInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp := lab.raw(tc.method, tc.path, tc.body)
			if code := codeOfResponse(t, resp); resp.StatusCode != tc.status || code != tc.code {
				t.Errorf("got %d %s, want %d %s", resp.StatusCode, code, tc.status, tc.code)
			}
		})
	}
	centre := q.join("SF-RC", "receive")
	for name, in := range map[string]api.LeaseRequest{
		"no session": {Max: 1}, "no deliveries": {Session: lab.session()},
		"negative": {Session: lab.session(), Max: 1, MaxBytes: -1},
	} {
		if _, err := centre.Lease(t.Context(), in); !errors.Is(err, spool.ErrInvalid) {
			t.Errorf("lease with %s: %v", name, err)
		}
	}
}

func TestGiantHeadersAreRefused(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	c := lab.dial()
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: hub\r\nX: %s\r\n\r\n", api.PathHello,
		strings.Repeat("x", 2*headerSize))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %v, %v", resp, err)
	}
}

// dial opens a bare TLS connection as this station.
func (s *station) dial() *tls.Conn {
	s.q.t.Helper()
	c, err := tls.Dial("tcp", s.q.config.Listen, certs.ClientTLS(s.identity, s.q.network(),
		"127.0.0.1"))
	if err != nil {
		s.q.t.Fatal(err)
	}
	return c
}

func TestOnlyHTTP1OverTLS13(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	two := certs.ClientTLS(lab.identity, q.network(), "127.0.0.1")
	two.NextProtos = []string{"h2"}
	if c, err := tls.Dial("tcp", q.config.Listen, two); err == nil {
		c.Close()
		t.Error("HTTP/2 is spoken")
	}
	old := certs.ClientTLS(lab.identity, q.network(), "127.0.0.1")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if c, err := tls.Dial("tcp", q.config.Listen, old); err == nil {
		c.Close()
		t.Error("TLS 1.2 is spoken")
	}
	plain, err := net.Dial("tcp", q.config.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	fmt.Fprintf(plain, "GET %s HTTP/1.1\r\nHost: hub\r\n\r\n", api.PathHello)
	if text, _ := io.ReadAll(plain); bytes.Contains(text, []byte("200 OK")) {
		t.Errorf("without TLS the hub says %q", text)
	}
}

func TestIntake(t *testing.T) {
	i := newIntake(1600)
	a, b := party{site: "A"}, party{site: "B"}
	give, err := i.take(a, 5000)
	if err != nil {
		t.Errorf("when nothing else is under way a large body does not fit: %v", err)
	}
	if _, err := i.take(b, 1); !errors.Is(err, api.ErrBusy) {
		t.Errorf("beyond the whole room: %v", err)
	}
	if give, err := i.take(party{from: address(1)}, 10); err != nil {
		t.Errorf("sites take the room of strangers: %v", err)
	} else {
		give()
	}
	give()
	first, err := i.take(a, 300)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.take(a, 76); !errors.Is(err, api.ErrBusy) {
		t.Errorf("a site beyond its quarter: %v", err)
	}
	second, err := i.take(b, 290)
	if err != nil {
		t.Errorf("another site's first: %v", err)
	}
	first()
	second()
	if i.sites.used != 0 || len(i.sites.by) != 0 {
		t.Errorf("when all is given back there are %d bytes and %v", i.sites.used, i.sites.by)
	}
	now := time.Now()
	var ends []func()
	for range maxRequests {
		end, err := i.begin(a, now)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	if _, err := i.begin(a, now); !errors.Is(err, api.ErrBusy) {
		t.Errorf("one request too many: %v", err)
	}
	if end, err := i.begin(b, now); err != nil {
		t.Errorf("another site's request: %v", err)
	} else {
		end()
	}
	for _, end := range ends {
		end()
	}
	if len(i.requests) != 0 {
		t.Errorf("requests are left: %v", i.requests)
	}
	stranger := party{from: address(1), path: "/"}
	allowed := 0
	for range 10 * strangerBurst {
		if end, err := i.begin(stranger, now); err == nil {
			allowed++
			end()
		}
	}
	if allowed != strangerBurst {
		t.Errorf("a stranger was allowed %d requests at once", allowed)
	}
	for _, other := range []party{{from: address(2), path: "/"}, {from: address(1), path: "/v1"}} {
		if _, err := i.begin(other, now); err != nil {
			t.Errorf("another address or path: %v", err)
		}
	}
	if _, err := i.begin(stranger, now.Add(time.Second)); err != nil {
		t.Errorf("a second later: %v", err)
	}
}

// Eight parties that hold as much as they may leave room for a whole publish of another.
func TestBodiesLeaveRoomForOthers(t *testing.T) {
	for _, parties := range []int{1, 4, 8} {
		i := newIntake(64 << 20)
		for n := range parties {
			p := party{site: id.Site(fmt.Sprint("LAB-", n))}
			for {
				if _, err := i.take(p, 16<<10); err != nil {
					break
				}
			}
		}
		if _, err := i.take(party{site: "FL-LAB"}, spool.SmallSize); err != nil {
			t.Errorf("%d parties leave no room: %v", parties, err)
		}
	}
}

// Callers from very many addresses take bounded memory, and the busy ones are not forgotten.
func TestLimitersAreBounded(t *testing.T) {
	l := newLimiters[int](1, 10)
	now := time.Now()
	l.charge(-1, 1000, now)
	l.charge(-1, 1000, now)
	for n := range 3 * maxLimiters {
		l.allow(n, now)
	}
	if len(l.by) > maxLimiters {
		t.Errorf("%d limiters are held", len(l.by))
	}
	if l.has(-1, now) || l.has(-1, now.Add(10*time.Second)) || !l.has(-1, now.Add(12*time.Second)) {
		t.Error("a key that owes tokens is forgotten, or owes them for ever")
	}
}

// Busy is a problem with a time, and the same request later succeeds.
func TestBusySaysWhen(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "#")
	give, err := q.hub.intake.take(party{site: "PA-LAB"}, int64(q.config.Limits.BodiesInFlight))
	if err != nil {
		t.Fatal(err)
	}
	_, err = lab.Resolve(t.Context(), key("fl-lab.dat"))
	if problem, ok := errors.AsType[*api.Error](err); !ok || problem.Code != api.CodeBusy ||
		problem.After != time.Second {
		t.Errorf("got %v", err)
	}
	give()
	if _, err := lab.Resolve(t.Context(), key("fl-lab.dat")); err != nil {
		t.Error(err)
	}
}

// conn is a connection from an address. It only knows whether it is closed.
type conn struct {
	net.Conn
	from   netip.Addr
	met    bool // the handshake is complete
	closed bool
}

func (c *conn) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{HandshakeComplete: c.met}
}

func (c *conn) Close() error { c.closed = true; return nil }
func (c *conn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 1))
}

// flood opens connections, each from the next address, and returns them.
func flood(l *links, count, addresses int) (all []*conn) {
	for n := range count {
		c := &conn{from: address(n % addresses)}
		l.opened(context.Background(), c)
		all = append(all, c)
	}
	return all
}

func stillOpen(all []*conn) (n int) {
	for _, c := range all {
		if !c.closed {
			n++
		}
	}
	return n
}

// A caller has time to authenticate, however many connections strangers hold open. The oldest ones
// of the busiest address are closed for it.
func TestSilentConnectionsAreBounded(t *testing.T) {
	for _, tc := range []struct{ addresses, open int }{
		{1, maxUnproven}, {20, maxStrangers}, {5000, maxStrangers},
	} {
		t.Run(fmt.Sprint(tc.addresses, " addresses"), func(t *testing.T) {
			refused := 0
			l := newLinks(func(netip.Addr) { refused++ })
			before := flood(l, 3000, tc.addresses)
			good := &conn{from: netip.MustParseAddr("198.51.100.1")}
			k := linkOf(l.opened(t.Context(), good))
			after := flood(l, 100, tc.addresses)
			if good.closed {
				t.Error("the connection of another address was closed")
			}
			if n := stillOpen(append(before, after...)); n < tc.open-1 || n > tc.open {
				t.Errorf("%d connections are open, want %d", n, tc.open)
			}
			if stillOpen(after) != 100 || refused != 3100-stillOpen(append(before, after...)) {
				t.Errorf("not the oldest are closed, or not all are reported: %d", refused)
			}
			if !l.prove(k, client{name: "FL-LAB"}, time.Now(), []*x509.Certificate{{}}) {
				t.Error("the site cannot authenticate")
			}
			for _, c := range append(append(before, after...), good) {
				l.changed(c, http.StateClosed)
				l.changed(c, http.StateClosed)
			}
			if len(l.open)+len(l.unproven)+len(l.proven)+l.strangers+l.sites != 0 {
				t.Errorf("%d connections are left, unproven %v", len(l.open), l.unproven)
			}
			l.wait()
		})
	}
}

// An address whose connections fail again and again gets few new ones; others get theirs.
func TestFailedConnectionsAreSlowedDown(t *testing.T) {
	l := newLinks(func(netip.Addr) {})
	fail := func(met bool) {
		for range 10 {
			for _, c := range flood(l, failedBurst, 1) {
				c.met = met
				l.changed(c, http.StateClosed)
			}
		}
	}
	fail(false)
	if n := stillOpen(flood(l, 1000, 1)); n != maxUnproven {
		t.Errorf("after many without a handshake %d connections are taken", n)
	}
	fail(true)
	if n := stillOpen(flood(l, 1000, 1)); n > reopenRate {
		t.Errorf("after many failures %d connections are taken at once", n)
	}
	if other := flood(l, 2, 2)[1]; other.closed {
		t.Error("another address is not let in")
	}
}

// Sites with many connections leave some to each other site.
func TestConnectionsOfSites(t *testing.T) {
	l := newLinks(func(netip.Addr) {})
	take := func(site id.Site) (n int) {
		for ; n < 2*maxProven; n++ {
			k := linkOf(l.opened(t.Context(), &conn{from: address(1)}))
			if !l.prove(k, client{name: site}, time.Now(), []*x509.Certificate{{}}) {
				break
			}
		}
		return n
	}
	if n := take("PA-LAB"); n != maxProven {
		t.Errorf("the first site has %d connections", n)
	}
	for n := range 100 {
		take(id.Site(fmt.Sprint("LAB-", n)))
	}
	if n := take("FL-LAB"); n < keptLinks {
		t.Errorf("one site more has only %d", n)
	}
	if l.sites > maxSiteLinks+102*keptLinks {
		t.Errorf("there are %d connections", l.sites)
	}
}
