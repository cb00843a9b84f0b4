//go:build linux

package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool"
	"sealpost/statement"
)

// hubBound is the bound of the whole hub's private memory, however many envelopes wait in it.
const hubBound = 128 * mib

// A hub in which a million envelopes wait starts in seconds, and works in constant memory. It takes
// more in, hands out and settles. The program is as it is released.
func TestAHubWithAMillionQueuedInConstantMemory(t *testing.T) {
	t.Parallel()
	queued, passed := 3_000, 500
	if soak {
		queued, passed = 1_000_000, 30_000
	}
	bin, err := plainProgram()
	must(t, err)
	w := newWorldOf(t, bin)
	ca := w.Centre("CA-RC", "#")
	lab := w.Lab("FL-LAB", ca)
	ca.Stop() // from here on the test speaks for them
	lab.Stop()
	w.hub.Stop()
	fillSpool(t, filepath.Join(w.hub.dir, "state", "spool"), queued)
	edit(t, w.hub.config(), `log_level = "debug"`, `log_level = "warn"`)

	began := time.Now()
	w.hub.Start()
	started := time.Since(began)
	m := measureBy(t, ownMemory, w.hub.daemon)
	sender, receiver := lab.client(), ca.client()
	sender.publish(passed)
	receiver.settle(passed)
	peak := m.stop()[w.hub.name]
	t.Logf("%d wait: started in %s; %d more published and settled; at most %d MiB of private "+
		"memory", queued, started.Round(time.Millisecond), passed, peak/mib)
	if peak == 0 || peak > hubBound {
		t.Errorf("the hub took %d MiB of private memory, more than %d", peak/mib, hubBound/mib)
	}
	if started > 20*time.Second {
		t.Errorf("it took %s to start", started)
	}
	if got := w.hub.Status().Waiting; got != int64(queued) {
		t.Errorf("%d wait, want %d", got, queued)
	}
}

// fillSpool queues envelopes as a hub would that does not run.
func fillSpool(t *testing.T, dir string, n int) {
	t.Helper()
	s, err := badgerspool.Open(dir, badgerspool.Options{})
	must(t, err)
	parallel(n, func() {
		e := spool.Envelope{
			ID: id.Random128[id.Envelope](), Sender: "FL-LAB",
			Address: id.Address{RoutingKey: "fl-lab.dat"}, RouteVersion: someHash,
			Deliveries: []spool.Target{{Site: "CA-RC", Queue: "ca_rc_queue"}},
		}
		e.Content, e.CRC32C = noise()
		e.Size, e.Messages = int64(len(e.Content)), oneMessage()
		if _, err := s.Publish(context.Background(), e); err != nil {
			t.Error(err)
		}
	})
	must(t, s.Close())
}

// party is a site's side of the API, spoken by the test with the site's own keys.
type party struct {
	*api.Client
	t        testing.TB
	identity *certs.Identity
	network  id.Hash
}

func (s *site) client() *party {
	s.t.Helper()
	identity, err := certs.OpenIdentity(s.at("state", "identity.key"), s.at("state", "chain.pem"))
	must(s.t, err)
	network := s.w.hub.Status().Network
	c := api.NewClient(api.ClientOptions{
		Hubs: []string{s.w.addr}, Site: id.Site(s.name), UserAgent: "sealpost/test",
		TLS: certs.ClientTLS(identity, network, "127.0.0.1"),
	})
	s.t.Cleanup(c.CloseIdle)
	return &party{Client: c, t: s.t, identity: identity, network: network}
}

// publish publishes small envelopes under the lab's routing key.
func (p *party) publish(n int) {
	p.t.Helper()
	address := id.Address{RoutingKey: "fl-lab.dat"}
	route, err := p.Resolve(p.t.Context(), address)
	must(p.t, err)
	parallel(n, func() {
		in := api.PublishRequest{Envelope: id.Random128[id.Envelope](), Address: address,
			RouteVersion: route.Version, Messages: oneMessage()}
		for _, r := range route.Recipients {
			in.Recipients = append(in.Recipients, r.Site)
		}
		content, sums := noise()
		in.Size, in.CRC32C = int64(len(content)), sums
		_, err := p.Publish(context.Background(), in, content)
		// so many at once is more than a site may
		for errors.Is(err, api.ErrBusy) && backoff.Sleep(p.t.Context(),
			api.RetryAfter(err)) == nil {
			_, err = p.Publish(context.Background(), in, content)
		}
		if err != nil {
			p.t.Error(err)
		}
	})
}

// settle leases so many deliveries and settles them with receipts, as an inbox does.
func (p *party) settle(n int) {
	p.t.Helper()
	session := id.Random128[id.Session]()
	for n > 0 && !p.t.Failed() {
		list, err := p.Lease(p.t.Context(), api.LeaseRequest{Session: session,
			Max: min(api.MaxLeases, n), MaxBytes: api.MaxLease, Wait: api.MaxWait})
		must(p.t, err)
		settlements := make([]api.Settlement, len(list))
		for i, d := range list {
			settlements[i] = api.Settlement{Delivery: d.DeliveryID, Receipt: p.receipt(d)}
		}
		settled, err := p.Settle(p.t.Context(), settlements)
		must(p.t, err)
		for _, s := range settled {
			if s.Code != "" {
				p.t.Fatalf("not settled: %s", s.Code)
			}
		}
		n -= len(list)
	}
}

func (p *party) receipt(d api.Delivery) string {
	p.t.Helper()
	r := statement.Receipt{V: 1, Network: p.network, Envelope: d.Envelope, Sender: d.Sender,
		Recipient: p.identity.Site(), Time: time.Now().UTC().Truncate(time.Second)}
	for _, m := range d.Messages {
		r.Messages = append(r.Messages, statement.ReceiptMessage{UID: m.UID, Message: m.ID,
			Outcome: statement.Delivered, Fingerprint: someHash})
	}
	jws, err := statement.Sign(p.identity, r)
	must(p.t, err)
	return jws
}

// someHash is well formed, and of no key.
const someHash = id.Hash("3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a3f0d3b7a")

func oneMessage() []spool.Message {
	now := time.Now().UTC().Truncate(time.Second)
	return []spool.Message{
		{ID: id.FormatMessage("FL-LAB", "DAT", now, 1), UID: id.Random128[id.UID](), Sent: now}}
}

// noise is 4 KiB that nothing compresses, and its checksum.
func noise() ([]byte, []uint32) {
	content := make([]byte, 4*kib)
	for i := 0; i < len(content); i += 8 {
		binary.LittleEndian.PutUint64(content[i:], rand.Uint64())
	}
	return content, []uint32{crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli))}
}

// parallel does something n times, 64 at once.
func parallel(n int, do func()) {
	var g errgroup.Group
	g.SetLimit(64)
	for range n {
		g.Go(func() error { do(); return nil })
	}
	g.Wait()
}
