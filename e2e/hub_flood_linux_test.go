package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/hub"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// Bounds of the effects of an attack on the hub.
const (
	floodLog    = 4 * kib   // bytes of log at the level info, and as much as a kibibyte a round
	floodMemory = 192 * mib // of growth, without the shadow memory of the race detector
	floodShadow = 4         // times as much with it
)

// floodTime is how long a well-behaved site may wait. It is shorter than the time after which the
// hub closes a silent connection anyway.
const floodTime = 8 * time.Second

// flood is a world whose hub is attacked while a lab sends and new sites join.
type flood struct {
	*world
	lab, centre *site
	good        *caller // the lab's certificate, on connections of its own
	joined      int
	taken       atomic.Int64 // envelopes of the attack, each with its lines in the log
}

// caller asks the hub with the keys of a site, or with none, from one local address.
type caller struct {
	hub    string
	tls    *tls.Config
	csr    string
	dialer net.Dialer
}

// Caller makes a caller of a site's folder.
func (w *world) Caller(dir, from string) *caller {
	w.t.Helper()
	var s hub.Status
	must(w.t, w.hub.ask(hub.ControlStatus, hub.Nothing{}, &s))
	identity, err := certs.OpenIdentity(filepath.Join(dir, "state", "identity.key"),
		filepath.Join(dir, "state", "chain.pem"))
	must(w.t, err)
	csr, err := identity.CSR()
	must(w.t, err)
	return &caller{hub: w.addr, tls: certs.ClientTLS(identity, s.Network, "127.0.0.1"),
		csr: string(csr),
		dialer: net.Dialer{Timeout: 10 * time.Second,
			LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}}
}

// Stranger returns a caller without a certificate.
func (f *flood) Stranger(from string) *caller {
	s := *f.good
	s.tls = f.good.tls.Clone()
	s.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{}, nil
	}
	s.dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	return &s
}

// Client returns an HTTP client that opens a connection for each request.
func (c *caller) Client() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: c.dialer.DialContext, TLSClientConfig: c.tls, DisableKeepAlives: true}}
}

