//go:build linux

package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/e2e/badline"
)

// farFile is large enough for several parts, each on a connection of its own.
const farFile = 48 * mib

// rival is one plain HTTPS stream with the same bytes, at the same time, over the same line.
type rival struct {
	t      testing.TB
	line   *line
	client *http.Client
	size   int64
	moved  atomic.Int64 // bytes that have arrived
}

// newRival starts a plain server at the end of the line.
func newRival(t testing.TB, l *line, size int64) *rival {
	t.Helper()
	r := &rival{t: t, size: size}
	server := httptest.NewTLSServer(http.HandlerFunc(
		func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPut {
				io.Copy(arriving{&r.moved}, req.Body)
				return
			}
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
			io.CopyN(w, nothing{}, size)
		}))
	t.Cleanup(server.Close)
	r.client = server.Client()
	t.Cleanup(r.client.CloseIdleConnections)
	r.line = startLine(&line{t: t, to: server.Listener.Addr().String(), ways: l.ways})
	return r
}

// Put and Get begin the stream, one way or the other. It ends with the test.
func (r *rival) Put() { r.begin(http.MethodPut, io.LimitReader(nothing{}, r.size)) }
func (r *rival) Get() { r.begin(http.MethodGet, nil) }

func (r *rival) begin(method string, body io.Reader) {
	req, err := http.NewRequestWithContext(r.t.Context(), method, "https://"+r.line.address()+"/",
		body)
	must(r.t, err)
	req.ContentLength = 0
	if body != nil {
		req.ContentLength = r.size
	}
	r.line.done.Go(func() {
		resp, err := r.client.Do(req)
		if err != nil {
			return // the test is over
		}
		defer resp.Body.Close()
		if method == http.MethodGet {
			io.Copy(arriving{&r.moved}, resp.Body)
		}
	})
}

// Part is how much of the stream has arrived.
func (r *rival) Part() float64 { return float64(r.moved.Load()) / float64(r.size) }

type arriving struct{ bytes *atomic.Int64 }

func (a arriving) Write(p []byte) (int, error) {
	a.bytes.Add(int64(len(p)))
	return len(p), nil
}

type nothing struct{}

func (nothing) Read(p []byte) (int, error) { return len(p), nil }

// overABadLine brings a file from a lab to the hub and on to a centre, over bad lines. It returns
// the speed of each way relative to one plain HTTPS stream at the same time.
func overABadLine(t testing.TB, bin string, bad badline.Line, size int64) (up, down float64) {
	t.Helper()
	w := newWorldOf(t, bin)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.Lab("FL-LAB", centre)
	toHub, toCentre := newBadLine(t, w.addr, bad), newBadLine(t, w.addr, bad)
	lab.Through(toHub)
	centre.Through(toCentre)
	centre.Stop()
	t.Logf("the line: %s", bad)

	limit := patience + time.Duration(float64(size)/float64(bad.Each())*float64(time.Second))
	race := func(event string, r *rival, holds func() bool) float64 {
		t.Helper()
		began := time.Now()
		eventuallyWithin(t, limit, event, holds, lab.statusText)
		took, part := time.Since(began), r.Part()
		t.Logf("%s: %d MiB in %s, in which one plain stream carries %.0f %% of them", event,
			size/mib, took.Round(time.Millisecond), part*100)
		return 1 / max(part, 1e-3)
	}
	plain := newRival(t, toHub, size)
	lab.MoveIn("from far away.bin", size)
	plain.Put()
	up = race("the hub has it", plain, func() bool { return w.hub.Status().Waiting == 1 })
	plain = newRival(t, toCentre, size)
	centre.Start()
	plain.Get()
	down = race("the centre has it", plain, func() bool { return centre.count("inbox") == 1 })
	w.Audit()
	return up, down
}

// On a line that loses segments one connection gets little of it, and several get more. The test
// measures the program as it is released.
func TestALargeFileOverABadLineIsFasterThanOneStream(t *testing.T) {
	t.Parallel()
	bin, err := plainProgram()
	must(t, err)
	up, down := overABadLine(t, bin, badline.Example.Faster(10), farFile)
	if up <= 1 || down <= 1 {
		t.Errorf("%.2f times as fast as one plain stream up, %.2f times down", up, down)
	}
}

// BenchmarkABadLine sends a large file beside one plain HTTPS stream. The line has 80 ms, 0.5 %
// loss and 50 Mbit/s.
func BenchmarkABadLine(b *testing.B) {
	bin, err := plainProgram()
	must(b, err)
	for range b.N {
		up, down := overABadLine(b, bin, badline.Example, 2*farFile)
		b.ReportMetric(up, "×plain-up")
		b.ReportMetric(down, "×plain-down")
	}
}
