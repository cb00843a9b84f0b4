package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"sealpost/internal/id"
)

func TestSiteCertificateHasItsProfile(t *testing.T) {
	n := newNetwork(t)
	i := n.site("FL-LAB")
	chain := i.Chain()
	leaf := chain[0]
	if !chain[1].Equal(n.Issuing()) || !chain[2].Equal(n.Root()) {
		t.Error("the chain is not leaf, issuing, root")
	}
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "urn:sealpost:site:FL-LAB" ||
		len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) != 0 {
		t.Errorf("names %v %v %v", leaf.URIs, leaf.DNSNames, leaf.IPAddresses)
	}
	if !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) ||
		leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.IsCA {
		t.Errorf("usages %v %v, authority %v", leaf.ExtKeyUsage, leaf.KeyUsage, leaf.IsCA)
	}
	if !leaf.NotBefore.Equal(now.Add(-backdate)) || !leaf.NotAfter.Equal(now.Add(90*day)) {
		t.Errorf("valid from %s to %s", leaf.NotBefore, leaf.NotAfter)
	}
	if bits := leaf.SerialNumber.BitLen(); bits < 128 || bits > 159 ||
		leaf.SerialNumber.Sign() <= 0 {
		t.Errorf("serial of %d bits", bits)
	}
	if reopened := chainOf(t, n.chainFor(i, "FL-LAB", now)); reopened[0].SerialNumber.Cmp(
		leaf.SerialNumber) == 0 {
		t.Error("the same serial twice")
	}
	if got, want := i.RenewAt(), leaf.NotBefore.Add((90*day+backdate)/3*2); !got.Equal(want) ||
		got != RenewAt(leaf) {
		t.Errorf("to be renewed at %s, want %s", got, want)
	}
}

func TestAuthoritiesHaveTheirProfiles(t *testing.T) {
	n := newNetwork(t)
	if c := n.Issuing(); !c.IsCA || !c.MaxPathLenZero || c.MaxPathLen != 0 ||
		c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("issuing authority: %v %v %v", c.IsCA, c.MaxPathLen, c.KeyUsage)
	}
	if c := n.Root(); !c.IsCA || c.MaxPathLen != 1 ||
		c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("root: %v %v %v", c.IsCA, c.MaxPathLen, c.KeyUsage)
	}
}

func TestHubCertificateHasItsProfile(t *testing.T) {
	n := newNetwork(t)
	i := n.hub("hub.example.org", "127.0.0.1", "::1")
	leaf := i.Chain()[0]
	if !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) ||
		leaf.KeyUsage != x509.KeyUsageDigitalSignature || leaf.IsCA {
		t.Errorf("usages %v %v, authority %v", leaf.ExtKeyUsage, leaf.KeyUsage, leaf.IsCA)
	}
	for _, host := range []string{"hub.example.org", "127.0.0.1", "::1"} {
		if err := leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if len(leaf.URIs) != 0 || i.Site() != "" || !i.HasChain() {
		t.Errorf("the hub is a site: %v %q", leaf.URIs, i.Site())
	}
	if err := n.IssueHub(i, "DC-HQ", []string{"new.example.org"}, now.Add(80*day)); err != nil {
		t.Fatal(err)
	}
	if got := i.NotAfter(); !got.Equal(now.Add(170 * day)) {
		t.Errorf("renewed until %s", got)
	}
}

func TestIssueHubRefusesHosts(t *testing.T) {
	n := newNetwork(t)
	i := stranger(t)
	for name, hosts := range map[string][]string{
		"none": nil, "empty": {""}, "with port": {"hub.example.org:7443"},
		"wildcard": {"*.example.org"}, "space": {"a b"},
		"leading hyphen": {"-a"}, "empty label": {"a..b"},
		"too long": {strings.Repeat("a.", 130) + "a"}, "second is bad": {"hub", "a/b"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, n.IssueHub(i, "DC-HQ", hosts, now), nil, "host")
		})
	}
	wantError(t, n.IssueHub(i, "", []string{"hub"}, now), nil, "name")
	if i.HasChain() {
		t.Error("a refused hub got a certificate")
	}
}

