package console

import (
	"fmt"
	"net/http"
)

// place is a page in the navigation.
type place struct{ Name, Title string }

// places are the pages in the navigation, in order.
var places = []place{{"flow", "Flow"}, {"sites", "Sites"}, {"queues", "Queues"},
	{"messages", "Messages"}, {"trouble", "Trouble"}, {"health", "Health"}, {"audit", "Audit"}}

// pageOf returns the handler of a page below the path of a session; nil: there is none.
func pageOf(name string) func(*visit) error {
	switch name {
	case "flow":
		return flow
	case "sites":
		return sites
	case "site":
		return site
	case "queues":
		return queues
	case "messages":
		return messages
	case "message":
		return message
	case "receipt":
		return receipt
	case "trouble":
		return trouble
	case "health":
		return health
	case "audit":
		return audit
	case "live":
		return live
	}
	return nil
}

// actOf returns the handler of a form; nil: there is none.
func actOf(name string) func(*visit) error {
	switch name {
	case "invite":
		return invite
	case "revoke":
		return revoke
	case "admit":
		return admit
	case "remove":
		return remove
	case "quota":
		return quota
	case "hold":
		return hold
	case "release":
		return release
	case "bind":
		return bind
	case "unbind":
		return unbind
	case "hold-one":
		return holdOne
	case "release-one":
		return releaseOne
	case "requeue":
		return requeue
	case "discard":
		return discard
	case "acknowledge":
		return acknowledge
	case "leave":
		return leave
	}
	return nil
}

// dispatch serves the pages and acts of a session.
func dispatch(find func(name string) func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		if handle := find(v.r.PathValue("page")); handle != nil {
			return handle(v)
		}
		return v.status(http.StatusNotFound, "failed", "Not found",
			fmt.Sprintf("There is no page %q.", v.r.PathValue("page")))
	}
}

// leave ends the session.
func leave(v *visit) error {
	v.sessions.end(v.session)
	http.SetCookie(v.w, &http.Cookie{Name: cookieName, Path: "/" + v.session.path + "/",
		MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	return show(v.w, http.StatusOK, "left", nil)
}
