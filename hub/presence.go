package hub

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

const (
	copyTime    = time.Minute // without a hello, after which a second agent is forgotten
	maxSessions = 4           // remembered for each site
)

// versionPattern matches a version that is shown: it comes from outside.
var versionPattern = regexp.MustCompile(`^[A-Za-z0-9.+~_-]{1,64}$`)

// presence holds the roles and sessions that agents state with hello. It is in memory only; one
// hello of each agent restores it.
type presence struct {
	mu sync.Mutex // guards by
	by map[id.Site]*present
}

type present struct {
	role     string // stated by the site's agent; empty: unknown
	version  string // of its program
	last     time.Time
	sessions []session
	takes    admission
}

// admission is from whom the agent of a site takes deliveries, as its newest lease says.
type admission struct {
	blocked, limited []id.Site
	only             map[id.Site]bool // nil: all others
}

// session is one start of an agent.
type session struct {
	id          id.Session
	from        string
	first, last time.Time
	told        bool // of the other agent
	held        int  // how often it was told to stop for a newer one
	runs        bool // it has had an answer, so no late hello of an ended agent counts
}

// greeting is one hello of an agent.
type greeting struct {
	session    id.Session // empty: no agent
	isAnswered bool       // it has the answer to an earlier one, of this start of the hub
	role, from string
}

// counts reports whether an agent runs, as far as known. It was not told to stop, or it goes on.
func (s session) counts() bool { return s.runs && s.held != 1 }

func newPresence() *presence { return &presence{by: map[id.Site]*present{}} }

// seen records the time and the program's version of a hello.
func (p *presence) seen(site id.Site, agent string, now time.Time) {
	version, found := strings.CutPrefix(agent, "sealpost/")
	if !found || !versionPattern.MatchString(version) {
		version = ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of(site)
	s.version, s.last = version, now.UTC()
}

// lastSeen returns the time of the site's last hello since the hub's start, and the version.
func (p *presence) lastSeen(site id.Site) (at time.Time, version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.by[site]; s != nil {
		return s.last, s.version
	}
	return time.Time{}, ""
}

// of returns the record of a site. The caller holds p.mu.
func (p *presence) of(site id.Site) *present {
	s := p.by[site]
	if s == nil {
		s = &present{}
		p.by[site] = s
	}
	return s
}

// hello records a hello and returns another agent of the site that runs at the same time, or nil.
// isNew reports whether this agent learns of it for the first time, and isOlder whether the other
// one has started after it. An agent that ended before this one began does not count: the older of
// two successive agents sends no more hello. Neither does one that was told to stop, unless it goes
// on. The first hello of an agent that has ended can be late; so an agent counts after its second
// one, and in the order of the first ones.
func (p *presence) hello(site id.Site, g greeting,
	now time.Time) (other *api.Copy, isNew, isOlder bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of(site)
	if g.role == config.RoleSend || g.role == config.RoleReceive || g.role == config.RoleBoth {
		s.role = g.role
	}
	if g.session == "" {
		return nil, false, false
	}
	i := s.place(g, now)
	own := &s.sessions[i]
	own.from, own.last, own.runs = g.from, now, own.runs || g.isAnswered
	newer := present{sessions: s.sessions[i+1:]}
	if isOlder = newer.other(*own, now) != nil; isOlder {
		own.held++
	}
	other = s.other(*own, now)
	isNew = other != nil && !own.told
	own.told = other != nil
	return other, isNew, isOlder
}

// place returns the index of a session in the order of first hellos. An unknown one with an answer
// was dropped for newer ones.
func (s *present) place(g greeting, now time.Time) int {
	i := slices.IndexFunc(s.sessions, func(o session) bool { return o.id == g.session })
	if i >= 0 {
		return i
	}
	s.sessions = s.sessions[max(0, len(s.sessions)+1-maxSessions):]
	if i = len(s.sessions); g.isAnswered {
		i = 0
	}
	s.sessions = slices.Insert(s.sessions, i, session{id: g.session, first: now})
	return i
}

// other returns another agent whose time of running overlaps with that of own, and that still runs.
func (s *present) other(own session, now time.Time) *api.Copy {
	for _, o := range s.sessions {
		if o.id != own.id && o.counts() && o.last.After(own.first) && own.last.After(o.first) &&
			now.Sub(o.last) < copyTime {
			return &api.Copy{From: o.from, Since: o.first.UTC()}
		}
	}
	return nil
}

// role returns the role that the site's agent stated.
func (p *presence) role(site id.Site) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.by[site]; s != nil {
		return s.role
	}
	return ""
}

// copies returns the addresses of a site's agents that run at the same time, or nil for one agent.
func (p *presence) copies(site id.Site, now time.Time) (from []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.by[site]
	if s == nil {
		return nil
	}
	for _, o := range s.sessions {
		if o.counts() && now.Sub(o.last) < copyTime && s.other(o, now) != nil {
			from = append(from, o.from)
		}
	}
	return from
}

