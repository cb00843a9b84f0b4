package badgerspool

import (
	"sealpost/internal/id"
)

// queue returns what memory holds of a queue, and begins it if there is nothing yet.
func (s *Spool) queue(name string) *storedQueue {
	s.mu.RLock()
	q := s.queues[name]
	s.mu.RUnlock()
	if q != nil {
		return q
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q = s.queues[name]; q == nil {
		q = newQueue(name)
		s.queues[name] = q
	}
	return q
}

func (s *Spool) site(name id.Site) *site {
	s.mu.RLock()
	st := s.sites[name]
	s.mu.RUnlock()
	if st != nil {
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st = s.sites[name]; st == nil {
		st = &site{name: name}
		s.sites[name] = st
	}
	return st
}

func (s *Spool) allQueues() []*storedQueue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*storedQueue, 0, len(s.queues))
	for _, q := range s.queues {
		all = append(all, q)
	}
	return all
}

func (s *Spool) allUploads() []*upload {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*upload, 0, len(s.uploads))
	for _, u := range s.uploads {
		all = append(all, u)
	}
	return all
}
