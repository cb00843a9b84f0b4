package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
)

// now is the time of most tests.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// network is a root with an authority, as hub init makes them.
type network struct {
	t    *testing.T
	root *Root
	*Authority
}

func newNetwork(t *testing.T) network {
	t.Helper()
	root, err := InitRoot(filepath.Join(t.TempDir(), "root"), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	a, err := InitAuthority(filepath.Join(t.TempDir(), "state"), root, now)
	if err != nil {
		t.Fatal(err)
	}
	return network{t, root, a}
}

// stranger is an identity without a certificate.
func stranger(t *testing.T) *Identity {
	t.Helper()
	dir := t.TempDir()
	i, err := OpenIdentity(filepath.Join(dir, "identity.key"), filepath.Join(dir, "chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// chainFor enrols i as a site at a time.
func (n network) chainFor(i *Identity, site id.Site, at time.Time) []byte {
	n.t.Helper()
	csr, err := i.CSR()
	if err != nil {
		n.t.Fatal(err)
	}
	chain, err := n.IssueSite(csr, site, at)
	if err != nil {
		n.t.Fatal(err)
	}
	return chain
}

// site is an enrolled site.
func (n network) site(name id.Site) *Identity {
	n.t.Helper()
	i := stranger(n.t)
	if err := i.SetChain(n.chainFor(i, name, now), n.Network(), now); err != nil {
		n.t.Fatal(err)
	}
	return i
}

// hub is the hub's identity, reachable as hosts.
func (n network) hub(hosts ...string) *Identity {
	n.t.Helper()
	i := stranger(n.t)
	if err := n.IssueHub(i, "DC-HQ", hosts, now); err != nil {
		n.t.Fatal(err)
	}
	return i
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// wantError fails unless err is the sentinel and says every one of the words. A nil sentinel wants
// any error.
func wantError(t *testing.T, err, sentinel error, words ...string) {
	t.Helper()
	if err == nil || sentinel != nil && !errors.Is(err, sentinel) {
		t.Fatalf("got error %v, want %v", err, sentinel)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

func removeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func chainOf(t *testing.T, pem []byte) []*x509.Certificate {
	t.Helper()
	certs, err := parseChain(pem, 3)
	if err != nil {
		t.Fatal(err)
	}
	return certs
}
