package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"time"

	"sealpost/agent/stranger"
	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/words"
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

func answers(ctx context.Context, address string, network id.Hash) Finding {
	what := "hub " + address
	seen, err := stranger.Look(ctx, address, network)
	switch {
	case err != nil:
		return unreachable(what, words.Through(seen.Proxy), err)
	case seen.Hub:
		return ok(what, "it answers%s, and is of this network", words.Through(seen.Proxy))[0]
	}
	return fail(what, words.PassUninspected(address), "%s", words.Stranger(address, seen.Proxy, seen.Issuer, seen.Product))[0]
}

func unreachable(what, via string, err error) Finding {
	var dns *net.DNSError
	var alert tls.RecordHeaderError
	var proxy *api.ProxyError
	switch {
	case errors.As(err, &proxy):
		says, do := words.ProxyRefuses(proxy.Proxy, proxy.Status)
		return fail(what, do, "%s", says)[0]
	case errors.As(err, &dns):
		return fail(what, "check the address in agent.toml, and whether this computer's name service works", "its name is not known here: %v", dns)[0]
	case errors.As(err, &alert):
		return fail(what, "check the port in agent.toml", "what answers%s does not speak TLS", via)[0]
	case errors.Is(err, context.DeadlineExceeded):
		return fail(what, "ask whoever runs the firewall to allow outgoing connections there; if they are, ask the admin of the hub", "nothing answers%s within %s", via, stranger.Patience)[0]
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
