package hub

import (
	"slices"
	"sync"
	"time"

	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

const (
	copyTime    = time.Minute // without a hello, after which a second agent of a site is not reported any more
	maxSessions = 4           // that are remembered of a site
)

// presence remembers what agents say of themselves with hello: their role, and which start of an agent asks. It is lost with
// the hub's process and known again after one hello of each.
type presence struct {
	mu sync.Mutex // guards by
	by map[id.Site]*present
}

type present struct {
	role     string // that the site's agent has; empty: not known
	sessions []session
}

// session is one start of an agent.
type session struct {
	id          id.Session
	from        string
	first, last time.Time
	told        bool // that another one runs
}

func newPresence() *presence { return &presence{by: map[id.Site]*present{}} }

// hello notes a hello, and returns the other agent of the site that runs at the same time, nil when there is none, and whether
// this one learns of it for the first time. An agent that has ended before this one began is none: of two that follow one
// another the older says nothing any more.
func (p *presence) hello(site id.Site, of id.Session, role, from string, now time.Time) (other *api.Copy, isNew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.by[site]
	if s == nil {
		s = &present{}
		p.by[site] = s
	}
	if role == config.RoleSend || role == config.RoleReceive || role == config.RoleBoth {
		s.role = role
	}
	if of == "" {
		return nil, false
	}
	i := slices.IndexFunc(s.sessions, func(o session) bool { return o.id == of })
	if i < 0 {
		s.sessions = append(s.sessions, session{id: of, first: now})
		s.sessions = s.sessions[max(0, len(s.sessions)-maxSessions):]
		i = len(s.sessions) - 1
	}
	own := &s.sessions[i]
	own.from, own.last = from, now
	other = s.other(*own, now)
	isNew = other != nil && !own.told
	own.told = other != nil
	return other, isNew
}

// other returns the agent that has said hello since another one began and is still there.
func (s *present) other(own session, now time.Time) *api.Copy {
	for _, o := range s.sessions {
		if o.id != own.id && o.last.After(own.first) && now.Sub(o.last) < copyTime {
			return &api.Copy{From: o.from, Since: o.first.UTC()}
		}
	}
	return nil
}

// role returns the role that the site's agent has said it has.
func (p *presence) role(site id.Site) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.by[site]; s != nil {
		return s.role
	}
	return ""
}

// copies returns from where agents of a site run at the same time; none when there is but one.
func (p *presence) copies(site id.Site, now time.Time) (from []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.by[site]
	if s == nil {
		return nil
	}
	for _, o := range s.sessions {
		if now.Sub(o.last) < copyTime && s.other(o, now) != nil {
			from = append(from, o.from)
		}
	}
	return from
}

// forget drops what is known of a site that was removed.
func (p *presence) forget(site id.Site) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.by, site)
}
