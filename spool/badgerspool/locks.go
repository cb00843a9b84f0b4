package badgerspool

import (
	"context"
	"sync"

	"sealpost/internal/id"
)

// idLocks lets one call at a time publish, stage or remove under one envelope id. It keeps no entry
// for an id that is not locked.
type idLocks struct {
	mu   sync.Mutex // guards held
	held map[id.Envelope]*idLock
}

type idLock struct {
	token chan struct{} // holds one value while the lock is taken
	users int
}

// lock locks the id and returns the function that unlocks it.
func (l *idLocks) lock(ctx context.Context, e id.Envelope) (unlock func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = make(map[id.Envelope]*idLock)
	}
	k := l.held[e]
	if k == nil {
		k = &idLock{token: make(chan struct{}, 1)}
		l.held[e] = k
	}
	k.users++
	l.mu.Unlock()
	select {
	case k.token <- struct{}{}:
		return func() { <-k.token; l.leave(e, k) }, nil
	case <-ctx.Done():
		l.leave(e, k)
		return nil, ctx.Err()
	}
}

func (l *idLocks) leave(e id.Envelope, k *idLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.held, e)
	}
}
