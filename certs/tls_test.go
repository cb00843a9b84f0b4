package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"sealpost/internal/reason"
)

// at sets a config's clock.
func at(c *tls.Config, when time.Time) *tls.Config {
	c.Time = func() time.Time { return when }
	return c
}

// shake makes a TLS connection over loopback, sends a byte each way, and returns both sides' states
// and errors.
func shake(t *testing.T, server,
	client *tls.Config) (s, c tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	a, b := loopback(t)
	ss, cc := tls.Server(a, server), tls.Client(b, client)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.Close()
		if serverErr = ss.Handshake(); serverErr == nil {
			_, serverErr = io.Copy(ss, io.LimitReader(ss, 1))
			s = ss.ConnectionState()
		}
	}()
	if clientErr = cc.Handshake(); clientErr == nil {
		if _, clientErr = cc.Write([]byte{1}); clientErr == nil {
			_, clientErr = io.ReadFull(cc, make([]byte, 1))
		}
		c = cc.ConnectionState()
	}
	b.Close()
	<-done
	return s, c, serverErr, clientErr
}

// loopback is a connected pair; both ends give up after a while, so that no failure hangs.
func loopback(t *testing.T) (accepted, dialled net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if dialled, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []net.Conn{accepted, dialled} {
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return accepted, dialled
}

// meet is shake for connections that must work.
func meet(t *testing.T, server, client *tls.Config) (s, c tls.ConnectionState) {
	t.Helper()
	s, c, serverErr, clientErr := shake(t, server, client)
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server: %v; client: %v", serverErr, clientErr)
	}
	return s, c
}

func TestAgentAndHubMeet(t *testing.T) {
	n := newNetwork(t)
	site := n.site("FL-LAB")
	s, c := meet(t, at(ServerTLS(n.hub("hub.example.org")), now),
		at(ClientTLS(site, n.Network(), "hub.example.org"), now))
	for _, state := range []tls.ConnectionState{s, c} {
		if state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 ||
			state.NegotiatedProtocol != "http/1.1" {
			t.Errorf("version %x, key exchange %s, protocol %q", state.Version, state.CurveID,
				state.NegotiatedProtocol)
		}
	}
	got, err := NewVerifier(n.Root()).Site(s.PeerCertificates, now)
	if err != nil || got != "FL-LAB" {
		t.Errorf("the hub sees %q, %v", got, err)
	}
}

func TestAnAgentWithoutCertificateReachesTheHub(t *testing.T) {
	n := newNetwork(t)
	s, _ := meet(t, at(ServerTLS(n.hub("hub")), now), at(ClientTLS(stranger(t), n.Network(), "hub"),
		now))
	if len(s.PeerCertificates) != 0 {
		t.Errorf("the hub sees %d certificates", len(s.PeerCertificates))
	}
}

func TestAnExpiredAgentReachesTheHubToBeTold(t *testing.T) {
	n := newNetwork(t)
	site, later := n.site("FL-LAB"), now.Add(95*day)
	hub := stranger(t)
	if err := n.IssueHub(hub, "DC-HQ", []string{"hub"}, later); err != nil {
		t.Fatal(err)
	}
	s, _ := meet(t, at(ServerTLS(hub), later), at(ClientTLS(site, n.Network(), "hub"), later))
	got, err := NewVerifier(n.Root()).Site(s.PeerCertificates, later)
	wantError(t, err, ErrNotValidNow, "FL-LAB")
	if got != "FL-LAB" {
		t.Errorf("the hub sees %q", got)
	}
}

func TestRenewalNeedsNoNewConfig(t *testing.T) {
	n := newNetwork(t)
	site, hub := n.site("FL-LAB"), n.hub("hub")
	server, client := at(ServerTLS(hub), now), at(ClientTLS(site, n.Network(), "hub"), now)
	s1, c1 := meet(t, server, client)
	if err := site.SetChain(n.chainFor(site, "FL-LAB", now), n.Network(), now); err != nil {
		t.Fatal(err)
	}
	if err := n.IssueHub(hub, "DC-HQ", []string{"hub"}, now); err != nil {
		t.Fatal(err)
	}
	s2, c2 := meet(t, server, client)
	if s1.PeerCertificates[0].Equal(s2.PeerCertificates[0]) ||
		!s2.PeerCertificates[0].Equal(site.Chain()[0]) {
		t.Error("the hub does not see the site's new certificate")
	}
	if c1.PeerCertificates[0].Equal(c2.PeerCertificates[0]) ||
		!c2.PeerCertificates[0].Equal(hub.Chain()[0]) {
		t.Error("the site does not see the hub's new certificate")
	}
}

