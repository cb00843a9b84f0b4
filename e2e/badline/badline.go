// Package badline delays the bytes of a proxy like a slow, far and lossy line, for tests.
//
// A proxy stands between two connections of TCP and cannot lose packets of either. So it delays the
// bytes as loss would:
//
//   - Each connection carries at most MSS/RTT × 1.22/√p bytes per second, with a segment size of
//     1460 bytes and p the part of segments that is lost (Mathis, Semke, Mahdavi and Ott, 1997: the
//     mean rate of TCP's congestion avoidance, once Reno's, about CUBIC's at such round trips).
//     BBR, which does not take loss for congestion, would do better.
//   - All connections together carry at most the line's rate, each way.
//   - Everything arrives half a round trip late. A lost segment arrives a whole round trip later
//     still. Later bytes of its connection wait for it, as in the kernel.
//
// It has no slow start, no queue that fills up and no losses in bursts, so that single short
// requests fare better than in the world; the first hurts many connections more than one, the
// others hurt each alike. It promises to keep every byte and their order, and to take all its time
// from the clock, so that it can be tested where time is not real. It knows neither connections nor
// addresses: its caller hands in their destination.
package badline

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	segment = 1460     // bytes
	piece   = 16 << 10 // bytes that go on together
	ahead   = 1024     // pieces on their way at the same time on one connection, at most
)

// Line describes a line.
type Line struct {
	RoundTrip time.Duration
	Loss      float64 // the part of segments that is lost
	Rate      int64   // bytes per second of all connections together, each way
}

// Example is a line as a far site may have it: 80 ms, 0.5 % loss, 50 Mbit/s.
var Example = Line{RoundTrip: 80 * time.Millisecond, Loss: 0.005, Rate: 50e6 / 8}

// Faster returns a line on which everything takes the n-th part of the time.
func (l Line) Faster(n int) Line {
	return Line{RoundTrip: l.RoundTrip / time.Duration(n), Loss: l.Loss, Rate: l.Rate * int64(n)}
}

// Each returns the rate of one connection, in bytes per second.
func (l Line) Each() int64 {
	if l.Loss <= 0 || l.RoundTrip <= 0 {
		return l.Rate
	}
	return min(l.Rate, int64(segment/l.RoundTrip.Seconds()*1.22/math.Sqrt(l.Loss)))
}

func (l Line) String() string {
	return fmt.Sprintf("%s, %.1f %% loss, %.0f Mbit/s, of which one connection gets %.1f",
		l.RoundTrip, l.Loss*100, float64(l.Rate)*8/1e6, float64(l.Each())*8/1e6)
}

// Way is one direction of a line, with all the connections on it.
type Way struct {
	line Line

	mu   sync.Mutex // guards the fields below
	free time.Time  // when the line has room again
	rand *rand.Rand // the same at each run
}

// Way returns one direction of the line.
func (l Line) Way() *Way { return &Way{line: l, rand: rand.New(rand.NewPCG(1, 2))} }

// leave returns when a piece of a connection that is free at some time leaves, and its delay.
func (w *Way) leave(free time.Time, bytes int) (at time.Time, delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free = latest(w.free, time.Now()).Add(takes(bytes, w.line.Rate))
	delay = w.line.RoundTrip / 2
	if segments := float64(bytes) / segment; w.rand.Float64() > math.Pow(1-w.line.Loss, segments) {
		delay += w.line.RoundTrip
	}
	return latest(w.free, free), delay
}

func takes(bytes int, rate int64) time.Duration {
	return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Conn is one connection's part of a way. It is not for concurrent use.
type Conn struct {
	way  *Way
	free time.Time // when the connection has room again
	last time.Time // when the piece before arrives
	sent chan sent
	done chan struct{} // closed when everything has arrived, or cannot
	err  error         // of the other end; valid after done
}

type sent struct {
	data    []byte
	arrives time.Time
}

// Conn makes a connection that ends at to. Close it.
func (w *Way) Conn(to io.Writer) *Conn {
	c := &Conn{way: w, sent: make(chan sent, ahead), done: make(chan struct{})}
	go c.deliver(to)
	return c
}

// Write takes bytes as fast as the line does.
func (c *Conn) Write(p []byte) (n int, err error) {
	for n < len(p) {
		data := append([]byte(nil), p[n:min(len(p), n+piece)]...)
		c.free = latest(c.free, time.Now()).Add(takes(len(data), c.way.line.Each()))
		at, delay := c.way.leave(c.free, len(data))
		time.Sleep(time.Until(at))
		c.last = latest(c.last, at.Add(delay))
		select {
		case c.sent <- sent{data, c.last}:
			n += len(data)
		case <-c.done:
			return n, c.err
		}
	}
	return n, nil
}

// deliver ends when everything was handed on, or the other end takes nothing any more.
func (c *Conn) deliver(to io.Writer) {
	defer close(c.done)
	for s := range c.sent {
		time.Sleep(time.Until(s.arrives))
		if _, c.err = to.Write(s.data); c.err != nil {
			return
		}
	}
}

// Close returns when everything has arrived, or the error of the other end.
func (c *Conn) Close() error {
	close(c.sent)
	<-c.done
	return c.err
}
