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
	"io"
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

	"sealpost/agent/stranger"
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
	cfg.State, cfg.Outbox.Dir = filepath.Join(dir, "state"), dir
	cfg.Inbox.Dir, cfg.Inbox.Reserve = filepath.Join(dir, "inbox"), 1
	for _, name := range []string{"state", "outbox", "sending", "delivered", "failed", "inbox"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	root, err := certs.InitRoot(filepath.Join(dir, "root"), "DC-HQ")
	must(t, err)
	authority, err := certs.InitAuthority(filepath.Join(dir, "authority"), root, time.Now())
	must(t, err)
	identity, err := certs.OpenIdentity(filepath.Join(cfg.State, "identity.key"),
		filepath.Join(cfg.State, "chain.pem"))
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

// examine returns the findings by their checks.
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

func expect(t *testing.T, all map[string]Finding, check string, level Level, says string) {
	t.Helper()
	if f := all[check]; f.Level != level ||
		!strings.Contains(f.Says.String()+" "+f.Do.String(), says) {
		t.Errorf("%s: got %+v, want %s and %q", check, f, level, says)
	}
}

func TestASoundSite(t *testing.T) {
	o := lab(t)
	all := examine(t, o)
	for _, check := range []string{"key identity.key", "key recipient.key", "certificate",
		"folder state", "folder outbox", "folder sending", "folder inbox", "tray"} {
		expect(t, all, check, OK, "")
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
	state := func(o *Options, name string) string { return filepath.Join(o.Config.State, name) }
	remove := func(names ...string) func(o *Options) error {
		return func(o *Options) error {
			for _, name := range names {
				if err := os.Remove(state(o, name)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	spoil := func(name string) func(o *Options) error {
		return func(o *Options) error { return os.WriteFile(state(o, name), []byte("x"), 0o600) }
	}
	set := func(change func(c *config.Agent)) func(o *Options) error {
		return func(o *Options) error { change(&o.Config); return nil }
	}
	for _, c := range []struct {
		name  string
		spoil func(o *Options) error
		check string
		level Level
		says  string
	}{
		{"loose key", func(o *Options) error { return os.Chmod(state(o, "identity.key"), 0o644) },
			"key identity.key", Fail, "chmod 600"},
		{"lost key", remove("recipient.key"), "key recipient.key", Fail,
			"put it back from your backup: the agent does not start without it"},
		{"lost identity", remove("identity.key"), "key identity.key", Fail,
			"put it back from your backup; if there is none"},
		{"spoiled key", spoil("recipient.key"), "key recipient.key", Fail, "not a private key"},
		{"spoiled identity", spoil("identity.key"), "key identity.key", Fail, "want PEM"},
		{"no keys", remove("identity.key", "chain.pem"), "certificate", Fail,
			"has no keys: its disk is not mounted, or this site has not joined yet"},
		{"no recipient key yet", remove("recipient.key", "chain.pem"), "key recipient.key", Fail,
			"it makes the keys"},
		{"spoiled key of a sender", func(o *Options) error {
			o.Config.Role = config.RoleSend
			return spoil("recipient.key")(o)
		}, "key recipient.key", Fail, "not a private key"},
		{"not joined", remove("chain.pem"), "certificate", Fail, "has not joined"},
		{"lost certificate", func(o *Options) error {
			return errors.Join(remove("chain.pem")(o), spoil("ledger.db")(o))
		}, "certificate", Fail, "ask the admin of the hub for a new invitation"},
		{"spoiled certificate", spoil("chain.pem"), "certificate", Fail, "move it away"},
		{"other network", set(func(c *config.Agent) { c.Network = strings.Repeat("0", 64) }),
			"certificate", Fail, "another network"},
		{"no outbox", remove("../outbox"), "folder outbox", Fail, "is missing"},
		{"file for a folder", func(o *Options) error {
			return errors.Join(remove("../failed")(o), spoil("../failed")(o))
		}, "folder failed", Fail, "a file of that name is there move that file away"},
		{"one folder twice", func(o *Options) error {
			return errors.Join(remove("../failed")(o),
				os.Symlink("delivered", filepath.Join(o.Config.Outbox.Dir, "failed")))
		}, "tray", Fail, "two of outbox, sending, delivered and failed are one folder"},
		{"a file for a sender's folder", spoil("../inbox/SF-LAB"), "inbox", Fail, "SF-LAB"},
		{"no room", set(func(c *config.Agent) { c.Inbox.Reserve = 1 << 60 }),
			"space for the inbox", Fail, "make room"},
		{"unknown name", set(func(c *config.Agent) { c.Hub = []string{"hub.invalid:7443"} }),
			"hub hub.invalid:7443", Fail, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "loose key" && runtime.GOOS == "windows" {
				t.Skip("SKIPPED: Windows has no permission bits; internal/secretfile tests its own")
			}
			o := lab(t)
			must(t, c.spoil(&o))
			expect(t, examine(t, o), c.check, c.level, c.says)
		})
	}
}

// TestMissingFolders names a folder whose disk is not mounted, and no consequence as a fault.
func TestMissingFolders(t *testing.T) {
	for name, c := range map[string]struct {
		dir  func(o Options) string
		says string
	}{
		"state": {func(o Options) string { return o.Config.State },
			"mount the disk on which it lies, or put the folder back from your backup"},
		"inbox": {func(o Options) string { return o.Config.Inbox.Dir },
			"mount the disk or the share on which it lies"},
	} {
		t.Run(name, func(t *testing.T) {
			o := lab(t)
			must(t, os.RemoveAll(c.dir(o)))
			all := examine(t, o)
			expect(t, all, "folder "+name, Fail, c.says)
			for check, f := range all {
				if f.Level == Fail && check != "folder "+name && check != "hub 127.0.0.1:1" {
					t.Errorf("%s: %+v", check, f)
				}
			}
			for _, check := range []string{"permissions", "hub's welcome"} {
				if f, ok := all[check]; ok && name == "state" {
					t.Errorf("of a missing folder: %s: %+v", check, f)
				}
			}
		})
	}
}

// inspecting is a server whose certificate is of the given issuer.
func inspecting(t *testing.T, issuer string) (address string) {
	t.Helper()
	address, _ = server(t, issuer)
	return address
}

// server returns the address of a server, and the fingerprint of its only certificate's key.
func server(t *testing.T, issuer string) (address string, network id.Hash) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1),
		Subject:   pkix.Name{CommonName: issuer},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	handler := func(http.ResponseWriter, *http.Request) { t.Error("something was sent to it") }
	s := httptest.NewUnstartedServer(http.HandlerFunc(handler))
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), certs.Fingerprint(&key.PublicKey)
}

// A firewall drops the large first message of TLS, or cuts its connection. The doctor names the
// size and the setting that helps. With that it finds the hub.
func TestALargeHelloThatIsDropped(t *testing.T) {
	for name, drop := range map[string]func(net.Conn){
		"silent": func(c net.Conn) {
			io.Copy(io.Discard, c) //nolint:errcheck // until it is given up
		},
		"cut": func(c net.Conn) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits more than it works
			hub, network := server(t, "root")
			cfg := config.Agent{Network: string(network)}
			address := testkit.Firewall(t, hub, drop)
			f := answers(t.Context(), cfg, address)
			if f.Level != Fail || f.Says.Code != "large-hello-dropped" {
				t.Errorf("got %+v", f)
			}
			cfg.SmallHello = true
			if f := answers(t.Context(), cfg, address); f.Level != OK {
				t.Errorf("with a small one: %+v", f)
			}
			cfg.SmallHello = false
			if f := answers(t.Context(), cfg, hub); f.Level != OK {
				t.Errorf("without the firewall: %+v", f)
			}
		})
	}
}

func TestAProxyThatInspectsIsNamed(t *testing.T) {
	network := id.Hash(strings.Repeat("0", 64))
	for issuer, want := range map[string]string{
		"Zscaler Intermediate Root CA": ", but a proxy that inspects TLS (Zscaler): it shows a ",
		"Example Gateway":              ": it shows a ",
	} {
		want = "is not the hub of this network" + want + `certificate issued by "` + issuer + `"`
		f := answers(t.Context(), config.Agent{Network: string(network)}, inspecting(t, issuer))
		if f.Level != Fail || !strings.Contains(f.Says.String(), want) || f.Do.IsZero() {
			t.Errorf("got %+v, want %q", f, want)
		}
	}
}

func TestWhatDoesNotSpeakTLS(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	f := answers(t.Context(), config.Agent{}, s.Listener.Addr().String())
	if f.Level != Fail || f.Says != stranger.NotTLS("").Says {
		t.Errorf("got %+v", f)
	}
}

func TestASilentAddressIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	f := answers(ctx, config.Agent{}, l.Addr().String())
	if f.Level != Fail || f.Says.Code != "hub-no-answer" {
		t.Errorf("got %+v", f)
	}
}
