package spooltest

import (
	"fmt"
	"strings"
	"sync"

	"sealpost/spool"
)

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
		r.check(item.Key == "FL-LAB" && item.Version == 2 && string(item.Value) == "two",
			"item is %+v", item)
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
