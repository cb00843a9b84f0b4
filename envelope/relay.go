package envelope

// relay hands the archive from the goroutine that reads and hashes to the one that encrypts.
type relay struct {
	block []byte // being filled
	n     int    // bytes in it
	full  chan []byte
	free  chan []byte
	ended chan struct{} // closed when the encrypting goroutine has returned
	err   error         // its error, after ended
}

const (
	relayBlock  = 128 << 10
	relayBlocks = 6
)

// newRelay starts a goroutine that gives each block to consume, in order. The caller calls close.
func newRelay(consume func([]byte) error) *relay {
	r := &relay{full: make(chan []byte, relayBlocks), free: make(chan []byte, relayBlocks),
		ended: make(chan struct{})}
	for range relayBlocks - 1 {
		r.free <- make([]byte, relayBlock)
	}
	r.block = make([]byte, relayBlock)
	go func() {
		defer close(r.ended)
		for b := range r.full {
			if r.err = consume(b); r.err != nil {
				return
			}
			r.free <- b[:relayBlock]
		}
	}()
	return r
}

// close waits until all blocks are consumed.
func (r *relay) close() error {
	close(r.full)
	<-r.ended
	return r.err
}

func (r *relay) Available() int { return len(r.block) - r.n }

// AvailableBuffer returns the free space, to be filled and written at once.
func (r *relay) AvailableBuffer() []byte { return r.block[r.n:][:0] }

func (r *relay) Write(b []byte) (written int, err error) {
	for written < len(b) {
		if r.Available() == 0 {
			if err := r.Flush(); err != nil {
				return written, err
			}
		}
		n := copy(r.block[r.n:], b[written:])
		r.n += n
		written += n
	}
	return written, nil
}

// Flush hands over the block, and waits for a free one.
func (r *relay) Flush() error {
	if r.n == 0 {
		return nil
	}
	select {
	case r.full <- r.block[:r.n]:
	case <-r.ended:
		return r.err
	}
	select {
	case r.block = <-r.free:
		r.n = 0
	case <-r.ended:
		return r.err
	}
	return nil
}
