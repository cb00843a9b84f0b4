package spooltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// large makes an envelope of so many bytes and its content, which has to be staged.
func large(size int, sites ...id.Site) (spool.Envelope, []byte) {
	content := noise(size)
	return envelopeOf(content, 1, sites...), content
}

const (
	onePart = spool.SmallSize + 1
	twoPart = spool.PartSize + 12345
)

var stageTests = map[string]func(*room){
	"then publish, lease and read": func(r *room) {
		e, content := large(twoPart, centre, second)
		r.check(reflect.DeepEqual(r.stage(e).Missing(), []int{0, 1}), "parts are not missing at the start")
		r.check(len(r.staged(e, content).Missing()) == 0, "parts are missing at the end")
		p := r.publish(e)
		r.check(r.publish(e) == p, "another answer")
		d := r.lease(centre, 1)[0]
		r.check(reflect.DeepEqual(d.CRC32C, e.CRC32C) && d.Content == nil, "delivery is %+v", d.DeliveryID)
		r.check(bytes.Equal(r.read(d.DeliveryID, 0), content), "other content")
		r.check(bytes.Equal(r.read(d.DeliveryID, spool.PartSize-10), content[spool.PartSize-10:]), "other content from an offset")
		r.settle(d)
		r.restart()
		d = r.lease(second, 1)[0]
		r.check(reflect.DeepEqual(d.CRC32C, e.CRC32C) && bytes.Equal(r.read(d.DeliveryID, 0), content), "other content after a restart")
		r.settle(d)
		info, err := r.Info(r.ctx)
		r.no(err)
		r.check(info.Content == 0, "%d bytes are held", info.Content)
		r.check(r.publish(e) == p, "another answer after all")
	},
	"publishing without it, or with parts missing, is refused": func(r *room) {
		e, content := large(twoPart, centre)
		_, err := r.Publish(r.ctx, e)
		r.want(err, spool.ErrUnstaged)
		st := r.stage(e)
		r.no(st.Put(r.ctx, 1, bytes.NewReader(part16(content, 1))))
		_, err = r.Publish(r.ctx, e)
		r.want(err, spool.ErrUnstaged)
		r.idle(centre)
		r.no(st.Put(r.ctx, 0, bytes.NewReader(part16(content, 0))))
		r.publish(e)
	},
	"is found again after a restart, with what was durable": func(r *room) {
		e, content := large(twoPart, centre)
		r.no(r.stage(e).Put(r.ctx, 1, bytes.NewReader(part16(content, 1))))
		r.restart()
		st := r.stage(e)
		r.check(reflect.DeepEqual(st.Missing(), []int{0}), "missing %v", st.Missing())
		r.no(st.Put(r.ctx, 0, bytes.NewReader(part16(content, 0))))
		r.restart()
		d := r.delivery(e, r.publish(e), centre)
		r.check(bytes.Equal(r.read(d, 0), content), "other content")
	},
	"under another size or other checksums is a conflict": func(r *room) {
		e, content := large(onePart, centre)
		r.stage(e)
		other, _ := large(onePart+1, centre)
		other.ID = e.ID
		_, err := r.Stage(r.ctx, upload(other))
		r.want(err, spool.ErrConflict)
		sums := upload(e)
		sums.CRC32C = []uint32{e.CRC32C[0] + 1}
		_, err = r.Stage(r.ctx, sums)
		r.want(err, spool.ErrConflict)
		r.staged(e, content)
		different := e
		different.CRC32C = sums.CRC32C
		_, err = r.Publish(r.ctx, different)
		r.want(err, spool.ErrConflict)
		r.publish(e)
		_, err = r.Stage(r.ctx, sums)
		r.want(err, spool.ErrConflict)
	},
	"of what is published has nothing missing": func(r *room) {
		e, content := large(onePart, centre)
		r.staged(e, content)
		p := r.publish(e)
		for range 2 {
			st := r.stage(e)
			r.check(len(st.Missing()) == 0, "missing %v", st.Missing())
			r.no(st.Abort(r.ctx))
			r.check(r.publish(e) == p, "another answer")
			r.restart()
		}
		r.check(bytes.Equal(r.read(r.delivery(e, p, centre), 0), content), "Abort took the content")
	},
	"by another sender under the same id is another upload": func(r *room) {
		e, content := large(onePart, centre)
		f, foreign := large(onePart, centre)
		f.ID, f.Sender = e.ID, other
		mine, theirs := r.stage(e), r.stage(f)
		r.no(mine.Put(r.ctx, 0, bytes.NewReader(content)))
		r.no(theirs.Put(r.ctx, 0, bytes.NewReader(foreign)))
		p := r.publish(e)
		_, err := r.Publish(r.ctx, f)
		r.want(err, spool.ErrConflict)
		_, err = r.Stage(r.ctx, upload(f))
		r.want(err, spool.ErrConflict)
		r.check(bytes.Equal(r.read(r.delivery(e, p, centre), 0), content), "the other's content")
	},
	"counts in what is held": func(r *room) {
		e, _ := large(onePart, centre)
		st := r.stage(e)
		info, err := r.Info(r.ctx)
		r.no(err)
		r.check(info.Content == e.Size, "%d bytes are held", info.Content)
		r.no(st.Abort(r.ctx))
		info, err = r.Info(r.ctx)
		r.no(err)
		r.check(info.Content == 0, "%d bytes are held after all", info.Content)
	},
	"aborted, it is forgotten": func(r *room) {
		e, content := large(onePart, centre)
		st := r.staged(e, content)
		r.no(st.Abort(r.ctx))
		r.no(st.Abort(r.ctx))
		r.check(st.Put(r.ctx, 0, bytes.NewReader(content)) != nil, "a part was taken after all")
		_, err := r.Publish(r.ctx, e)
		r.want(err, spool.ErrUnstaged)
		r.restart()
		_, err = r.Publish(r.ctx, e)
		r.want(err, spool.ErrUnstaged)
		r.staged(e, content)
		r.publish(e)
	},
	"refuses what cannot be": func(r *room) {
		e, _ := large(onePart, centre)
		for name, change := range map[string]func(*spool.Upload){
			"no id":        func(u *spool.Upload) { u.Envelope = "" },
			"no sender":    func(u *spool.Upload) { u.Sender = "" },
			"too small":    func(u *spool.Upload) { u.Size = spool.SmallSize },
			"too large":    func(u *spool.Upload) { u.Size = spool.MaxSize + 1 },
			"no checksums": func(u *spool.Upload) { u.CRC32C = nil },
			"too many":     func(u *spool.Upload) { u.CRC32C = []uint32{1, 2} },
		} {
			u := upload(e)
			change(&u)
			_, err := r.Stage(r.ctx, u)
			r.check(err != nil, "%s was accepted", name)
			r.want(err, spool.ErrInvalid)
		}
	},
	"by a newer caller displaces the older one": func(r *room) {
		e, content := large(twoPart, centre)
		old := r.stage(e)
		r.no(old.Put(r.ctx, 0, bytes.NewReader(part16(content, 0))))
		young := r.stage(e)
		r.check(reflect.DeepEqual(young.Missing(), []int{1}), "missing %v", young.Missing())
		r.want(old.Put(r.ctx, 1, bytes.NewReader(part16(content, 1))), spool.ErrDisplaced)
		r.want(old.Abort(r.ctx), spool.ErrDisplaced)
		r.no(young.Put(r.ctx, 1, bytes.NewReader(part16(content, 1))))
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content), "other content")
	},
	"by a newer caller does not wait for an older one that hangs, nor is harmed by what it sends late": func(r *room) {
		e, content := large(onePart, centre)
		slow := newFaucet()
		old := r.stage(e)
		late := background(func() (bool, error) { return true, old.Put(r.ctx, 0, slow) })
		slow.give(noise(700_000)) // not what was announced
		<-slow.idle
		young := r.stage(e)
		r.no(young.Put(r.ctx, 0, bytes.NewReader(content)))
		slow.give(noise(onePart - 700_000))
		slow.give(nil)
		_, err := arrives(r, late)
		r.want(err, spool.ErrDisplaced)
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content), "the late bytes went in")
	},
}

