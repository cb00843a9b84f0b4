package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sealpost/certs"
)

// Bounds of a connection. Handlers set tighter ones for bodies and answers.
const (
	headerTime   = 10 * time.Second // for a handshake, and for a request's header
	idleTime     = 2 * time.Minute  // longer than the client's: the client closes first
	headerSize   = 64 << 10
	stallTime    = 20 * time.Second // without any byte moving
	strangerBody = 10 * time.Second // for the whole body of a caller without a certificate
	drainTime    = 2 * time.Second  // for the body of a refused request
	minRate      = 16 << 10         // bytes per second on average, in either direction
	answerTime   = 20 * time.Second // for a short answer to be taken
	checkRenewal = time.Hour
	renewAgain   = time.Minute
)

// serve answers agents until the context ends, and then drains open requests.
func (h *Hub) serve(ctx context.Context) error {
	server := h.server()
	listening, stopped := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		stopped(server.Serve(tls.NewListener(h.listener, h.tls())))
	}()
	<-listening.Done()
	failed := context.Cause(listening)
	if ctx.Err() != nil {
		failed = nil // a requested stop is no failure
	}
	h.stop()
	err := h.drain(server)
	<-done
	h.links.wait()
	return errors.Join(failed, err)
}

// tls returns a configuration that presents the hub's certificate. It renews it at each handshake
// if due: the machine may have slept, or had a wrong clock.
func (h *Hub) tls() *tls.Config {
	c := certs.ServerTLS(h.identity)
	present := c.GetCertificate
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		h.renewInTime()
		return present(hello)
	}
	return c
}

// drain waits for open requests, and cuts them off after the grace time.
func (h *Hub) drain(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), h.grace)
	defer cancel()
	if server.Shutdown(ctx) == nil {
		return nil
	}
	h.log.Warn("requests cut off", "after", h.grace)
	h.links.cut("")
	return server.Close()
}

// server returns the HTTP server. It speaks only HTTP/1.1: twice as fast here as HTTP/2, and one
// connection is one request.
func (h *Hub) server() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           h.handler(),
		Protocols:         &protocols,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerSize,
		ErrorLog:          log.New(noise{h}, "", 0),
		ConnContext:       h.links.opened,
		ConnState:         h.links.changed,
	}
}

// noise takes the log of net/http. Failed handshakes are debug messages: network scans cause many.
type noise struct{ hub *Hub }

func (n noise) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.HasPrefix(text, "http: TLS handshake error") {
		n.hub.log.Debug("handshake failed", "why", text)
	} else {
		n.hub.refusals.note(slog.LevelWarn, refusedConnection, netip.Addr{}, time.Now(),
			"why", text)
	}
	return len(line), nil
}

// keepRenewed renews the hub's own certificate when due.
func (h *Hub) keepRenewed(ctx context.Context) error {
	tick := time.NewTicker(checkRenewal)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			h.renewInTime()
		}
	}
}

// renewInTime renews the hub's own certificate if due. After a failure it waits renewAgain.
func (h *Hub) renewInTime() {
	if h.identity.Current(h.now()) || !h.renewing.TryLock() {
		return
	}
	defer h.renewing.Unlock()
	if time.Since(h.renewalFailed) < renewAgain {
		return
	}
	if err := h.renewSelf(); err != nil {
		h.renewalFailed = time.Now()
		h.log.Error("hub certificate not renewed", "error", err, "expires", h.identity.NotAfter())
	}
}

// renewSelf issues the hub's certificate if it is missing, due, or does not name the configured
// hosts.
func (h *Hub) renewSelf() error {
	now := h.now()
	if h.identity.HasChain() && h.identity.Current(now) &&
		hasExactHosts(h.identity.Chain()[0], h.hosts()) {
		return nil
	}
	if err := h.authority.IssueHub(h.identity, h.config.Name, h.hosts(), now); err != nil {
		return err
	}
	h.log.Info("hub certificate issued", "hub", h.config.Name, "expires", h.identity.NotAfter())
	return nil
}

// hasExactHosts reports whether a hub's certificate names exactly these hosts.
func hasExactHosts(c *x509.Certificate, hosts []string) bool {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return hasSameHosts(names, hosts)
}

// hasSameHosts reports whether two lists name the same hosts. Order and notation of addresses do
// not matter.
func hasSameHosts(a, b []string) bool { return slices.Equal(normalHosts(a), normalHosts(b)) }

func normalHosts(hosts []string) []string {
	normal := slices.Clone(hosts)
	for i, h := range normal {
		if ip := net.ParseIP(h); ip != nil {
			normal[i] = ip.String()
		}
	}
	slices.Sort(normal)
	return normal
}
