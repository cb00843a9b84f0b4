//go:build linux

package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/e2e/badline"
	"sealpost/internal/testkit"
)

// line is a way to the hub that a story can cut, freeze and mend.
type line struct {
	t      testing.TB
	to     string
	listen net.Listener
	done   sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	ends   map[net.Conn]bool
	down   bool
	frozen chan struct{} // closed when bytes may flow again; nil: they flow
	next   []int64       // budgets to follow

	ways    [2]*badline.Way // to the hub and from it; nil: as fast as it goes
	carried [2]atomic.Int64 // bytes to the hub and from it, those of broken connections included

	budget  atomic.Int64 // bytes until the next connection breaks; 0 or less: none does
	halfway atomic.Bool  // only the way to the hub breaks, and the hub's answer still comes
	cuts    atomic.Int64
}

func newLine(t testing.TB, to string) *line {
	t.Helper()
	return startLine(&line{t: t, to: to})
}

// newBadLine is a line that is slow, far and lossy.
func newBadLine(t testing.TB, to string, bad badline.Line) *line {
	t.Helper()
	return startLine(&line{t: t, to: to, ways: [2]*badline.Way{bad.Way(), bad.Way()}})
}

func startLine(l *line) *line {
	l.t.Helper()
	l.ends = map[net.Conn]bool{}
	var err error
	l.listen, err = net.Listen("tcp", testkit.FreeAddress(l.t))
	must(l.t, err)
	l.done.Go(l.accept)
	l.t.Cleanup(func() {
		l.Mend()
		l.listen.Close()
		l.Cut()
		l.done.Wait()
	})
	return l
}

func (l *line) address() string { return l.listen.Addr().String() }

func (l *line) accept() {
	for {
		near, err := l.listen.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.to)
		if err != nil || !l.keep(near, far) {
			near.Close()
			if err == nil {
				far.Close()
			}
			continue
		}
		l.done.Go(func() { l.carry(near, far, toHub) })
		l.done.Go(func() { l.carry(far, near, fromHub) })
	}
}

func (l *line) keep(ends ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return false
	}
	for _, c := range ends {
		l.ends[c] = true
	}
	return true
}

// direction is one of the two ways over a line, and indexes its carried and its ways.
type direction int

const (
	toHub direction = iota
	fromHub
)

// carry copies bytes one way until the connection ends, or breaks in the middle of whatever is
// under way.
func (l *line) carry(from, to net.Conn, d direction) {
	out := io.WriteCloser(to)
	if way := l.ways[d]; way != nil {
		out = way.Conn(to)
	}
	buf := make([]byte, 32*kib)
	for {
		n, err := from.Read(buf)
		l.mu.Lock()
		frozen := l.frozen
		l.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		// of all that carry bytes just now, one uses it up
		if left := l.budget.Add(int64(-n)); left <= 0 && left+int64(n) > 0 {
			l.cutAgain()
			if d == toHub && l.halfway.Load() {
				to.(*net.TCPConn).CloseWrite()
				out = swallow{out}
				continue
			}
			n, err = n/2, io.ErrUnexpectedEOF
		}
		if n > 0 {
			l.carried[d].Add(int64(n))
			if _, werr := out.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			out.Close()
			from.Close()
			to.Close()
			l.mu.Lock()
			delete(l.ends, from)
			delete(l.ends, to)
			l.mu.Unlock()
			return
		}
	}
}

// cutAgain counts a cut, and sees to the next one.
func (l *line) cutAgain() {
	l.cuts.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.next) > 0 {
		l.budget.Store(l.next[0])
		l.next = l.next[1:]
	}
}

// swallow takes bytes and forgets them.
type swallow struct{ io.WriteCloser }

func (s swallow) Write(p []byte) (int, error) { return len(p), nil }

// Cut breaks every connection; new ones are refused until the line is mended.
func (l *line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for c := range l.ends {
		c.Close()
	}
}

// CutAfter breaks the connection that carries the byte after so many, in the middle of it.
func (l *line) CutAfter(bytes int64) { l.budget.Store(bytes) }

// Freeze lets nothing through and says nothing, as a line that is dead.
func (l *line) Freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen == nil {
		l.frozen = make(chan struct{})
	}
}