// faucet is a reader that gives what it is told to, when it is told to.
type faucet struct {
	given chan []byte
	rest  []byte
	idle  chan struct{} // gets a value whenever somebody wants more than there is
}

func newFaucet() *faucet { return &faucet{given: make(chan []byte, 8), idle: make(chan struct{}, 1)} }

// give adds bytes; nil ends the stream.
func (f *faucet) give(b []byte) { f.given <- b }

// Read waits for what is given.
func (f *faucet) Read(b []byte) (int, error) {
	if len(f.rest) == 0 {
		if len(f.given) == 0 {
			select {
			case f.idle <- struct{}{}:
			default:
			}
		}
		if f.rest = <-f.given; f.rest == nil {
			f.given <- nil
			return 0, io.EOF
		}
	}
	n := copy(b, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

var partTests = map[string]func(*room){
	"in any order, at once, and more than once": func(r *room) {
		e, content := large(3*spool.PartSize+99, centre)
		st := r.stage(e)
		var wg sync.WaitGroup
		for _, part := range []int{3, 1, 0, 2, 1, 3} {
			wg.Go(func() {
				if err := st.Put(r.ctx, part, bytes.NewReader(part16(content, part))); err != nil && !errors.Is(err, spool.ErrDisplaced) {
					r.Errorf("part %d: %v", part, err)
				}
			})
		}
		wg.Wait()
		r.check(len(st.Missing()) == 0, "missing %v", st.Missing())
		r.no(st.Put(r.ctx, 2, bytes.NewReader(part16(content, 2))))
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content), "other content")
	},
	"with other bytes, too few or too many is refused and stays missing": func(r *room) {
		e, content := large(onePart, centre)
		st := r.stage(e)
		for name, bad := range map[string][]byte{
			"other bytes": noise(onePart),
			"one flipped": append(append([]byte(nil), content[:onePart-1]...), content[onePart-1]^1),
			"too few":     content[:onePart-1],
			"none":        nil,
			"too many":    append(append([]byte(nil), content...), 0),
		} {
			err := st.Put(r.ctx, 0, bytes.NewReader(bad))
			r.check(err != nil, "%s were accepted", name)
			r.want(err, spool.ErrChecksum)
			r.check(len(st.Missing()) == 1, "%s: the part is not missing", name)
		}
		r.no(st.Put(r.ctx, 0, bytes.NewReader(content)))
		r.want(st.Put(r.ctx, 0, bytes.NewReader(noise(onePart))), spool.ErrChecksum)
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content), "a bad repetition went in")
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
	"repeated while an older call of the same hold hangs, the newer one goes through": func(r *room) {
		e, content := large(onePart, centre)
		st := r.stage(e)
		slow := newFaucet()
		hanging := background(func() (bool, error) { return true, st.Put(r.ctx, 0, slow) })
		slow.give(content[:600_000])
		<-slow.idle
		r.no(st.Put(r.ctx, 0, bytes.NewReader(content)))
		slow.give(content[600_000:])
		slow.give(nil)
		_, err := arrives(r, hanging)
		r.no(err) // the part is durable, which is all that it asked for
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content), "other content")
	},
	"of uploads that nobody cares for expire, those in use do not": func(r *room) {
		e, content := large(onePart, centre)
		f, foreign := large(onePart, centre)
		r.staged(e, content)
		st := r.stage(f)
		r.clock.Advance(6 * 24 * time.Hour)
		r.no(st.Put(r.ctx, 0, bytes.NewReader(foreign)))
		r.clock.Advance(2 * 24 * time.Hour)
		r.restart()
		r.eventually("the upload expires", func() bool {
			info, err := r.Info(r.ctx)
			return err == nil && info.Content == f.Size
		})
		r.check(len(r.stage(e).Missing()) == 1, "it did not expire")
		r.check(len(r.stage(f).Missing()) == 0, "the other one expired too")
	},
}

