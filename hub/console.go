package hub

import (
	"context"
	"time"

	"sealpost/certs"
	"sealpost/internal/control"
	"sealpost/internal/reason"
)

// Console serves the hub's pages for admins. Package console implements it.
type Console interface {
	// Link returns a link that begins a session of the user, once.
	Link(u User) (ConsoleLink, error)
	// Run serves until the context ends.
	Run(ctx context.Context) error
}

// User is a user of the console.
type User struct {
	Name string // for the log and the audit chain, such as "account anna"
	Role string // of certs
}

// ConsoleRequest asks for a link to the console.
type ConsoleRequest struct {
	Role string `json:"role,omitempty"` // of the session; empty: admin
}

// ConsoleLink is a link that begins a session of the console, once.
type ConsoleLink struct {
	URL     string    `json:"url"` // with a secret
	Expires time.Time `json:"expires"`
	Role    string    `json:"role"`
}

// consoleLink returns a link for the account that asks on the control socket.
func (h *Hub) consoleLink(ctx context.Context, in ConsoleRequest) (ConsoleLink, error) {
	if in.Role == "" {
		in.Role = certs.RoleAdmin
	}
	switch {
	case h.console == nil:
		return ConsoleLink{}, reason.Err("hub-no-console")
	case !certs.IsAdminRole(in.Role):
		return ConsoleLink{}, reason.Err("hub-no-admin-role", "role", in.Role)
	}
	return h.console.Link(User{Name: "account " + control.Account(ctx), Role: in.Role})
}

// Call makes a call of the administration for a user of the console. It has the rights of the
// user's role, and is logged and audited like the same call from another computer. The answer has
// the type that adminCalls names.
func (h *Hub) Call(ctx context.Context, u User, path string, in any) (any, error) {
	for _, a := range adminCalls() {
		if a.path == path && a.who.covers(site{Role: u.Role}) {
			return a.console(h, ctx, u, in)
		}
	}
	h.log.Warn(refusedRole, "caller", u.Name, "role", u.Role, "call", path, "at", "the console")
	return nil, reason.Err("console-not-allowed", "role", u.Role)
}

// May reports whether a user of a role may make a call of the administration.
func May(role, path string) bool {
	for _, a := range adminCalls() {
		if a.path == path {
			return a.who.covers(site{Role: role})
		}
	}
	return false
}

// Now returns the hub's time.
func (h *Hub) Now() time.Time { return h.now() }
