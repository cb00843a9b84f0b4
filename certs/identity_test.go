package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/secretfile"
)

func TestIdentityIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	key, chain := filepath.Join(dir, "identity.key"), filepath.Join(dir, "chain.pem")
	prints := make([]id.Hash, 6)
	var wg sync.WaitGroup
	for n := range prints {
		wg.Go(func() {
			if i, err := OpenIdentity(key, chain); err == nil {
				prints[n] = i.Key()
			}
		})
	}
	wg.Wait()
	for _, print := range prints {
		if print == "" || print != prints[0] {
			t.Fatalf("opened at once, it has the keys %v", prints)
		}
	}
}

func TestIdentitySignsAndKeepsItsKey(t *testing.T) {
	i := stranger(t)
	digest := sha256.Sum256([]byte("content"))
	signature, err := i.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(i.Public().(*ecdsa.PublicKey), digest[:], signature) {
		t.Error("the signature does not verify")
	}
	if _, err := i.Sign(rand.Reader, digest[:], crypto.SHA384); err == nil {
		t.Error("it signed a digest of another kind")
	}
	if i.Key() != Fingerprint(i.Public()) {
		t.Error("Key is not the fingerprint of the public key")
	}
}

func TestIdentityBeforeEnrolment(t *testing.T) {
	i := stranger(t)
	if i.HasChain() || i.Chain() != nil || i.Site() != "" || !i.RenewAt().IsZero() ||
		!i.NotAfter().IsZero() {
		t.Error("it has a certificate")
	}
}

func TestChainSurvivesReopening(t *testing.T) {
	n := newNetwork(t)
	dir := t.TempDir()
	for name, enrol := range map[string]func(*Identity) error{
		"site": func(i *Identity) error {
			return i.SetChain(n.chainFor(i, "FL-LAB", now), n.Network(), now)
		},
		"hub": func(i *Identity) error { return n.IssueHub(i, "DC-HQ", []string{"hub"}, now) },
	} {
		t.Run(name, func(t *testing.T) {
			key, chain := filepath.Join(dir, name+".key"), filepath.Join(dir, name+".pem")
			first, err := OpenIdentity(key, chain)
			if err != nil {
				t.Fatal(err)
			}
			if err := enrol(first); err != nil {
				t.Fatal(err)
			}
			reopened, err := OpenIdentity(key, chain)
			if err != nil {
				t.Fatal(err)
			}
			if reopened.Site() != first.Site() || reopened.Key() != first.Key() ||
				!reopened.Chain()[0].Equal(first.Chain()[0]) ||
				!reopened.NotAfter().Equal(first.NotAfter()) {
				t.Error("it is another one after reopening")
			}
		})
	}
}

func TestSetChainRefuses(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	i := n.site("FL-LAB")
	before := i.Chain()[0]
	good := n.chainFor(i, "FL-LAB", now)
	certs := chainOf(t, good)
	for name, c := range map[string]struct {
		chain    []byte
		at       time.Time
		sentinel error
		word     string
	}{
		"another key": {n.chainFor(stranger(t), "FL-LAB", now), now, ErrUntrusted,
			"another key"},
		"another network":  {other.chainFor(i, "FL-LAB", now), now, ErrUntrusted, "root"},
		"another site":     {n.chainFor(i, "CA-RC", now), now, ErrUntrusted, "FL-LAB"},
		"already expired":  {good, now.Add(91 * day), ErrNotValidNow, "FL-LAB"},
		"not yet valid":    {good, now.Add(-2 * time.Hour), ErrNotValidNow, "valid from"},
		"nothing":          {nil, now, ErrUntrusted, "found 0"},
		"garbage":          {[]byte("garbage"), now, ErrUntrusted, "PEM"},
		"without the root": {encodeChain(certs[:2]...), now, ErrUntrusted, "found 2"},
		"one too many": {encodeChain(certs[0], certs[1], certs[2], certs[2]), now,
			ErrUntrusted, "found 4"},
		"root before leaf": {encodeChain(certs[2], certs[1], certs[0]), now, ErrUntrusted,
			"another key"},
		"foreign root": {encodeChain(certs[0], certs[1], other.Root()), now, ErrUntrusted,
			"root"},
		"foreign issuing": {encodeChain(certs[0], other.Issuing(), certs[2]), now, ErrUntrusted,
			""},
		"key among the PEM": {append(bytes.Clone(good), "-----BEGIN PRIVATE KEY-----\n-----END "+
			"PRIVATE KEY-----\n"...), now, ErrUntrusted, "PEM"},
		"too large": {append(bytes.Clone(good),
			bytes.Repeat([]byte("\n"), maxChainFile)...), now, ErrUntrusted, "more than"},
		"broken certificate": {bytes.Replace(good, good[200:210], []byte("AAAAAAAAAA"), 1), now,
			ErrUntrusted, ""},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, i.SetChain(c.chain, n.Network(), c.at), c.sentinel, c.word)
			if !i.Chain()[0].Equal(before) {
				t.Error("the chain changed")
			}
			reopened, err := OpenIdentity(keyFileOf(i), i.chainPath)
			if err != nil || !reopened.Chain()[0].Equal(before) {
				t.Errorf("the file changed: %v", err)
			}
		})
	}
}

func keyFileOf(i *Identity) string {
	return filepath.Join(filepath.Dir(i.chainPath), "identity.key")
}