// Post sends JSON, and returns the status.
func (c *caller) Post(ctx context.Context, client *http.Client, path string, in any) (int, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.hub+path,
		bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func newFlood(t *testing.T) *flood {
	t.Helper()
	w := newWorld(t)
	w.hub.Stop()
	edit(t, w.hub.config(), `log_level = "debug"`, `log_level = "info"`)
	w.hub.Start()
	f := &flood{world: w}
	f.centre = w.Centre("CA-RC", "fl-lab.*")
	f.lab = w.Lab("FL-LAB", f.centre)
	f.good = w.Caller(f.lab.dir, "127.0.0.1")
	return f
}

// Join lets a site join, without an agent that runs, and returns its folder.
func (f *flood) Join(name, role string) string {
	f.t.Helper()
	dir := filepath.Join(f.dir, name)
	began := time.Now()
	eventuallyWithin(f.t, floodTime, name+" joins", func() bool {
		_, errs, code := run(f.t, "agent", "join", f.hub.Invite(name, role), "--dir", dir)
		if code != 0 {
			f.t.Logf("join again after %s: %s", time.Since(began).Round(time.Millisecond),
				strings.TrimSpace(errs))
		}
		return code == 0
	})
	return dir
}

// felt holds the times that a well-behaved site has waited.
type felt struct {
	file, hello []time.Duration
	join        time.Duration
}

func (l felt) cells() string {
	cell := func(list []time.Duration) string {
		list = slices.Sorted(slices.Values(list))
		return fmt.Sprintf("%s / %s", list[len(list)/2].Round(time.Millisecond),
			list[len(list)-1].Round(time.Millisecond))
	}
	return fmt.Sprintf("%s | %s | %s", cell(l.file), cell(l.hello), l.join.Round(time.Millisecond))
}

// floodTable names the file to which these stories append the rows of docs/benchmarks.md. With it
// each attack is measured for longer, and so is the quiet hub before it.
var floodTable = os.Getenv("SEALPOST_FLOOD")

// Feel lets the lab send files and open connections, and a new site join.
func (f *flood) Feel() (l felt) {
	f.t.Helper()
	rounds := 3
	if soak || floodTable != "" {
		rounds = 20
	}
	for range rounds {
		began := time.Now()
		d := f.lab.Drop(fmt.Sprintf("file %d.csv", len(f.drops)), smallFile)
		f.centre.Expect(f.lab, d.name)
		l.file = append(l.file, time.Since(began))
		began = time.Now()
		eventuallyWithin(f.t, floodTime, "a new connection of the lab", func() bool {
			resp, err := f.good.Client().Get("https://" + f.addr + api.PathHello)
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
		l.hello = append(l.hello, time.Since(began))
	}
	f.joined++
	began := time.Now()
	f.Join(fmt.Sprintf("NEW-%d", f.joined), "send")
	l.join = time.Since(began)
	return l
}

// Under measures a well-behaved site during an attack. The attack is made by some goroutines that
// end with the context, and ready reports whether it has begun in earnest.
func (f *flood) Under(name string, attackers int, attack func(ctx context.Context, n int),
	ready func() bool) {
	f.t.Helper()
	before := felt{}
	if floodTable != "" {
		before = f.Feel()
	}
	logged, memory := len(f.hub.Log()), f.memory()
	ctx, cancel := context.WithCancel(f.t.Context())
	var wg sync.WaitGroup
	for n := range attackers {
		wg.Go(func() { attack(ctx, n) })
	}
	eventually(f.t, name+" has begun", ready)
	during := f.Feel()
	if l := f.lab.Status().Link; !l.Connected {
		f.t.Errorf("%s: the lab is not connected: %+v", name, l)
	}
	cancel()
	wg.Wait()
	logged, memory = len(f.hub.Log())-logged, f.memory()-memory
	row := fmt.Sprintf("| %s | %s | %d | %+d |", name, during.cells(), logged, memory/mib)
	f.t.Log(row)
	if floodTable != "" {
		f.tabulate(fmt.Sprintf("| quiet, before %s | %s | | |\n%s\n", name, before.cells(), row))
	}
	if logged > floodLog+len(during.file)*kib+int(f.taken.Swap(0))*kib {
		f.t.Errorf("%s: the hub has logged %d bytes", name, logged)
	}
	most := int64(floodMemory)
	if raceEnabled {
		most *= floodShadow
	}
	if memory > most {
		f.t.Errorf("%s: the hub has grown by %d MiB", name, memory/mib)
	}
}

// tabulate appends rows to the table.
func (f *flood) tabulate(rows string) {
	f.t.Helper()
	file, err := os.OpenFile(floodTable, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	must(f.t, err)
	_, err = file.WriteString(rows)
	must(f.t, errors.Join(err, file.Close()))
}

// memory returns the hub's private memory. The tables of its store are mapped beside it.
func (f *flood) memory() (bytes int64) {
	f.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.hub.Process().Pid))
	must(f.t, err)
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	_, err = fmt.Sscan(rest, &bytes)
	must(f.t, err)
	return bytes * kib
}

// pause waits for a moment, or until the attack ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// from returns one of some local addresses.
func from(n, addresses int) string { return fmt.Sprintf("127.0.1.%d", 1+n%addresses) }

// Strangers hold thousands of connections open and say nothing, from many addresses and from the
// lab's own.
func TestSilentConnectionsKeepNoSiteOut(t *testing.T) {
	t.Parallel()
	f := newFlood(t)
	count := 1500
	if soak {
		count = 9000
	}
	silent := func(address func(n int) string, open *atomic.Int64) func(context.Context, int) {
		return func(ctx context.Context, n int) {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address(n))}}
			for ctx.Err() == nil {
				if c, err := dialer.DialContext(ctx, "tcp", f.addr); err == nil {
					open.Add(1)
					stop := context.AfterFunc(ctx, func() { c.Close() })
					io.Copy(io.Discard, c) // until the hub closes it
					stop()
					c.Close()
				}
				pause(ctx, time.Second)
			}
		}
	}
	var open atomic.Int64
	many := func() bool { return open.Load() >= int64(count)*9/10 }
	f.Under("nothing", 0, nil, func() bool { return true })
	f.Under("silent connections", count,
		silent(func(n int) string { return from(n, 20) }, &open), many)
	open.Store(0)
	f.Under("from the lab's address", count,
		silent(func(int) string { return "127.0.0.1" }, &open), many)
	f.Audit()
}

