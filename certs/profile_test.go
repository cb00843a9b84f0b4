package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"testing"
)

// leafTemplate is a correct site certificate of FL-LAB, for a test to spoil.
func leafTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "FL-LAB"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(leafLife),
		SignatureAlgorithm:    x509.ECDSAWithSHA256,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{{Scheme: "urn", Opaque: "sealpost:site:FL-LAB"}},
	}
}

// TestVerifierRefusesLeaves spoils one thing at a time in a certificate that the real authority
// signs.
func TestVerifierRefusesLeaves(t *testing.T) {
	n := newNetwork(t)
	v := NewVerifier(n.Root())
	uri := func(s string) []*url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{u}
	}
	for name, c := range map[string]struct {
		spoil func(c *x509.Certificate)
		word  string
	}{
		"a hub's use": {func(c *x509.Certificate) {
			c.ExtKeyUsage[0] = x509.ExtKeyUsageServerAuth
		}, "client use"},
		"both uses": {func(c *x509.Certificate) {
			c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}, "client use"},
		"any use": {func(c *x509.Certificate) {
			c.ExtKeyUsage[0] = x509.ExtKeyUsageAny
		}, "client use"},
		"no use": {func(c *x509.Certificate) { c.ExtKeyUsage = nil }, "client use"},
		"an unknown use too": {func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 9}}
		}, "client use"},
		"no key usage": {func(c *x509.Certificate) {
			c.KeyUsage = 0
		}, "digital signature"},
		"key encipherment too": {func(c *x509.Certificate) {
			c.KeyUsage |= x509.KeyUsageKeyEncipherment
		}, "digital signature"},
		"may sign certificates": {func(c *x509.Certificate) {
			c.KeyUsage |= x509.KeyUsageCertSign
		}, "digital signature"},
		"an authority": {func(c *x509.Certificate) { c.IsCA = true }, "authority"},
		"no basic constraints": {func(c *x509.Certificate) {
			c.BasicConstraintsValid = false
		}, "authority"},
		"no name": {func(c *x509.Certificate) { c.URIs = nil }, "0 URI names"},
		"two names": {func(c *x509.Certificate) {
			c.URIs = append(c.URIs, uri("urn:sealpost:site:CA-RC")...)
		}, "2 URI names"},
		"a DNS name too": {func(c *x509.Certificate) {
			c.DNSNames = []string{"hub.example.org"}
		}, "other names"},
		"an address too": {func(c *x509.Certificate) {
			c.IPAddresses = []net.IP{{127, 0, 0, 1}}
		}, "other names"},
		"mail too": {func(c *x509.Certificate) {
			c.EmailAddresses = []string{"a@example.org"}
		}, "other names"},
		"another common name": {func(c *x509.Certificate) {
			c.Subject.CommonName = "CA-RC"
		}, "other names"},
		"lower case": {func(c *x509.Certificate) {
			c.URIs = uri("urn:sealpost:site:fl-lab")
		}, "site name"},
		"a device": {func(c *x509.Certificate) {
			c.URIs = uri("urn:sealpost:site:NUL")
		}, "device"},
		"an empty name": {func(c *x509.Certificate) {
			c.URIs = uri("urn:sealpost:site:")
		}, "site name"},
		"a longer name": {func(c *x509.Certificate) {
			c.URIs = uri("urn:sealpost:site:FL-LAB?x")
		}, "site name"},
		"an escaped name": {func(c *x509.Certificate) {
			c.URIs = uri("urn:sealpost:site:FL%2DLAB")
		}, "site name"},
		"a fragment": {func(c *x509.Certificate) {
			c.URIs = uri("urn:sealpost:site:FL-LAB#x")
		}, "site name"},
		"upper-case scheme": {func(c *x509.Certificate) {
			c.ExtraExtensions = rawNames("URN:sealpost:site:FL-LAB")
		}, "other names"},
		"another URN": {func(c *x509.Certificate) {
			c.URIs = uri("urn:sealpost:hub:FL-LAB")
		}, "no site"},
		"a web address": {func(c *x509.Certificate) {
			c.URIs = uri("https://example.org/urn:sealpost:site:FL-LAB")
		}, "no site"},
		"an otherName too": {func(c *x509.Certificate) {
			c.ExtraExtensions = otherName(t)
		}, "other names"},
		"an unknown demand": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 9},
				Critical: true, Value: []byte{5, 0}}}
		}, "critical"},
	} {
		t.Run(name, func(t *testing.T) {
			template := leafTemplate()
			c.spoil(template)
			leaf := n.issued(template, &newKey(t).PublicKey)
			site, err := v.Site([]*x509.Certificate{leaf, n.cert}, now)
			wantError(t, err, ErrUntrusted, c.word)
			if site != "" {
				t.Errorf("refused, and yet it names %s", site)
			}
		})
	}
}