// admits records from whom a site takes deliveries.
func (p *presence) admits(site id.Site, in api.LeaseRequest) admission {
	takes := admission{blocked: in.Blocked, limited: in.Limited}
	if in.Only != nil {
		takes.only = map[id.Site]bool{}
		for _, sender := range in.Only.Sites {
			takes.only[sender] = true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(site).takes = takes
	return takes
}

// admission returns from whom a site takes deliveries.
func (p *presence) admission(site id.Site) admission {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.by[site]; s != nil {
		return s.takes
	}
	return admission{}
}

// withheldFrom lists the recipients of a sender's addresses that take nothing of it for now, and
// have not blocked it.
func (h *Hub) withheldFrom(sender id.Site) (list []api.Withheld) {
	for _, site := range h.reached(sender) {
		takes := h.present.admission(site)
		switch {
		case slices.Contains(takes.blocked, sender):
		case takes.only != nil && !takes.only[sender]:
			list = append(list, api.Withheld{Site: site, Why: api.WithheldUncompared})
		case slices.Contains(takes.limited, sender):
			list = append(list, api.Withheld{Site: site, Why: api.WithheldToday})
		}
	}
	return list
}

// uncompared lists the senders to a site that it takes nothing from before a comparison.
func (h *Hub) uncompared(site id.Site) (list []api.Sender) {
	takes := h.present.admission(site)
	if takes.only == nil {
		return nil
	}
	sites := h.dir.view().sites
	for _, name := range slices.Sorted(maps.Keys(sites)) {
		if s := sites[name]; !takes.only[name] && s.Key != "" && !s.isRemoved() &&
			!slices.Contains(takes.blocked, name) && slices.Contains(h.reached(name), site) {
			list = append(list, api.Sender{Site: name, Fingerprint: s.Key})
		}
	}
	return list[:min(len(list), api.MaxLeases)]
}

// reached lists the recipients of the addresses that a sender has asked for, in order. No other
// site is told that they exist.
func (h *Hub) reached(sender id.Site) (sites []id.Site) {
	t := h.dir.view()
	for _, address := range h.told.of(sender) {
		for _, r := range t.resolve(h.verifier.Network, sender, address).recipients {
			sites = append(sites, r.Site)
		}
	}
	slices.Sort(sites)
	return slices.Compact(sites)
}

// blockedBy lists the sites that take nothing from a sender.
func (p *presence) blockedBy(sender id.Site) (sites []id.Site) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, s := range p.by {
		if slices.Contains(s.takes.blocked, sender) {
			sites = append(sites, name)
		}
	}
	slices.Sort(sites)
	return sites
}

// forget drops the record of a removed site.
func (p *presence) forget(site id.Site) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.by, site)
}

// hello answers with the hub's and the site's data, and records the agent that asks.
func (c *call) hello() error {
	h, s := c.hub, c.caller
	hello := api.Hello{
		Hub: h.config.Name, Network: h.verifier.Network, Suite: h.config.Suite,
		StartID: h.startID, Incarnation: h.spool.Incarnation(), Time: h.now().UTC(),
		Site: s.Name, KeyHash: s.KeyHash, KeyVersion: s.Version, MayReceive: s.canReceive(),
		Hold:         s.Hold,
		ExpiresAfter: time.Duration(h.deliveries.Load().ExpiresAfter),
	}
	if r := h.roster.Load(); r != nil {
		hello.Roster = r.Number
	}
	if s.canSend() {
		hello.MaySend, hello.BlockedBy = s.MaySend, h.present.blockedBy(s.Name)
		hello.Withheld = h.withheldFrom(s.Name)
		hello.ExpiresOf = h.ownExpiries()
	}
	if s.canReceive() {
		hello.Uncompared = h.uncompared(s.Name)
	}
	asks := c.r.URL.Query()
	session, err := id.Parse128[id.Session](asks.Get(api.QuerySession))
	if err != nil {
		session = "" // not said
	}
	if hello.Audit, err = h.auditHead(c.r.Context(), asks.Get(api.QueryAudit),
		asks.Get(api.QueryReceiptAudit)); err != nil {
		return err
	}
	if asks.Get(api.QueryBacklog) != "" && s.canReceive() {
		if hello.Queue, err = c.backlog(); err != nil {
			return err
		}
	}
	h.present.seen(s.Name, c.r.UserAgent(), h.now())
	var isNew, isOlder bool
	hello.Copy, isNew, isOlder = h.present.hello(s.Name, greeting{session: session,
		isAnswered: asks.Get(api.QueryHeard) == h.startID, role: asks.Get(api.QueryRole),
		from: linkOf(c.r.Context()).from.String()}, h.now())
	if isNew {
		c.log.Warn("two agents of one site run", "site", s.Name, "one", linkOf(c.r.Context()).from,
			"other", hello.Copy.From)
	}
	if isOlder {
		return problem(api.CodeHeld, "another agent of %s has started from %s", s.Name,
			hello.Copy.From)
	}
	return c.reply(hello)
}

// backlog returns the deliveries that wait for the caller.
func (c *call) backlog() (*api.Backlog, error) {
	queues, err := c.hub.spool.Queues(c.r.Context())
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		if q.Name == c.caller.Name.Queue() {
			return &api.Backlog{Waiting: q.Waiting, Oldest: q.Oldest}, nil
		}
	}
	return &api.Backlog{}, nil
}