func TestSessionsAreNeverResumed(t *testing.T) {
	n := newNetwork(t)
	server, client := at(ServerTLS(n.hub("hub")), now),
		at(ClientTLS(n.site("FL-LAB"), n.Network(), "hub"), now)
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 3 {
		if s, _ := meet(t, server, client); s.DidResume {
			t.Error("resumed")
		}
	}
}

// TestAResumedSessionIsVerifiedToo is about a hub that issues tickets all the same.
func TestAResumedSessionIsVerifiedToo(t *testing.T) {
	n := newNetwork(t)
	server, client := at(ServerTLS(n.hub("hub")), now),
		at(ClientTLS(n.site("FL-LAB"), n.Network(), "hub"), now)
	server.SessionTicketsDisabled, client.SessionTicketsDisabled = false, false
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	meet(t, server, client)
	if s, _ := meet(t, server, client); !s.DidResume {
		t.Fatal("not resumed: this test would prove nothing")
	}
	delayed := client.Clone()
	// ClientTLS reads the clock of the config that it returned
	client.Time = func() time.Time { return now.Add(91 * day) }
	_, _, _, err := shake(t, server, delayed)
	wantError(t, err, ErrNotValidNow)
}

func TestTheAgentKnowsTheHubUnderSeveralNames(t *testing.T) {
	n := newNetwork(t)
	server := at(ServerTLS(n.hub("hub.example.org", "127.0.0.1", "::1")), now)
	site := n.site("FL-LAB")
	for name, c := range map[string]struct {
		hosts  []string
		dialed string // as net/http sets it for each connection
		fine   bool
	}{
		"one name": {[]string{"hub.example.org"}, "hub.example.org",
			true},
		"one IPv4 address": {[]string{"127.0.0.1"}, "127.0.0.1", true},
		"one IPv6 address": {[]string{"::1"}, "::1", true},
		"several, by name": {[]string{"127.0.0.1", "hub.example.org"},
			"hub.example.org", true},
		"several, by address": {[]string{"old.example.org", "127.0.0.1"},
			"127.0.0.1", true},
		"none, by name":    {nil, "hub.example.org", true},
		"none, by address": {nil, "127.0.0.1", false},
		"several, by a name not its own": {[]string{"127.0.0.1", "old.example.org"},
			"old.example.org", false},
		"one, by a name that is another one": {[]string{"hub.example.org"}, "old.example.org",
			false},
	} {
		t.Run(name, func(t *testing.T) {
			client := at(ClientTLS(site, n.Network(), c.hosts...), now).Clone()
			client.ServerName = c.dialed
			_, _, serverErr, err := shake(t, server, client)
			if c.fine && (err != nil || serverErr != nil) {
				t.Errorf("server: %v; client: %v", serverErr, err)
			}
			if !c.fine {
				wantError(t, err, ErrUntrusted)
			}
		})
	}
}

func TestTheHubAlsoTakesClassicalKeyExchange(t *testing.T) {
	n := newNetwork(t)
	server, client := at(ServerTLS(n.hub("hub")), now),
		at(ClientTLS(n.site("FL-LAB"), n.Network(), "hub"), now)
	client.CurvePreferences = []tls.CurveID{tls.X25519}
	if s, _ := meet(t, server, client); s.CurveID != tls.X25519 {
		t.Errorf("key exchange %s", s.CurveID)
	}
	client.CurvePreferences = []tls.CurveID{tls.CurveP521}
	if _, _, serverErr, _ := shake(t, server, client); serverErr == nil {
		t.Error("the hub takes any curve")
	}
}

func TestAHubWithoutCertificateDoesNotAnswer(t *testing.T) {
	n := newNetwork(t)
	_, _, serverErr, clientErr := shake(t, ServerTLS(stranger(t)),
		ClientTLS(n.site("FL-LAB"), n.Network(), "hub"))
	wantError(t, serverErr, nil, "no certificate yet")
	if clientErr == nil || errors.Is(clientErr, ErrUntrusted) {
		t.Errorf("client: %v", clientErr)
	}
}

func TestANameErrorHasAText(t *testing.T) {
	err := reason.Of(fmt.Errorf("hello: %w", &NameError{Wanted: []string{"a", "b"},
		Has: []string{"c"}}))
	for l, want := range map[reason.Language]string{
		reason.English: "hello: not trusted: its certificate is for c, and not for a or b",
		reason.German: "hello: nicht vertrauenswürdig: sein Zertifikat gilt für c, " +
			"und nicht für a oder b",
	} {
		if got := err.In(l); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
