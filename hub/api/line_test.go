package api

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/line"
)

// pipes is a listener of connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// limited runs a story of a client with limits in both directions, in a bubble. The server counts
// the bytes that it has read.
func limited(t *testing.T, limit int64,
	story func(t *testing.T, c *Client, read *atomic.Int64)) {
	synctest.Test(t, func(t *testing.T) {
		var read atomic.Int64
		listener := make(pipes)
		server := &http.Server{Handler: http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				for buffer := make([]byte, 32<<10); ; {
					n, err := r.Body.Read(buffer)
					read.Add(int64(n))
					if err != nil {
						break
					}
				}
				switch r.URL.Path {
				case PathContent:
					w.Write(make([]byte, RangeSize))
				case PathLease:
					head, _ := Frame(LeaseAnswer{Deliveries: []Delivery{{Inline: true,
						Size: 1 << 20}}})
					w.Write(append(head, make([]byte, 1<<20)...))
				default:
					answer(w, struct{}{})
				}
			})}
		steady := func() *line.Line { return line.New(func(time.Time) int64 { return limit }) }
		c := NewClient(ClientOptions{Hubs: []string{"hub:1"}, Site: "FL-LAB", Up: steady(),
			Down: steady()})
		c.http.Transport.(*http.Transport).DialTLSContext = func(context.Context, string,
			string) (net.Conn, error) {
			near, far := net.Pipe()
			listener <- far
			return near, nil
		}
		go server.Serve(listener)
		story(t, c, &read)
		c.CloseIdle()
		server.Close()
		synctest.Wait()
	})
}

// within compares a time with the bytes that have passed, within 5 %.
func within(t *testing.T, label string, took time.Duration, bytes, limit int64) {
	t.Helper()
	want := float64(bytes) / float64(limit)
	if got := took.Seconds(); got < .95*want || got > 1.05*want {
		t.Errorf("%s: %.1f s, want %.1f", label, got, want)
	}
}

func put(t *testing.T, c *Client) {
	t.Helper()
	if err := c.PutPart(t.Context(), id.Random128[id.Envelope](), 0, 1,
		bytes.NewReader(make([]byte, PartSize)), PartSize); err != nil {
		t.Error(err)
	}
}

// Parts keep to the limit, and a small envelope and a receipt pass between their chunks. None of
// them looks like a line that has stalled, as slow as it is.
func TestUploadsKeepToTheLimit(t *testing.T) {
	for _, limit := range []int64{64 << 10, 1 << 20} {
		limited(t, limit, func(t *testing.T, c *Client, read *atomic.Int64) {
			began := time.Now()
			done := make(chan struct{}, 3)
			for range cap(done) {
				go func() { put(t, c); done <- struct{}{} }()
			}
			time.Sleep(5 * time.Second)
			first := read.Load()
			time.Sleep(30 * time.Second)
			within(t, "half a minute", 30*time.Second, read.Load()-first, limit)
			before := time.Now()
			if _, err := c.Publish(t.Context(), PublishRequest{}, make([]byte, 1000)); err != nil {
				t.Error(err)
			}
			if took := time.Since(before); took > 3*time.Second {
				t.Errorf("a small envelope took %s", took)
			}
			before = time.Now()
			if err := c.Release(t.Context(), ReleaseRequest{}); err != nil {
				t.Error(err)
			}
			if took := time.Since(before); took > 0 {
				t.Errorf("a request without content took %s", took)
			}
			for range cap(done) {
				<-done
			}
			within(t, "parts", time.Since(began), read.Load(), limit)
		})
	}
}

func TestDownloadsKeepToTheLimit(t *testing.T) {
	const limit = 64 << 10
	limited(t, limit, func(t *testing.T, c *Client, _ *atomic.Int64) {
		began := time.Now()
		bodies := make(chan int64, 4)
		for range cap(bodies) {
			go func() {
				body, err := c.Content(t.Context(), ContentRequest{Length: RangeSize})
				if err != nil {
					t.Error(err)
					bodies <- 0
					return
				}
				defer body.Close()
				n, err := io.Copy(io.Discard, body)
				if err != nil {
					t.Error(err)
				}
				bodies <- n
			}()
		}
		sum := int64(0)
		for range cap(bodies) {
			sum += <-bodies
		}
		within(t, "ranges", time.Since(began), sum, limit)
		began = time.Now()
		for range 5 { // small envelopes are fetched at once, and the next ones wait for them
			if _, err := c.Lease(t.Context(), LeaseRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		within(t, "leases", time.Since(began), 4<<20, limit)
	})
}

// A call that ends while it waits for the line leaves no place taken.
func TestACallThatEndsInTheLine(t *testing.T) {
	limited(t, 64<<10, func(t *testing.T, c *Client, _ *atomic.Int64) {
		for range 3 {
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			if err := c.PutPart(ctx, id.Random128[id.Envelope](), 0, 1,
				bytes.NewReader(make([]byte, PartSize)), PartSize); err == nil {
				t.Error("a part is there")
			}
			stop()
		}
		began := time.Now()
		put(t, c)
		within(t, "a part", time.Since(began), PartSize, 64<<10)
	})
}
