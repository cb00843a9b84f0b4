package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/control"
	"sealpost/internal/profile"
	"sealpost/internal/reason"
	"sealpost/internal/strictjson"
	"sealpost/spool"
)

// adminCall is one call of the administration. It has the same request and answer on the control
// socket and from another computer.
type adminCall struct {
	path    string
	who     access // viewer, operator, admin or local; the control socket may make every call
	in, out any    // the JSON of request and answer
	local   func(*Hub, *http.ServeMux)
	remote  func(*call) error
	console func(*Hub, context.Context, User, any) (any, error)
}

// adminCalls returns every call of the administration with its callers. It is the only table of
// their rights: the hub's port, the console and docs/api.yaml are made from it. Viewers read, and
// change nothing. Operators steer deliveries: each of their acts but a discard can be undone. The
// secret of a site's invitation goes to the admin that asks for it. Admins are invited
// and removed at the hub's own computer only: a stolen certificate makes no second one.
func adminCalls() []adminCall {
	return []adminCall{
		allow(viewer, ControlStatus, (*Hub).status),
		allow(viewer, ControlSites, (*Hub).sites),
		allow(viewer, ControlQueues, (*Hub).queues),
		allow(viewer, ControlMessages, (*Hub).messages),
		allow(viewer, ControlUsage, (*Hub).usages),
		allow(viewer, ControlInvitations, (*Hub).invitations),
		allow(viewer, ControlAdmins, (*Hub).admins),
		allow(viewer, ControlAudit, (*Hub).audit),
		allow(viewer, ControlLastExport, (*Hub).lastExport),
		allow(viewer, ControlDead, (*Hub).dead),
		allow(viewer, ControlRoster, (*Hub).readRoster),
		allow(viewer, ControlHolds, (*Hub).holds),
		allow(viewer, ControlMessage, (*Hub).message),
		allow(viewer, ControlPreview, (*Hub).preview),
		allow(viewer, ControlFlow, (*Hub).flow),
		allow(viewer, ControlHistory, (*Hub).history),

		allow(operator, ControlHold, (*Hub).hold),
		allow(operator, ControlUnhold, (*Hub).unhold),
		allow(operator, ControlHoldOne, (*Hub).holdOne),
		allow(operator, ControlUnholdOne, (*Hub).unholdOne),
		allow(operator, ControlRequeue, (*Hub).requeue),
		allow(operator, ControlDiscard, (*Hub).discard),
		allow(operator, ControlAcknowledge, (*Hub).acknowledge),

		allow(admin, ControlInvite, (*Hub).invite),
		allow(admin, ControlRevoke, (*Hub).revoke),
		allow(admin, ControlAdmit, (*Hub).admit),
		allow(admin, ControlRemove, (*Hub).remove),
		allow(admin, ControlBind, (*Hub).bindQueue),
		allow(admin, ControlUnbind, (*Hub).unbindQueue),
		allow(admin, ControlQuota, (*Hub).setQuota),
		allow(admin, ControlExport, (*Hub).export),
		allow(admin, ControlReload, (*Hub).reload),
		allow(admin, ControlSetRoster, (*Hub).setRoster),

		allow(local, ControlInviteAdmin, (*Hub).inviteAdmin),
		allow(local, ControlRemoveAdmin, (*Hub).removeAdmin),
		allow(local, ControlConsole, (*Hub).consoleLink),
	}
}

// allow returns the call of an operation, open to a class of callers.
func allow[In, Out any](who access, path string,
	do func(*Hub, context.Context, In) (Out, error)) adminCall {
	return adminCall{
		path: path, who: who, in: *new(In), out: *new(Out),
		local: func(h *Hub, mux *http.ServeMux) {
			control.Handle(mux, path, func(ctx context.Context, in In) (Out, error) {
				account := control.Account(ctx)
				note := noteOf("account "+account, path, in)
				out, err := do(h, spool.WithNote(ctx, note), in)
				h.called(ctx, who, note, cmp.Or(err, failureOf(out)), "account", account)
				return out, h.roomFor(ctx, err)
			})
		},
		console: func(h *Hub, ctx context.Context, u User, request any) (any, error) {
			in, ok := request.(In)
			if !ok {
				return nil, fmt.Errorf("%s wants a %T, not a %T", path, in, request)
			}
			note := noteOf(u.Name+" at the console", path, in)
			out, err := do(h, spool.WithNote(ctx, note), in)
			h.called(ctx, who, note, cmp.Or(err, failureOf(out)), "console", u.Name)
			return out, h.roomFor(ctx, err)
		},
		remote: jsonBody(func(c *call, in In) error {
			end, err := c.administrate()
			if err != nil {
				return err
			}
			from := linkOf(c.r.Context()).from
			note := noteOf(fmt.Sprintf("admin %s %s from %s", c.caller.Name, c.caller.Key, from),
				path, in)
			out, err := func() (Out, error) {
				defer end()
				return do(c.hub, spool.WithNote(c.r.Context(), note), in)
			}()
			c.hub.called(c.r.Context(), who, note, cmp.Or(err, failureOf(out)), "admin",
				c.caller.Name, "key", c.caller.Key, "from", from)
			if err != nil {
				return c.refusal(err)
			}
			return c.reply(out) // without the lock: the admin's line may be slow
		}),
	}
}

