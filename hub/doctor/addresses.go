package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
	"time"

	"sealpost/certs"
	"sealpost/hub"
	"sealpost/internal/finding"
	"sealpost/internal/reason"
)

// dialTime is the longest wait for an address of the hub.
const dialTime = 5 * time.Second

// addresses checks that the hub can listen on its addresses. Those of the running hub are in use.
func addresses(ctx context.Context, p *subject, found func(finding.Finding)) {
	listen(ctx, p, "listen", p.Config.Listen, found)
	if p.Config.Metrics != "" {
		listen(ctx, p, "metrics", p.Config.Metrics, found)
	}
}

func listen(ctx context.Context, p *subject, key, address string, found func(finding.Finding)) {
	check := reason.New("check-listen", "key", key, "address", address)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		l.Close() //nolint:errcheck // nothing was said
		says := reason.New("hub-address-free")
		if p.absence == nil {
			says = reason.New("hub-address-new")
		}
		found(finding.Good(check, says))
	case errors.Is(err, syscall.EADDRINUSE) && p.isOwn(key, address):
		found(finding.Good(check, reason.New("hub-address-own")))
	case errors.Is(err, syscall.EADDRINUSE):
		found(finding.Failure(check, reason.New("hub-address-in-use"),
			reason.New("hub-other-address", "key", key)))
	case errors.Is(err, fs.ErrPermission):
		found(finding.Failure(check, reason.New("hub-address-denied"),
			reason.New("hub-high-port", "key", key)))
	default:
		found(finding.Failure(check, reason.Of(err), reason.New("hub-other-address", "key", key)))
	}
}

// isOwn reports whether the running hub holds the address. It tells that of listen; that of metrics
// is taken to be its own while the hub runs.
func (p *subject) isOwn(key, address string) bool {
	if p.absence != nil {
		return !p.isStopped() // it runs, and does not answer
	}
	if key == "metrics" {
		return true
	}
	_, port, err := net.SplitHostPort(address)
	_, own, bad := net.SplitHostPort(p.status.Listen)
	return err == nil && bad == nil && port == own
}

// reachable connects to the hub under each name that sites know.
func reachable(ctx context.Context, p *subject, found func(finding.Finding)) {
	if p.absence != nil {
		return // a finding of running
	}
	_, port, err := net.SplitHostPort(p.status.Listen)
	if err != nil {
		return
	}
	identity, err := hub.ReadIdentity(p.Config.State)
	if err != nil {
		return // a finding of certificate
	}
	for _, host := range p.Config.Hosts {
		address := net.JoinHostPort(host, port)
		check := reason.New("check-hub", "address", address)
		switch err := knock(ctx, address, identity); {
		case errors.Is(err, errOther):
			found(finding.Warning(check, reason.New("hub-address-other"),
				reason.New("hub-check-dns")))
		case err != nil:
			found(finding.Warning(check, reason.New("hub-address-unreachable", "why", err),
				reason.New("hub-check-way")))
		default:
			found(finding.Good(check, reason.New("hub-address-answers")))
		}
	}
}

// errOther means that another server answers.
var errOther = errors.New("another server answers")

// knock shakes hands with the server at an address, which must have the key of the hub.
func knock(ctx context.Context, address string, identity *certs.Identity) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // its key is compared below, and nothing is told to it
	}}
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close()
	chain := c.(*tls.Conn).ConnectionState().PeerCertificates
	if len(chain) == 0 || certs.Fingerprint(chain[0].PublicKey) != identity.Key() {
		return errOther
	}
	return nil
}
