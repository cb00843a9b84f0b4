package queue

import (
	"errors"
	"slices"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

func TestOrder(t *testing.T) {
	for name, story := range map[string]func(b *bench){
		"by sequence": func(b *bench) {
			b.publish(3)
			b.expect(1, 2, 3)
			b.expect()
			b.publish(1)
			b.expect(4)
		},
		"due retries first, by time": func(b *bench) {
			b.publish(3)
			leased := b.expect(1, 2, 3)
			b.release(leased[0], 2*time.Second)
			b.release(leased[2], time.Second)
			b.publish(1)
			b.now = b.now.Add(2 * time.Second)
			b.expect(3, 1, 4)
		},
		"on hold and due again in the millisecond of a failed call": func(b *bench) {
			b.publish(1)
			due := b.release(b.expect(1)[0], 0)
			b.store.fail = errStore
			b.try(b.request(1))
			b.store.fail = nil
			held := Position{due.From, Held, due.Seq}
			b.q.Moved(due, held)
			b.q.Moved(held, due)
			b.expect(1)
			if n := b.q.Leased(b.now); n != 1 {
				b.t.Errorf("%d leases of one delivery", n)
			}
		},
		"a failed call costs no turn": func(b *bench) {
			b.publishFrom("FL-LAB", 2, spool.Turn)
			b.publishFrom("PA-LAB", 2, spool.Turn)
			b.store.fail = errStore
			b.try(b.request(1))
			b.store.fail = nil
			if got := sequences(b.lease(1)); !slices.Equal(got, []uint64{1}) {
				b.t.Errorf("leased %v first", got)
			}
		},
		"a resting delivery holds up none": func(b *bench) {
			b.publish(1)
			b.release(b.expect(1)[0], 30*time.Second)
			b.publish(2)
			b.expect(2, 3)
			b.now = b.now.Add(30 * time.Second)
			b.expect(1)
		},
		"released before the cursor of the retries": func(b *bench) {
			b.publish(2)
			leased := b.expect(1, 2)
			b.release(leased[0], 30*time.Second)
			b.now = b.now.Add(30 * time.Second)
			b.expect(1)
			b.now = b.now.Add(-10 * time.Second) // the clock is set back: 2 is due before 1 was
			b.release(leased[1], 0)
			b.expect(2)
		},
		"longer than any delay: a wrong clock set it": func(b *bench) {
			b.publish(1)
			b.release(b.expect(1)[0], spool.MaxDelay+time.Minute)
			b.expect(1)
			b.publish(1)
			b.release(b.expect(2)[0], 0)
			b.expect(2) // behind it in the line 1 is leased
		},
		"a wrong clock's, behind one that rests": func(b *bench) {
			b.publish(2)
			leased := b.expect(1, 2)
			b.release(leased[0], 5*24*time.Hour)
			b.release(leased[1], 30*time.Second)
			b.expect(1)
			b.expect()
			b.now = b.now.Add(30 * time.Second)
			b.expect(2)
		},
		"a wrong clock is set right while one rests": func(b *bench) {
			right := b.now
			b.now = right.AddDate(5, 0, 0)
			b.publish(2)
			leased := b.expect(1, 2)
			b.release(leased[0], time.Hour)
			b.expect()
			b.now = right
			b.release(leased[1], 30*time.Second)
			b.expect(1)
			b.restart()
			b.expect(1)
			b.now = right.Add(30 * time.Second)
			b.expect(2)
		},
		"the clock is set back behind a restart": func(b *bench) {
			b.publish(1)
			b.release(b.expect(1)[0], time.Hour)
			b.restart()
			b.expect()
			b.now = b.now.Add(-spool.MaxDelay)
			b.expect(1)
		},
		"an expired lease comes back first": func(b *bench) {
			b.publish(1)
			b.expect(1)
			b.publish(1)
			b.now = b.now.Add(time.Minute)
			b.expect(1, 2)
		},
		"an extended lease does not expire": func(b *bench) {
			b.publish(1)
			l := b.expect(1)[0]
			b.now = b.now.Add(30 * time.Second)
			if until, err := b.q.Extend(l.Token, b.now); err != nil ||
				!until.Equal(b.now.Add(time.Minute)) {
				b.t.Fatalf("extended until %v, %v", until, err)
			}
			b.now = b.now.Add(59 * time.Second)
			b.expect()
			b.now = b.now.Add(time.Second)
			b.expect(1)
		},
		"a settled delivery does not expire": func(b *bench) {
			b.publish(2)
			b.settle(b.expect(1, 2)[0].Position)
			b.now = b.now.Add(time.Minute)
			b.expect(2)
		},
		"returned leases are leased again": func(b *bench) {
			b.publish(3)
			b.q.Return(b.expect(1, 2, 3)[1:])
			b.expect(2, 3)
		},
		"a restart ends every lease": func(b *bench) {
			b.publish(3)
			leased := b.expect(1, 2, 3)
			b.settle(leased[1].Position)
			b.release(leased[0], time.Second)
			b.now = b.now.Add(time.Second)
			b.expect(1)
			b.restart()
			b.expect(1, 3)
		},
	} {
		t.Run(name, func(t *testing.T) { story(newBench(t)) })
	}
}

// A sender with a backlog, of many or of huge deliveries, delays another by one turn at most. One
// that had nothing to lease has saved nothing for later.
func TestTurns(t *testing.T) {
	for name, cost := range map[string]int64{"many": 1, "huge": 100 * spool.Turn} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.publishFrom("FL-LAB", maxLeased, cost)
			b.lease(20)
			b.publishFrom("PA-LAB", 2, 10)
			count := map[id.Site]int{}
			for _, l := range b.lease(3) {
				count[l.From]++
			}
			if count["PA-LAB"] != 2 {
				t.Errorf("leased %v", count)
			}
			b.publishFrom("PA-LAB", 300, spool.Turn)
			clear(count)
			for _, l := range b.lease(200) {
				count[l.From]++
			}
			if want := min(1+int(spool.Turn/cost), 200); count["FL-LAB"] > want {
				t.Errorf("leased %v, want at most %d of FL-LAB", count, want)
			}
		})
	}
}

