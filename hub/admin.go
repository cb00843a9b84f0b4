package hub

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const (
	invitationTime    = 7 * 24 * time.Hour
	deadRemoved       = "recipient-removed"
	deadSenderRemoved = "sender-removed"
	deadExpired       = "expired"
	deadAttempts      = "max-attempts"
)

// invite makes an invitation. The hub keeps only the hash of its secret; the answer holds the
// secret.
func (h *Hub) invite(ctx context.Context, in InviteRequest) (Invited, error) {
	if _, err := id.ParseSite(string(in.Site)); err != nil {
		return Invited{}, err
	}
	if in.Valid > longestInvitation {
		return Invited{}, reason.Err("hub-invitation-too-long", "most", longestInvitation)
	}
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	if err := h.dir.view().notAdmin(in.Site); err != nil {
		return Invited{}, err
	}
	if string(in.Site) == string(h.config.Name) {
		return Invited{}, reason.Err("hub-name-of-hub", "name", in.Site)
	}
	s, known := h.dir.view().sites[in.Site]
	isNew := !known || s.isRemoved()
	if isNew {
		s.Name = in.Site
		s = s.anew(h.now().UTC())
	}
	if s.Key == "" {
		if err := s.setRole(in.Role, in.MaySend); err != nil {
			return Invited{}, err
		}
		if err := h.storeSite(ctx, s); err != nil {
			return Invited{}, err
		}
	} else if in.Role != "" && in.Role != s.Role {
		return Invited{}, fmt.Errorf("%s has joined with the role %s; to change it, use: "+
			"sealpost hub admit %s --fingerprint %s --role %s", s.Name, s.Role, s.Name, s.Key,
			in.Role)
	}
	return h.invited(ctx, in.Valid, Invited{Site: s.Name, Role: s.Role, MaySend: s.MaySend,
		Queue: s.queueName(), New: isNew, Joined: s.Key != ""}, s.Key)
}

// invited stores an invitation of a known site or admin, bound to its key if it has one. It returns
// the answer with the invitation's file.
func (h *Hub) invited(ctx context.Context, valid time.Duration, out Invited,
	bound id.Hash) (Invited, error) {
	if valid <= 0 {
		valid = invitationTime
	}
	out.Secret = certs.NewSecret()
	out.Expires = h.now().Add(valid).UTC().Truncate(time.Second)
	if err := h.dir.putInvitation(ctx, invitation{Site: out.Site,
		Hash: certs.HashSecret(out.Secret), Expires: out.Expires, Bound: bound}); err != nil {
		return Invited{}, err
	}
	h.log.Info("site invited", "site", out.Site, "role", out.Role, "expires", out.Expires)
	out.Hub, out.Network, out.Suite = h.addresses(), h.verifier.Network, h.config.Suite
	if h.config.Roster == config.RosterRequired || h.markRoster().Required {
		out.Roster = config.RosterRequired
	}
	return out, nil
}

// setRole sets the role of the site and the patterns of routing keys under which it may send.
func (s *site) setRole(role string, maySend []string) error {
	switch role {
	case config.RoleSend, config.RoleReceive, config.RoleBoth:
		s.Role = role
	case "":
		if s.Role == "" {
			return reason.Err("hub-which-role", "site", s.Name)
		}
	default:
		return reason.Err("hub-no-role", "role", role[:min(20, len(role))])
	}
	for _, p := range maySend {
		if err := validPattern(p); err != nil {
			return err
		}
	}
	switch {
	case !s.canSend():
		s.MaySend = nil
	case len(maySend) > 0:
		s.MaySend = slices.Compact(slices.Sorted(slices.Values(maySend)))
	case len(s.MaySend) == 0:
		s.MaySend = []string{strings.ToLower(string(s.Name)) + ".#"}
	}
	return nil
}

// queueName returns the name of the site's queue, or "" for a site that does not receive.
func (s site) queueName() string {
	if s.canReceive() {
		return s.Name.Queue()
	}
	return ""
}

// storeSite stores a site, makes the queue of a receiver, and announces changed routes.
func (h *Hub) storeSite(ctx context.Context, s site) error {
	if name := s.queueName(); name != "" {
		if _, found := h.dir.view().queues[name]; !found {
			if err := h.dir.putQueue(ctx,
				queue{Name: name, Site: s.Name, Bindings: []string{}}); err != nil {
				return err
			}
		}
	}
	if err := h.changeSite(ctx, s); err != nil {
		return err
	}
	return h.limit(ctx) // the site may be a new one
}

// addresses returns the addresses under which agents reach this hub.
func (h *Hub) addresses() []string {
	port := h.listener.Addr().(*net.TCPAddr).Port
	hosts := h.hosts()
	out := make([]string, len(hosts))
	for i, host := range hosts {
		out[i] = net.JoinHostPort(host, strconv.Itoa(port))
	}
	return out
}