// Mend makes the line good again. Frozen bytes flow on.
func (l *line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
	if l.frozen != nil {
		close(l.frozen)
		l.frozen = nil
	}
}

// Through makes the site reach the hub by a line.
func (s *site) Through(l *line) {
	s.t.Helper()
	s.Stop()
	edit(s.t, s.config(), fmt.Sprintf("%q", s.w.addr), fmt.Sprintf("%q", l.address()))
	s.Start()
}

func TestTheLineBreaksInTheMiddleOfEverything(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	up, down := newLine(t, w.addr), newLine(t, w.addr)
	lab.Through(up)
	centre.Through(down)
	for i := range 20 {
		lab.Drop(fmt.Sprintf("on a bad line %d.csv", i), smallFile)
	}
	lab.Drop("on a bad line, large.bin", largeFile)
	lab.Drop("on a bad line, huge.bin", threeParts)
	finished := func() bool { return lab.count("delivered") == len(w.drops) }
	for cuts := int64(0); cuts < 8 && !finished(); {
		up.CutAfter(1 + rand.Int64N(24*mib))
		down.CutAfter(1 + rand.Int64N(24*mib))
		eventually(t, "a connection breaks", func() bool {
			return up.cuts.Load()+down.cuts.Load() > cuts || finished()
		}, lab.statusText)
		cuts = up.cuts.Load() + down.cuts.Load()
	}
	if up.cuts.Load()+down.cuts.Load() == 0 {
		t.Error("the line never broke")
	}
	up.CutAfter(0)
	down.CutAfter(0)
	w.Audit()
}

// The way to the hub dies in the middle of a part, and the hub's answer still arrives. That is no
// reason to give the file up.
func TestOnlyTheWayToTheHubBreaks(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	up := newLine(t, w.addr)
	lab.Through(up)
	up.halfway.Store(true)
	up.CutAfter(5 * mib)
	lab.Drop("only half of it.bin", hugeFile)
	eventually(t, "the way breaks", func() bool { return up.cuts.Load() > 0 })
	w.Audit()
	if n := lab.count("failed"); n > 0 {
		t.Errorf("%d files are given up", n)
	}
}

func TestTheLineIsDownAndDeadForAWhile(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	up, down := newLine(t, w.addr), newLine(t, w.addr)
	lab.Through(up)
	centre.Through(down)
	lab.Drop("before the silence.csv", smallFile)
	centre.Expect(lab, "before the silence.csv")
	eventually(t, "it is settled", func() bool { return w.hub.Status().Waiting == 0 },
		centre.statusText)
	up.Cut()
	down.Freeze()
	lab.Drop("in the silence.csv", smallFile)
	lab.Drop("in the silence, huge.bin", hugeFile)
	eventually(t, "the lab says so", func() bool { return !lab.Status().Link.Connected },
		lab.statusText)
	up.Mend()
	eventually(t, "the hub has everything", func() bool {
		s := w.hub.Status()
		return s.Waiting == 2
	}, lab.statusText)
	lab.Drop("after it.csv", smallFile)
	if soak {
		time.Sleep(3 * time.Minute) // longer than every patience of agent and hub
	}
	down.Mend()
	w.Audit()
}

// The line breaks in the middle of the answer that hands a delivery out. The hub believes that the
// centre has it, and still nothing waits until the lease runs out.
func TestTheLineBreaksInAnAnswerThatHandsOut(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	down := newLine(t, w.addr)
	centre.Through(down)
	for i := range 4 {
		name := fmt.Sprintf("handed out on a bad line %d.csv", i)
		if i > 0 {
			// of an answer with 50 KiB in it: the answers to all else are short
			down.CutAfter(20 * kib)
		}
		lab.Drop(name, 50*kib)
		began := time.Now()
		eventuallyWithin(t, time.Minute, name+" is delivered",
			func() bool { return lab.count("delivered") == i+1 }, lab.statusText, centre.statusText)
		t.Logf("delivered after %s and %d cuts", time.Since(began).Round(time.Millisecond),
			down.cuts.Load())
	}
	if n := down.cuts.Load(); n != 3 {
		t.Errorf("the line broke %d times", n)
	}
	w.Audit()
}
