package hub

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/id"
)

// access is the class of callers that an endpoint admits. Sites and admins have no right in common
// but joined.
type access int

const (
	anonymous access = iota // no certificate needed
	joined                  // every admitted site and admin
	member                  // every admitted site
	sender                  // sites that may send
	receiver                // sites that may receive
	viewer                  // admins, operators and viewers
	operator                // admins and operators
	admin                   // admins
	local                   // no certificate is enough: only the hub's control socket
)

// covers reports whether an admitted caller belongs to the class.
func (a access) covers(s site) bool {
	switch a {
	case joined:
		return true
	case member:
		return !certs.IsAdminRole(s.Role)
	case sender:
		return s.canSend()
	case receiver:
		return s.canReceive()
	case viewer:
		return certs.IsAdminRole(s.Role)
	case operator:
		return s.Role == certs.RoleAdmin || s.Role == certs.RoleOperator
	case admin:
		return s.Role == certs.RoleAdmin
	}
	return false
}

// client is the holder of a connection's certificates.
type client struct {
	name id.Site
	of   certs.Holder
	key  id.Hash
}

// Limits of one key with a good certificate that is not admitted.
const (
	knockRate  = 1 // per second
	knockBurst = 30
	knockPause = time.Second // before the answer to a key that asks too often
)

// authorise returns the calling site or admin, or an error if it may not call. With an error, the
// site is zero if it is not admitted. It decides for every request:
// the connection keeps its verified certificates, but the directory may have changed since.
func (h *Hub) authorise(r *http.Request, who access) (site, error) {
	if who == anonymous {
		return site{}, nil
	}
	now := h.now()
	c, err := h.identify(r, now)
	if err != nil {
		return site{}, err
	}
	s, refusal := h.admitted(c)
	if refusal != nil {
		h.metrics.logins.WithLabelValues(eventNotAdmitted).Inc()
		h.refused(r, slog.LevelInfo, refusedCaller, "site", c.name, "key", c.key,
			"code", refusal.Code)
		if c.of == certs.OfSite && refusal.Code != api.CodeDistrusted {
			h.knocks.note(c.name, c.key, linkOf(r.Context()).from, whyRefused(refusal.Code), now)
		}
		if !h.knocking.allow(c.key, time.Now()) {
			backoff.Sleep(r.Context(), knockPause)
		}
		return site{}, refusal
	}
	k := linkOf(r.Context())
	if k.proven() == "" && !h.links.prove(k, c, now, r.TLS.PeerCertificates) {
		return site{}, problem(api.CodeBusy, "%s has too many connections open", c.name)
	}
	if !who.covers(s) {
		h.refused(r, slog.LevelWarn, refusedRole, "caller", c.name, "role", s.Role, "key", c.key,
			"call", r.URL.Path)
		return s, problem(api.CodeNotAllowed, "%s has the role %s, which does not cover this",
			c.name, s.Role)
	}
	return s, nil
}

// admitted returns the caller's record, or the problem of one that is not admitted. An admin is a
// site without a right of sites: its role is none of theirs.
func (h *Hub) admitted(c client) (site, *api.Error) {
	t := h.dir.view()
	if h.isDistrusted(c.key) {
		return site{}, errDistrusted(c.name, c.key)
	}
	if c.of == certs.OfAdmin {
		if a, known := t.admins[c.name]; known && a.Key == c.key {
			return site{Name: a.Name, Role: a.Role, Key: a.Key}, nil
		}
		return site{}, &api.Error{Code: api.CodeNotAdmitted, Detail: fmt.Sprintf("%s with the key "+
			"%s is no administrator of this hub, or not any more; at the hub, one can be "+
			"invited: sealpost hub invite %s --role admin|operator|viewer", c.name, c.key, c.name)}
	}
	s, known := t.sites[c.name]
	if !known || s.isRemoved() || s.Key != c.key {
		return site{}, s.refusal(c.name, c.key)
	}
	return s, nil
}

// refusal returns the problem of a caller with a good certificate and a key that is not admitted.
func (s site) refusal(name id.Site, key id.Hash) *api.Error {
	admit := fmt.Sprintf("sealpost hub admit %s --fingerprint %s --role ROLE", name, key)
	switch {
	case s.isRemoved() && s.Key == key:
		return &api.Error{Code: api.CodeRemoved, Since: s.Removed, Detail: fmt.Sprintf(
			"%s was removed from the network at %s; to let it in again, its administrator can: %s",
			name, s.Removed.Format(time.RFC3339), admit)}
	case !s.isRemoved() && s.Key != "":
		return &api.Error{Code: api.CodeOtherKey, Detail: fmt.Sprintf(
			"%s is admitted with another key than %s; if that one is gone for good, "+
				"its administrator can: sealpost hub remove %s, then: %s", name, key, name, admit)}
	}
	return &api.Error{Code: api.CodeNotAdmitted, Detail: fmt.Sprintf(
		"the hub has not admitted %s with the key %s; its administrator can: %s", name, key, admit)}
}

// identify returns the holder of the connection's certificates.
func (h *Hub) identify(r *http.Request, now time.Time) (client, error) {
	chain := r.TLS.PeerCertificates
	if len(chain) == 0 {
		return client{}, problem(api.CodeNoCert, "this needs the certificate of a site; sealpost "+
			"agent join gets one")
	}
	if c, ok := linkOf(r.Context()).known(now); ok {
		return c, nil
	}
	name, of, err := h.verifier.Client(chain, now)
	switch {
	case errors.Is(err, certs.ErrNotValidNow):
		return client{}, h.notValidNow(r, name, chain[0], now)
	case err != nil:
		h.refused(r, slog.LevelInfo, refusedCertificate, "error", err)
		return client{}, problem(api.CodeNoCert, "the certificate is not one of this network: %v",
			err)
	}
	return client{name, of, certs.Fingerprint(chain[0].PublicKey)}, nil
}

// refused logs a refused request.
func (h *Hub) refused(r *http.Request, level slog.Level, class string, attrs ...any) {
	h.refusals.note(level, class, linkOf(r.Context()).from, time.Now(), attrs...)
}

func (h *Hub) notValidNow(r *http.Request, name id.Site, leaf *x509.Certificate,
	now time.Time) error {
	h.refused(r, slog.LevelInfo, refusedExpired, "site", name, "not_before", leaf.NotBefore,
		"not_after", leaf.NotAfter)
	return problem(api.CodeExpired, "the certificate of %s is valid from %s to %s, and the hub's "+
		"clock says %s; join again with the invitation, or ask the hub's administrator for a new "+
		"one (sealpost hub invite %s)",
		name, leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339),
		now.UTC().Format(time.RFC3339), name)
}