// admit adds a site that already has an identity, or changes the role and patterns of a known site.
func (h *Hub) admit(ctx context.Context, in AdmitRequest) (Changed, error) {
	_, badSite := id.ParseSite(string(in.Site))
	_, badKey := id.ParseHash(string(in.Fingerprint))
	for _, err := range []error{badSite, badKey} {
		if err != nil {
			return Changed{}, err
		}
	}
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	if err := h.dir.view().notAdmin(in.Site); err != nil {
		return Changed{}, err
	}
	if h.isDistrusted(in.Fingerprint) {
		return Changed{}, reason.Err("hub-admit-distrusted", "site", in.Site)
	}
	if holder := h.dir.view().holderOf(in.Fingerprint); holder != "" && holder != in.Site {
		return Changed{}, reason.Err("hub-key-of-another", "site", in.Site, "holder", holder)
	}
	s, known := h.dir.view().sites[in.Site]
	if !known || s.isRemoved() {
		s.Name = in.Site
		s = s.anew(h.now().UTC())
	}
	if s.Key != "" && s.Key != in.Fingerprint {
		return Changed{}, fmt.Errorf("%s is admitted with another key (%s); if that one is gone "+
			"for good, first: sealpost hub remove %s", s.Name, s.Key, s.Name)
	}
	before := s
	before.MaySend = slices.Clone(s.MaySend)
	if err := s.setRole(in.Role, in.MaySend); err != nil {
		return Changed{}, err
	}
	if s.Key == in.Fingerprint && s.Role == before.Role && slices.Equal(s.MaySend, before.MaySend) {
		return Changed{Queue: s.queueName(), RunsAs: h.otherRole(s)}, nil
	}
	if s.Key == "" {
		s = s.withKey(in.Fingerprint)
		// a key whose invitation was used by another key has no certificate yet
		if err := h.mayEnrol(ctx, s.Name, s.Key); err != nil {
			return Changed{}, err
		}
	}
	if err := h.storeSite(ctx, s); err != nil {
		return Changed{}, err
	}
	h.knocks.admitted(s.Name, s.Key)
	h.log.Info("site admitted", "site", s.Name, "role", s.Role, "key", s.Key)
	return Changed{Changed: true, Queue: s.queueName(), RunsAs: h.otherRole(s)}, nil
}

// otherRole returns the role that a site's agent stated, if it differs from the hub's.
func (h *Hub) otherRole(s site) string {
	if role := h.present.role(s.Name); role != s.Role {
		return role
	}
	return ""
}

// remove takes a site off the network. The directory and the routes come first, so that no new
// delivery can reach it, and nothing new can come from it. Then it ends its connections, its
// invitation, its waiting deliveries, its uploads, and its envelopes unless they are kept. The next
// start of the hub finishes a removal that a crash interrupted.
func (h *Hub) remove(ctx context.Context, in RemoveRequest) (Removed, error) {
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	if err := h.dir.view().notAdmin(in.Site); err != nil {
		return Removed{}, err
	}
	s, known := h.dir.view().sites[in.Site]
	if !known {
		return Removed{}, reason.Err("hub-no-site", "site", in.Site)
	}
	out := Removed{Changed: !s.isRemoved()}
	if out.Changed {
		s.Removed, s.KeepSent, s.Quota = h.now().UTC(), in.KeepSent, siteQuota{}
		s.Hold, s.Held = nil, pastHold{}
		if err := h.changeSite(ctx, s); err != nil {
			return Removed{}, err
		}
		h.log.Info("site removed", "site", s.Name, "key", s.Key, "keep_sent", s.KeepSent)
	} else if s.KeepSent && !in.KeepSent {
		s.KeepSent = false
		if err := h.dir.putSite(ctx, s); err != nil {
			return Removed{}, err
		}
	}
	out.Connections = h.links.cut(s.Name)
	h.told.forget(s.Name)
	h.present.forget(s.Name)
	h.uploads.forget(s.Name)
	if err := h.dir.dropInvitation(ctx, s.Name); err != nil {
		return Removed{}, err
	}
	if err := h.free(ctx, s, &out); err != nil {
		return Removed{}, err
	}
	return out, h.limit(ctx)
}

// free ends the deliveries that wait for a removed site, which informs their senders. It aborts the
// site's uploads, and ends its envelopes unless they are kept.
func (h *Hub) free(ctx context.Context, s site, out *Removed) (err error) {
	ctx = context.WithoutCancel(ctx)
	if out.Killed, err = h.spool.Kill(ctx, s.Name.Queue(), deadRemoved); err != nil {
		return fmt.Errorf("end the deliveries for %s: %w", s.Name, err)
	}
	if out.Uploads, err = h.spool.AbortUploads(ctx, s.Name); err != nil {
		return err
	}
	if !s.KeepSent {
		if out.Sent, err = h.spool.KillFrom(ctx, s.Name, deadSenderRemoved); err != nil {
			return fmt.Errorf("end the envelopes of %s: %w", s.Name, err)
		}
	}
	if out.Killed+out.Uploads+out.Sent > 0 {
		h.log.Info("freed after a removal", "site", s.Name, "dead", out.Killed, "sent", out.Sent,
			"uploads", out.Uploads)
	}
	return nil
}
