package outbox

import (
	"context"
	"errors"
	"io"
	"sync"

	"sealpost/hub/api"
	"sealpost/internal/pages"
)

// sharedBuffers is the number of parts in memory beside the one that each large envelope has for
// itself. One envelope alone has partsAtOnce of them, and one that hangs holds up no other.
const sharedBuffers = partsAtOnce - 1

// partMemory lends the buffers in which parts wait until the hub has them.
type partMemory struct {
	shared chan struct{} // a token for each shared buffer in use

	mu   sync.Mutex // guards the fields below
	free [][]byte   // kept while anything is lent
	lent int
}

func newPartMemory() *partMemory {
	return &partMemory{shared: make(chan struct{}, sharedBuffers)}
}

// buffer is the space of one part.
type buffer struct {
	memory *partMemory
	space  []byte // of a whole part
	token  chan struct{}
	data   []byte // the part

	mu      sync.RWMutex // held while data is read
	isEnded bool
}

// take returns a buffer. It waits until the caller's own one is free, or one of shared. That is nil
// for a caller that is limited and would keep it for long.
func (p *partMemory) take(ctx context.Context, own, shared chan struct{}) (*buffer, error) {
	b := &buffer{memory: p}
	select {
	case own <- struct{}{}:
		b.token = own
	case shared <- struct{}{}:
		b.token = shared
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		b.space, p.free = p.free[n-1], p.free[:n-1]
	} else {
		var err error
		if b.space, err = pages.Take(api.PartSize); err != nil {
			<-b.token
			return nil, err
		}
	}
	p.lent++
	return b, nil
}

// end gives the buffer back. Its readers get an error from then on: a transport may read a request
// after its answer.
func (b *buffer) end() error {
	b.mu.Lock()
	b.isEnded = true
	b.mu.Unlock()
	p := b.memory
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, b.space)
	p.lent--
	<-b.token
	if p.lent > 0 {
		return nil
	}
	var err error
	for _, space := range p.free {
		err = errors.Join(err, pages.Give(space))
	}
	p.free = nil
	return err
}

// bufferReader reads a part from its start.
type bufferReader struct {
	of *buffer
	at int
}

var errEnded = errors.New("buffer given back")

func (r *bufferReader) Read(p []byte) (int, error) {
	r.of.mu.RLock()
	defer r.of.mu.RUnlock()
	if r.of.isEnded {
		return 0, errEnded
	}
	if r.at == len(r.of.data) {
		return 0, io.EOF
	}
	n := copy(p, r.of.data[r.at:])
	r.at += n
	return n, nil
}
