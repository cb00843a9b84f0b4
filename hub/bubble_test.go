package hub

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// bubble is a hub without a spool on connections of memory, for tests in which time is not real.
type bubble struct {
	hub    *Hub
	server *http.Server
	pipes  *pipes
	lab    *certs.Identity
}

// pipes is a listener of net.Pipe connections.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// newBubble makes the identities before time stands still, and returns what to do inside.
func newBubble(t *testing.T) func() *bubble {
	dir := filepath.Join(t.TempDir(), "DC-HQ")
	began := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // so does time in a bubble
	if _, err := Init(InitOptions{Dir: dir, Name: "DC-HQ", Hosts: []string{"127.0.0.1"},
		Now: began}); err != nil {
		t.Fatal(err)
	}
	authority, err := certs.OpenAuthority(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	hub, err := certs.OpenIdentity(filepath.Join(dir, "state", keyFile),
		filepath.Join(dir, "state", chainFile))
	if err != nil {
		t.Fatal(err)
	}
	lab, err := certs.OpenIdentity(t.TempDir()+"/identity.key", t.TempDir()+"/chain.pem")
	if err != nil {
		t.Fatal(err)
	}
	return func() *bubble {
		h := &Hub{log: slog.New(slog.DiscardHandler), now: time.Now, identity: hub,
			authority: authority,
			verifier:  certs.NewVerifier(authority.Root()), dir: &directory{}, told: newAddresses(),
			uploads: newUploads(),
			intake:  newIntake(1 << 20), guesses: newGuesses(),
			links:  newLinks(func(netip.Addr) {}),
			knocks: newKnocks(), knocking: newLimiters[id.Hash](knockRate, knockBurst),
			present: newPresence(), metrics: newMetrics(),
			refusals: newRefusals(slog.New(slog.DiscardHandler))}
		csr, err := lab.CSR()
		if err != nil {
			t.Fatal(err)
		}
		chain, err := authority.IssueSite(csr, "FL-LAB", time.Now())
		if err == nil {
			err = lab.SetChain(chain, authority.Network(), time.Now())
		}
		if err != nil {
			t.Fatal(err)
		}
		table := newTable()
		table.sites["FL-LAB"] = site{Name: "FL-LAB", Role: config.RoleBoth, Key: lab.Key()}
		h.dir.now.Store(table)
		b := &bubble{hub: h, server: h.server(),
			pipes: &pipes{make(chan net.Conn), make(chan struct{})}, lab: lab}
		go b.server.Serve(tls.NewListener(b.pipes, certs.ServerTLS(hub)))
		return b
	}
}

func (b *bubble) dial(t *testing.T) *tls.Conn {
	t.Helper()
	near, far := net.Pipe()
	b.pipes.accept <- far
	c := tls.Client(near, certs.ClientTLS(b.lab, b.hub.verifier.Network, "127.0.0.1"))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// A client that hangs in a handshake, header, body or answer holds a connection for some seconds.
func TestHangingClientsAreCutOff(t *testing.T) {
	ready := newBubble(t)
	synctest.Test(t, func(t *testing.T) {
		b := ready()
		defer b.server.Close()
		request := func(path string, length int, body string) string {
			return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n%s",
				path, length, body)
		}
		near, far := net.Pipe()
		b.pipes.accept <- far // no handshake
		for _, hang := range []string{
			"",
			"GET /v1/hello HT",
			request(api.PathResolve, 100, ""),
			request(api.PathResolve, 100, "{"),
			request(api.PathEnroll, 100, "{"),
			request(api.PathPublish, 100_000, "{"),
			"POST " + api.PathResolve +
				" HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{",
			request("/v1/nothing", 100, ""),
		} {
			c := b.dial(t)
			defer c.Close()
			go io.WriteString(c, hang)
			go io.Copy(io.Discard, c)
		}
		defer near.Close()
		synctest.Wait()
		if open := b.hub.links.count(""); open != 9 {
			t.Errorf("%d connections are open before anything is cut", open)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if open := b.hub.links.count(""); open != 0 {
			t.Errorf("after a minute %d connections are still open", open)
		}
		used := b.hub.intake.sites.used + b.hub.intake.strangers.used
		if used != 0 || len(b.hub.intake.requests) != 0 {
			t.Errorf("they still hold %d bytes and %v", used, b.hub.intake.requests)
		}
	})
}

// A trickle is a body too slow on average, however steady. It is cut off without a verdict: the
// same on a better line is welcome, and only an agent that hears nothing tries again.
func TestATrickleIsCutOff(t *testing.T) {
	ready := newBubble(t)
	synctest.Test(t, func(t *testing.T) {
		b := ready()
		defer b.server.Close()
		envelope := id.Random128[id.Envelope]()
		b.hub.uploads.put("FL-LAB", envelope, upload{staging: swallowing{}, size: 60_000})
		for _, request := range []string{"POST " + api.PathResolve, "PUT " + api.PathUploads + "/" +
			string(envelope) + "/0?" + api.QueryCRC32C + "=0"} {
			c := b.dial(t)
			defer c.Close()
			heard := make(chan []byte, 1)
			go func() {
				answer, _ := io.ReadAll(c) // ends when the connection is cut
				heard <- answer
			}()
			fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n", request,
				60_000)
			began := time.Now()
			for time.Since(began) < time.Hour {
				if _, err := c.Write([]byte(" ")); err != nil {
					break
				}
				time.Sleep(5 * time.Second)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("%s trickled for %s", request, took)
			}
			if answer := <-heard; len(answer) > 0 {
				t.Errorf("%s, cut off, hears %q", request, answer)
			}
		}
	})
}

// swallowing is an upload that takes every part there is.
type swallowing struct{ spool.Staging }

func (swallowing) Put(_ context.Context, _ int, _ uint32, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}
