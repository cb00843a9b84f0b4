package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"sync"
	"time"

	"sealpost/hub"
	"sealpost/internal/id"
)

// Times and bounds of links and sessions.
const (
	linkTime     = 5 * time.Minute
	idleTime     = 30 * time.Minute // without a request of the user
	sessionTime  = 12 * time.Hour
	mostLinks    = 16
	mostSessions = 32
	cookieName   = "sealpost-console"
)

// hash is the hash of a secret. A comparison by a map's key then tells nothing about the secret.
type hash [sha256.Size]byte

func hashOf(secret string) hash { return sha256.Sum256([]byte(secret)) }

// sessions holds the links that wait and the sessions that last.
type sessions struct {
	now func() time.Time

	mu    sync.Mutex // guards the rest
	links map[hash]link
	by    map[hash]*session // by the hash of the path
}

// link begins a session.
type link struct {
	user hub.User
	ends time.Time
}

// session is one user in one browser. Its pages lie below a secret path: a cookie of 127.0.0.1 goes
// to every port there, but only below its path.
type session struct {
	user   hub.User
	path   string
	cookie hash
	ends   time.Time

	mu     sync.Mutex // guards the rest
	idle   time.Time  // when it ends without a request
	notice notice     // of the last act, for the next page
}

// notice is the outcome of an act.
type notice struct {
	Text string
	Bad  bool
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, links: map[hash]link{}, by: map[hash]*session{}}
}

// link returns the key of a new link, and its end. Above the bound the oldest link ends.
func (s *sessions) link(u hub.User) (key string, ends time.Time) {
	key, ends = id.Random128[string](), s.now().Add(linkTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.links) >= mostLinks {
		var oldest hash
		for h, l := range s.links {
			if oldest == (hash{}) || l.ends.Before(s.links[oldest].ends) {
				oldest = h
			}
		}
		delete(s.links, oldest)
	}
	s.links[hashOf(key)] = link{u, ends}
	return key, ends
}

// begin uses a link up. It returns the new session and the value of its cookie; nil: there is no
// such link.
func (s *sessions) begin(key string) (*session, string) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	l, found := s.links[hashOf(key)]
	delete(s.links, hashOf(key))
	if !found || !now.Before(l.ends) {
		return nil, ""
	}
	for len(s.by) >= mostSessions {
		var oldest hash
		for h, other := range s.by {
			if oldest == (hash{}) || other.ends.Before(s.by[oldest].ends) {
				oldest = h
			}
		}
		delete(s.by, oldest)
	}
	cookie := id.Random128[string]()
	one := &session{user: l.user, path: id.Random128[string](), cookie: hashOf(cookie),
		ends: now.Add(sessionTime), idle: now.Add(idleTime)}
	s.by[hashOf(one.path)] = one
	return one, cookie
}

// of returns the session of a request; nil: it has none.
func (s *sessions) of(r *http.Request) *session {
	path := hashOf(r.PathValue("session"))
	s.mu.Lock()
	one := s.by[path]
	s.mu.Unlock()
	cookie, err := r.Cookie(cookieName)
	if one == nil || err != nil {
		return nil
	}
	sent := hashOf(cookie.Value)
	if subtle.ConstantTimeCompare(sent[:], one.cookie[:]) != 1 {
		return nil
	}
	if !s.lasts(one) {
		s.end(one)
		return nil
	}
	return one
}

// lasts reports whether a session has not ended.
func (s *sessions) lasts(one *session) bool {
	now := s.now()
	s.mu.Lock()
	isKnown := s.by[hashOf(one.path)] == one
	s.mu.Unlock()
	one.mu.Lock()
	defer one.mu.Unlock()
	return isKnown && now.Before(one.ends) && now.Before(one.idle)
}

// used puts off the end of an idle session.
func (s *sessions) used(one *session) {
	one.mu.Lock()
	defer one.mu.Unlock()
	one.idle = s.now().Add(idleTime)
}

func (s *sessions) end(one *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by, hashOf(one.path))
}

// tell keeps a notice for the next page.
func (s *session) tell(n notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notice = n
}

// told returns the notice, once.
func (s *session) told() (n notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, s.notice = s.notice, notice{}
	return n
}
