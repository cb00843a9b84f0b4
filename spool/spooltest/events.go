package spooltest

import (
	"context"
	"fmt"
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
				r.check(e.Sequence == spool.Cursor(i+1), "event %d has the sequence %d", i, e.Sequence)
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
			r.check(len(es) == 1 && es[0].Sequence == want && next == want, "asked after %d, got %d events to %d", after, len(es), next)
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
	_, err := r.Settle(r.ctx, settlement(r.delivery(e, p, site), e.Messages))
	return err
}

var knownTests = map[string]func(*room){
	"tells unknown, waiting and final, in the order asked": func(r *room) {
		final, p := r.drop(centre)
		r.no(r.settleDirectly(final, p, centre))
		waiting, q := r.drop(centre, second)
		r.clock.Advance(time.Second)
		r.no(r.settleDirectly(waiting, q, second))
		unknown := id.Random128[id.Envelope]()
		for range 2 {
			ks, err := r.Known(r.ctx, lab, []id.Envelope{waiting.ID, unknown, final.ID, "nonsense"})
			r.no(err)
			r.check(len(ks) == 4, "%d answers", len(ks))
			r.check(ks[0].Envelope == waiting.ID && ks[0].State == spool.StateWaiting && ks[0].Published == q, "waiting: %+v", ks[0])
			r.check(len(ks[0].Results) == 1 && ks[0].Results[0].Recipient == second && ks[0].Results[0].Time.Equal(r.clock.Now()), "waiting: %+v", ks[0])
			r.check(ks[1].Envelope == unknown && ks[1].State == spool.StateUnknown && ks[1].Results == nil, "unknown: %+v", ks[1])
			r.check(ks[2].State == spool.StateFinal && ks[2].Published == p && len(ks[2].Results) == 1, "final: %+v", ks[2])
			r.check(ks[2].Results[0].Receipt == settlement(r.delivery(final, p, centre), nil).Receipt, "final: %+v", ks[2])
			r.check(ks[3].State == spool.StateUnknown, "nonsense: %+v", ks[3])
			r.restart()
		}
	},
	"does not tell of another's": func(r *room) {
		e, _ := r.drop(centre)
		r.check(r.known(other, e.ID).State == spool.StateUnknown, "another sender learned of it")
		r.check(r.known(centre, e.ID).State == spool.StateUnknown, "a recipient learned of it")
	},
	"does not take what is only staged for known": func(r *room) {
		e, content := large(onePart, centre)
		r.staged(e, content)
		r.check(r.known(lab, e.ID).State == spool.StateUnknown, "it is known")
	},
	"tells the dead": func(r *room) {
		e, _ := r.drop(centre)
		_, err := r.Kill(r.ctx, centre.Queue(), "recipient-removed")
		r.no(err)
		k := r.known(lab, e.ID)
		r.check(k.State == spool.StateFinal && len(k.Results) == 1 && k.Results[0].DeadCode == "recipient-removed" && k.Results[0].Receipt == "", "known is %+v", k)
	},
}