// rawNames is a subjectAltName of one URI, as it stands.
func rawNames(uri string) []pkix.Extension {
	name := append([]byte{0x86, byte(len(uri))}, uri...)
	return []pkix.Extension{{Id: oidSubjectAltName, Value: append([]byte{0x30, byte(len(name))},
		name...)}}
}

// otherName puts a name of a kind that crypto/x509 passes over beside the right one.
func otherName(t *testing.T) []pkix.Extension {
	t.Helper()
	right := clientNames(siteURN, "FL-LAB")
	value, err := asn1.Marshal("hidden")
	if err != nil {
		t.Fatal(err)
	}
	oid, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 9})
	if err != nil {
		t.Fatal(err)
	}
	inner := append(oid, append([]byte{0xa0, byte(len(value))}, value...)...)
	names := append(append([]byte{0xa0, byte(len(inner))}, inner...), right[2:]...)
	return []pkix.Extension{{Id: oidSubjectAltName, Value: append([]byte{0x30, byte(len(names))},
		names...)}}
}

func TestVerifierRefusesKeys(t *testing.T) {
	n := newNetwork(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, pub := range map[string]any{"P-384": &p384.PublicKey, "RSA": &rsaKey.PublicKey} {
		t.Run(name, func(t *testing.T) {
			_, err := NewVerifier(n.Root()).Site([]*x509.Certificate{n.issued(leafTemplate(), pub),
				n.cert}, now)
			wantError(t, err, ErrUntrusted, "P-256")
		})
	}
	t.Run("signed with SHA-384", func(t *testing.T) {
		template := leafTemplate()
		template.SignatureAlgorithm = x509.ECDSAWithSHA384
		_, err := NewVerifier(n.Root()).Site(
			[]*x509.Certificate{n.issued(template, &newKey(t).PublicKey), n.cert}, now)
		wantError(t, err, ErrUntrusted, "SHA-256")
	})
}

// authorityTemplate is a correct issuing authority, for a test to spoil.
func authorityTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "sealpost issuing authority"},
		NotBefore: now.Add(-day), NotAfter: now.Add(issuingLife),
		SignatureAlgorithm:    x509.ECDSAWithSHA256,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
}

// TestVerifierRefusesAuthorities spoils one thing at a time in an issuing authority that the real
// root signs.
func TestVerifierRefusesAuthorities(t *testing.T) {
	n := newNetwork(t)
	for name, c := range map[string]struct {
		spoil func(c *x509.Certificate)
		word  string
	}{
		"nothing spoiled": {func(*x509.Certificate) {}, ""},
		"path length 1":   {func(c *x509.Certificate) { c.MaxPathLen = 1 }, "path length 0"},
		"no path length": {func(c *x509.Certificate) {
			c.MaxPathLen, c.MaxPathLenZero = -1, false
		}, "path length 0"},
		"no authority": {func(c *x509.Certificate) {
			c.IsCA, c.MaxPathLenZero = false, false
		}, "path length 0"},
		"no constraints": {func(c *x509.Certificate) {
			c.BasicConstraintsValid, c.IsCA = false, false
		}, "path length 0"},
		"may not sign": {func(c *x509.Certificate) {
			c.KeyUsage = x509.KeyUsageDigitalSignature
		}, "key usages"},
		"signs messages too": {func(c *x509.Certificate) {
			c.KeyUsage |= x509.KeyUsageDigitalSignature
		}, "key usages"},
		"for servers only": {func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}, "usage"},
		"SHA-384": {func(c *x509.Certificate) {
			c.SignatureAlgorithm = x509.ECDSAWithSHA384
		}, "SHA-256"},
		"never valid with leaf": {func(c *x509.Certificate) {
			c.NotAfter = now.Add(-2 * backdate)
		}, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			template, key := authorityTemplate(), newKey(t)
			c.spoil(template)
			issuing := signed(t, template, n.Root(), &key.PublicKey, n.root.key)
			leaf := signed(t, leafTemplate(), issuing, &newKey(t).PublicKey, key)
			_, err := NewVerifier(n.Root()).Site([]*x509.Certificate{leaf, issuing}, now)
			if name == "nothing spoiled" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantError(t, err, ErrUntrusted, c.word)
		})
	}
}
