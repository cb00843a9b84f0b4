package hub

import (
	"context"
	"maps"
	"slices"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// administrator is the hub's record of an admin or viewer on another computer. It is no site: it
// has a certificate of its own kind, and stands in no route.
type administrator struct {
	Name    id.Site   `json:"name"`
	Role    string    `json:"role"`          // admin, operator or viewer
	Key     id.Hash   `json:"key,omitempty"` // fingerprint of its identity key, once it has joined
	Created time.Time `json:"created"`
}

// InviteAdminRequest asks for the invitation of an admin or viewer. A repeated one replaces the
// invitation and, until the admin has joined, the role. For one that has joined, the invitation is
// bound to its key.
type InviteAdminRequest struct {
	Name  id.Site       `json:"name"`
	Role  string        `json:"role"`               // of an administrator; empty: the one it has
	Valid time.Duration `json:"valid_ns,omitempty"` // default 7 days, at most 366
}

// RemoveAdminRequest takes the rights of an admin or viewer.
type RemoveAdminRequest struct {
	Name id.Site `json:"name"`
}

// AdminsAnswer lists the admins and viewers on other computers, by name.
type AdminsAnswer struct {
	Admins []AdminStatus `json:"admins"`
}

// AdminStatus is one admin or viewer. Its state is invited or joined.
type AdminStatus struct {
	Name        id.Site   `json:"name"`
	State       string    `json:"state"`
	Role        string    `json:"role"`
	Fingerprint id.Hash   `json:"fingerprint,omitempty"` // of its identity key
	Created     time.Time `json:"created"`
	// of an invitation that is not used yet
	Expires     time.Time `json:"invitation_expires,omitzero"`
	Connections int       `json:"connections"`        // open now
	LastSeen    time.Time `json:"last_seen,omitzero"` // its last call since the hub's start
	Version     string    `json:"version,omitempty"`  // of its program
}

// notAdmin returns an error for a name that an admin has.
func (t *table) notAdmin(name id.Site) error {
	if _, isAdmin := t.admins[name]; isAdmin {
		return reason.Err("hub-name-of-admin", "name", name)
	}
	return nil
}

// holderOf returns the site or admin that has a key; "" if none has it.
func (t *table) holderOf(key id.Hash) id.Site {
	for _, s := range t.sites {
		if s.Key == key && !s.isRemoved() {
			return s.Name
		}
	}
	for _, a := range t.admins {
		if a.Key == key {
			return a.Name
		}
	}
	return ""
}

// inviteAdmin makes an invitation of an admin or viewer.
func (h *Hub) inviteAdmin(ctx context.Context, in InviteAdminRequest) (Invited, error) {
	if _, err := id.ParseSite(string(in.Name)); err != nil {
		return Invited{}, err
	}
	if in.Valid > longestInvitation {
		return Invited{}, reason.Err("hub-invitation-too-long", "most", longestInvitation)
	}
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	t := h.dir.view()
	if _, isSite := t.sites[in.Name]; isSite {
		return Invited{}, reason.Err("hub-name-of-site", "name", in.Name)
	}
	a, known := t.admins[in.Name]
	if !known {
		a = administrator{Name: in.Name, Created: h.now().UTC()}
	}
	if in.Role == "" {
		in.Role = a.Role
	}
	switch {
	case !certs.IsAdminRole(in.Role):
		return Invited{}, reason.Err("hub-no-admin-role", "role", in.Role)
	case a.Key != "" && a.Role != in.Role:
		return Invited{}, reason.Err("hub-admin-other-role", "name", a.Name, "has", a.Role,
			"role", in.Role)
	case a.Role != in.Role:
		a.Role = in.Role
		if err := h.dir.putAdmin(ctx, a); err != nil {
			return Invited{}, err
		}
	}
	return h.invited(ctx, in.Valid, Invited{Site: a.Name, Role: a.Role, New: !known,
		Joined: a.Key != ""}, a.Key)
}

// admins lists the admins and viewers on other computers.
func (h *Hub) admins(context.Context, Nothing) (AdminsAnswer, error) {
	t := h.dir.view()
	answer := AdminsAnswer{Admins: []AdminStatus{}}
	for _, name := range slices.Sorted(maps.Keys(t.admins)) {
		a := t.admins[name]
		status := AdminStatus{Name: name, State: SiteJoined, Role: a.Role, Fingerprint: a.Key,
			Created: a.Created, Connections: h.links.count(name)}
		if a.Key == "" {
			status.State, status.Expires = SiteInvited, t.invitations[name].Expires
		}
		status.LastSeen, status.Version = h.present.lastSeen(name)
		answer.Admins = append(answer.Admins, status)
	}
	return answer, nil
}

// removeAdmin takes the rights of an admin or viewer, and ends its invitation and its connections.
// It waits for the admin's calls under way, so that none has an effect after the answer.
func (h *Hub) removeAdmin(ctx context.Context, in RemoveAdminRequest) (Removed, error) {
	h.administration.Lock()
	defer h.administration.Unlock()
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	a, known := h.dir.view().admins[in.Name]
	if !known {
		return Removed{}, reason.Err("hub-no-admin", "name", in.Name)
	}
	// in this order: no invitation outlives its admin
	if err := h.dir.dropInvitation(ctx, in.Name); err != nil {
		return Removed{}, err
	}
	if err := h.dir.dropAdmin(ctx, in.Name); err != nil {
		return Removed{}, err
	}
	h.present.forget(in.Name)
	h.issued.forget(in.Name) // a site that gets this name must not get the admin's certificate
	h.log.Info("admin removed", "admin", a.Name, "role", a.Role, "key", a.Key)
	return Removed{Changed: true, Connections: h.links.cut(in.Name)}, nil
}
