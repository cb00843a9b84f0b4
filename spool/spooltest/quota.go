package spooltest

import (
	"errors"
	"io"
	"sync"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// limit sets quotas.
func (r *room) limit(q spool.Quotas) {
	r.Helper()
	r.no(r.Limit(r.ctx, q))
}

// usage returns the counts of a sender without its metadata, of a queue, and of all.
func (r *room) usage(sender id.Site, queue string) (ofSite, ofQueue, ofAll spool.Usage) {
	r.Helper()
	u, err := r.Usage(r.ctx)
	r.no(err)
	ofSite = u.Sites[sender]
	ofSite.Metadata = 0
	return ofSite, u.Queues[queue], u.Hub
}

// counts expects the counts of lab, and the same of all.
func (r *room) counts(want spool.Usage) {
	r.Helper()
	ofSite, _, ofAll := r.usage(lab, "")
	r.check(ofSite == want && ofAll == want, "counts are %+v and %+v, want %+v", ofSite, ofAll,
		want)
}

// over expects the refusal of a quota.
func (r *room) over(err error, want spool.OverQuota) {
	r.Helper()
	r.want(err, spool.ErrQuota)
	got, ok := errors.AsType[*spool.OverQuota](err)
	r.check(ok && *got == want, "refused by %+v, want %+v", got, want)
}

// vast makes an upload of so many parts, all of the same zeros.
func vast(parts int) (spool.Upload, []byte) {
	part := make([]byte, spool.PartSize)
	return spool.Upload{Sender: lab, Envelope: id.Random128[id.Envelope](),
		Size: int64(parts) * spool.PartSize}, part
}

// unread fails the test if it is read.
type unread struct{ r *room }

func (u unread) Read([]byte) (int, error) {
	u.r.Errorf("the part is read although it is refused")
	return 0, io.EOF
}

var quotaTests = map[string]func(*room){
	"count an envelope until its last delivery is final": func(r *room) {
		e := envelopeOf(noise(300), 3, centre, second)
		r.publish(e)
		r.publish(e) // a repetition counts once
		want := spool.Usage{Bytes: 300, Envelopes: 1, Messages: 3}
		for range 2 {
			r.counts(want)
			for _, queue := range []string{centre.Queue(), second.Queue()} {
				_, got, _ := r.usage(lab, queue)
				r.check(got == want, "of %s are %+v", queue, got)
			}
			r.restart()
		}
		r.release(r.lease(centre, 1)[0], spool.Nack{})
		r.settle(r.lease(centre, 1)[0])
		r.counts(want)
		_, got, _ := r.usage(lab, centre.Queue())
		r.check(got == spool.Usage{}, "of the queue are %+v", got)
		_, err := r.Kill(r.ctx, second.Queue(), "removed")
		r.no(err)
		r.counts(spool.Usage{})
		r.restart()
		r.counts(spool.Usage{})
	},
	"are the same after a restart, for any number of envelopes": func(r *room) {
		for n := range 150 {
			r.drop(centre)
			if n%40 == 0 {
				r.settle(r.lease(centre, 1)[0])
			}
			if n%37 == 0 || n > 145 {
				ofSite, ofQueue, ofAll := r.usage(lab, centre.Queue())
				r.restart()
				now, queue, all := r.usage(lab, centre.Queue())
				r.check(now == ofSite && queue == ofQueue && all == ofAll,
					"%d: counts are %+v, %+v, %+v; before %+v, %+v, %+v", n, now, queue, all,
					ofSite, ofQueue, ofAll)
			}
		}
		r.counts(spool.Usage{Bytes: 146 * 300, Envelopes: 146, Messages: 146})
	},
	"refuse an envelope, and say which": func(r *room) {
		queue := centre.Queue()
		for name, tc := range map[string]struct {
			quotas spool.Quotas
			want   spool.OverQuota
		}{
			"bytes of the site": {
				spool.Quotas{Site: spool.Quota{Bytes: 899}},
				spool.OverQuota{Scope: spool.ScopeSite, Name: string(lab), Limit: spool.LimitBytes,
					Used: 600, Allowed: 899, Needed: 300},
			},
			"envelopes of the site alone": {
				spool.Quotas{Site: spool.Quota{Envelopes: 9},
					Sites: map[id.Site]spool.Quota{lab: {Envelopes: 2}}},
				spool.OverQuota{Scope: spool.ScopeSite, Name: string(lab),
					Limit: spool.LimitEnvelopes, Used: 2, Allowed: 2, Needed: 1},
			},
			"messages of the queue": {
				spool.Quotas{Queue: spool.Quota{Messages: 2}},
				spool.OverQuota{Scope: spool.ScopeQueue, Name: queue, Limit: spool.LimitMessages,
					Used: 2, Allowed: 2, Needed: 1},
			},
			"bytes of the queue alone": {
				spool.Quotas{Queues: map[string]spool.Quota{queue: {Bytes: 700}}},
				spool.OverQuota{Scope: spool.ScopeQueue, Name: queue, Limit: spool.LimitBytes,
					Used: 600, Allowed: 700, Needed: 300},
			},
			"envelopes of all": {
				spool.Quotas{Hub: spool.Quota{Envelopes: 2}},
				spool.OverQuota{Scope: spool.ScopeHub, Limit: spool.LimitEnvelopes, Used: 2,
					Allowed: 2, Needed: 1},
			},
		} {
			r := newRoom(r.tb, r.open)
			r.limit(tc.quotas)
			r.drop(centre)
			old, p := r.drop(centre)
			e := envelope(300, centre)
			_, err := r.Publish(r.ctx, e)
			r.over(err, tc.want)
			r.check(r.publish(old) == p, "%s: a repetition is refused", name)
			r.check(r.known(lab, e.ID).State == spool.StateUnknown, "%s: it is known", name)
			r.counts(spool.Usage{Bytes: 600, Envelopes: 2, Messages: 2})
			r.release(r.lease(centre, 1)[0], spool.Nack{Delay: time.Minute})
			r.settle(r.lease(centre, 1)[0])
			r.publish(e)
		}
	},
	"are another's own": func(r *room) {
		r.limit(spool.Quotas{Site: spool.Quota{Envelopes: 1}, Queue: spool.Quota{Envelopes: 2}})
		r.drop(centre)
		e := envelope(300, centre)
		e.Sender = other
		r.publish(e)
		e = envelope(300, second)
		e.Sender = third
		r.publish(e)
	},
	"hold against any number of publishers at once": func(r *room) {
		r.limit(spool.Quotas{Site: spool.Quota{Envelopes: 7}})
		var wg sync.WaitGroup
		var mu sync.Mutex
		accepted := 0
		for range 32 {
			wg.Go(func() {
				_, err := r.Publish(r.ctx, envelope(300, centre))
				if err != nil && !errors.Is(err, spool.ErrQuota) {
					r.Errorf("publish: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					accepted++
				}
			})
		}
		wg.Wait()
		r.check(accepted == 7, "%d were accepted", accepted)
		r.counts(spool.Usage{Bytes: 2100, Envelopes: 7, Messages: 7})
	},
	"limit the metadata of a sender by the day": func(r *room) {
		metadata := func() int64 {
			u, err := r.Usage(r.ctx)
			r.no(err)
			r.check(u.Hub.Metadata == 0, "of all are %+v", u.Hub)
			return u.Sites[lab].Metadata
		}
		size := spool.MetadataSize(2, 3)
		r.limit(spool.Quotas{Site: spool.Quota{Metadata: 2*size + 1}})
		for n := range int64(2) {
			r.publish(envelopeOf(noise(10), 3, centre, second))
			r.check(metadata() == (n+1)*size, "it is %d", metadata())
		}
		_, err := r.Kill(r.ctx, centre.Queue(), "removed")
		r.no(err)
		e := envelopeOf(noise(10), 3, centre, second)
		for range 2 {
			_, err := r.Publish(r.ctx, e)
			r.over(err, spool.OverQuota{Scope: spool.ScopeSite, Name: string(lab),
				Limit: spool.LimitMetadata, Used: 2 * size, Allowed: 2*size + 1, Needed: size})
			r.restart()
			r.limit(spool.Quotas{Site: spool.Quota{Metadata: 2*size + 1}})
			r.check(metadata() == 2*size, "after a restart it is %d", metadata())
		}
		now := r.clock.Now()
		r.clock.Advance(now.Truncate(24 * time.Hour).Add(24*time.Hour - time.Millisecond).Sub(now))
		_, err = r.Publish(r.ctx, e)
		r.want(err, spool.ErrQuota)
		r.clock.Advance(time.Millisecond)
		r.check(metadata() == 0, "on the next day it is %d", metadata())
		r.publish(e)
		r.check(metadata() == size, "on the next day it is %d", metadata())
	},
	"let everything end above a lower limit": func(r *room) {
		for range 3 {
			r.drop(centre)
		}
		r.limit(spool.Quotas{Hub: spool.Quota{Bytes: 1, Envelopes: 1, Messages: 1},
			Site: spool.Quota{Bytes: 1, Envelopes: 1}, Queue: spool.Quota{Bytes: 1}})
		ds := r.lease(centre, 2)
		r.settle(ds[0])
		r.release(ds[1], spool.Nack{})
		_, err := r.Store.Put(r.ctx, "site", "a", 0, []byte("x"))
		r.no(err)
		n, err := r.Kill(r.ctx, centre.Queue(), "removed")
		r.no(err)
		r.check(n == 2, "%d were killed", n)
		r.counts(spool.Usage{})
	},
	"count an upload as its parts and the look-ahead": func(r *room) {
		up, part := vast(100)
		st, err := r.Stage(r.ctx, up)
		r.no(err)
		want := spool.Usage{Uploads: 1, Reserved: spool.LookAhead}
		r.counts(want)
		for n := range 2 {
			r.no(r.put(st, 7*n, part))
			want.Reserved += spool.PartSize
			r.counts(want)
			r.no(r.put(st, 7*n, part))
			r.check(r.put(st, 50, part[1:]) != nil, "a bad part was taken")
			r.counts(want)
		}
		r.restart()
		r.counts(want)
		st, err = r.Stage(r.ctx, up)
		r.no(err)
		r.counts(want)
		r.no(st.Abort(r.ctx))
		r.counts(spool.Usage{})
		r.restart()
		r.counts(spool.Usage{})
	},
	"refuse an upload": func(r *room) {
		for name, q := range map[string]spool.Quota{
			"uploads":        {Uploads: 1},
			"reserved bytes": {Reserved: 2 * onePart},
			"bytes":          {Bytes: 300 + 2*onePart},
		} {
			r := newRoom(r.tb, r.open)
			r.drop(second)
			e, content := large(onePart, centre)
			f, _ := large(onePart+1, centre)
			r.limit(spool.Quotas{Site: q})
			st := r.stage(e)
			_, err := r.Stage(r.ctx, upload(f))
			r.check(err != nil, "%s: it was opened", name)
			r.want(err, spool.ErrQuota)
			r.stage(e) // reopening passes
			r.limit(spool.Quotas{Site: spool.Quota{Uploads: 1, Reserved: 1, Bytes: 1}})
			r.want(r.put(st, 0, content), spool.ErrDisplaced)
			r.staged(e, content)
			r.publish(e) // its bytes were counted before
			r.counts(spool.Usage{Bytes: 300 + onePart, Envelopes: 2, Messages: 2})
		}
	},
	"refuse a part before it is read": func(r *room) {
		up, part := vast(9)
		tight := spool.Quotas{Site: spool.Quota{Reserved: spool.LookAhead + spool.PartSize}}
		r.limit(tight)
		st, err := r.Stage(r.ctx, up)
		r.no(err)
		r.no(r.put(st, 0, part))
		err = st.Put(r.ctx, 1, 0, unread{r})
		r.over(err, spool.OverQuota{Scope: spool.ScopeSite, Name: string(lab),
			Limit: spool.LimitReserved, Used: spool.LookAhead + spool.PartSize,
			Allowed: spool.LookAhead + spool.PartSize, Needed: spool.PartSize})
		r.check(len(st.Missing()) == 8, "missing %v", st.Missing())
		for range 2 {
			_, err = r.Stage(r.ctx, up) // the same, before a caller makes the part
			r.over(err, spool.OverQuota{Scope: spool.ScopeSite, Name: string(lab),
				Limit: spool.LimitReserved, Used: spool.LookAhead + spool.PartSize,
				Allowed: spool.LookAhead + spool.PartSize, Needed: spool.PartSize})
			r.counts(spool.Usage{Uploads: 1, Reserved: spool.LookAhead + spool.PartSize})
			r.restart()
			r.limit(tight)
		}
		r.limit(spool.Quotas{})
		st, err = r.Stage(r.ctx, up)
		r.no(err)
		for n := 1; n < 9; n++ {
			r.no(r.put(st, n, part))
		}
		r.limit(spool.Quotas{Site: spool.Quota{Reserved: 1}})
		_, err = r.Stage(r.ctx, up) // it needs no part
		r.no(err)
	},
	"let an upload receive no more than the look-ahead at once": func(r *room) {
		up, part := vast(9)
		st, err := r.Stage(r.ctx, up)
		r.no(err)
		const atOnce = spool.LookAhead / spool.PartSize
		readers := make([]*faucet, atOnce+1)
		var calls []<-chan result[bool]
		put := func(n int) {
			readers[n] = newFaucet()
			calls = append(calls, background(func() (bool, error) {
				return true, st.Put(r.ctx, n, 0, readers[n])
			}))
		}
		for n := range atOnce {
			put(n)
			<-readers[n].idle
		}
		r.counts(spool.Usage{Uploads: 1, Reserved: 2 * spool.LookAhead})
		put(atOnce)
		readers[0].give(nil)
		_, err = arrives(r, calls[0])
		r.want(err, spool.ErrChecksum)
		<-readers[atOnce].idle // it has waited for that
		r.counts(spool.Usage{Uploads: 1, Reserved: 2 * spool.LookAhead})
		_, err = r.Stage(r.ctx, up) // a newer caller does not wait for those of the older one
		r.no(err)
		r.counts(spool.Usage{Uploads: 1, Reserved: spool.LookAhead})
		for n := 1; n <= atOnce; n++ {
			readers[n].give(part)
			_, err := arrives(r, calls[n])
			r.want(err, spool.ErrDisplaced)
		}
		r.counts(spool.Usage{Uploads: 1, Reserved: spool.LookAhead})
	},
	"KillFrom and AbortUploads free everything of a sender": func(r *room) {
		for range 300 {
			r.drop(centre)
		}
		shared, _ := r.drop(centre, second)
		r.release(r.lease(centre, 1)[0], spool.Nack{Delay: time.Hour})
		e := envelope(300, centre)
		e.Sender = other
		r.publish(e)
		up, _ := vast(9)
		_, err := r.Stage(r.ctx, up)
		r.no(err)
		g, content := large(onePart, centre)
		g.Sender = other
		r.staged(g, content)
		n, err := r.KillFrom(r.ctx, lab, "sender-removed")
		r.no(err)
		r.check(n == 302, "%d were killed", n)
		n, err = r.AbortUploads(r.ctx, lab)
		r.no(err)
		r.check(n == 1, "%d uploads were aborted", n)
		for range 2 {
			ofSite, _, ofAll := r.usage(lab, "")
			r.check(ofSite == spool.Usage{}, "counts are %+v", ofSite)
			r.check(ofAll == spool.Usage{Bytes: 300, Envelopes: 1, Messages: 1, Uploads: 1,
				Reserved: onePart}, "of all are %+v", ofAll)
			r.restart()
		}
		r.check(r.known(lab, shared.ID).State == spool.StateFinal, "it is not final")
		es := r.events(lab, 0)
		r.check(len(es) == 302 && es[0].Kind == spool.EventDead && es[0].Code == "sender-removed",
			"%d events, the first is %+v", len(es), es[:1])
		r.check(r.lease(centre, 9)[0].Envelope == e.ID, "the other sender's was killed")
		r.publish(g)
		n, err = r.KillFrom(r.ctx, lab, "sender-removed")
		r.no(err)
		r.check(n == 0, "%d were killed twice", n)
		n, err = r.AbortUploads(r.ctx, lab)
		r.no(err)
		r.check(n == 0, "%d uploads were aborted twice", n)
		_, err = r.KillFrom(r.ctx, lab, "")
		r.want(err, spool.ErrInvalid)
	},
}
