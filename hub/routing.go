package hub

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// maxRoutes bounds the cached routes of a table.
const maxRoutes = 4096

// table is one immutable version of the directory. Its maps never change once it is in use, so its
// cached routes stay valid.
type table struct {
	sites       map[id.Site]site
	queues      map[string]queue
	invitations map[id.Site]invitation
	admins      map[id.Site]administrator

	routes sync.Map // of routeKey → route
	count  atomic.Int32
}

type routeKey struct {
	sender  id.Site
	address string
}

func newTable() *table {
	return &table{sites: map[id.Site]site{}, queues: map[string]queue{},
		invitations: map[id.Site]invitation{}, admins: map[id.Site]administrator{}}
}

// route is the meaning of an address: its recipients, in order.
type route struct {
	recipients []api.RouteRecipient
	version    id.Hash
	unknown    []id.Site // sites in a direct address that do not receive
}

// check returns the reason why no envelope can take this route, or nil.
func (r route) check(address id.Address) error {
	switch {
	case len(r.unknown) > 0:
		return problem(api.CodeUnroutable, "%s receives nothing here, so nothing can be sent to %s",
			r.unknown[0], address)
	case len(r.recipients) == 0:
		return problem(api.CodeUnroutable, "no site receives %s: the hub's administrator can "+
			"bind it to a queue (sealpost hub bind)", address)
	case len(r.recipients) > spool.MaxRecipients:
		return problem(api.CodeTooLarge, "%s reaches %d sites, and at most %d can be reached at "+
			"once", address, len(r.recipients), spool.MaxRecipients)
	}
	return nil
}

// hasReceiver reports whether the site of a queue can receive. A queue from hub.toml whose site is
// not invited yet counts, so that senders wait for that site.
func (t *table) hasReceiver(q queue) bool {
	s, known := t.sites[q.Site]
	return !known || !s.isRemoved() && s.canReceive()
}

// resolve returns the route of an address for this sender. It leaves out the sender's own queue.
func (t *table) resolve(network id.Hash, sender id.Site, address id.Address) route {
	key := routeKey{sender, address.String()}
	if known, found := t.routes.Load(key); found {
		return known.(route)
	}
	var r route
	for _, name := range t.reached(sender, address, &r.unknown) {
		s := t.sites[name]
		r.recipients = append(r.recipients, api.RouteRecipient{Site: name, Statement: s.Statement,
			KeyHash: s.KeyHash, Joined: s.Key != ""})
	}
	r.version = api.RouteVersion(network, address, r.recipients)
	if t.count.Add(1) <= maxRoutes {
		t.routes.Store(key, r)
	}
	return r
}

// reached returns the sites that an address reaches, in order, and adds those that do not receive.
func (t *table) reached(sender id.Site, address id.Address, unknown *[]id.Site) []id.Site {
	var sites []id.Site
	for _, name := range address.To {
		if q, found := t.queues[name.Queue()]; found && name != sender && t.hasReceiver(q) {
			sites = append(sites, name)
		} else {
			*unknown = append(*unknown, name)
		}
	}
	if address.RoutingKey == "" {
		return sites
	}
	for _, q := range t.queues {
		if q.Site != sender && matchAny(q.Bindings, address.RoutingKey) && t.hasReceiver(q) {
			sites = append(sites, q.Site)
		}
	}
	slices.Sort(sites)
	return sites
}

// checkMaySend returns an error if the site may not publish under the address. A direct address
// needs no permission.
func (s site) checkMaySend(address id.Address) error {
	if address.RoutingKey == "" || matchAny(s.MaySend, address.RoutingKey) {
		return nil
	}
	return problem(api.CodeNotAllowed, "%s may not send under %s, only under %s", s.Name, address,
		strings.Join(s.MaySend, " "))
}

// problem returns an error that the API's caller sees unchanged.
func problem(code api.Code, format string, args ...any) error {
	return &api.Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}
