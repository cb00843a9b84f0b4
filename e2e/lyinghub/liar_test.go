package lyinghub

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/testnet"
)

// liar is a hub that passes requests on to the real one, except where it lies.
type liar struct {
	t        *testing.T
	w        *world
	addr     string
	server   *http.Server
	done     chan struct{}
	network  id.Hash
	serverID *certs.Identity

	mu     sync.Mutex // guards the fields below
	lies   map[string]lie
	sites  map[id.Site]http.RoundTripper
	heard  map[string]int  // requests for each path since the lies changed
	moment context.Context // ends when the lies change, and with it every request under way
	change context.CancelFunc
}

// lie makes an answer. It may forward the request, changed or not, and change the answer.
type lie func(x *exchange)

// exchange is one request and its answer.
type exchange struct {
	*liar
	r      *http.Request
	Site   id.Site // the caller
	In     []byte
	Status int
	Out    []byte
	Header http.Header
}

func newLiar(w *world) *liar {
	w.t.Helper()
	state := filepath.Join(w.Hub.Dir, "state")
	identity, err := certs.OpenIdentity(filepath.Join(state, "hub.key"),
		filepath.Join(state, "chain.pem"))
	must(w.t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	l := &liar{t: w.t, w: w, addr: listener.Addr().String(), done: make(chan struct{}),
		serverID: identity, network: certs.Fingerprint(identity.Chain()[2].PublicKey),
		lies: map[string]lie{}, sites: map[id.Site]http.RoundTripper{}, heard: map[string]int{}}
	l.moment, l.change = context.WithCancel(context.Background())
	l.server = &http.Server{Handler: l, TLSConfig: certs.ServerTLS(identity)}
	go func() {
		defer close(l.done)
		l.server.ServeTLS(listener, "", "")
	}()
	w.t.Cleanup(l.close)
	return l
}

func (l *liar) close() {
	l.change()
	l.server.Close()
	<-l.done
	for _, s := range l.sites {
		s.(*http.Transport).CloseIdleConnections()
	}
}

// tell begins a lie about a path. Requests under way are cut, so that no old answer comes later.
func (l *liar) tell(path string, f lie) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lies[path] = f
	l.cut()
}

// truth ends all lies.
func (l *liar) truth() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.lies)
	l.cut()
}

// cut ends the requests under way and forgets their number. The caller holds the lock.
func (l *liar) cut() {
	l.change()
	clear(l.heard)
	l.moment, l.change = context.WithCancel(context.Background())
}

// asked counts the requests for a path since the lies changed.
func (l *liar) asked(path string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard[path]
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	tell, moment := l.lies[r.URL.Path], l.moment
	l.heard[r.URL.Path]++
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(moment, cancel)()
	x := &exchange{liar: l, r: r.WithContext(ctx), Header: http.Header{}}
	if chain := r.TLS.PeerCertificates; len(chain) > 0 {
		x.Site = id.Site(strings.TrimPrefix(chain[0].URIs[0].String(), "urn:sealpost:site:"))
	}
	var err error
	if x.In, err = io.ReadAll(r.Body); err != nil {
		return
	}
	if tell == nil {
		tell = (*exchange).forward
	}
	tell(x)
	if moment.Err() != nil {
		x.problem(api.CodeBusy) // the answer belongs to another story
	}
	for k, v := range x.Header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(x.Out)))
	if x.Status == http.StatusNoContent {
		w.Header().Del("Content-Length")
	}
	w.WriteHeader(x.Status)
	w.Write(x.Out)
}

// forward asks the real hub.
func (x *exchange) forward() {
	req, err := http.NewRequestWithContext(x.r.Context(), x.r.Method,
		"https://"+x.w.Addr+x.r.URL.RequestURI(), bytes.NewReader(x.In))
	must(x.t, err)
	req.Header.Set(api.HeaderRequest, x.r.Header.Get(api.HeaderRequest))
	resp, err := x.as(x.Site).RoundTrip(req)
	if err != nil {
		x.problem(api.CodeBusy)
		return
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		x.problem(api.CodeBusy)
		return
	}
	x.Status, x.Out = resp.StatusCode, out
	for _, k := range []string{"Content-Type", "Retry-After", "Connection", api.HeaderRequest} {
		if v := resp.Header.Values(k); len(v) > 0 {
			x.Header[http.CanonicalHeaderKey(k)] = v
		}
	}
}

// as returns a connection to the real hub with a site's own certificate. A real liar does not need
// it: it is the hub.
func (l *liar) as(site id.Site) http.RoundTripper {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.sites[site]; t != nil {
		return t
	}
	dir := l.t.TempDir()
	if site != "" {
		dir = filepath.Join(l.w.Dir, string(site), "state")
	}
	identity, err := certs.OpenIdentity(filepath.Join(dir, "identity.key"),
		filepath.Join(dir, "chain.pem"))
	must(l.t, err)
	l.sites[site] = &http.Transport{
		TLSClientConfig: certs.ClientTLS(identity, l.network, "127.0.0.1")}
	return l.sites[site]
}

func (x *exchange) problem(code api.Code) {
	_, status := api.CodeOf(&api.Error{Code: code})
	x.Header.Set("Content-Type", api.ProblemType)
	x.Status = status
	x.Out = encode(x.t, api.NewProblem(code, status, "", ""))
}

// answer puts an answer in place of the hub's.
func (x *exchange) answer(out any) {
	x.Header.Set("Content-Type", "application/json")
	x.Status, x.Out = http.StatusOK, encode(x.t, out)
}

func encode(t testing.TB, v any) []byte {
	out, err := json.Marshal(v)
	must(t, err)
	return out
}

// edit changes the hub's answers to requests for a path.
func edit[Out any](l *liar, path string, change func(x *exchange, out *Out)) {
	l.tell(path, func(x *exchange) {
		x.forward()
		if x.Status != http.StatusOK {
			return
		}
		var out Out
		must(x.t, json.Unmarshal(x.Out, &out))
		change(x, &out)
		x.answer(out)
	})
}

// leases changes the deliveries of a lease. Deliveries with Content bring it along.
func (l *liar) leases(change func(x *exchange, list []api.Delivery) []api.Delivery) {
	l.tell(api.PathLease, func(x *exchange) {
		x.forward()
		if x.Status != http.StatusOK {
			return
		}
		x.deliver(change(x, deliveries(x.t, x.Out)))
	})
}

func deliveries(t testing.TB, out []byte) []api.Delivery {
	r := bytes.NewReader(out)
	head, err := api.ReadFrame(r, api.MaxJSON)
	must(t, err)
	var answer api.LeaseAnswer
	must(t, json.Unmarshal(head, &answer))
	for i := range answer.Deliveries {
		if d := &answer.Deliveries[i]; d.Inline {
			d.Content, err = api.ReadExactly(r, d.Size)
			must(t, err)
		}
	}
	return answer.Deliveries
}

func (x *exchange) deliver(list []api.Delivery) {
	head, err := api.Frame(api.LeaseAnswer{Deliveries: list})
	must(x.t, err)
	x.Status, x.Out = http.StatusOK, head
	for _, d := range list {
		if d.Inline {
			x.Out = append(x.Out, d.Content...)
		}
	}
}

// forger is an identity for a site's name that the liar has issued itself: a good certificate, and
// another key.
func (l *liar) forger(site id.Site) *certs.Identity {
	l.t.Helper()
	authority, err := certs.OpenAuthority(filepath.Join(l.w.Hub.Dir, "state"))
	must(l.t, err)
	return testnet.Issue(l.t, authority, site, time.Now())
}