var adminTests = map[string]func(*room){
	"Queues gives the figures by name": func(r *room) {
		a, _ := r.drop(second, centre)
		r.clock.Advance(time.Second)
		for range 3 {
			r.drop(centre)
		}
		ds := r.lease(centre, 3)
		r.settle(ds[0])
		r.release(ds[1], spool.Nack{Delay: time.Hour})
		qs, err := r.Queues(r.ctx)
		r.no(err)
		r.check(len(qs) == 2 && qs[0].Name == centre.Queue() && qs[1].Name == second.Queue(), "queues are %+v", qs)
		want := spool.QueueInfo{Name: centre.Queue(), Waiting: 3, Leased: 1, Released: 1, Settled: 1, Oldest: r.clock.Now()}
		r.check(qs[0] == want, "figures are %+v, want %+v", qs[0], want)
		r.check(qs[1].Waiting == 1 && qs[1].Oldest.Equal(r.clock.Now().Add(-time.Second)), "figures are %+v, of %s", qs[1], a.ID)
		r.restart()
		want.Leased = 0
		r.check(r.queue(centre) == want, "after a restart figures are %+v", r.queue(centre))
	},
	"the oldest may be one that rests": func(r *room) {
		r.drop(centre)
		first := r.clock.Now()
		r.release(r.lease(centre, 1)[0], spool.Nack{Delay: 48 * time.Hour})
		r.clock.Advance(time.Hour)
		r.drop(centre)
		r.check(r.queue(centre).Oldest.Equal(first), "oldest is %v", r.queue(centre).Oldest)
	},
	"Info counts envelopes": func(r *room) {
		r.drop(centre, second)
		r.drop(second)
		for range 2 {
			info, err := r.Info(r.ctx)
			r.no(err)
			r.check(info.Incarnation == r.Incarnation() && info.Envelopes == 2 && info.Content == 600 && info.DiskFree > 0, "info is %+v", info)
			r.restart()
		}
	},
	"Kill makes everything that waits dead, leased and resting too, and tells the senders": func(r *room) {
		var dropped []id.Envelope
		for range 300 {
			e, _ := r.drop(centre)
			dropped = append(dropped, e.ID)
		}
		shared, _ := r.drop(centre, second)
		ds := r.lease(centre, 3)
		r.settle(ds[0])
		r.release(ds[1], spool.Nack{Delay: time.Hour})
		n, err := r.Kill(r.ctx, centre.Queue(), "recipient-removed")
		r.no(err)
		r.check(n == 300, "%d were killed", n)
		_, err = r.Extend(r.ctx, ds[2].Token)
		r.want(err, spool.ErrStale)
		r.idle(centre)
		q := r.queue(centre)
		r.check(q.Dead == 300 && q.Waiting == 0 && q.Released == 0 && q.Settled == 1 && q.Oldest.IsZero(), "figures are %+v", q)
		dead := 0
		for _, e := range r.events(lab, 0) {
			if e.Kind == spool.EventDead {
				r.check(e.Code == "recipient-removed" && e.Recipient == centre && e.Receipt == "", "event is %+v", e)
				dead++
			}
		}
		r.check(dead == 300, "%d events", dead)
		r.check(r.known(lab, dropped[5]).State == spool.StateFinal, "it is not final")
		r.check(r.known(lab, shared.ID).State == spool.StateWaiting, "the other recipient's was killed")
		r.settle(r.lease(second, 1)[0])
		n, err = r.Kill(r.ctx, centre.Queue(), "recipient-removed")
		r.no(err)
		r.check(n == 0, "%d were killed twice", n)
	},
	"what is dead stays dead": func(r *room) {
		e, p := r.drop(centre)
		_, err := r.Kill(r.ctx, centre.Queue(), "recipient-removed")
		r.no(err)
		died := r.clock.Now()
		r.clock.Advance(time.Hour)
		st, err := r.Settle(r.ctx, settlement(r.delivery(e, p, centre), e.Messages))
		r.no(err)
		r.check(!st.First && st.Time.Equal(died), "settled %+v", st)
		recs, _, err := r.Find(r.ctx, spool.Query{Sender: lab}, 0, 10)
		r.no(err)
		r.check(len(recs) == 1 && recs[0].State == "dead" && recs[0].Code == "recipient-removed", "records are %+v", recs)
		info, err := r.Info(r.ctx)
		r.no(err)
		r.check(info.Content == e.Size, "the content of the dead is gone")
	},
	"Announce tells each site its route": func(r *room) {
		events := make(map[id.Site]spool.Event)
		for i := range 5 {
			events[id.Site(fmt.Sprintf("LAB-%d", i))] = spool.Event{Kind: spool.EventRoute, Address: fmt.Sprintf("lab-%d.dat", i), RouteVersion: id.Hash(strings.Repeat(fmt.Sprint(i), 64))}
		}
		r.no(r.Announce(r.ctx, events))
		r.restart()
		for site, want := range events {
			es := r.events(site, 0)
			r.check(len(es) == 1, "%s has %d events", site, len(es))
			want.Sequence, want.Time = 1, r.clock.Now()
			r.check(es[0] == want, "event is %+v, want %+v", es[0], want)
		}
		r.want(r.Announce(r.ctx, map[id.Site]spool.Event{lab: {Kind: spool.EventDead}}), spool.ErrInvalid)
		r.check(len(r.events(lab, 0)) == 0, "a refused one was told")
	},
	"a healthy store is not poisoned": func(r *room) {
		r.drop(centre)
		select {
		case <-r.Poisoned():
			r.Fatal("it is poisoned")
		default:
		}
	},
}