func TestASiteNeverBecomesAHub(t *testing.T) {
	n := newNetwork(t)
	hub, site := n.hub("hub"), stranger(t)
	hubChain := encodeChain(hub.Chain()...)
	wantError(t, hub.SetChain(hubChain, n.Network(), now), ErrUntrusted, "client use")
	i := n.site("FL-LAB")
	wantError(t, n.IssueHub(i, "DC-HQ", []string{"hub"}, now), ErrUntrusted, "FL-LAB")
	_, err := site.CheckChain(hubChain, n.Network(), now)
	wantError(t, err, ErrUntrusted, "another key")
}

func TestCheckChainNamesTheSite(t *testing.T) {
	n := newNetwork(t)
	i := stranger(t)
	chain := n.chainFor(i, "FL-LAB", now)
	if site, err := i.CheckChain(chain, n.Network(), now); err != nil || site != "FL-LAB" {
		t.Errorf("%q, %v", site, err)
	}
	site, err := i.CheckChain(chain, n.Network(), now.Add(-day))
	wantError(t, err, ErrNotValidNow)
	if site != "FL-LAB" {
		t.Errorf("with a wrong clock the site is %q", site)
	}
	_, err = i.CheckChain(nil, n.Network(), now)
	wantError(t, err, ErrUntrusted)
	if i.HasChain() {
		t.Error("CheckChain set the chain")
	}
}

func TestSetChainThatCannotBeStoredChangesNothing(t *testing.T) {
	n := newNetwork(t)
	dir := t.TempDir()
	i, err := OpenIdentity(filepath.Join(dir, "identity.key"),
		filepath.Join(dir, "missing", "chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := i.SetChain(n.chainFor(i, "FL-LAB", now), n.Network(), now); err == nil {
		t.Fatal("stored in a folder that does not exist")
	}
	if i.HasChain() {
		t.Error("in use before it is durable")
	}
}

func TestIdentityRefusesBrokenFiles(t *testing.T) {
	n := newNetwork(t)
	for name, c := range map[string]struct {
		spoil    func(i *Identity) error
		sentinel error
		word     string
	}{
		"loose key": {func(i *Identity) error {
			return os.Chmod(keyFileOf(i), 0o644)
		}, secretfile.ErrLoose, "chmod 600"},
		"empty key": {func(i *Identity) error {
			return os.WriteFile(keyFileOf(i), nil, 0o600)
		}, nil, "identity.key"},
		"no key inside": {func(i *Identity) error {
			return os.WriteFile(keyFileOf(i), encodeChain(n.Root()), 0o600)
		}, nil, "PRIVATE KEY"},
		"damaged key": {func(i *Identity) error {
			return os.WriteFile(keyFileOf(i), []byte("-----BEGIN PRIVATE "+
				"KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 0o600)
		}, nil, "identity.key"},
		"huge key": {func(i *Identity) error {
			return os.WriteFile(keyFileOf(i), make([]byte, maxKeyFile+1), 0o600)
		}, nil, "more than"},
		"another key": {func(i *Identity) error {
			removeFile(t, keyFileOf(i))
			return Passphrases{}.createKey(keyFileOf(i))
		}, ErrUntrusted, "another key"},
		"damaged chain": {func(i *Identity) error {
			return os.WriteFile(i.chainPath, []byte("x"), 0o600)
		}, nil, "chain.pem"},
		"short chain": {func(i *Identity) error {
			return os.WriteFile(i.chainPath, encodeChain(i.Chain()[:2]...), 0o600)
		}, nil, "found 2"},
		"chain is a folder": {func(i *Identity) error {
			removeFile(t, i.chainPath)
			return os.Mkdir(i.chainPath, 0o700)
		}, nil, "chain.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "loose key" && runtime.GOOS == "windows" {
				t.Skip("SKIPPED: permission bits mean nothing on Windows; internal/secretfile " +
					"has its own")
			}
			i := n.site("FL-LAB")
			if err := c.spoil(i); err != nil {
				t.Fatal(err)
			}
			_, err := OpenIdentity(keyFileOf(i), i.chainPath)
			wantError(t, err, c.sentinel, c.word)
		})
	}
}

func TestKeysOfOtherKindsAreRefused(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "identity.key")
	for _, key := range []any{p384, ed} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := secretfile.Write(path,
			pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
			t.Fatal(err)
		}
		_, err = OpenIdentity(path, path+".pem")
		wantError(t, err, nil, "want an ECDSA P-256 key")
	}
}

func TestRenewalWhileInUse(t *testing.T) {
	n := newNetwork(t)
	i := n.site("FL-LAB")
	chains := [][]byte{n.chainFor(i, "FL-LAB", now), n.chainFor(i, "FL-LAB", now)}
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for range 20 {
				if k < 2 {
					if err := i.SetChain(chains[k], n.Network(), now); err != nil {
						t.Error(err)
					}
				} else if c := i.certificate(); len(c.Certificate) != 2 || i.Site() != "FL-LAB" ||
					len(i.Chain()) != 3 {
					t.Error("half a chain")
				}
			}
		})
	}
	wg.Wait()
	reopened, err := OpenIdentity(keyFileOf(i), i.chainPath)
	if err != nil || !reopened.Chain()[0].Equal(i.Chain()[0]) {
		t.Errorf("what is on disk is not what is in use: %v", err)
	}
}
