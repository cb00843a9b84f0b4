package spooltest

import (
	"bytes"
	"reflect"

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
		r.check(reflect.DeepEqual(r.stage(e).Missing(), []int{0, 1}),
			"parts are not missing at the start")
		r.check(len(r.staged(e, content).Missing()) == 0, "parts are missing at the end")
		p := r.publish(e)
		r.check(r.publish(e) == p, "another answer")
		d := r.lease(centre, 1)[0]
		r.check(reflect.DeepEqual(d.CRC32C, e.CRC32C) && d.Content == nil, "delivery is %+v",
			d.DeliveryID)
		r.check(bytes.Equal(r.read(d.DeliveryID, 0), content), "other content")
		r.check(bytes.Equal(r.read(d.DeliveryID, spool.PartSize-10), content[spool.PartSize-10:]),
			"other content from an offset")
		r.settle(d)
		r.restart()
		d = r.lease(second, 1)[0]
		r.check(reflect.DeepEqual(d.CRC32C, e.CRC32C) &&
			bytes.Equal(r.read(d.DeliveryID, 0), content), "other content after a restart")
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
		r.no(r.put(st, 1, part16(content, 1)))
		_, err = r.Publish(r.ctx, e)
		r.want(err, spool.ErrUnstaged)
		r.idle(centre)
		r.no(r.put(st, 0, part16(content, 0)))
		r.publish(e)
	},
	"is found again after a restart, with what was durable": func(r *room) {
		e, content := large(twoPart, centre)
		r.no(r.put(r.stage(e), 1, part16(content, 1)))
		r.restart()
		st := r.stage(e)
		r.check(reflect.DeepEqual(st.Missing(), []int{0}), "missing %v", st.Missing())
		r.no(r.put(st, 0, part16(content, 0)))
		r.restart()
		d := r.delivery(e, r.publish(e), centre)
		r.check(bytes.Equal(r.read(d, 0), content), "other content")
	},
	"under another size is a conflict, and so is publishing other checksums": func(r *room) {
		e, content := large(onePart, centre)
		r.stage(e)
		other, _ := large(onePart+1, centre)
		other.ID = e.ID
		_, err := r.Stage(r.ctx, upload(other))
		r.want(err, spool.ErrConflict)
		r.staged(e, content)
		different := e
		different.CRC32C = []uint32{e.CRC32C[0] + 1}
		for _, bad := range []spool.Envelope{different, other} {
			_, err = r.Publish(r.ctx, bad)
			r.want(err, spool.ErrConflict)
		}
		r.publish(e)
		_, err = r.Stage(r.ctx, upload(other))
		r.want(err, spool.ErrConflict)
		_, err = r.Publish(r.ctx, different)
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
		a, b := r.stage(e), r.stage(f)
		r.no(r.put(a, 0, content))
		r.no(r.put(b, 0, foreign))
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
		r.check(r.put(st, 0, content) != nil, "a part was taken after all")
		_, err := r.Publish(r.ctx, e)
		r.want(err, spool.ErrUnstaged)
		r.restart()
		_, err = r.Publish(r.ctx, e)
		r.want(err, spool.ErrUnstaged)
		r.staged(e, content)
		r.publish(e)
	},
	"without a size, it is reopened if it is open": func(r *room) {
		e, content := large(twoPart, centre)
		bare := spool.Upload{Sender: e.Sender, Envelope: e.ID}
		_, err := r.Stage(r.ctx, bare)
		r.want(err, spool.ErrNotFound)
		old := r.stage(e)
		r.no(r.put(old, 1, part16(content, 1)))
		r.restart()
		st, err := r.Stage(r.ctx, bare)
		r.no(err)
		r.check(reflect.DeepEqual(st.Missing(), []int{0}), "missing %v", st.Missing())
		_, err = r.Stage(r.ctx, spool.Upload{Sender: other, Envelope: e.ID})
		r.want(err, spool.ErrNotFound)
		r.no(r.put(st, 0, part16(content, 0)))
		p := r.publish(e)
		st, err = r.Stage(r.ctx, bare)
		r.no(err)
		r.no(st.Abort(r.ctx))
		r.check(bytes.Equal(r.read(r.delivery(e, p, centre), 0), content), "Abort took the content")
	},
	"refuses what cannot be": func(r *room) {
		e, _ := large(onePart, centre)
		for name, change := range map[string]func(*spool.Upload){
			"no id":     func(u *spool.Upload) { u.Envelope = "" },
			"no sender": func(u *spool.Upload) { u.Sender = "" },
			"too small": func(u *spool.Upload) { u.Size = spool.SmallSize },
			"too large": func(u *spool.Upload) { u.Size = spool.MaxSize + 1 },
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
		r.no(r.put(old, 0, part16(content, 0)))
		young := r.stage(e)
		r.check(reflect.DeepEqual(young.Missing(), []int{1}), "missing %v", young.Missing())
		r.want(r.put(old, 1, part16(content, 1)), spool.ErrDisplaced)
		r.want(old.Abort(r.ctx), spool.ErrDisplaced)
		r.no(r.put(young, 1, part16(content, 1)))
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content),
			"other content")
	},
	"by a newer caller ignores an older one that hangs and sends late": func(r *room) {
		e, content := large(onePart, centre)
		reader := newFaucet()
		old := r.stage(e)
		hanging := background(func() (bool, error) {
			return true, old.Put(r.ctx, 0, e.CRC32C[0],
				reader)
		})
		reader.give(noise(700_000)) // not the announced bytes
		<-reader.idle
		young := r.stage(e)
		r.no(r.put(young, 0, content))
		reader.give(noise(onePart - 700_000))
		reader.give(nil)
		_, err := arrives(r, hanging)
		r.want(err, spool.ErrDisplaced)
		r.check(bytes.Equal(r.read(r.delivery(e, r.publish(e), centre), 0), content),
			"the late bytes went in")
	},
}
