package hub

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// through makes the station reach the hub by a way that can be cut in the middle of an answer. Tell
// it after how many bytes.
func (s *station) through() (cutAfter func(bytes int64)) {
	s.q.t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.q.t.Fatal(err)
	}
	var left atomic.Int64 // until it is cut; 0 or less: it is not
	var work sync.WaitGroup
	work.Go(func() {
		for {
			near, err := listen.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", s.q.config.Listen)
			if err != nil {
				near.Close()
				continue
			}
			end := func() { near.Close(); far.Close() }
			work.Go(func() { defer end(); io.Copy(far, near) })
			work.Go(func() { defer end(); io.Copy(near, cutReader{far, &left}) })
		}
	})
	s.Client = api.NewClient(api.ClientOptions{Hubs: []string{listen.Addr().String()}, Site: s.site,
		UserAgent: "sealpost/test", TLS: s.tls()})
	s.q.t.Cleanup(func() {
		listen.Close()
		s.CloseIdle()
		work.Wait()
	})
	return left.Store
}

type cutReader struct {
	io.Reader
	left *atomic.Int64
}

func (c cutReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if left := c.left.Add(int64(-n)); left <= 0 && left+int64(n) > 0 {
		return n / 2, io.ErrUnexpectedEOF
	}
	return n, err
}

// A cut answer leases nothing. Its deliveries come with the next request, and those of earlier
// answers do not.
func TestALeaseWhoseAnswerIsCutComesAgainAtOnce(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	cutAfter := centre.through()
	ask := api.LeaseRequest{Session: centre.session(), Max: api.MaxLeases, MaxBytes: api.MaxLease,
		Wait: 5 * time.Second}
	lease := func(want ...api.PublishRequest) (got []api.Delivery) {
		t.Helper()
		ask.Number++
		got, err := centre.Lease(t.Context(), ask)
		if err != nil || len(got) != len(want) {
			t.Fatalf("request %d got %d deliveries, want %d: %v", ask.Number, len(got), len(want),
				err)
		}
		for i, d := range got {
			if d.Envelope != want[i].Envelope || d.Attempts != 0 {
				t.Errorf("request %d got %s after %d attempts, want %s after none", ask.Number,
					d.Envelope, d.Attempts, want[i].Envelope)
			}
		}
		ask.Got = ask.Number
		return got
	}
	content := strings.Repeat("x", spool.InlineSize)
	held := lease(lab.send(key("fl-lab.dat"), content))
	first, second := lab.send(key("fl-lab.dat"), content), lab.send(key("fl-lab.dat"), content)
	for range 3 {
		cutAfter(spool.InlineSize)
		ask.Number++
		if got, err := centre.Lease(t.Context(), ask); err == nil {
			t.Fatalf("the line was not cut: %d deliveries", len(got))
		}
	}
	// The hub may still be releasing a lease that it noticed as lost: then it comes one request
	// later.
	for repeated := map[id.Envelope]bool{}; len(repeated) < 2; {
		ask.Number++
		got, err := centre.Lease(t.Context(), ask)
		if err != nil || len(got) == 0 {
			t.Fatalf("request %d got %d deliveries: %v", ask.Number, len(got), err)
		}
		for _, d := range got {
			if repeated[d.Envelope] || d.Envelope != first.Envelope &&
				d.Envelope != second.Envelope || d.Attempts != 0 {
				t.Errorf("request %d got %s after %d attempts", ask.Number, d.Envelope, d.Attempts)
			}
			repeated[d.Envelope] = true
		}
		ask.Got = ask.Number
		held = append(held, got...)
	}
	ask.Wait = time.Millisecond
	lease()
	for _, d := range held {
		if _, err := centre.Extend(t.Context(), d.Token); err != nil {
			t.Errorf("the lease of %s is gone: %v", d.Envelope, err)
		}
	}
	ask.Number-- // it comes a second time
	_, err := centre.Lease(t.Context(), ask)
	wantCode(t, err, api.CodeInvalid)
}

// An agent that sends no numbers works as before: a delivery stays leased until its lease ends.
func TestALeaseWithoutANumberStaysHandedOut(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	d := centre.take()
	none, err := centre.Lease(t.Context(), api.LeaseRequest{Session: centre.session(), Max: 1,
		Wait: time.Millisecond})
	if err != nil || len(none) != 0 {
		t.Errorf("it leased %v, %v", none, err)
	}
	if _, err := centre.Extend(t.Context(), d.Token); err != nil {
		t.Error(err)
	}
}