// Strangers send bodies without end, to the only path that takes them and to others.
func TestSlowBodiesKeepNoSiteOut(t *testing.T) {
	t.Parallel()
	f := newFlood(t)
	count, every := 640, 500*time.Millisecond // between two chunks
	if soak {
		count, every = 2000, 100*time.Millisecond
	}
	var open atomic.Int64
	f.Under("slow bodies", count, func(ctx context.Context, n int) {
		stranger := f.Stranger(from(n, 10))
		dialer := tls.Dialer{Config: stranger.tls, NetDialer: &stranger.dialer}
		path := []string{api.PathEnroll, api.PathPublish}[n%2]
		for ctx.Err() == nil {
			c, err := dialer.DialContext(ctx, "tcp", f.addr)
			if err != nil {
				pause(ctx, time.Second)
				continue
			}
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: hub\r\n"+
				"Transfer-Encoding: chunked\r\n\r\n", path)
			open.Add(1)
			for ctx.Err() == nil {
				if _, err := io.WriteString(c, "1\r\n \r\n"); err != nil {
					break
				}
				pause(ctx, every)
			}
			c.Close()
		}
	}, func() bool { return open.Load() >= int64(count)*9/10 })
	f.Audit()
}

// Strangers ask for paths that do not exist, and guess invitations, on a new connection each time.
func TestAskingStrangersKeepNoSiteOut(t *testing.T) {
	t.Parallel()
	f := newFlood(t)
	count := 8
	if soak {
		count = 64
	}
	ask := func(in func() (path string, body any), asked *atomic.Int64) func(context.Context, int) {
		return func(ctx context.Context, n int) {
			stranger := f.Stranger(from(n, 4))
			client := stranger.Client()
			for ctx.Err() == nil {
				path, body := in()
				stranger.Post(ctx, client, path, body) // any answer is one
				asked.Add(1)
			}
		}
	}
	var asked atomic.Int64
	f.Under("unknown paths", count, ask(func() (string, any) { return "/v1/nothing", nil }, &asked),
		func() bool { return asked.Load() > 100 })
	asked.Store(0)
	f.Under("guessed invitations", count, ask(func() (string, any) {
		return api.PathEnroll, api.EnrollRequest{Site: "FL-LAB", Secret: certs.NewSecret(),
			CSR: f.good.csr}
	}, &asked), func() bool { return asked.Load() > 100 })
	asked.Store(0)
	used, err := certs.ReadInvitation(f.hub.Invite("NY-LAB", "send"))
	must(t, err)
	_, errs, code := run(t, "agent", "join", filepath.Join(f.dir, "NY-LAB.join"), "--dir",
		filepath.Join(f.dir, "NY-LAB"))
	if code != 0 {
		t.Fatal(errs)
	}
	keys := f.otherKeys(40)
	f.Under("knocking with 40 keys", count, ask(func() (string, any) {
		return api.PathEnroll, api.EnrollRequest{Site: used.Site, Secret: used.Secret,
			CSR: keys[int(asked.Load())%len(keys)]}
	}, &asked), func() bool { return asked.Load() > 100 })
	var sites hub.SitesAnswer
	must(t, f.hub.ask(hub.ControlSites, hub.Nothing{}, &sites))
	if n := len(sites.Knocking); n == 0 || n >= len(keys) {
		t.Errorf("%d of %d keys stand in the list of the admin", n, len(keys))
	}
	f.Audit()
}

// otherKeys returns the requests of keys that no hub knows.
func (f *flood) otherKeys(count int) (csrs []string) {
	f.t.Helper()
	for range count {
		dir := f.t.TempDir()
		identity, err := certs.OpenIdentity(filepath.Join(dir, "identity.key"),
			filepath.Join(dir, "chain.pem"))
		must(f.t, err)
		csr, err := identity.CSR()
		must(f.t, err)
		csrs = append(csrs, string(csr))
	}
	return csrs
}

