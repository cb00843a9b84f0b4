package spooltest

import (
	"bytes"
	"errors"
	"io"
	"reflect"
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
				if err := r.put(st, part, part16(content, part)); err != nil &&
					!errors.Is(err, spool.ErrDisplaced) {
					r.Errorf("part %d: %v", part, err)
				}
			})
		}
		wg.Wait()
		r.check(len(st.Missing()) == 0, "missing %v", st.Missing())
		r.no(r.put(st, 2, part16(content, 2)))
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
			err := st.Put(r.ctx, 0, e.CRC32C[0], bytes.NewReader(bad))
			r.check(err != nil, "%s were accepted", name)
			r.want(err, spool.ErrChecksum)
			r.check(len(st.Missing()) == 1, "%s: the part is not missing", name)
		}
		r.no(r.put(st, 0, content))
		r.want(st.Put(r.ctx, 0, e.CRC32C[0], bytes.NewReader(noise(onePart))),
			spool.ErrChecksum)
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content),
			"a bad repetition went in")
	},
	"whose connection breaks keeps the reader's own error": func(r *room) {
		e, content := large(onePart, centre)
		st := r.stage(e)
		broken := errors.New("connection reset")
		for _, err := range []error{broken, io.ErrUnexpectedEOF} {
			got := st.Put(r.ctx, 0, e.CRC32C[0],
				io.MultiReader(bytes.NewReader(content[:5000]), failing{err}))
			r.want(got, err)
			r.check(!errors.Is(got, spool.ErrChecksum), "it says %v", got)
		}
		r.check(len(st.Missing()) == 1, "the part is not missing")
		r.no(r.put(st, 0, content))
	},
	"that there is not is refused": func(r *room) {
		e, content := large(onePart, centre)
		st := r.stage(e)
		for _, part := range []int{-1, 1} {
			r.want(r.put(st, part, content), spool.ErrInvalid)
		}
	},
	"repeated while an older call hangs, the newer one succeeds": func(r *room) {
		e, content := large(onePart, centre)
		st := r.stage(e)
		reader := newFaucet()
		hanging := background(func() (bool, error) {
			return true, st.Put(r.ctx, 0, e.CRC32C[0],
				reader)
		})
		reader.give(content[:600_000])
		<-reader.idle
		r.no(r.put(st, 0, content))
		reader.give(content[600_000:])
		reader.give(nil)
		_, err := arrives(r, hanging)
		r.no(err) // the part is durable
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content),
			"other content")
	},
	"of other bytes replaces the durable one": func(r *room) {
		old, before := large(twoPart, centre)
		e, content := large(twoPart, centre)
		e.ID = old.ID
		r.staged(old, before)
		r.restart()
		st := r.stage(e)
		r.no(r.put(st, 1, part16(content, 1)))
		for _, half := range []spool.Envelope{old, e} { // one part of each
			_, err := r.Publish(r.ctx, half)
			r.want(err, spool.ErrConflict)
		}
		r.restart()
		st = r.stage(e)
		r.check(len(st.Missing()) == 0, "missing %v", st.Missing())
		r.no(r.put(st, 0, part16(content, 0)))
		_, err := r.Publish(r.ctx, old)
		r.want(err, spool.ErrConflict)
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content),
			"other content")
	},
	"that replaces another and does not arrive leaves it missing": func(r *room) {
		old, before := large(twoPart, centre)
		e, content := large(twoPart, centre)
		e.ID = old.ID
		st := r.staged(old, before)
		used, err := r.Usage(r.ctx)
		r.no(err)
		r.want(st.Put(r.ctx, 1, e.CRC32C[1], failing{io.ErrUnexpectedEOF}), io.ErrUnexpectedEOF)
		_, err = r.Publish(r.ctx, old)
		r.want(err, spool.ErrUnstaged)
		for range 2 {
			r.check(reflect.DeepEqual(st.Missing(), []int{1}), "missing %v", st.Missing())
			r.restart()
			st = r.stage(e)
		}
		r.no(r.put(st, 1, part16(content, 1)))
		now, err := r.Usage(r.ctx)
		r.no(err)
		r.check(reflect.DeepEqual(now, used), "used are %+v, want %+v", now, used)
		r.no(r.put(st, 0, part16(content, 0)))
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content),
			"other content")
	},
	"replaced during a publish never changes the published ones": func(r *room) {
		for range 5 {
			first, before := large(onePart, centre)
			second, after := large(onePart, centre)
			second.ID = first.ID
			st := r.staged(first, before)
			var wg sync.WaitGroup
			for n := range 8 {
				wg.Go(func() {
					data := [][]byte{before, after}[n%2]
					err := r.put(st, 0, data)
					if err != nil && !errors.Is(err, spool.ErrDisplaced) &&
						!errors.Is(err, spool.ErrNotFound) { // published meanwhile
						r.Errorf("replace: %v", err)
					}
				})
			}
			published := make([]error, 2)
			for n, e := range []spool.Envelope{first, second} {
				wg.Go(func() { _, published[n] = r.Publish(r.ctx, e) })
			}
			wg.Wait()
			for n, e := range []spool.Envelope{first, second} {
				if published[n] == nil {
					d := r.lease(centre, 1)[0]
					r.check(bytes.Equal(r.read(d.DeliveryID, 0), [][]byte{before, after}[n]) &&
						reflect.DeepEqual(d.CRC32C, e.CRC32C), "other content")
					r.settle(d)
				}
			}
			r.check(published[0] != nil || published[1] != nil, "both were published")
		}
	},
	"of idle uploads expire, those that grow do not": func(r *room) {
		e, content := large(onePart, centre)
		f, foreign := large(onePart, centre)
		r.staged(e, content)
		st := r.stage(f)
		r.clock.Advance(spool.UploadIdle - time.Minute)
		r.no(r.put(st, 0, foreign))
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
