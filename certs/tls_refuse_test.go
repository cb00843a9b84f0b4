package certs

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

func TestTheAgentRefusesServers(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	hub := n.hub("hub.example.org", "127.0.0.1")
	site := n.site("FL-LAB")
	// a server with the hub's key and any chain
	raw := func(certs ...*x509.Certificate) *tls.Config {
		c := ServerTLS(hub)
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			out := &tls.Certificate{PrivateKey: hub}
			for _, cert := range certs {
				out.Certificate = append(out.Certificate, cert.Raw)
			}
			return out, nil
		}
		return c
	}
	impostor := func() *tls.Config { // a site that listens
		c := ServerTLS(site)
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			out := &tls.Certificate{PrivateKey: site}
			for _, cert := range site.Chain() {
				out.Certificate = append(out.Certificate, cert.Raw)
			}
			return out, nil
		}
		return c
	}
	template := *n.Root()
	template.NotAfter = now.Add(-day)
	// the pinned key, in a certificate that it did not sign
	lookalike := signed(t, &template, other.Root(), &n.root.key.PublicKey, other.root.key)
	chain := hub.Chain()
	for name, c := range map[string]struct {
		server   *tls.Config
		hosts    []string
		at       time.Time
		sentinel error
		word     string
	}{
		"another network": {ServerTLS(other.hub("hub.example.org")),
			[]string{"hub.example.org"}, now, ErrUntrusted, "root's key"},
		"another host": {ServerTLS(hub), []string{"hub2.example.org"}, now, ErrUntrusted,
			"hub2.example.org"},
		"another address": {ServerTLS(hub), []string{"127.0.0.2"}, now, ErrUntrusted,
			"127.0.0.2"},
		"none of several hosts": {ServerTLS(hub), []string{"a.example.org", "b.example.org"}, now,
			ErrUntrusted, "b.example.org"},
		"no host known": {ServerTLS(hub), nil, now, ErrUntrusted, "name is not known"},
		"an empty host": {ServerTLS(hub), []string{""}, now, ErrUntrusted,
			"name is not known"},
		"a site": {impostor(), []string{"hub.example.org"}, now, ErrUntrusted,
			"server use"},
		"without the root": {raw(chain[:2]...), []string{"hub.example.org"}, now,
			ErrUntrusted, "found 2"},
		"leaf alone": {raw(chain[0]), []string{"hub.example.org"}, now, ErrUntrusted,
			"found 1"},
		"one too many": {raw(chain[0], chain[1], chain[2], chain[2]),
			[]string{"hub.example.org"}, now, ErrUntrusted, "found 4"},
		"foreign root": {raw(chain[0], chain[1], other.Root()),
			[]string{"hub.example.org"}, now, ErrUntrusted, "root's key"},
		"foreign issuing": {raw(chain[0], other.Issuing(), chain[2]),
			[]string{"hub.example.org"}, now, ErrUntrusted, ""},
		"lookalike of the root": {raw(chain[0], chain[1], lookalike), []string{"hub.example.org"},
			now, ErrUntrusted, "vouch for itself"},
		"expired": {ServerTLS(hub), []string{"hub.example.org"}, now.Add(91 * day),
			ErrNotValidNow, "DC-HQ"},
		"a clock behind": {ServerTLS(hub), []string{"hub.example.org"}, now.Add(-day),
			ErrNotValidNow, "taken to be"},
		"expired, another host": {ServerTLS(hub), []string{"hub2.example.org"}, now.Add(91 * day),
			ErrUntrusted, "hub2.example.org"},
		"expired, other network": {ServerTLS(other.hub("hub.example.org")),
			[]string{"hub.example.org"}, now.Add(91 * day), ErrUntrusted, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := shake(t, c.server, at(ClientTLS(site, n.Network(), c.hosts...), c.at))
			wantError(t, err, c.sentinel, map[error]string{ErrUntrusted: "not this network's hub",
				ErrNotValidNow: "clock"}[c.sentinel], c.word)
		})
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	n := newNetwork(t)
	server, client := at(ServerTLS(n.hub("hub")), now),
		at(ClientTLS(n.site("FL-LAB"), n.Network(), "hub"), now)
	old := client.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, _, serverErr, clientErr := shake(t, server, old); serverErr == nil || clientErr == nil {
		t.Error("the hub speaks TLS 1.2")
	}
	old = server.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, _, serverErr, clientErr := shake(t, old, client); serverErr == nil || clientErr == nil {
		t.Error("the agent speaks TLS 1.2")
	}
}
