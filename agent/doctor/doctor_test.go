package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/envelope"
	"sealpost/internal/id"
	"sealpost/internal/testkit"
)

var must = testkit.Must

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is the folder of a site that has joined, with a hub that does not answer.
func lab(t *testing.T) Options {
	t.Helper()
	dir := t.TempDir()
	cfg := config.DefaultAgent()
	cfg.Site, cfg.Role, cfg.Hub = "FL-LAB", config.RoleBoth, []string{"127.0.0.1:1"}
	cfg.State, cfg.Outbox.Dir, cfg.Inbox.Dir, cfg.Inbox.Reserve = filepath.Join(dir, "state"), dir, filepath.Join(dir, "inbox"), 1
	for _, name := range []string{"state", "outbox", "sending", "delivered", "failed", "inbox"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	root, err := certs.InitRoot(filepath.Join(dir, "root"), "DC-HQ")
	must(t, err)
	authority, err := certs.InitAuthority(filepath.Join(dir, "authority"), root, time.Now())
	must(t, err)
	identity, err := certs.OpenIdentity(filepath.Join(cfg.State, "identity.key"), filepath.Join(cfg.State, "chain.pem"))
	must(t, err)
	csr, err := identity.CSR()
	must(t, err)
	chain, err := authority.IssueSite(csr, "FL-LAB", time.Now())
	must(t, err)
	must(t, identity.SetChain(chain, authority.Network(), time.Now()))
	_, err = envelope.OpenKeys(filepath.Join(cfg.State, "recipient.key"), cfg.Suite)
	must(t, err)
	cfg.Network = string(authority.Network())
	return Options{Config: cfg, Version: "test"}
}

// examine returns what is found, by what was looked at.
func examine(t *testing.T, o Options) map[string]Finding {
	t.Helper()
	all := map[string]Finding{}
	Examine(t.Context(), o, func(f Finding) {
		if f.Level != OK && f.Do.IsZero() {
			t.Errorf("%s: it has no remedy", f.Check)
		}
		all[f.Check.String()] = f
	})
	return all
}

func expect(t *testing.T, all map[string]Finding, what string, level Level, says string) {
	t.Helper()
	if f := all[what]; f.Level != level ||
		!strings.Contains(f.Says.String()+" "+f.Do.String(), says) {
		t.Errorf("%s: got %+v, want %s and %q", what, f, level, says)
	}
}

func TestASoundSite(t *testing.T) {
	o := lab(t)
	all := examine(t, o)
	for _, what := range []string{"key identity.key", "key recipient.key", "certificate", "folder state", "folder outbox", "folder sending", "folder inbox", "tray"} {
		expect(t, all, what, OK, "")
	}
	expect(t, all, "hub 127.0.0.1:1", Fail, "cannot be reached")
	var left []string
	for _, p := range places(o) {
		found, err := filepath.Glob(filepath.Join(p.dir, ".sealpost-*"))
		must(t, err)
		left = append(left, found...)
	}
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWhatIsWrongIsFound(t *testing.T) {
	state := func(o Options, name string) string { return filepath.Join(o.Config.State, name) }
	for _, c := range []struct {
		name  string
		spoil func(o *Options) error
		what  string
		level Level
		says  string
	}{
		{"loose key", func(o *Options) error { return os.Chmod(state(*o, "identity.key"), 0o644) }, "key identity.key", Fail, "chmod 600"},
		{"lost key", func(o *Options) error { return os.Remove(state(*o, "recipient.key")) }, "key recipient.key", Fail, "put it back from your backup: the agent does not start without it"},
		{"lost identity", func(o *Options) error { return os.Remove(state(*o, "identity.key")) }, "key identity.key", Fail, "put it back from your backup; if there is none"},
		{"spoiled key", func(o *Options) error { return os.WriteFile(state(*o, "recipient.key"), []byte("x"), 0o600) }, "key recipient.key", Fail, "not a private key"},
		{"spoiled identity", func(o *Options) error { return os.WriteFile(state(*o, "identity.key"), []byte("x"), 0o600) }, "key identity.key", Fail, "want PEM"},
		{"no keys yet", func(o *Options) error {
			return errors.Join(os.Remove(state(*o, "identity.key")), os.Remove(state(*o, "chain.pem")))
		}, "key identity.key", Fail, "it makes the keys"},
		{"not joined", func(o *Options) error { return os.Remove(state(*o, "chain.pem")) }, "certificate", Fail, "has not joined"},
		{"spoiled certificate", func(o *Options) error { return os.WriteFile(state(*o, "chain.pem"), []byte("x"), 0o600) }, "certificate", Fail, "move it away"},
		{"other network", func(o *Options) error { o.Config.Network = strings.Repeat("0", 64); return nil }, "certificate", Fail, "another network"},
		{"no outbox", func(o *Options) error { return os.Remove(filepath.Join(o.Config.Outbox.Dir, "outbox")) }, "folder outbox", Fail, "is missing"},
		{"file for a folder", func(o *Options) error {
			dir := filepath.Join(o.Config.Outbox.Dir, "failed")
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		}, "folder failed", Fail, "not a directory"},
		{"a file for a sender's folder", func(o *Options) error {
			return os.WriteFile(filepath.Join(o.Config.Inbox.Dir, "SF-LAB"), nil, 0o600)
		}, "inbox", Fail, "SF-LAB"},
		{"no room", func(o *Options) error { o.Config.Inbox.Reserve = 1 << 60; return nil }, "space for the inbox", Fail, "make room"},
		{"unknown name", func(o *Options) error { o.Config.Hub = []string{"hub.invalid:7443"}; return nil }, "hub hub.invalid:7443", Fail, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "loose key" && runtime.GOOS == "windows" {
				t.Skip("SKIPPED: permission bits mean nothing on Windows; internal/secretfile has its own")
			}
			o := lab(t)
			must(t, c.spoil(&o))
			expect(t, examine(t, o), c.what, c.level, c.says)
		})
	}
}

// inspecting is a server whose certificate is of the given issuer.
func inspecting(t *testing.T, issuer string) (address string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("something was sent to it") }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestAProxyThatInspectsIsNamed(t *testing.T) {
	network := id.Hash(strings.Repeat("0", 64))
	for issuer, want := range map[string]string{
		"Zscaler Intermediate Root CA": `is not the hub of this network, but a proxy that inspects TLS (Zscaler): it shows a certificate issued by "Zscaler Intermediate Root CA"`,
		"Example Gateway":              `is not the hub of this network: it shows a certificate issued by "Example Gateway"`,
	} {
		if f := answers(t.Context(), inspecting(t, issuer), network); f.Level != Fail || !strings.Contains(f.Says.String(), want) || f.Do.IsZero() {
			t.Errorf("got %+v, want %q", f, want)
		}
	}
}

func TestWhatDoesNotSpeakTLS(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	if f := answers(t.Context(), s.Listener.Addr().String(), ""); f.Level != Fail || !strings.Contains(f.Says.String(), "does not speak TLS") {
		t.Errorf("got %+v", f)
	}
}

func TestASilentAddressIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if f := answers(ctx, l.Addr().String(), ""); f.Level != Fail || !strings.Contains(f.Says.String(), "nothing answers") {
		t.Errorf("got %+v", f)
	}
}