func TestNothingOutlivesTheAuthority(t *testing.T) {
	n := newNetwork(t)
	i := stranger(t)
	end := n.Issuing().NotAfter
	if leaf := chainOf(t, n.chainFor(i, "FL-LAB", end.Add(-10*day)))[0]; !leaf.NotAfter.Equal(end) {
		t.Errorf("issued until %s by an authority that ends %s", leaf.NotAfter, end)
	}
	csr, err := i.CSR()
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.IssueSite(csr, "FL-LAB", end.Add(day))
	wantError(t, err, ErrNotValidNow, "issuing authority")
}

func TestIssueSiteRefusesNames(t *testing.T) {
	n := newNetwork(t)
	csr, err := stranger(t).CSR()
	if err != nil {
		t.Fatal(err)
	}
	for _, site := range []string{"", "fl-lab", "CON", "A/B"} {
		if _, err := n.IssueSite(csr, id.Site(site), now); err == nil {
			t.Errorf("issued for %q", site)
		}
	}
}

// request signs a certificate request with any key.
func request(t *testing.T, key crypto.Signer, template x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func TestRequestsAreRefused(t *testing.T) {
	n := newNetwork(t)
	good, err := stranger(t).CSR()
	if err != nil {
		t.Fatal(err)
	}
	broken := func() []byte {
		block, _ := pem.Decode(good)
		block.Bytes[len(block.Bytes)-1] ^= 1 // in the signature
		return pem.EncodeToMemory(block)
	}
	swapped := func() []byte { // another key in a request signed with mine
		block, _ := pem.Decode(good)
		ownKey, _ := x509.MarshalPKIXPublicKey(&newKey(t).PublicKey)
		otherKey, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: block.Type,
			Bytes: bytes.Replace(block.Bytes, otherKey.RawSubjectPublicKeyInfo, ownKey, 1)})
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	for name, csr := range map[string][]byte{
		"empty":         nil,
		"garbage":       []byte("garbage"),
		"DER":           block.Bytes,
		"a certificate": encodeChain(n.Root()),
		"two requests":  append(slices.Clone(good), good...),
		"text before":   append([]byte("hello\n"), good...),
		"text after":    append(slices.Clone(good), "hello"...),
		"PEM headers": pem.EncodeToMemory(&pem.Block{Type: block.Type,
			Headers: map[string]string{"A": "b"}, Bytes: block.Bytes}),
		"bytes after DER": pem.EncodeToMemory(&pem.Block{Type: block.Type,
			Bytes: append(slices.Clone(block.Bytes), 0)}),
		"too large": append(slices.Clone(good), bytes.Repeat([]byte("\n"), maxCSR)...),
		"RSA":       request(t, rsaKey, x509.CertificateRequest{}),
		"P-384":     request(t, p384, x509.CertificateRequest{}),
		"Ed25519":   request(t, ed, x509.CertificateRequest{}),
		"SHA-384": request(t, newKey(t),
			x509.CertificateRequest{SignatureAlgorithm: x509.ECDSAWithSHA384}),
		"broken signature":   broken(),
		"somebody's own key": swapped(),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.IssueSite(csr, "FL-LAB", now)
			wantError(t, err, ErrRequest)
			_, err = KeyOfCSR(csr)
			wantError(t, err, ErrRequest)
		})
	}
}

func TestTheAuthorityDecidesAllNames(t *testing.T) {
	n := newNetwork(t)
	key := newKey(t)
	csr := request(t, key, x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: "CA-RC", Organization: []string{"Headquarters"}},
		DNSNames:    []string{"hub.example.org"},
		IPAddresses: []net.IP{{127, 0, 0, 1}},
		URIs:        []*url.URL{{Scheme: "urn", Opaque: "sealpost:site:CA-RC"}},
	})
	pem, err := n.IssueSite(csr, "FL-LAB", now)
	if err != nil {
		t.Fatal(err)
	}
	chain := chainOf(t, pem)
	if site, err := NewVerifier(n.Root()).Site(chain[:2], now); err != nil || site != "FL-LAB" {
		t.Errorf("the certificate is %q's: %v", site, err)
	}
	if got, err := KeyOfCSR(csr); err != nil || got != Fingerprint(&key.PublicKey) {
		t.Errorf("KeyOfCSR = %q, %v", got, err)
	}
}

func FuzzKeyOfCSR(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, csr []byte) {
		if key, err := KeyOfCSR(csr); (err == nil) != (len(key) == 64) {
			t.Errorf("KeyOfCSR = %q, %v", key, err)
		}
	})
}
