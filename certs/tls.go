package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"sealpost/internal/id"
)

// base is what both sides have in common. Sessions are never resumed: a resumed one would carry the certificate of an old
// handshake past a renewal or a removal.
func base() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256},
		SessionTicketsDisabled: true,
		NextProtos:             []string{"http/1.1"},
	}
}

// ServerTLS configures the hub's side: TLS 1.3 only, post-quantum key exchange where the agent can. A client certificate is
// requested and the possession of its key proven, but whether it is believed is left to the hub, per request, with
// Verifier: only so an expired certificate gets a readable answer, and a removed site none. Each handshake presents the
// chain that i has then, so a renewal needs no restart.
func ServerTLS(i *Identity) *tls.Config {
	c := base()
	c.ClientAuth = tls.RequestClientCert
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert := i.certificate()
		if cert == nil {
			return nil, errors.New("the hub has no certificate yet")
		}
		return cert, nil
	}
	return c
}

// ClientTLS configures the agent's side: TLS 1.3 only, post-quantum key exchange preferred. The server is believed when it
// presents the root whose key is pinned as network, is a hub under it, and its certificate holds one of the names under
// which the agent knows the hub. With one name that is also the one sent to the server; with several, or none, it is the
// host that is dialled, which then must be in the certificate too. An empty name counts as none; without any, and dialling
// an IP address, which TLS does not tell, nobody is believed.
//
// Each handshake presents the chain that i has then: none before enrolment, the new one after a renewal. The time is that
// of the config's own Time hook, when one is set on the config that is returned here.
func ClientTLS(i *Identity, network id.Hash, serverNames ...string) *tls.Config {
	c := base()
	var names []string
	for _, name := range serverNames {
		if name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 1 {
		c.ServerName = names[0]
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert := i.certificate(); cert != nil {
			return cert, nil
		}
		return &tls.Certificate{}, nil // crypto/tls: no certificate is sent
	}
	c.InsecureSkipVerify = true // the usual checks know no pinned root; VerifyConnection makes ours, also on a resumed session
	c.VerifyConnection = func(state tls.ConnectionState) error {
		now := time.Now
		if c.Time != nil {
			now = c.Time
		}
		err := verifyServer(state, network, names, now())
		switch {
		case errors.Is(err, ErrNotValidNow):
			return fmt.Errorf("the hub cannot be believed now: %w; is this computer's clock right?", err)
		case err != nil:
			return fmt.Errorf("the server is not this network's hub: %w", err)
		}
		return nil
	}
	return c
}

// verifyServer answers ErrNotValidNow only when nothing but the time is wrong.
func verifyServer(state tls.ConnectionState, network id.Hash, names []string, now time.Time) error {
	chain := state.PeerCertificates
	if len(chain) != 3 {
		return untrusted("want its certificate, the issuing authority's and the root's, found %d", len(chain))
	}
	if err := checkSelf(chain[2]); err != nil {
		return err
	}
	valid := Verifier{Network: network, Root: chain[2]}.hub(chain[:2], now)
	if valid != nil && !errors.Is(valid, ErrNotValidNow) {
		return valid
	}
	if err := checkHost(chain[0], state.ServerName, names); err != nil {
		return err
	}
	return valid
}

// checkHost wants the certificate to hold the host that was dialled, as far as TLS tells it, and one of the known names.
func checkHost(leaf *x509.Certificate, dialled string, names []string) error {
	if dialled == "" && len(names) == 0 {
		return untrusted("its name is not known")
	}
	if dialled != "" {
		if err := leaf.VerifyHostname(dialled); err != nil {
			return untrusted("%v", err)
		}
	}
	var failed error
	for _, name := range names {
		if failed = leaf.VerifyHostname(name); failed == nil {
			return nil
		}
	}
	if failed != nil {
		return untrusted("%v", failed)
	}
	return nil
}