// eventually asks again until the answer is yes. It is for what the contract promises "in the background".
func (r *room) eventually(what string, ask func() bool) {
	r.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		if ask() {
			return
		}
		<-tick.C
	}
	r.Fatalf("it never comes: %s", what)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

var lifeTests = map[string]func(*room){
	"after Close every call answers ErrClosed": func(r *room) {
		e, content := large(onePart, centre)
		st := r.stage(e)
		_, p := r.drop(second)
		d := r.lease(second, 1)[0]
		r.no(r.Close())
		for name, call := range map[string]func() error{
			"Publish":  func() error { _, err := r.Publish(r.ctx, e); return err },
			"Stage":    func() error { _, err := r.Stage(r.ctx, upload(e)); return err },
			"Put part": func() error { return st.Put(r.ctx, 0, bytes.NewReader(content)) },
			"Abort":    func() error { return st.Abort(r.ctx) },
			"Known":    func() error { _, err := r.Known(r.ctx, lab, nil); return err },
			"Lease":    func() error { _, err := r.Lease(r.ctx, request(centre, 1)); return err },
			"Open":     func() error { _, err := r.Open(r.ctx, r.delivery(e, p, centre), 0); return err },
			"Extend":   func() error { _, err := r.Extend(r.ctx, d.Token); return err },
			"Release":  func() error { return r.Release(r.ctx, d.Token, spool.Nack{}) },
			"Settle":   func() error { _, err := r.Settle(r.ctx, settlement(d.DeliveryID, d.Messages)); return err },
			"Events":   func() error { _, _, err := r.Events(r.ctx, lab, 0, 1); return err },
			"Find":     func() error { _, _, err := r.Find(r.ctx, spool.Query{Sender: lab}, 0, 1); return err },
			"Get":      func() error { _, err := r.Get(r.ctx, "site", "a"); return err },
			"Put":      func() error { _, err := r.Store.Put(r.ctx, "site", "a", 0, []byte("x")); return err },
			"List":     func() error { _, err := r.List(r.ctx, "site", "", 1); return err },
			"Queues":   func() error { _, err := r.Queues(r.ctx); return err },
			"Kill":     func() error { _, err := r.Kill(r.ctx, "q", "c"); return err },
			"Announce": func() error { return r.Announce(r.ctx, map[id.Site]spool.Event{lab: {}}) },
			"Info":     func() error { _, err := r.Info(r.ctx); return err },
			"Close":    r.Close,
		} {
			err := call()
			r.check(errors.Is(err, spool.ErrClosed), "%s answers %v", name, err)
		}
	},
	"Close ends what waits": func(r *room) {
		a := background(func() ([]spool.Delivery, error) { return r.Lease(r.ctx, request(centre, 1)) })
		b := background(func() (spool.Cursor, error) { _, c, err := r.Events(r.ctx, lab, 0, 1); return c, err })
		r.no(r.Close())
		_, err := arrives(r, a)
		r.want(err, spool.ErrClosed)
		_, err = arrives(r, b)
		r.want(err, spool.ErrClosed)
	},
	"the incarnation stays over restarts, and differs from any other's": func(r *room) {
		inc := r.Incarnation()
		_, err := id.Parse128[id.Incarnation](string(inc))
		r.no(err)
		r.restart()
		r.check(r.Incarnation() == inc, "it changed")
		r.check(newRoom(r.tb, r.open).Incarnation() != inc, "two are the same")
	},
	"one folder is opened once at a time": func(r *room) {
		s, err := r.open(r.dir, r.clock)
		if err == nil {
			s.Close()
			r.Fatal("it was opened twice")
		}
		r.drop(centre)
	},
	"a cancelled call has either done all or nothing": func(r *room) {
		for range 20 {
			e := envelope(100, centre)
			ctx, cancel := context.WithCancel(r.ctx)
			got := background(func() (spool.Published, error) { return r.Publish(ctx, e) })
			cancel()
			p, err := arrives(r, got)
			if err == nil {
				r.check(r.publish(e) == p, "another answer")
			} else {
				r.want(err, context.Canceled)
			}
		}
	},
	"errors name what they are about": func(r *room) {
		e, _ := r.drop(centre)
		e.RouteVersion = ""
		_, err := r.Publish(r.ctx, e)
		r.check(err != nil && strings.Contains(err.Error(), string(e.ID)), "it says %v", err)
		_, err = r.Settle(r.ctx, settlement(spool.DeliveryID{Queue: "q", Envelope: e.ID}, nil))
		r.check(err != nil && strings.Contains(err.Error(), fmt.Sprint(e.ID)), "it says %v", err)
	},
}
