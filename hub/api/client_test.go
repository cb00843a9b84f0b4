package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/internal/freeport"
	"sealpost/internal/id"
	"sealpost/internal/strictjson"
	"sealpost/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server that stands for the hub, and a client for it.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	return clientFor(t, server, server.Listener.Addr().String())
}

func clientFor(t *testing.T, server *httptest.Server, hubs ...string) *Client {
	t.Helper()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig
	c := NewClient(ClientOptions{Hubs: hubs, TLS: config, Site: "FL-LAB",
		UserAgent: "sealpost/test"})
	t.Cleanup(c.CloseIdle)
	return c
}

func answer(w http.ResponseWriter, out any) {
	exact, err := strictjson.Marshal(out)
	if err != nil {
		panic(err)
	}
	w.Write(exact)
}

// Every code of the closed set comes back as an error that errors.Is knows by its one sentinel.
func TestEveryProblemRoundTrips(t *testing.T) {
	for _, row := range codes {
		t.Run(string(row.code), func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				code, status := CodeOf(row.sentinel)
				w.Header().Set("Content-Type", ProblemType)
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(status)
				answer(w, NewProblem(code, status, "for people", r.Header.Get(HeaderRequest)))
			})
			_, err := c.Hello(t.Context())
			for _, other := range codes {
				if errors.Is(err, other.sentinel) != (other.code == row.code) {
					t.Errorf("errors.Is(%v, %v) = %v", err, other.sentinel,
						errors.Is(err, other.sentinel))
				}
			}
			problem, ok := errors.AsType[*Error](err)
			if !ok || problem.After != 7*time.Second || problem.Detail != "for people" ||
				len(problem.Request) != 32 {
				t.Errorf("the problem came back as %+v", problem)
			}
			if Retry(err) != row.retry {
				t.Errorf("Retry = %v, want %v", Retry(err), row.retry)
			}
		})
	}
}

