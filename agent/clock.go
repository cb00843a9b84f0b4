package agent

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// clockTime bounds the question for the hub's time.
const clockTime = 10 * time.Second

// hubTime asks the hub for its time, for a site whose clock is too wrong to believe the hub's
// certificate. It verifies everything but the certificate's time and sends nothing secret. The
// answer is only shown to users.
func hubTime(ctx context.Context, cfg config.Agent) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, clockTime)
	defer cancel()
	hosts := hostsOf(cfg.Hub)
	for i, address := range cfg.Hub {
		conf := certs.ClientTLS(new(certs.Identity), id.Hash(cfg.Network),
			hosts[min(i, len(hosts)-1)])
		if cfg.SmallHello {
			conf.CurvePreferences = certs.SmallCurves
		}
		verify := conf.VerifyConnection
		conf.VerifyConnection = func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) > 0 {
				issued := state.PeerCertificates[0].NotBefore
				conf.Time = func() time.Time { return issued }
			}
			return verify(state)
		}
		transport := &http.Transport{TLSClientConfig: conf, Proxy: http.ProxyFromEnvironment,
			DisableKeepAlives: true}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet,
			"https://"+address+api.PathHello, nil)
		if err != nil {
			return time.Time{}, err
		}
		answer, err := transport.RoundTrip(req)
		if err != nil {
			continue
		}
		date, err := http.ParseTime(answer.Header.Get("Date"))
		if err = closeAfter(answer, err); err == nil {
			return date, nil
		}
	}
	return time.Time{}, reason.Err("no-hub-time")
}

func closeAfter(answer *http.Response, err error) error {
	if closed := answer.Body.Close(); err == nil {
		err = closed
	}
	return err
}