// The cursors follow settlements and releases in any order, and stop at the first delivery that
// waits.
func TestCursors(t *testing.T) {
	b := newBench(t)
	b.publish(3)
	leased := b.expect(1, 2, 3)
	for _, step := range []struct {
		end  func()
		head uint64
	}{
		{func() { b.settle(leased[1].Position) }, 1},
		{func() { b.settle(leased[2].Position) }, 1},
		{func() { b.release(leased[0], time.Second) }, 4},
	} {
		step.end()
		if c := b.q.Cursors("FL-LAB"); c.Head != step.head {
			t.Errorf("the cursor is at %d, want %d", c.Head, step.head)
		}
	}
	b.now = b.now.Add(time.Second)
	l := b.expect(1)[0]
	if c := b.q.Cursors("FL-LAB"); c.RetryHead != l.Position {
		t.Errorf("the cursor of the retries is at %v, and %v is leased", c.RetryHead, l.Position)
	}
	b.settle(l.Position)
	if c := b.q.Cursors("FL-LAB"); !l.Position.Before(c.RetryHead) {
		t.Errorf("the cursor of the retries is at %v, and %v is settled", c.RetryHead, l.Position)
	}
}

func TestSessions(t *testing.T) {
	b := newBench(t)
	b.publish(2)
	old := b.expect(1, 2)
	waiting := wait(b)
	b.session = "b"
	b.expect(1, 2)
	select {
	case <-waiting.Changed:
	default:
		t.Error("the displaced session's call goes on waiting")
	}
	if _, err := b.q.Extend(old[0].Token, b.now); !errors.Is(err, spool.ErrStale) {
		t.Errorf("the displaced session extends its lease: %v", err)
	}
	b.session = "a"
	if _, _, err := b.try(b.request(1)); !errors.Is(err, spool.ErrHeld) {
		t.Errorf("the displaced session leases: %v", err)
	}
	for range maxSeen + 1 {
		b.session = id.Random128[id.Session]()
		b.lease(1)
	}
	if len(b.q.seen) > maxSeen {
		t.Errorf("%d displaced sessions are remembered", len(b.q.seen))
	}
}

