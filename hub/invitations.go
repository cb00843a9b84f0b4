package hub

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// longestInvitation bounds the time for which an invitation is valid.
const longestInvitation = 366 * 24 * time.Hour

// Invitation is an invitation that can still be used.
type Invitation struct {
	Site    id.Site   `json:"site"`
	Role    string    `json:"role"`
	Expires time.Time `json:"expires"`
	// the only key that can use it; empty: any
	Fingerprint id.Hash `json:"fingerprint,omitempty"`
}

// InvitationsAnswer lists the open invitations, by site.
type InvitationsAnswer struct {
	Invitations []Invitation `json:"invitations"`
}

// RevokeRequest ends a site's invitation.
type RevokeRequest struct {
	Site id.Site `json:"site"`
}

// isOpen reports whether an invitation was not used and has not expired.
func (i invitation) isOpen(now time.Time) bool {
	return i.Hash != "" && i.Used.IsZero() && now.Before(i.Expires)
}

func (h *Hub) invitations(context.Context, Nothing) (InvitationsAnswer, error) {
	t := h.dir.view()
	answer := InvitationsAnswer{Invitations: []Invitation{}}
	for _, name := range slices.Sorted(maps.Keys(t.invitations)) {
		if i := t.invitations[name]; i.isOpen(h.now()) {
			answer.Invitations = append(answer.Invitations, Invitation{Site: name,
				Role:    cmp.Or(t.sites[name].Role, t.admins[name].Role),
				Expires: i.Expires, Fingerprint: i.Bound})
		}
	}
	return answer, nil
}

// revoke ends a site's invitation. A site that has joined with it stays, but cannot join with it
// again.
func (h *Hub) revoke(ctx context.Context, in RevokeRequest) (Changed, error) {
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	t := h.dir.view()
	if err := t.notAdmin(in.Site); err != nil {
		return Changed{}, err
	}
	if _, known := t.sites[in.Site]; !known {
		return Changed{}, reason.Err("hub-no-site", "site", in.Site)
	}
	if _, found := t.invitations[in.Site]; !found {
		return Changed{}, nil
	}
	if err := h.dir.dropInvitation(ctx, in.Site); err != nil {
		return Changed{}, err
	}
	h.log.Info("invitation revoked", "site", in.Site)
	return Changed{Changed: true}, nil
}
