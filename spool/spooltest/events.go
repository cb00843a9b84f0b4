package spooltest

import (
	"context"
	"strings"
	"sync"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

var eventTests = map[string]func(*room){
	"are each site's own, without gaps": func(r *room) {
		for range 3 {
			e, p := r.drop(centre)
			r.no(r.settleDirectly(e, p, centre))
			f := envelope(100, centre)
			f.Sender = other
			r.no(r.settleDirectly(f, r.publish(f), centre))
		}
		r.restart()
		for _, site := range []id.Site{lab, other} {
			es := r.events(site, 0)
			r.check(len(es) == 3, "%s has %d events", site, len(es))
			for i, e := range es {
				r.check(e.Sequence == spool.Cursor(i+1), "event %d has the sequence %d", i,
					e.Sequence)
			}
		}
		r.check(len(r.events(centre, 0)) == 0, "a recipient was told")
	},
	"come without gaps however many settle at once": func(r *room) {
		const n = 40
		var wg sync.WaitGroup
		for range n {
			e, p := r.drop(centre)
			wg.Go(func() {
				if err := r.settleDirectly(e, p, centre); err != nil {
					r.Errorf("settle: %v", err)
				}
			})
		}
		wg.Wait()
		seen := make(map[id.Envelope]bool)
		for i, e := range r.events(lab, 0) {
			r.check(e.Sequence == spool.Cursor(i+1) && !seen[e.Envelope], "event %d is %+v", i, e)
			seen[e.Envelope] = true
		}
		r.check(len(seen) == n, "%d events", len(seen))
	},
	"come in pages by bytes, at least one at a time": func(r *room) {
		for range 5 {
			e, p := r.drop(centre)
			st := settlement(r.delivery(e, p, centre), e.Messages)
			st.Receipt = strings.Repeat("r", 1000)
			_, err := r.Settle(r.ctx, st)
			r.no(err)
		}
		var after spool.Cursor
		for want := spool.Cursor(1); want <= 5; want++ {
			es, next, err := r.Events(r.ctx, lab, after, 1)
			r.no(err)
			r.check(len(es) == 1 && es[0].Sequence == want && next == want,
				"asked after %d, got %d events to %d", after, len(es), next)
			after = next
		}
		es, next, err := r.Events(r.ctx, lab, 1, 3000)
		r.no(err)
		r.check(len(es) == 2 && next == 3, "3000 bytes hold %d events", len(es))
	},
	"wait for the next one": func(r *room) {
		type page struct {
			events []spool.Event
			next   spool.Cursor
		}
		got := background(func() (page, error) {
			es, next, err := r.Events(r.ctx, lab, 0, 1000)
			return page{es, next}, err
		})
		e, p := r.drop(centre)
		r.no(r.settleDirectly(e, p, centre))
		res, err := arrives(r, got)
		r.no(err)
		r.check(len(res.events) == 1 && res.next == 1, "got %+v", res)
	},
	"end with nothing when the context does, and keep the cursor": func(r *room) {
		e, p := r.drop(centre)
		r.no(r.settleDirectly(e, p, centre))
		ctx, cancel := context.WithTimeout(r.ctx, 20*time.Millisecond)
		defer cancel()
		es, next, err := r.Events(ctx, lab, 1, 1000)
		r.no(err)
		r.check(len(es) == 0 && next == 1, "got %d events to %d", len(es), next)
	},
	"after a cursor from the future are refused": func(r *room) {
		_, _, err := r.Events(r.ctx, lab, 1, 1000)
		r.want(err, spool.ErrInvalid)
	},
}

func (r *room) settleDirectly(e spool.Envelope, p spool.Published, site id.Site) error {
	st := settlement(r.delivery(e, p, site), e.Messages)
	st.Sender = e.Sender
	_, err := r.Settle(r.ctx, st)
	return err
}
