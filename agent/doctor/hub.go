package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"sealpost/agent/stranger"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// hubTime is the longest wait for an answer of the hub.
const hubTime = 15 * time.Second

// hub checks the server at each address of the hub, and then the hub's answer to this site.
func hub(ctx context.Context, o Options) (list []Finding) {
	trusted := false
	for _, address := range o.Config.Hub {
		f := answers(ctx, o.Config, address)
		trusted = trusted || f.Level == OK
		list = append(list, f)
	}
	if !trusted {
		return list
	}
	return append(list, hello(ctx, o)...)
}

func answers(ctx context.Context, cfg config.Agent, address string) Finding {
	check, network := reason.New("check-hub", "address", address), id.Hash(cfg.Network)
	look := stranger.Look
	if cfg.SmallHello {
		look = stranger.LookSmall
	}
	seen, err := look(ctx, address, network)
	switch {
	case err != nil && !cfg.SmallHello && stranger.DropsLarge(ctx, address, network, err):
		return Finding{Level: Fail, Check: check, Verdict: stranger.LargeDropped()}
	case err != nil:
		return unreachable(check, seen.Proxy, err)
	case seen.Hub:
		return good(check, reason.New("hub-answers", "proxy", seen.Proxy))[0]
	}
	return Finding{Level: Fail, Check: check, Verdict: seen.Verdict(address)}
}

func unreachable(check reason.Reason, via string, err error) Finding {
	var dns *net.DNSError
	var alert tls.RecordHeaderError
	var proxy *api.ProxyError
	verdict := stranger.Unreachable(via, err)
	switch {
	case errors.As(err, &proxy):
		verdict = stranger.ByProxy(proxy)
	case errors.As(err, &dns):
		verdict = reason.Verdict{Says: reason.New("hub-name-unknown", "why", dns),
			Do: reason.New("check-address-or-dns")}
	case errors.As(err, &alert):
		verdict = stranger.NotTLS(via)
	case errors.Is(err, context.DeadlineExceeded):
		verdict = reason.Verdict{
			Says: reason.New("hub-no-answer", "proxy", via, "wait", stranger.Patience),
			Do:   reason.New("ask-firewall-admin")}
	}
	return Finding{Level: Fail, Check: check, Verdict: verdict}
}

// hello asks the hub as this site, and compares clocks.
func hello(ctx context.Context, o Options) []Finding {
	check := reason.New("check-welcome")
	if !exists(o, "") {
		return nil // a finding of folders
	}
	if certificate(ctx, o)[0].Level == Fail {
		return warn(check, reason.New("hub-not-asked-certificate"), reason.New("certificate-first"))
	}
	identity, err := open(o)
	if err != nil {
		return warn(check, reason.New("hub-not-asked-keys"), reason.New("keys-first"))
	}
	var hosts []string
	for _, a := range o.Config.Hub {
		if host, _, err := net.SplitHostPort(a); err == nil {
			hosts = append(hosts, host)
		}
	}
	site := stranger.Site{Name: id.Site(o.Config.Site), Role: o.Config.Role, Key: identity.Key(),
		Expires: identity.NotAfter(), Now: time.Now()}
	conf := certs.ClientTLS(identity, id.Hash(o.Config.Network), hosts...)
	if o.Config.SmallHello {
		conf.CurvePreferences = certs.SmallCurves
	}
	client := api.NewClient(api.ClientOptions{Hubs: o.Config.Hub, TLS: conf,
		Site: site.Name, UserAgent: "sealpost/" + o.Version})
	defer client.CloseIdle()
	ctx, cancel := context.WithTimeout(ctx, hubTime)
	defer cancel()
	h, err := client.Hello(ctx)
	if err == nil && h.Suite != o.Config.Suite {
		err = stranger.SuiteDiffers(h.Suite, o.Config.Suite)
	}
	if r, ok := site.WhyRefused(err); ok {
		return []Finding{{Level: Fail, Check: check, Verdict: r.Verdict}}
	}
	if err != nil {
		return []Finding{{Level: Fail, Check: check, Verdict: stranger.Unreachable("", err)}}
	}
	list := good(check, reason.New("hub-knows-site", "hub", h.Hub))
	if role := h.Role(); role != o.Config.Role {
		list = append(list, Finding{Level: Fail, Check: reason.New("check-role"),
			Verdict: site.RoleDiffers(role)})
	}
	clock := reason.New("check-clock")
	if err := certs.CheckClock(h.Time, time.Now()); err != nil {
		return append(list, fail(clock, reason.Of(err), setClock())...)
	}
	return append(list, good(clock, reason.New("clock-agrees"))...)
}