var registryTests = map[string]func(*room){
	"keeps what was put": func(r *room) {
		_, err := r.Get(r.ctx, "site", "FL-LAB")
		r.want(err, spool.ErrNotFound)
		v, err := r.Store.Put(r.ctx, "site", "FL-LAB", 0, []byte("one"))
		r.no(err)
		r.check(v == 1, "version %d", v)
		v, err = r.Store.Put(r.ctx, "site", "FL-LAB", 1, []byte("two"))
		r.no(err)
		r.check(v == 2, "version %d", v)
		r.restart()
		item, err := r.Get(r.ctx, "site", "FL-LAB")
		r.no(err)
		r.check(item.Key == "FL-LAB" && item.Version == 2 && string(item.Value) == "two", "item is %+v", item)
		_, err = r.Get(r.ctx, "key", "FL-LAB")
		r.want(err, spool.ErrNotFound)
	},
	"refuses any version but the present one": func(r *room) {
		_, err := r.Store.Put(r.ctx, "site", "a", 1, []byte("x"))
		r.want(err, spool.ErrConflict)
		_, err = r.Store.Put(r.ctx, "site", "a", 0, []byte("one"))
		r.no(err)
		for _, version := range []uint64{0, 2, 7} {
			_, err := r.Store.Put(r.ctx, "site", "a", version, []byte("other"))
			r.want(err, spool.ErrConflict)
			_, err = r.Store.Put(r.ctx, "site", "a", version, nil)
			r.want(err, spool.ErrConflict)
		}
	},
	"a repetition gets the same answer": func(r *room) {
		for range 2 {
			v, err := r.Store.Put(r.ctx, "site", "a", 0, []byte("one"))
			r.no(err)
			r.check(v == 1, "version %d", v)
		}
		for range 2 {
			_, err := r.Store.Put(r.ctx, "site", "a", 1, nil)
			r.no(err)
		}
	},
	"of many writers one wins each version": func(r *room) {
		wins := make(chan string, 8)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if _, err := r.Store.Put(r.ctx, "site", "a", 0, fmt.Append(nil, i)); err == nil {
					wins <- fmt.Sprint(i)
				}
			})
		}
		wg.Wait()
		r.check(len(wins) == 1, "%d won", len(wins))
		item, err := r.Get(r.ctx, "site", "a")
		r.no(err)
		r.check(string(item.Value) == <-wins, "the stored one is not the winner's")
	},
	"a nil value deletes": func(r *room) {
		_, err := r.Store.Put(r.ctx, "site", "a", 0, []byte("one"))
		r.no(err)
		_, err = r.Store.Put(r.ctx, "site", "a", 1, nil)
		r.no(err)
		_, err = r.Get(r.ctx, "site", "a")
		r.want(err, spool.ErrNotFound)
		v, err := r.Store.Put(r.ctx, "site", "a", 0, []byte("again"))
		r.no(err)
		r.check(v == 1, "version %d", v)
	},
	"an empty value is a value": func(r *room) {
		_, err := r.Store.Put(r.ctx, "site", "a", 0, []byte{})
		r.no(err)
		item, err := r.Get(r.ctx, "site", "a")
		r.no(err)
		r.check(item.Version == 1 && len(item.Value) == 0, "item is %+v", item)
	},
	"lists one kind in the order of bytes, by pages": func(r *room) {
		for _, key := range []string{"b", "a", "ab", "A", "ca_rc_queue\xff", "c"} {
			_, err := r.Store.Put(r.ctx, "binding", key, 0, []byte("v"+key))
			r.no(err)
		}
		_, err := r.Store.Put(r.ctx, "bindings", "z", 0, []byte("other kind"))
		r.no(err)
		var got []string
		after := ""
		for {
			items, err := r.List(r.ctx, "binding", after, 2)
			r.no(err)
			if len(items) == 0 {
				break
			}
			for _, it := range items {
				r.check(string(it.Value) == "v"+it.Key && it.Version == 1, "item is %+v", it)
				got = append(got, it.Key)
			}
			after = items[len(items)-1].Key
		}
		r.check(strings.Join(got, " ") == "A a ab b c ca_rc_queue\xff", "keys are %q", got)
	},
	"takes values up to 64 KiB": func(r *room) {
		_, err := r.Store.Put(r.ctx, "site", "a", 0, make([]byte, 64<<10))
		r.no(err)
		_, err = r.Store.Put(r.ctx, "site", "b", 0, make([]byte, 64<<10+1))
		r.want(err, spool.ErrInvalid)
	},
	"keeps a copy": func(r *room) {
		value := []byte("one")
		_, err := r.Store.Put(r.ctx, "site", "a", 0, value)
		r.no(err)
		value[0] = 'X'
		item, err := r.Get(r.ctx, "site", "a")
		r.no(err)
		r.check(string(item.Value) == "one", "it changed with the caller's")
	},
}