// A site that was removed asks in a loop, from an address of its own and from the lab's.
func TestARemovedCertificateKeepsNoSiteOut(t *testing.T) {
	t.Parallel()
	f := newFlood(t)
	count := 8
	if soak {
		count = 64
	}
	dir := f.Join("PA-LAB", "both")
	sealpost(t, "hub", "remove", "PA-LAB", "--dir", f.hub.dir)
	for name, address := range map[string]string{"a removed certificate": "127.0.1.1",
		"from the lab's address": "127.0.0.1"} {
		removed := f.Caller(dir, address)
		var asked atomic.Int64
		f.Under(name, count, func(ctx context.Context, n int) {
			client := removed.Client()
			for ctx.Err() == nil {
				status, err := removed.Post(ctx, client, api.PathEvents, api.EventsRequest{})
				if err == nil && status != http.StatusForbidden {
					t.Errorf("a removed site is answered with %d", status)
				}
				asked.Add(1)
			}
		}, func() bool { return asked.Load() > 10 })
	}
	f.Audit()
}

// An admitted site invents envelopes and settlements as fast as it can, and then publishes garbage.
func TestInventionsKeepNoSiteOut(t *testing.T) {
	t.Parallel()
	f := newFlood(t)
	count := 8
	if soak {
		count = 64
	}
	bad := f.Caller(f.Join("PA-LAB", "both"), "127.0.1.1")
	var asked, busy atomic.Int64
	f.Under("inventions", count, func(ctx context.Context, n int) {
		client := bad.Client()
		client.Transport.(*http.Transport).DisableKeepAlives = false
		defer client.CloseIdleConnections()
		for ctx.Err() == nil {
			known := api.KnownRequest{Envelopes: make([]id.Envelope, api.MaxKnown)}
			for i := range known.Envelopes {
				known.Envelopes[i] = id.Random128[id.Envelope]()
			}
			settle := api.SettleRequest{Settlements: make([]api.Settlement, api.MaxLeases)}
			for i := range settle.Settlements {
				settle.Settlements[i] = api.Settlement{Receipt: "a.b.c", Delivery: spool.DeliveryID{
					Incarnation: id.Random128[id.Incarnation](), Queue: "pa_lab_queue",
					Sequence: uint64(i), Envelope: id.Random128[id.Envelope]()}}
			}
			for path, in := range map[string]any{api.PathKnown: known, api.PathSettle: settle} {
				status, err := bad.Post(ctx, client, path, in)
				if asked.Add(1); err == nil && status == http.StatusServiceUnavailable {
					busy.Add(1)
				}
			}
		}
	}, func() bool { return busy.Load() > 10 })
	asked.Store(0)
	f.Under("garbage envelopes", count, func(ctx context.Context, n int) {
		client := api.NewClient(api.ClientOptions{Hubs: []string{f.addr}, Site: "PA-LAB",
			TLS: bad.tls})
		defer client.CloseIdle()
		for ctx.Err() == nil {
			if in, err := f.garbage(ctx, client); err == nil {
				if _, err := client.Publish(ctx, in, garbageContent); err == nil {
					f.taken.Add(1)
				}
				asked.Add(1)
			}
		}
	}, func() bool { return asked.Load() > 100 })
	f.Audit()
}

// garbageContent is no ciphertext of age.
var garbageContent = bytes.Repeat([]byte("garbage "), 8*kib)

// garbage makes an envelope of as many messages as fit, for the centre.
func (f *flood) garbage(ctx context.Context, client *api.Client) (in api.PublishRequest,
	err error) {
	in = api.PublishRequest{Envelope: id.Random128[id.Envelope](),
		Address: id.Address{To: []id.Site{"CA-RC"}}, Recipients: []id.Site{"CA-RC"},
		Size: int64(len(garbageContent)), CRC32C: []uint32{crc32.Checksum(garbageContent,
			crc32.MakeTable(crc32.Castagnoli))}}
	route, err := client.Resolve(ctx, in.Address)
	in.RouteVersion = route.Version
	for n := range int64(spool.MaxMessages) {
		in.Messages = append(in.Messages, spool.Message{UID: id.Random128[id.UID](),
			ID:   id.FormatMessage("PA-LAB", "DAT", time.Now(), n+1),
			Sent: time.Now().UTC().Truncate(time.Second)})
	}
	return in, err
}
