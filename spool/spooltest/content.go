package spooltest

import (
	"time"

	"sealpost/spool"
)

var contentTests = map[string]func(*room){
	"is read from any offset to its end": func(r *room) {
		for _, size := range []int{1000, spool.InlineSize + 1} {
			e := envelope(size, centre)
			d := r.delivery(e, r.publish(e), centre)
			for _, offset := range []int{0, 1, size / 2, size - 1, size} {
				r.check(string(r.read(d, int64(offset))) == string(e.Content[offset:]),
					"%d bytes from %d: other content", size, offset)
			}
			for _, offset := range []int64{-1, int64(size) + 1} {
				_, err := r.Open(r.ctx, d, offset)
				r.want(err, spool.ErrInvalid)
			}
		}
	},
	"is read without a lease, and while it rests": func(r *room) {
		e := envelope(1000, centre)
		d := r.delivery(e, r.publish(e), centre)
		r.check(len(r.read(d, 0)) == 1000, "cannot be read without a lease")
		r.release(r.lease(centre, 1)[0], spool.Nack{Delay: time.Hour})
		r.check(len(r.read(d, 0)) == 1000, "cannot be read while it rests")
		r.restart()
		r.check(len(r.read(d, 0)) == 1000, "cannot be read after a restart")
	},
	"that is open outlives its removal": func(r *room) {
		for _, size := range []int{1000, spool.SmallSize} {
			e := envelope(size, centre)
			r.publish(e)
			d := r.lease(centre, 1)[0]
			rc, err := r.Open(r.ctx, d.DeliveryID, 0)
			r.no(err)
			r.settle(d)
			r.restart() // by now the removal has happened, or happens at the start
			got := make([]byte, size)
			n, err := readFull(rc, got)
			r.no(err)
			r.check(n == size && string(got) == string(e.Content), "%d of %d bytes, or others", n,
				size)
			r.no(rc.Close())
		}
	},
}
