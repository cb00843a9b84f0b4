package spooltest

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"sealpost/spool"
)

var partTests = map[string]func(*room){
	"in any order, at once, and more than once": func(r *room) {
		e, content := large(3*spool.PartSize+99, centre)
		st := r.stage(e)
		var wg sync.WaitGroup
		for _, part := range []int{3, 1, 0, 2, 1, 3} {
			wg.Go(func() {
				if err := st.Put(r.ctx, part, bytes.NewReader(part16(content, part))); err != nil &&
					!errors.Is(err, spool.ErrDisplaced) {
					r.Errorf("part %d: %v", part, err)
				}
			})
		}
		wg.Wait()
		r.check(len(st.Missing()) == 0, "missing %v", st.Missing())
		r.no(st.Put(r.ctx, 2, bytes.NewReader(part16(content, 2))))
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content),
			"other content")
	},
	"with other bytes, too few or too many is refused and stays missing": func(r *room) {
		e, content := large(onePart, centre)
		st := r.stage(e)
		for name, bad := range map[string][]byte{
			"other bytes": noise(onePart),
			"one flipped": append(append([]byte(nil), content[:onePart-1]...),
				content[onePart-1]^1),
			"too few":  content[:onePart-1],
			"none":     nil,
			"too many": append(append([]byte(nil), content...), 0),
		} {
			err := st.Put(r.ctx, 0, bytes.NewReader(bad))
			r.check(err != nil, "%s were accepted", name)
			r.want(err, spool.ErrChecksum)
			r.check(len(st.Missing()) == 1, "%s: the part is not missing", name)
		}
		r.no(st.Put(r.ctx, 0, bytes.NewReader(content)))
		r.want(st.Put(r.ctx, 0, bytes.NewReader(noise(onePart))), spool.ErrChecksum)
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content),
			"a bad repetition went in")
	},
	"whose connection breaks keeps the reader's own error": func(r *room) {
		e, content := large(onePart, centre)
		st := r.stage(e)
		broken := errors.New("connection reset")
		for _, err := range []error{broken, io.ErrUnexpectedEOF} {
			got := st.Put(r.ctx, 0, io.MultiReader(bytes.NewReader(content[:5000]), failing{err}))
			r.want(got, err)
			r.check(!errors.Is(got, spool.ErrChecksum), "it says %v", got)
		}
		r.check(len(st.Missing()) == 1, "the part is not missing")
		r.no(st.Put(r.ctx, 0, bytes.NewReader(content)))
	},
	"that there is not is refused": func(r *room) {
		e, content := large(onePart, centre)
		st := r.stage(e)
		for _, part := range []int{-1, 1} {
			r.want(st.Put(r.ctx, part, bytes.NewReader(content)), spool.ErrInvalid)
		}
	},
	"repeated while an older call hangs, the newer one succeeds": func(r *room) {
		e, content := large(onePart, centre)
		st := r.stage(e)
		reader := newFaucet()
		hanging := background(func() (bool, error) { return true, st.Put(r.ctx, 0, reader) })
		reader.give(content[:600_000])
		<-reader.idle
		r.no(st.Put(r.ctx, 0, bytes.NewReader(content)))
		reader.give(content[600_000:])
		reader.give(nil)
		_, err := arrives(r, hanging)
		r.no(err) // the part is durable
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content),
			"other content")
	},
	"of idle uploads expire, those that grow do not": func(r *room) {
		e, content := large(onePart, centre)
		f, foreign := large(onePart, centre)
		r.staged(e, content)
		st := r.stage(f)
		r.clock.Advance(spool.UploadIdle - time.Minute)
		r.no(st.Put(r.ctx, 0, bytes.NewReader(foreign)))
		r.stage(e) // to reopen it prolongs nothing
		r.clock.Advance(2 * time.Minute)
		r.restart()
		r.eventually("the upload expires", func() bool {
			info, err := r.Info(r.ctx)
			return err == nil && info.Content == f.Size
		})
		r.check(len(r.stage(e).Missing()) == 1, "it did not expire")
		r.check(len(r.stage(f).Missing()) == 0, "the other one expired too")
	},
}

// faucet is a reader whose bytes a test gives one by one.
type faucet struct {
	source chan []byte
	rest   []byte
	idle   chan struct{} // gets a value whenever a reader has to wait
}

func newFaucet() *faucet {
	return &faucet{source: make(chan []byte, 8), idle: make(chan struct{}, 1)}
}

// give adds bytes; nil ends the stream.
func (f *faucet) give(b []byte) { f.source <- b }

// Read waits for the next bytes.
func (f *faucet) Read(b []byte) (int, error) {
	if len(f.rest) == 0 {
		if len(f.source) == 0 {
			select {
			case f.idle <- struct{}{}:
			default:
			}
		}
		if f.rest = <-f.source; f.rest == nil {
			f.source <- nil
			return 0, io.EOF
		}
	}
	n := copy(b, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