// A call whose answer was lost costs nothing: the next one says so, and gets the same deliveries.
func TestNumberedCalls(t *testing.T) {
	b := newBench(t)
	b.publish(4)
	call := func(number, got uint64) ([]uint64, error) {
		req := b.request(2)
		req.Number, req.Got = number, got
		leased, _, err := b.try(req)
		return sequences(leased), err
	}
	for _, step := range []struct {
		number, got uint64
		want        uint64 // the first sequence
		err         error
	}{
		{1, 0, 1, nil}, {2, 0, 1, nil}, {3, 2, 3, nil}, {3, 2, 0, spool.ErrInvalid}, {5, 2, 3, nil},
		{6, 5, 0, nil},
	} {
		got, err := call(step.number, step.got)
		first := uint64(0)
		if len(got) > 0 {
			first = got[0]
		}
		if first != step.want || !errors.Is(err, step.err) {
			t.Fatalf("call %d leases %v, %v, want from %d", step.number, got, err, step.want)
		}
	}
	earlier := b.request(2)
	earlier.Number = 5
	if _, _, err := b.q.Lease(earlier, b.now, b.store.view); !errors.Is(err, ErrOvertaken) {
		t.Errorf("an earlier call goes on: %v", err)
	}
}

// wait returns when a call with nothing to lease should try again.
func wait(b *bench) Wait {
	b.t.Helper()
	leased, w, err := b.try(b.request(1))
	if err != nil || len(leased) > 0 {
		b.t.Fatalf("leased %v, %v", sequences(leased), err)
	}
	return w
}

func TestWaits(t *testing.T) {
	b := newBench(t)
	if w := wait(b); w.Sleep >= 0 {
		t.Errorf("an empty queue waits for %s", w.Sleep)
	}
	b.publish(1)
	l := b.expect(1)[0]
	if w := wait(b); w.Sleep != time.Minute {
		t.Errorf("with a lease of a minute it waits for %s", w.Sleep)
	}
	b.release(l, time.Second)
	if w := wait(b); w.Sleep != time.Second {
		t.Errorf("with a delivery that is due in a second it waits for %s", w.Sleep)
	}
	w := wait(b)
	b.publish(1)
	select {
	case <-w.Changed:
	default:
		t.Error("a publish wakes no waiting call")
	}
}

// One session cannot make memory grow by leasing all there is.
func TestManyLeases(t *testing.T) {
	b := newBench(t)
	b.publish(maxLeased + 1)
	leased := b.lease(2 * maxLeased)
	if len(leased) != maxLeased {
		t.Fatalf("%d are leased", len(leased))
	}
	w := wait(b)
	b.settle(leased[5].Position)
	select {
	case <-w.Changed:
	default:
		t.Error("one has ended, and the call goes on waiting")
	}
	b.expect(maxLeased + 1)
}

// A store that cannot be read leases nothing, and loses nothing.
func TestUnreadable(t *testing.T) {
	for name, prepare := range map[string]func(b *bench){
		"from the cursor on": func(b *bench) {},
		"returned ones":      func(b *bench) { b.q.Return(b.expect(1, 2, 3)) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.publish(3)
			prepare(b)
			b.store.fail = errStore
			if leased, _, err := b.try(b.request(10)); !errors.Is(err, errStore) ||
				len(leased) > 0 {
				t.Fatalf("leased %v, %v", sequences(leased), err)
			}
			if n := b.q.Leased(b.now); n != 0 {
				t.Errorf("%d are leased", n)
			}
			b.expect(1, 2, 3)
		})
	}
}

func TestDetached(t *testing.T) {
	b := newBench(t)
	b.publish(1)
	l := b.expect(1)[0]
	p, first, err := b.q.Detach(l.Token, b.now)
	if err != nil || p != l.Position || !first.Equal(b.now) {
		t.Fatalf("detached %v of %v, %v", p, first, err)
	}
	b.now = b.now.Add(time.Hour)
	b.expect()
	if _, _, err := b.q.Detach(l.Token, b.now); !errors.Is(err, spool.ErrStale) {
		t.Errorf("detached again: %v", err)
	}
	b.q.Offer(p)
	b.expect(1)
}

func TestTokenNamesItsQueue(t *testing.T) {
	b := newBench(t)
	b.publish(1)
	if name := NameIn(b.expect(1)[0].Token); name != "ca_rc_queue" {
		t.Errorf("the token is one of %q", name)
	}
	if name := NameIn("nonsense"); name != "" {
		t.Errorf("a foreign token is one of %q", name)
	}
}
