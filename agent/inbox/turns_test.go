package inbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
)

func parcelOf(from id.Site, n int) *delivery {
	return &delivery{Delivery: api.Delivery{Sender: from,
		DeliveryID: api.DeliveryID{Envelope: id.Envelope(fmt.Sprint(from, " ", n))}}}
}

// A sender with many deliveries of an hour each has all the openers. A guest opens the deliveries
// of another meanwhile.
func TestOpenersTakeTurns(t *testing.T) {
	for _, openers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			all := newTurns(openers)
			var mu sync.Mutex // guards list
			var list []id.Site
			opened := func(more ...id.Site) []id.Site {
				mu.Lock()
				defer mu.Unlock()
				list = append(list, more...)
				return slices.Clone(list)
			}
			var working sync.WaitGroup
			open := func(kind opener) {
				for d := all.next(ctx, kind); d != nil; d = all.next(ctx, kind) {
					began := time.Now()
					if d.Sender == "FL-LAB" {
						time.Sleep(time.Hour)
					}
					opened(d.Sender)
					all.done(d.Sender, time.Since(began))
				}
			}
			for n := range 100 {
				all.put(parcelOf("FL-LAB", n))
			}
			for range openers {
				working.Go(func() { open(regular) })
			}
			working.Go(func() { open(guest) })
			time.Sleep(90 * time.Minute)
			if got := opened(); len(got) != openers {
				t.Errorf("%d openers have opened %v", openers, got)
			}
			for n := range 3 {
				all.put(parcelOf("PA-LAB", n))
			}
			synctest.Wait()
			want := []id.Site{"PA-LAB", "PA-LAB", "PA-LAB"}
			if got := opened(); !slices.Equal(got[openers:], want) {
				t.Errorf("opened %v", got)
			}
			cancel()
			working.Wait()
		})
	}
}

// Senders share the time of the openers. Many cheap deliveries of one are opened beside one
// expensive delivery of another.
func TestOpenersShareTheirTime(t *testing.T) {
	all := newTurns(1)
	for n := range 20 {
		all.put(parcelOf("FL-LAB", n))
		all.put(parcelOf("PA-LAB", n))
	}
	took := map[id.Site]time.Duration{"FL-LAB": time.Minute, "PA-LAB": time.Second}
	count := map[id.Site]int{}
	for range 20 {
		d := all.take(regular)
		count[d.Sender]++
		all.done(d.Sender, took[d.Sender])
	}
	if count["FL-LAB"] > 2 {
		t.Errorf("opened %v", count)
	}
}

// A full line of one sender leaves room for others, and a full one of all waits.
func TestFullLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newTurns(1)
		for n := range maxOfSender {
			all.put(parcelOf("FL-LAB", n))
		}
		began := time.Now()
		got, err := all.full(t.Context())
		if err != nil || !slices.Equal(got, []id.Site{"FL-LAB"}) ||
			time.Since(began) != othersInterval {
			t.Errorf("after %s full are %v, %v", time.Since(began), got, err)
		}
		go func() {
			time.Sleep(time.Millisecond)
			all.next(t.Context(), regular)
		}()
		if got, err := all.full(t.Context()); err != nil || len(got) > 0 {
			t.Errorf("full are %v, %v", got, err)
		}
		for n := range maxWaiting {
			all.put(parcelOf("PA-LAB", n))
		}
		began = time.Now()
		go func() {
			time.Sleep(time.Hour)
			for range maxWaiting {
				all.next(t.Context(), regular)
			}
		}()
		if got, err := all.full(t.Context()); err != nil || time.Since(began) < time.Hour {
			t.Errorf("after %s full are %v, %v", time.Since(began), got, err)
		}
	})
}

// The sender with the most gives way, not the one that comes last.
func TestTheLongestLineGivesWay(t *testing.T) {
	all := newTurns(1)
	for n := range 3 {
		all.put(parcelOf("FL-LAB", n))
	}
	all.put(parcelOf("PA-LAB", 0))
	if d := all.displace(4); d != nil {
		t.Errorf("displaced %s", d.Envelope)
	}
	if d := all.displace(3); d == nil || d.Envelope != "FL-LAB 2" {
		t.Errorf("displaced %v", d)
	}
}
