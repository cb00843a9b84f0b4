package hub

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// renewSlack is how long before its time a certificate is renewed: the site's clock may be ahead.
const renewSlack = 24 * time.Hour

// certificates holds the newest certificate that this run of the hub has issued to each site. There
// are as many as there are sites.
type certificates struct {
	mu sync.Mutex // guards of
	of map[id.Site]*x509.Certificate
}

func (c *certificates) forget(name id.Site) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.of, name)
}

// certify answers with a certificate for the key of a site or admin. It signs a new one only if
// there is none that is not due for renewal: asking again costs no signature and no line in the
// log.
func (c *call) certify(csr string, to client) error {
	h, now := c.hub, c.hub.now()
	h.issued.mu.Lock()
	defer h.issued.mu.Unlock()
	if leaf := c.present(h.issued.of[to.name], to.key, now); leaf != nil {
		c.log.Debug("certificate given again", "for", to.name, "key", to.key)
		return c.reply(api.Enrolled{Chain: h.chainOf(leaf), Time: now.UTC()})
	}
	issue := h.authority.IssueSite
	if to.of == certs.OfAdmin {
		issue = h.authority.IssueAdmin
	}
	chain, err := issue([]byte(csr), to.name, now)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(chain)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	h.note(c.r.Context(), spool.AuditNote{By: "key " + string(to.key), Call: c.r.URL.Path,
		Text: fmt.Sprintf("certificate %x for %s until %s", leaf.SerialNumber, to.name,
			leaf.NotAfter.UTC().Format(time.RFC3339))})
	h.issued.of[to.name] = leaf
	h.metrics.logins.WithLabelValues(eventIssued).Inc()
	c.log.Info("certificate issued", "for", to.name, "key", to.key)
	return c.reply(api.Enrolled{Chain: string(chain), Time: now.UTC()})
}

// present returns the site's newest certificate, or nil if that is due for renewal. It is the last
// issued one, or the caller's own if the present authority has signed it.
func (c *call) present(issued *x509.Certificate, key id.Hash, now time.Time) *x509.Certificate {
	var newest *x509.Certificate
	own := c.r.TLS.PeerCertificates
	if c.caller.Name != "" && len(own) > 1 && own[1].Equal(c.hub.authority.Issuing()) {
		newest = own[0]
	}
	if issued != nil && (newest == nil || issued.NotAfter.After(newest.NotAfter)) {
		newest = issued
	}
	if newest == nil || certs.Fingerprint(newest.PublicKey) != key ||
		now.Before(newest.NotBefore) || now.After(certs.RenewAt(newest).Add(-renewSlack)) {
		return nil
	}
	return newest
}

// chainOf returns the chain of a certificate of the present authority, as PEM.
func (h *Hub) chainOf(leaf *x509.Certificate) string {
	var chain bytes.Buffer
	for _, cert := range []*x509.Certificate{leaf, h.authority.Issuing(), h.authority.Root()} {
		pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}) // never fails here
	}
	return chain.String()
}
