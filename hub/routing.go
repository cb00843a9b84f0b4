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

// maxRoutes bounds the routes that a table remembers.
const maxRoutes = 4096

// table is the directory at one moment. Its maps never change once it is in use, so what it has resolved stays true.
type table struct {
	sites       map[id.Site]site
	queues      map[string]queue
	invitations map[id.Site]invitation

	routes sync.Map // of routeKey → route
	count  atomic.Int32
}

type routeKey struct {
	sender  id.Site
	address string
}

func newTable() *table {
	return &table{sites: map[id.Site]site{}, queues: map[string]queue{}, invitations: map[id.Site]invitation{}}
}

// route is what an address means: its recipients, in order.
type route struct {
	recipients []api.RouteRecipient
	version    id.Hash
	unknown    []id.Site // sites named by a direct address that receive nothing here
}

// check says why nothing can go this way at all, or nil.
func (r route) check(address id.Address) error {
	switch {
	case len(r.unknown) > 0:
		return problem(api.CodeUnroutable, "%s receives nothing here, so nothing can be sent to %s", r.unknown[0], address)
	case len(r.recipients) == 0:
		return problem(api.CodeUnroutable, "nobody receives what is sent to %s: the hub's administrator can bind it to a queue (sealpost hub bind)", address)
	case len(r.recipients) > spool.MaxRecipients:
		return problem(api.CodeTooLarge, "%s reaches %d sites, and at most %d can be reached at once", address, len(r.recipients), spool.MaxRecipients)
	}
	return nil
}

// targets says in which queues an envelope for this route stands.
func targets(recipients []id.Site) []spool.Target {
	out := make([]spool.Target, len(recipients))
	for i, s := range recipients {
		out[i] = spool.Target{Site: s, Queue: s.Queue()}
	}
	return out
}

// mayReceive says whether the site of a queue gets what is directed to it. A queue that waits for its site to be invited
// (one from hub.toml) counts, so that senders wait for that site instead of leaving it out.
func (t *table) mayReceive(q queue) bool {
	s, known := t.sites[q.Site]
	return !known || !s.removed() && s.receives()
}

// resolve says what the address means for this sender. The sender's own queue is left out.
func (t *table) resolve(network id.Hash, sender id.Site, address id.Address) route {
	key := routeKey{sender, address.String()}
	if known, found := t.routes.Load(key); found {
		return known.(route)
	}
	var r route
	for _, name := range t.reached(sender, address, &r.unknown) {
		s := t.sites[name]
		r.recipients = append(r.recipients, api.RouteRecipient{Site: name, Statement: s.Statement, KeyHash: s.KeyHash})
	}
	r.version = api.RouteVersion(network, address, r.recipients)
	if t.count.Add(1) <= maxRoutes {
		t.routes.Store(key, r)
	}
	return r
}

func (t *table) reached(sender id.Site, address id.Address, unknown *[]id.Site) []id.Site {
	var sites []id.Site
	for _, name := range address.To {
		if q, found := t.queues[name.Queue()]; found && name != sender && t.mayReceive(q) {
			sites = append(sites, name)
		} else {
			*unknown = append(*unknown, name)
		}
	}
	if address.RoutingKey == "" {
		return sites
	}
	for _, q := range t.queues {
		if q.Site != sender && matchAny(q.Bindings, address.RoutingKey) && t.mayReceive(q) {
			sites = append(sites, q.Site)
		}
	}
	slices.Sort(sites)
	return sites
}

// maySend says whether the site may publish under the address. A direct address needs no permission.
func (s site) maySend(address id.Address) error {
	if address.RoutingKey == "" || matchAny(s.MaySend, address.RoutingKey) {
		return nil
	}
	return problem(api.CodeNotAllowed, "%s may not send under %s, only under %s", s.Name, address, strings.Join(s.MaySend, " "))
}

// problem makes an error that the caller of the API sees as it is.
func problem(code api.Code, format string, args ...any) error {
	return &api.Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}
