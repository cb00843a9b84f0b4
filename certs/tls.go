package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// base returns the common configuration of both sides. Sessions are never resumed: a resumed one
// would keep the certificate of an old handshake after a renewal or a removal.
func base() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256},
		SessionTicketsDisabled: true,
		NextProtos:             []string{"http/1.1"},
	}
}

// SmallCurves are the key exchanges whose first message fits into one packet on every line.
var SmallCurves = []tls.CurveID{tls.X25519, tls.CurveP256}

// ServerTLS configures the hub's side: TLS 1.3 only, post-quantum key exchange where the agent can.
// A client certificate is requested and its key proven, but the hub verifies it for each request
// with a Verifier: an expired certificate then gets a readable answer, and a removed site gets
// none. Each handshake presents the present chain of i, so a renewal needs no restart.
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

// ClientTLS configures the agent's side: TLS 1.3 only, post-quantum key exchange preferred. It
// trusts a server that presents the root whose key is pinned as network, is a hub under it, and has
// one of the given names in its certificate. A single name is also sent to the server. With several
// names, or none, the dialled host is sent, and must be in the certificate too. An empty name
// counts as none. Without a name no server at an IP address is trusted, because TLS does not send
// the address.
//
// Each handshake presents the present chain of i: none before enrolment, the new one after a
// renewal. It uses the Time hook of the returned config, if one is set.
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
	// VerifyConnection checks the pinned root instead, also on a resumed session
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(state tls.ConnectionState) error {
		now := time.Now
		if c.Time != nil {
			now = c.Time
		}
		err := verifyServer(state, network, names, now())
		switch {
		case errors.Is(err, ErrNotValidNow):
			return reason.Err("hub-not-believed-now", "why", err)
		case err != nil:
			return reason.Err("not-this-hub", "why", err)
		}
		return nil
	}
	return c
}

// verifyServer checks the hub's chain. It returns ErrNotValidNow only if all but the time is right.
func verifyServer(state tls.ConnectionState, network id.Hash, names []string, now time.Time) error {
	chain := state.PeerCertificates
	if len(chain) != 3 {
		return untrusted(reason.Err("hub-chain-length", "n", len(chain)))
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

// NameError reports a hub's certificate without the dialled names. It is ErrUntrusted.
type NameError struct {
	Wanted []string // one of them is enough
	Has    []string // of the certificate
}

func (e *NameError) Error() string {
	return e.Unwrap().Error()
}

func (e *NameError) Unwrap() error {
	return reason.Err("certificate-names", "cause", ErrUntrusted, "has", e.Has, "wanted", e.Wanted)
}

// wrongName returns the error of a certificate that lacks the wanted names.
func wrongName(leaf *x509.Certificate, wanted ...string) *NameError {
	e := &NameError{Wanted: wanted, Has: slices.Clone(leaf.DNSNames)}
	for _, ip := range leaf.IPAddresses {
		e.Has = append(e.Has, ip.String())
	}
	return e
}

// checkHost checks that the certificate has the dialled host, if TLS sent it, and one of the known
// names.
func checkHost(leaf *x509.Certificate, dialled string, names []string) error {
	if dialled == "" && len(names) == 0 {
		return untrusted(reason.Err("hub-nameless"))
	}
	if dialled != "" {
		if leaf.VerifyHostname(dialled) != nil {
			return wrongName(leaf, dialled)
		}
	}
	for _, name := range names {
		if leaf.VerifyHostname(name) == nil {
			return nil
		}
	}
	if len(names) > 0 {
		return wrongName(leaf, names...)
	}
	return nil
}