// An answer of a proxy or captive portal is not the hub's: a retry may succeed.
func TestForeignAnswersMayHeal(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"gateway": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "<html>", http.StatusBadGateway)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.org/", http.StatusFound)
		},
		"no code": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", ProblemType)
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"title":"Forbidden"}`)
		},
		"no JSON": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "welcome to our hotel")
		},
		"another site": func(w http.ResponseWriter, r *http.Request) {
			answer(w, Hello{Site: "PA-LAB"})
		},
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := serve(t, handler).Hello(t.Context())
			if _, hubs := errors.AsType[*Error](err); err == nil || hubs || !Retry(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAddressesAreTriedInOrder(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, Hello{Site: "FL-LAB"})
	}))
	defer server.Close()
	dead, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	c := clientFor(t, server, dead, server.Listener.Addr().String())
	for range 2 {
		if _, err := c.Hello(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.current.Load(); n != 1 || asked.Load() != 2 {
		t.Errorf("after success at the second address the first to ask is %d; asked %d times", n,
			asked.Load())
	}
	server.Close()
	c.CloseIdle()
	_, err = c.Hello(t.Context())
	if err == nil || !strings.Contains(err.Error(), dead) ||
		!strings.Contains(err.Error(), server.Listener.Addr().String()) {
		t.Errorf("with no hub at all it says %v, which does not name both addresses", err)
	}
}

// A request that a hub has begun to take is not given to another address: its body may be gone.
func TestNoSecondAddressOnceConnected(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	c := clientFor(t, server, server.Listener.Addr().String(), server.Listener.Addr().String())
	if err := c.PutPart(t.Context(), id.Random128[id.Envelope](), 0, 1,
		strings.NewReader("abc"), 3); err == nil || asked.Load() != 1 {
		t.Errorf("asked %d times, error %v", asked.Load(), err)
	}
}

func TestPublishIsFramed(t *testing.T) {
	want := PublishRequest{Envelope: id.Random128[id.Envelope](),
		Address: id.Address{RoutingKey: "fl-lab.dat"}, Size: 5, Recipients: []id.Site{"CA-RC"}}
	var got PublishRequest
	var content []byte
	var length int64
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		length = r.ContentLength
		head, err := ReadFrame(r.Body, MaxJSON)
		if err == nil {
			err = json.Unmarshal(head, &got)
		}
		if err != nil {
			t.Error(err)
		}
		content, _ = io.ReadAll(r.Body)
		answer(w, Published{Sequence: 9})
	})
	p, err := c.Publish(t.Context(), want, []byte("hello"))
	if err != nil || p.Sequence != 9 {
		t.Fatal(p, err)
	}
	if got.Envelope != want.Envelope || string(content) != "hello" || length <= 9 {
		t.Errorf("the hub read %+v and %q from a body of %d bytes", got, content, length)
	}
}

// Busy costs no upload: the body is not sent before the hub wants it.
func TestBusyIsHeardBeforeTheBodyIsSent(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", ProblemType)
		w.WriteHeader(http.StatusServiceUnavailable)
		answer(w, NewProblem(CodeBusy, 503, "", ""))
	})
	body := &counter{r: bytes.NewReader(make([]byte, 8<<20))}
	err := c.PutPart(t.Context(), id.Random128[id.Envelope](), 0, 1, body, 8<<20)
	if !errors.Is(err, ErrBusy) || body.n.Load() > 0 {
		t.Errorf("got %v after %d bytes", err, body.n.Load())
	}
}

type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func TestLeaseReadsContentsInOrder(t *testing.T) {
	deliveries := []Delivery{
		{DeliveryID: spool.DeliveryID{Sequence: 1}, Size: 3, Inline: true},
		{DeliveryID: spool.DeliveryID{Sequence: 2}, Size: 1 << 30},
		{DeliveryID: spool.DeliveryID{Sequence: 3}, Size: 4, Inline: true},
	}
	body := "onefour"
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		head, err := Frame(LeaseAnswer{Deliveries: deliveries})
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(head)+7))
		w.Write(head)
		io.WriteString(w, body)
	})
	got, err := c.Lease(t.Context(), LeaseRequest{Session: id.Random128[id.Session](), Max: 3})
	if err != nil || len(got) != 3 || string(got[0].Content) != "one" || got[1].Content != nil ||
		string(got[2].Content) != "four" {
		t.Fatalf("got %+v, %v", got, err)
	}
	body = "onefo"
	if _, err := c.Lease(t.Context(), LeaseRequest{Max: 3}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut answer gives %v", err)
	}
	deliveries[0].Size = MaxLease + 1
	if _, err := c.Lease(t.Context(), LeaseRequest{Max: 3}); err == nil {
		t.Error("an answer larger than a lease may be is believed")
	}
}

func TestContentIsCutVisibly(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "short")
	})
	r, err := c.Content(t.Context(), ContentRequest{Length: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestKnownAsksUntilAllIsAnswered(t *testing.T) {
	var requests atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		var in KnownRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		var out KnownAnswer
		for _, e := range in.Envelopes[:min(2, len(in.Envelopes))] {
			out.Envelopes = append(out.Envelopes,
				KnownEnvelope{Envelope: e, State: spool.StateUnknown})
		}
		answer(w, out)
	})
	var asked []id.Envelope
	for range 5 {
		asked = append(asked, id.Random128[id.Envelope]())
	}
	known, err := c.Known(t.Context(), asked)
	if err != nil || len(known) != 5 || requests.Load() != 3 || known[4].Envelope != asked[4] {
		t.Errorf("got %v, %v after %d requests", known, err, requests.Load())
	}
}

func TestSettlementsAreSplitIntoRequests(t *testing.T) {
	var sizes []int
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		var in SettleRequest
		if err == nil {
			err = strictjson.Unmarshal(data, &in)
		}
		if err != nil || len(data) > MaxJSON {
			t.Errorf("%d bytes: %v", len(data), err)
		}
		sizes = append(sizes, len(in.Settlements))
		answer(w, SettleAnswer{Settled: make([]SettledDelivery, len(in.Settlements))})
	})
	small := make([]Settlement, MaxLeases+1)
	if out, err := c.Settle(t.Context(), small); err != nil || len(out) != len(small) {
		t.Fatal(out, err)
	}
	large := make([]Settlement, 60)
	for i := range large {
		large[i].Receipt = strings.Repeat("x", 96<<10)
	}
	if out, err := c.Settle(t.Context(), large); err != nil || len(out) != len(large) {
		t.Fatal(out, err)
	}
	if len(sizes) != 4 || sizes[0] != MaxLeases || sizes[1] != 1 {
		t.Errorf("requests of %v settlements", sizes)
	}
}

func TestCancellationEndsAWait(t *testing.T) {
	arrived := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := c.Events(ctx, EventsRequest{Wait: MaxWait}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAStalledRequestIsGivenUp(t *testing.T) {
	w := newWatch(t.Context(), time.Nanosecond)
	defer w.stop()
	<-w.ctx.Done()
	if err := w.why(w.ctx.Err()); err != ErrStalled {
		t.Errorf("got %v", err)
	}
}

func TestNoHub(t *testing.T) {
	c := NewClient(ClientOptions{TLS: &tls.Config{}})
	if _, err := c.Hello(t.Context()); err == nil {
		t.Error("asking nobody succeeds")
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, '{', '}', 'x'})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		head, err := ReadFrame(r, 1<<16)
		if err != nil {
			return
		}
		second := append([]byte{byte(len(head) >> 24), byte(len(head) >> 16), byte(len(head) >> 8),
			byte(len(head))}, head...)
		if !bytes.Equal(second, data[:len(data)-r.Len()]) {
			t.Errorf("read %q from %q", head, data)
		}
	})
}
