package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
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
		return unreachable(what, seen.Proxy, err)
	case seen.Hub:
		return ok(what, words.HubAnswers(seen.Proxy))[0]
	}
	return fail(what, words.StrangerAnswers(address, seen.Proxy, seen.Issuer, seen.Product))[0]
}

func unreachable(what, via string, err error) Finding {
	var dns *net.DNSError
	var alert tls.RecordHeaderError
	var proxy *api.ProxyError
	said := words.HubUnreachable(via, err)
	switch {
	case errors.As(err, &proxy):
		said = words.ProxyShutsOut(proxy.Proxy, proxy.Status)
	case errors.As(err, &dns):
		said = words.NameUnknown(dns)
	case errors.As(err, &alert):
		said = words.NotTLS(via)
	case errors.Is(err, context.DeadlineExceeded):
		said = words.NobodyAnswers(via, stranger.Patience)
	}
	return fail(what, said)[0]
}

// hello asks the hub as this site, and compares clocks.
func hello(ctx context.Context, o Options) []Finding {
	const what = words.Welcome
	if certificate(ctx, o)[0].Level == Fail {
		return warn(what, words.NotAskedCertificate())
	}
	identity, err := open(o)
	if err != nil {
		return warn(what, words.NotAskedKeys())
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
		return fail(what, words.Unadmitted(o.Config.Site, o.Config.Role, identity.Key()))
	case errors.Is(err, api.ErrRemoved):
		return fail(what, words.RemovedAtHub(o.Config.Site, o.Config.Role, identity.Key(), stranger.RemovedAt(err)))
	case errors.Is(err, api.ErrOtherKey):
		return fail(what, words.OtherKeyThere(identity.Key()))
	case errors.Is(err, api.ErrExpired):
		return fail(what, words.EndedAtHub())
	case err != nil:
		if r, ok := stranger.WhyRefused(err); ok {
			return fail(what, r.Verdict)
		}
		return fail(what, words.HubRefuses(err))
	case h.Suite != o.Config.Suite:
		return fail(what, words.SuiteIsOther(h.Suite, o.Config.Suite))
	}
	list := ok(what, words.Welcomed(h.Hub))
	if role := h.Role(); role != o.Config.Role {
		list = append(list, fail("role", words.RolesAre(id.Site(o.Config.Site), o.Config.Role, role, identity.Key()))...)
	}
	if err := certs.CheckClock(h.Time, time.Now()); err != nil {
		return append(list, fail("clock", words.ClockWrong(err))...)
	}
	return append(list, ok("clock", words.ClockRight())...)
}
