package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sealpost/spool"
)

// checkTime bounds one look at the hub's health.
const checkTime = 5 * time.Second

func (h *Hub) answerCheck(check func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTime)
		defer cancel()
		if err := check(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n") // an error means that the caller left
	}
}

// healthy returns an error if the process must restart: its spool does not answer, or its state is
// uncertain.
func (h *Hub) healthy(ctx context.Context) error {
	select {
	case <-h.spool.Poisoned():
		return fmt.Errorf("spool: %w", spool.ErrUncertain)
	default:
	}
	if _, err := h.spool.Info(ctx); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// ready returns an error if agents cannot send now. A ready hub is healthy, has disk space, and
// completes a handshake with a valid certificate.
func (h *Hub) ready(ctx context.Context) error {
	if err := h.healthy(ctx); err != nil {
		return err
	}
	if h.stopping.Err() != nil {
		return errors.New("the hub is stopping")
	}
	info, err := h.spool.Info(ctx)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if info.DiskFree < info.Reserve {
		return fmt.Errorf("disk: %d bytes are free, and %d stay reserved: nothing more is taken in",
			info.DiskFree, info.Reserve)
	}
	if now := h.now(); now.After(h.identity.NotAfter()) {
		return fmt.Errorf("certificate: it ended at %s",
			h.identity.NotAfter().UTC().Format(time.RFC3339))
	}
	return h.shakeHands(ctx)
}

// shakeHands completes a TLS handshake with the hub, without a client certificate.
func (h *Hub) shakeHands(ctx context.Context) error {
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // the certificate is compared below
	}}
	c, err := dialer.DialContext(ctx, "tcp", h.Addr().String())
	if err != nil {
		return fmt.Errorf("listener: %w", err)
	}
	defer c.Close()
	met := c.(*tls.Conn).ConnectionState().PeerCertificates
	if len(met) == 0 || !met[0].Equal(h.identity.Chain()[0]) {
		return errors.New("listener: another server answers there")
	}
	return nil
}

// serveMonitoring serves metrics and health until the context ends, if a listener is configured.
func (h *Hub) serveMonitoring(ctx context.Context) error {
	if h.watched == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.metrics.registry,
		promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 2 * figureTime}))
	mux.HandleFunc("GET /healthz", h.answerCheck(h.healthy))
	mux.HandleFunc("GET /readyz", h.answerCheck(h.ready))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime,
		WriteTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(h.watched) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	err := server.Close()
	<-ended
	return err
}
