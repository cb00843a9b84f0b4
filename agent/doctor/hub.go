package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

// hubTime is how long the hub may take to answer.
const hubTime = 15 * time.Second

// hub asks each address of the hub who answers there, and then the hub itself what it thinks of this site.
func hub(ctx context.Context, o Options) (list []Finding) {
	trusted := false
	for _, address := range o.Config.Hub {
		f := answers(ctx, address, id.Hash(o.Config.Network))
		trusted = trusted || f.Level == OK
		list = append(list, f)
	}
	if !trusted {
		return list
	}
	return append(list, hello(ctx, o)...)
}

// errSeen ends a connection whose other end has shown itself.
var errSeen = errors.New("seen")

// shows connects to an address, through the proxy if there is one, and returns the certificates that are shown there.
func shows(ctx context.Context, address string) (chain []*x509.Certificate, via string, err error) {
	ctx, cancel := context.WithTimeout(ctx, hubTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/", nil)
	if err != nil {
		return nil, "", err
	}
	if proxy, err := http.ProxyFromEnvironment(request); err == nil && proxy != nil {
		via = " through the proxy " + proxy.Host
	}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // whoever answers is to be looked at, not believed: nothing is sent to it
		VerifyConnection: func(s tls.ConnectionState) error {
			chain = s.PeerCertificates
			return errSeen
		},
	}}
	defer t.CloseIdleConnections()
	answer, err := t.RoundTrip(request)
	if err == nil {
		answer.Body.Close() //nolint:errcheck // it cannot come to this
	}
	if errors.Is(err, errSeen) {
		err = nil
	}
	return chain, via, err
}

func answers(ctx context.Context, address string, network id.Hash) Finding {
	what := "hub " + address
	chain, via, err := shows(ctx, address)
	if err != nil {
		return unreachable(what, via, err)
	}
	for _, cert := range chain {
		if certs.Fingerprint(cert.PublicKey) == network {
			return ok(what, "it answers%s, and is of this network", via)[0]
		}
	}
	if len(chain) == 0 {
		return fail(what, "check the address in agent.toml", "what answers%s shows no certificate", via)[0]
	}
	issuer := nameOf(chain[0])
	if product := inspector(chain); product != "" {
		return fail(what, "ask whoever runs the firewall to pass connections to "+address+" through without inspection",
			"a proxy that inspects TLS stands in between%s: %s (its certificate is issued by %q). The agent believes nobody but the hub, so nothing was sent to it", via, product, issuer)[0]
	}
	return fail(what, "check the address in agent.toml; if it is right, something in between inspects TLS: show this line to whoever runs the firewall",
		"what answers%s is not this network's hub: its certificate is issued by %q. Nothing was sent to it", via, issuer)[0]
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

func unreachable(what, via string, err error) Finding {
	var dns *net.DNSError
	var alert tls.RecordHeaderError
	switch {
	case errors.As(err, &dns):
		return fail(what, "check the address in agent.toml, and whether this computer's name service works", "its name is not known here: %v", dns)[0]
	case errors.As(err, &alert):
		return fail(what, "check the port in agent.toml", "what answers%s does not speak TLS", via)[0]
	case errors.Is(err, context.DeadlineExceeded):
		return fail(what, "ask whoever runs the firewall to allow outgoing connections there; if they are, ask the admin of the hub", "nothing answers%s within %s", via, hubTime)[0]
	}
	return fail(what, "check this computer's network, then ask the admin of the hub whether it runs", "it cannot be reached%s: %v", via, err)[0]
}

// hello asks the hub as this site, and compares clocks.
func hello(ctx context.Context, o Options) []Finding {
	const what = "hub's welcome"
	if certificate(ctx, o)[0].Level == Fail {
		return warn(what, "see to the certificate first", "it is not asked, because this site has no certificate that is valid now")
	}
	identity, err := certs.OpenIdentity(filepath.Join(o.Config.State, "identity.key"), filepath.Join(o.Config.State, "chain.pem"))
	if err != nil {
		return warn(what, "see to the keys first", "it is not asked, because the keys cannot be used: %v", err)
	}
	var hosts []string
	for _, a := range o.Config.Hub {
		if host, _, err := net.SplitHostPort(a); err == nil {
			hosts = append(hosts, host)
		}
	}
	client := api.NewClient(api.ClientOptions{Hubs: o.Config.Hub, TLS: certs.ClientTLS(identity, id.Hash(o.Config.Network), hosts...), Site: id.Site(o.Config.Site), UserAgent: "sealpost/" + o.Version})
	defer client.CloseIdle()
	ctx, cancel := context.WithTimeout(ctx, hubTime)
	defer cancel()
	h, err := client.Hello(ctx)
	switch {
	case errors.Is(err, api.ErrNotAdmitted):
		return fail(what, "ask its admin to run: sealpost hub admit "+o.Config.Site+" --fingerprint "+string(identity.Key())+" --role "+o.Config.Role, "the hub does not know this site")
	case errors.Is(err, api.ErrExpired):
		return fail(what, "check this computer's clock; if it is right, ask the admin of the hub for a new invitation and join again", "the hub says that this site's certificate has ended")
	case err != nil:
		return fail(what, "ask the admin of the hub", "%v", err)
	}
	list := ok(what, "%s knows this site", h.Hub)
	if err := certs.CheckClock(h.Time, time.Now()); err != nil {
		return append(list, fail("clock", "set this computer's clock right", "%v", err)...)
	}
	return append(list, ok("clock", "it agrees with the hub's")...)
}
