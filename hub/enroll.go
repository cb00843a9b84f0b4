package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// enroll redeems an invitation for a certificate. The first use binds it durably to the key of the
// request; the same key may redeem it again.
func (c *call) enroll(in api.EnrollRequest) error {
	h := c.hub
	from := linkOf(c.r.Context()).from
	if !h.guesses.has(from, h.now()) {
		return errGuesses
	}
	key, err := certs.KeyOfCSR([]byte(in.CSR))
	if err != nil {
		return problem(api.CodeInvalid, "%v", err)
	}
	if _, err := id.ParseSite(string(in.Site)); err != nil {
		return err
	}
	note := spool.AuditNote{By: fmt.Sprintf("key %s from %s", key, from), Call: api.PathEnroll,
		Text: string(in.Site)}
	of, err := h.redeem(spool.WithNote(c.r.Context(), note), in, key, from)
	if err != nil {
		if errors.Is(err, api.ErrInvitation) {
			h.guesses.charge(from, 1, h.now())
		}
		if errors.Is(err, api.ErrInvitation) || errors.Is(err, api.ErrOtherKey) {
			h.metrics.logins.WithLabelValues(eventRefused).Inc()
			h.refused(c.r, slog.LevelWarn, refusedInvitation, "invited", in.Site, "key", key,
				"why", err)
		}
		return err
	}
	return c.certify(in.CSR, client{in.Site, of, key})
}

// renew gives the caller a certificate for the key it has: the present one until it is due.
func (c *call) renew(in api.RenewRequest) error {
	key, err := certs.KeyOfCSR([]byte(in.CSR))
	if err != nil {
		return problem(api.CodeInvalid, "%v", err)
	}
	if key != c.caller.Key {
		return problem(api.CodeNotAllowed, "a renewal keeps the key: the request is for %s, and "+
			"%s has %s", key, c.caller.Name, c.caller.Key)
	}
	of := certs.OfSite
	if certs.IsAdminRole(c.caller.Role) {
		of = certs.OfAdmin
	}
	return c.certify(in.CSR, client{c.caller.Name, of, key})
}

// redeem checks an invitation, binds it durably to the key, and returns the holder's kind. For some
// days after its admission, a key needs no secret: the request's signature proves that the caller
// has it. A caller without the secret learns nothing, not even whether the site is invited.
func (h *Hub) redeem(ctx context.Context, in api.EnrollRequest, key id.Hash,
	from netip.Addr) (of certs.Holder, err error) {
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	t := h.dir.view()
	a, isAdmin := t.admins[in.Site]
	if isAdmin {
		of = certs.OfAdmin
	}
	inv, invited := t.invitations[in.Site]
	isAdmitted := inv.Hash == "" && inv.Bound == key && h.now().Before(inv.Expires)
	if !invited || !isAdmitted && !certs.MatchSecret(in.Secret, inv.Hash) {
		return of, problem(api.CodeInvitation, "this invitation is not valid here; ask the hub's "+
			"administrator for a new one (sealpost hub invite %s)", in.Site)
	}
	if h.isDistrusted(key) {
		return of, errDistrusted(in.Site, key)
	}
	s := t.sites[in.Site]
	switch {
	case inv.Bound != "" && inv.Bound != key && inv.Used.IsZero() && s.Key == inv.Bound:
		h.knocks.note(in.Site, key, from, whyRefused(api.CodeOtherKey), h.now())
		return of, s.refusal(in.Site, key)
	case inv.Bound != "" && inv.Bound != key:
		if !isAdmin { // an admin is not admitted, but invited anew
			h.knocks.note(in.Site, key, from, whyRefused(api.CodeInvitation), h.now())
		}
		if isAdmin {
			return of, problem(api.CodeInvitation, "this invitation was used before with another "+
				"key (%s) than this computer's (%s); if that was not you, that computer has your "+
				"rights: tell the hub's administrator at once, who takes them away with "+
				"sealpost hub remove %s, and can then invite you again", inv.Bound, key, in.Site)
		}
		return of, problem(api.CodeInvitation, "this invitation was used before with another key "+
			"(%s) than this computer's (%s); if that was not you, tell the hub's administrator, "+
			"who can admit this computer (sealpost hub sites)", inv.Bound, key)
	case inv.Bound == "" && !h.now().Before(inv.Expires):
		return of, problem(api.CodeInvitation, "this invitation expired at %s; ask the hub's "+
			"administrator for a new one (sealpost hub invite %s)",
			inv.Expires.UTC().Format(time.RFC3339), in.Site)
	}
	if inv.Used.IsZero() {
		inv.Bound, inv.Used = key, h.now().UTC()
		if err := h.dir.putInvitation(ctx, inv); err != nil {
			return of, err
		}
	}
	switch {
	case isAdmin && a.Key != key:
		h.log.Info("admin enrolled", "admin", a.Name, "role", a.Role, "key", key)
		a.Key = key
		err = h.dir.putAdmin(ctx, a)
	case !isAdmin && s.Key != key:
		h.log.Info("site enrolled", "site", s.Name, "role", s.Role, "key", key)
		err = h.changeSite(ctx, s.withKey(key))
	}
	if err == nil {
		h.knocks.admitted(in.Site, key)
	}
	return of, err
}

// withKey returns the site with a new identity. Statements of its old identity are dropped. With a
// key that it had before, it can open its dead letters of that time.
func (s site) withKey(key id.Hash) site {
	for _, f := range s.Former {
		if f.Key == key {
			s.Created = f.Created
		}
	}
	s.Key = key
	s.Statement, s.Version, s.Payload, s.KeyHash = "", 0, "", ""
	return s
}

// changeSite stores a site and announces changed routes. The caller holds dir.change.
func (h *Hub) changeSite(ctx context.Context, s site) error {
	if err := h.dir.putSite(ctx, s); err != nil {
		return err
	}
	h.tellRoutes(ctx)
	return nil
}
