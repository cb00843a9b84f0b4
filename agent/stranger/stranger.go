// Package stranger finds out who answers where the hub should: the hub, a proxy that opens TLS on its way, or somebody
// else.
//
// It looks at the certificates that are shown and ends the connection before anything is sent. What it finds is for
// people; whom to believe is decided elsewhere. It must not know files.
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
)

// Patience is how long whoever answers may take.
const Patience = 15 * time.Second

// Seen is who answers at an address.
type Seen struct {
	Hub     bool   // a server of this network
	Issuer  string // of its certificate; empty: it shows none
	Product string // that inspects TLS, if it says so
	Proxy   string // through which it was reached; empty: none
}

// errSeen ends a connection whose other end has shown itself.
var errSeen = errors.New("seen")

// RemovedAt returns when the hub has removed the site to which it gave this error; zero when it does not say.
func RemovedAt(err error) time.Time {
	if problem, ok := errors.AsType[*api.Error](err); ok {
		return problem.Since
	}
	return time.Time{}
}

// Look connects to an address, through the proxy if there is one, and says who answers. With an error only Seen.Proxy is
// of use.
func Look(ctx context.Context, address string, network id.Hash) (s Seen, err error) {
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
	t := &http.Transport{Proxy: api.Proxy, OnProxyConnectResponse: api.CheckProxy, DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // whoever answers is to be looked at, not believed: nothing is sent to it
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
var inspectors = []string{"Zscaler", "Palo Alto", "Fortinet", "FortiGate", "Netskope", "Blue Coat", "Symantec Web", "Sophos", "Cisco Umbrella", "Forcepoint", "Websense",
	"Check Point", "McAfee", "Skyhigh", "Kaspersky", "ESET SSL", "Avast", "Bitdefender", "Barracuda", "WatchGuard", "SonicWall", "Squid", "mitmproxy", "Fiddler", "Charles Proxy"}

// inspector names the product that shows these certificates, if it says so.
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