// failureOf returns the error of an answer that lists failures only: nothing was changed.
func failureOf(out any) error {
	if a, ok := out.(LettersAnswer); ok {
		return a.failure()
	}
	return nil
}

// controls returns the handler of the control socket. Profiles are among its calls, and open to no
// other computer: they show the daemon's inside.
func (h *Hub) controls() http.Handler {
	mux := http.NewServeMux()
	for _, a := range adminCalls() {
		a.local(h, mux)
	}
	profile.Handle(mux)
	return mux
}

// noteOf returns the note of a call for the audit chain. No request holds a secret.
func noteOf(by, path string, in any) spool.AuditNote {
	if long, ok := in.(interface{ forAudit() any }); ok {
		in = long.forAudit()
	}
	text, err := strictjson.Marshal(in)
	if err != nil {
		text = []byte(err.Error())
	}
	return spool.AuditNote{By: by, Call: path, Text: string(text)}
}

// called writes the outcome of a call into the log and the audit chain, with its caller. Calls that
// change nothing are many, and have lines for debugging only.
func (h *Hub) called(ctx context.Context, who access, note spool.AuditNote, err error, by ...any) {
	level := slog.LevelInfo
	if who == viewer {
		level = slog.LevelDebug
	}
	outcome := "done"
	if err != nil {
		by, outcome = append(by, "error", err), "refused: "+err.Error()
	}
	h.log.Log(ctx, level, "administration", append([]any{"call", note.Call}, by...)...)
	if who != viewer {
		note.Text = outcome + " " + note.Text
		h.note(ctx, note)
	}
}

// administrate begins a call of an admin. Until end is called no admin is removed, and after a
// removal none of that admin's calls begins: so the answer of a removal comes after the last one.
func (c *call) administrate() (end func(), err error) {
	h := c.hub
	h.administration.RLock()
	s, refusal := h.admitted(client{c.caller.Name, certs.OfAdmin, c.caller.Key})
	if refusal != nil || s.Role != c.caller.Role {
		h.administration.RUnlock()
		return nil, problem(api.CodeNotAllowed, "%s was removed during this call", c.caller.Name)
	}
	h.present.seen(s.Name, c.r.UserAgent(), h.now())
	return h.administration.RUnlock, nil
}

// refusal returns the problem of an admin's call that was not made. It has the text that the
// control socket would give.
func (c *call) refusal(err error) error {
	switch code, _ := codeOf(err); {
	case c.isGone() || errors.Is(err, spool.ErrClosed):
		return err
	case code == api.CodeUncertain || code == api.CodeBusy:
		return err
	}
	why := reason.Of(c.hub.roomFor(c.r.Context(), err))
	return &api.Error{Code: api.CodeRefused, Detail: why.String(), Reason: why}
}

// notHere answers a call that admins on other computers cannot make.
func (c *call) notHere() error {
	path := strings.TrimPrefix(c.r.URL.Path, api.PathAdmin)
	for _, a := range adminCalls() {
		if a.path == path && a.who == local {
			c.hub.refused(c.r, slog.LevelWarn, refusedRole, "caller", c.caller.Name, "role",
				c.caller.Role, "key", c.caller.Key, "call", c.r.URL.Path)
			return problem(api.CodeNotAllowed, "this is done at the hub's own computer only: %s",
				path)
		}
	}
	return problem(api.CodeNotFound, "the hub knows no %s %s", c.r.Method, c.r.URL.Path)
}
