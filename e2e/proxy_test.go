//go:build linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// proxy is one that connects by CONNECT, wants a user and a password, and may inspect TLS.
type proxy struct {
	*httptest.Server
	t        *testing.T
	hub      string
	user     string                     // and password, as "user:password"; empty: it wants none
	inspects atomic.Pointer[tls.Config] // how it answers in the hub's place; nil: it does not
	through  atomic.Int64               // connections that it let through
	refused  atomic.Int64
}

func newProxy(t *testing.T, hub, user string) *proxy {
	p := &proxy{t: t, hub: hub, user: user}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.CloseClientConnections)
	return p
}

// env returns the environment of a site behind the proxy.
func (p *proxy) env(user string) string {
	return "HTTPS_PROXY=http://" + user + "@" + p.Listener.Addr().String()
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || !strings.HasPrefix(r.Host, "hub.example:") {
		p.t.Errorf("the proxy is asked to %s %s", r.Method, r.Host)
	}
	want := ""
	if p.user != "" {
		want = "Basic " + base64.StdEncoding.EncodeToString([]byte(p.user))
	}
	if r.Header.Get("Proxy-Authorization") != want {
		p.refused.Add(1)
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	near, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		p.t.Error(err)
		return
	}
	defer near.Close()
	io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
	if inspecting := p.inspects.Load(); inspecting != nil {
		p.inspect(tls.Server(near, inspecting))
		return
	}
	far, err := net.Dial("tcp", p.hub)
	if err != nil {
		return
	}
	defer far.Close()
	p.through.Add(1)
	go func() {
		io.Copy(far, near)
		far.Close()
	}()
	io.Copy(near, far)
}

// inspect answers in the hub's place, and must learn nothing.
func (p *proxy) inspect(c *tls.Conn) {
	c.Handshake() //nolint:errcheck // it may be refused in its middle
	if n, _ := c.Read(make([]byte, 100)); n > 0 {
		p.t.Errorf("it was sent %d bytes", n)
	}
}

// inspector returns the TLS configuration of an old product that opens connections. It does not
// know TLS 1.3.
func inspector(t *testing.T, issuer string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1),
		Subject: pkix.Name{CommonName: issuer}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"hub.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	return &tls.Config{Certificates: []tls.Certificate{
		{Certificate: [][]byte{der}, PrivateKey: key}}, MaxVersion: tls.VersionTLS12}
}

// expectTrouble waits until the status, STATUS.txt and the log say all of this, and none tells
// the password.
func (s *site) expectTrouble(texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		eventually(s.t, fmt.Sprintf("status, STATUS.txt and log say %q", text), func() bool {
			written, err := os.ReadFile(s.at("STATUS.txt"))
			return err == nil && strings.Contains(string(written), text) &&
				strings.Contains(s.statusText(), text)
		}, s.statusText)
	}
	if reason := s.Status().Link.Trouble.String(); !s.Says(strings.ReplaceAll(reason, `"`, `\"`)) {
		s.t.Errorf("the log does not say %q", reason)
	}
	for line := range strings.Lines(s.statusText() + read(s.t, s.at("STATUS.txt")) +
		read(s.t, s.File)) {
		// which is the story's own
		if strings.Contains(line, "Secret-Word") && !strings.HasPrefix(line, "--- start") {
			s.t.Errorf("the password of the proxy is told: %s", line)
		}
	}
}

// A site reaches its hub through the proxy of its house. One proxy wants a password, and one opens
// TLS and reads along.
func TestThroughTheProxyOfTheHouse(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, program, "hub.example")
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	p := newProxy(t, w.addr, "lab:Secret-Word")
	edit(t, lab.config(), fmt.Sprintf("%q, ", w.addr), "")
	if !strings.Contains(read(t, lab.config()), `hub = ["hub.example:`) {
		t.Fatal("the lab does not know the hub by its name alone")
	}

	lab.Start("HTTPS_PROXY=http://lab:Secret-Word@127.0.0.1:1", "NO_PROXY=hub.example")
	lab.expectTrouble("the hub cannot be reached", "hub.example")
	lab.Stop()

	lab.Start(p.env("lab:Wrong-Secret-Word"))
	lab.Drop("behind the proxy.csv", smallFile)
	lab.expectTrouble("the proxy "+p.Listener.Addr().String()+
		" does not accept the user or the password", "HTTPS_PROXY=http://USER:PASSWORD@")
	if p.refused.Load() == 0 || p.through.Load() > 0 {
		t.Errorf("the proxy refused %d connections and let %d through", p.refused.Load(),
			p.through.Load())
	}
	lab.Stop()

	p.inspects.Store(inspector(t, "Zscaler Intermediate Root CA (example)"))
	lab.Start(p.env(p.user))
	lab.expectTrouble("through the proxy "+p.Listener.Addr().String()+
		" is not the hub of this network, but a proxy that inspects TLS (Zscaler)",
		`issued by "Zscaler Intermediate Root CA (example)"`,
		"nothing was sent to it", "Whoever runs the firewall or the proxy of your network")
	p.inspects.Store(nil)
	// by itself, as soon as the connection passes uninspected
	centre.Expect(lab, "behind the proxy.csv")
	if p.through.Load() == 0 {
		t.Error("it did not go through the proxy")
	}
	w.Audit()
}
