// Package stranger identifies the server at the hub's address: the hub, a proxy that opens TLS, or
// another one. It gives the reasons why a hub does not serve a site.
//
// It reads the server's certificates and ends the connection before it sends anything. Its findings
// are for users; trust is decided elsewhere. It must not know files.
package stranger

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Patience is the longest wait for a server that answers.
const Patience = 15 * time.Second

// Seen is a server at an address.
type Seen struct {
	Hub     bool   // a server of this network
	Issuer  string // of its certificate; empty: it shows none
	Product string // that inspects TLS, if its certificate has the name
	Proxy   string // on the way to it; empty: none
}

// errSeen ends a connection whose certificates are known.
var errSeen = errors.New("seen")

// Verdict returns the verdict on a server that answers at the hub's address and is not the hub.
func (s Seen) Verdict(address string) reason.Verdict {
	shown := reason.New("shows-no-certificate")
	if s.Issuer != "" {
		shown = reason.New("shows-certificate", "issuer", s.Issuer)
	}
	return reason.Verdict{
		Says: reason.New("hub-stranger", "address", address, "proxy", s.Proxy,
			"product", s.Product, "shown", shown),
		Do: reason.New("pass-uninspected", "address", address)}
}

// Look connects to an address, through the proxy if there is one, and returns the server. With an
// error only Seen.Proxy is set.
func Look(ctx context.Context, address string, network id.Hash) (s Seen, err error) {
	return look(ctx, address, network, nil)
}

// LookSmall is Look with a small first message of TLS. Some firewalls drop a larger one.
func LookSmall(ctx context.Context, address string, network id.Hash) (s Seen, err error) {
	return look(ctx, address, network, certs.SmallCurves)
}

func look(ctx context.Context, address string, network id.Hash,
	curves []tls.CurveID) (s Seen, err error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/", nil)
	if err != nil {
		return s, err
	}
	if proxy, err := api.Proxy(request); err == nil && proxy != nil {
		s.Proxy = proxy.Host
	}
	var chain []*x509.Certificate
	t := &http.Transport{Proxy: api.Proxy, OnProxyConnectResponse: api.CheckProxy,
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			CurvePreferences:   curves,
			InsecureSkipVerify: true, // to look at the server, not to trust it: nothing is sent
			VerifyConnection: func(c tls.ConnectionState) error {
				chain = c.PeerCertificates
				return errSeen
			},
		}}
	defer t.CloseIdleConnections()
	answer, err := t.RoundTrip(request)
	if err == nil {
		answer.Body.Close() //nolint:errcheck // it cannot come to this
	}
	if !errors.Is(err, errSeen) {
		return s, err
	}
	return s.of(chain, network), nil
}

func (s Seen) of(chain []*x509.Certificate, network id.Hash) Seen {
	for _, cert := range chain {
		s.Hub = s.Hub || certs.Fingerprint(cert.PublicKey) == network
	}
	if len(chain) > 0 {
		s.Issuer, s.Product = nameOf(chain[0]), inspector(chain)
	}
	return s
}

func nameOf(cert *x509.Certificate) string {
	if name := cert.Issuer.CommonName; name != "" {
		return name
	}
	return cert.Issuer.String()
}

// inspectors are words in the certificates of products that open TLS connections on their way.
var inspectors = []string{"Zscaler", "Palo Alto", "Fortinet", "FortiGate", "Netskope",
	"Blue Coat", "Symantec Web", "Sophos", "Cisco Umbrella", "Forcepoint", "Websense",
	"Check Point", "McAfee", "Skyhigh", "Kaspersky", "ESET SSL", "Avast", "Bitdefender",
	"Barracuda", "WatchGuard", "SonicWall", "Squid", "mitmproxy", "Fiddler", "Charles Proxy"}

// inspector returns the product named in the certificates, if any.
func inspector(chain []*x509.Certificate) string {
	for _, cert := range chain {
		said := strings.ToLower(cert.Issuer.String() + " " + cert.Subject.String())
		for _, product := range inspectors {
			if strings.Contains(said, strings.ToLower(product)) {
				return product
			}
		}
	}
	return ""
}
