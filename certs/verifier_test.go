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
	"time"
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

// issued signs whatever it is given with the network's real issuing key.
func (n network) issued(template *x509.Certificate, pub any) *x509.Certificate {
	n.t.Helper()
	return signed(n.t, template, n.cert, pub, n.key)
}

func signed(t *testing.T, template, parent *x509.Certificate, pub any, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestVerifierTakesTheTemplate(t *testing.T) {
	n := newNetwork(t)
	leaf := n.issued(leafTemplate(), &newKey(t).PublicKey)
	if site, err := NewVerifier(n.Root()).Site([]*x509.Certificate{leaf, n.cert}, now); err != nil || site != "FL-LAB" {
		t.Fatalf("%q, %v: the tests below would prove nothing", site, err)
	}
}

// TestVerifierRefusesLeaves spoils one thing at a time in a certificate that the real authority signs.
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
		"a hub's use":           {func(c *x509.Certificate) { c.ExtKeyUsage[0] = x509.ExtKeyUsageServerAuth }, "client use"},
		"both uses":             {func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) }, "client use"},
		"any use":               {func(c *x509.Certificate) { c.ExtKeyUsage[0] = x509.ExtKeyUsageAny }, "client use"},
		"no use":                {func(c *x509.Certificate) { c.ExtKeyUsage = nil }, "client use"},
		"an unknown use too":    {func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 9}} }, "client use"},
		"no key usage":          {func(c *x509.Certificate) { c.KeyUsage = 0 }, "digital signature"},
		"key encipherment too":  {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment }, "digital signature"},
		"may sign certificates": {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }, "digital signature"},
		"an authority":          {func(c *x509.Certificate) { c.IsCA = true }, "authority"},
		"no basic constraints":  {func(c *x509.Certificate) { c.BasicConstraintsValid = false }, "authority"},
		"no name":               {func(c *x509.Certificate) { c.URIs = nil }, "0 URI names"},
		"two names":             {func(c *x509.Certificate) { c.URIs = append(c.URIs, uri("urn:sealpost:site:CA-RC")...) }, "2 URI names"},
		"a DNS name too":        {func(c *x509.Certificate) { c.DNSNames = []string{"hub.example.org"} }, "other names"},
		"an address too":        {func(c *x509.Certificate) { c.IPAddresses = []net.IP{{127, 0, 0, 1}} }, "other names"},
		"mail too":              {func(c *x509.Certificate) { c.EmailAddresses = []string{"a@example.org"} }, "other names"},
		"another common name":   {func(c *x509.Certificate) { c.Subject.CommonName = "CA-RC" }, "other names"},
		"lower case":            {func(c *x509.Certificate) { c.URIs = uri("urn:sealpost:site:fl-lab") }, "site name"},
		"a device":              {func(c *x509.Certificate) { c.URIs = uri("urn:sealpost:site:NUL") }, "device"},
		"an empty name":         {func(c *x509.Certificate) { c.URIs = uri("urn:sealpost:site:") }, "site name"},
		"a longer name":         {func(c *x509.Certificate) { c.URIs = uri("urn:sealpost:site:FL-LAB?x") }, "site name"},
		"an escaped name":       {func(c *x509.Certificate) { c.URIs = uri("urn:sealpost:site:FL%2DLAB") }, "site name"},
		"a fragment":            {func(c *x509.Certificate) { c.URIs = uri("urn:sealpost:site:FL-LAB#x") }, "site name"},
		"upper-case scheme":     {func(c *x509.Certificate) { c.ExtraExtensions = rawNames("URN:sealpost:site:FL-LAB") }, "other names"},
		"another URN":           {func(c *x509.Certificate) { c.URIs = uri("urn:sealpost:hub:FL-LAB") }, "no site"},
		"a web address":         {func(c *x509.Certificate) { c.URIs = uri("https://example.org/urn:sealpost:site:FL-LAB") }, "no site"},
		"an otherName too":      {func(c *x509.Certificate) { c.ExtraExtensions = otherName(t) }, "other names"},
		"an unknown demand": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 9}, Critical: true, Value: []byte{5, 0}}}
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
	return []pkix.Extension{{Id: oidSubjectAltName, Value: append([]byte{0x30, byte(len(name))}, name...)}}
}

// otherName puts a name of a kind that crypto/x509 passes over beside the right one.
func otherName(t *testing.T) []pkix.Extension {
	t.Helper()
	right := siteNames("FL-LAB")
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
	return []pkix.Extension{{Id: oidSubjectAltName, Value: append([]byte{0x30, byte(len(names))}, names...)}}
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
			_, err := NewVerifier(n.Root()).Site([]*x509.Certificate{n.issued(leafTemplate(), pub), n.cert}, now)
			wantError(t, err, ErrUntrusted, "P-256")
		})
	}
	t.Run("signed with SHA-384", func(t *testing.T) {
		template := leafTemplate()
		template.SignatureAlgorithm = x509.ECDSAWithSHA384
		_, err := NewVerifier(n.Root()).Site([]*x509.Certificate{n.issued(template, &newKey(t).PublicKey), n.cert}, now)
		wantError(t, err, ErrUntrusted, "SHA-256")
	})
}

// authorityTemplate is a correct issuing authority, for a test to spoil.
func authorityTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "sealpost issuing authority"}, NotBefore: now.Add(-day), NotAfter: now.Add(issuingLife),
		SignatureAlgorithm: x509.ECDSAWithSHA256, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
}

// TestVerifierRefusesAuthorities spoils one thing at a time in an issuing authority that the real root signs.
func TestVerifierRefusesAuthorities(t *testing.T) {
	n := newNetwork(t)
	for name, c := range map[string]struct {
		spoil func(c *x509.Certificate)
		word  string
	}{
		"nothing spoiled":       {func(*x509.Certificate) {}, ""},
		"path length 1":         {func(c *x509.Certificate) { c.MaxPathLen = 1 }, "path length 0"},
		"no path length":        {func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = -1, false }, "path length 0"},
		"no authority":          {func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false }, "path length 0"},
		"no constraints":        {func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = false, false }, "path length 0"},
		"may not sign":          {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, "key usages"},
		"signs messages too":    {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageDigitalSignature }, "key usages"},
		"for servers only":      {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, "usage"},
		"SHA-384":               {func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA384 }, "SHA-256"},
		"never valid with leaf": {func(c *x509.Certificate) { c.NotAfter = now.Add(-2 * backdate) }, "expired"},
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

func TestVerifierRefusesChains(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	leaf, foreign := n.site("FL-LAB").Chain()[0], other.site("FL-LAB").Chain()[0]
	key := newKey(t)
	selfSigned := signed(t, leafTemplate(), leafTemplate(), &key.PublicKey, key)
	underRoot := signed(t, leafTemplate(), n.Root(), &key.PublicKey, n.root.key)
	below := signed(t, authorityTemplate(), n.cert, &key.PublicKey, n.key) // an authority under the issuing one
	underBelow := signed(t, leafTemplate(), below, &newKey(t).PublicKey, key)
	imitation := *n.cert // right in every word, but with my key
	imitated := signed(t, &imitation, other.Root(), &key.PublicKey, other.root.key)
	underImitated := signed(t, leafTemplate(), imitated, &newKey(t).PublicKey, key)
	expired := leafTemplate()
	expired.NotAfter = now.Add(-time.Minute)
	type chain = []*x509.Certificate
	for name, chain := range map[string]chain{
		"empty":                       {},
		"leaf alone":                  {leaf},
		"with the root":               {leaf, n.cert, n.Root()},
		"reversed":                    {n.cert, leaf},
		"the leaf twice":              {leaf, leaf},
		"the authority as a site":     {n.cert, n.cert},
		"root for authority":          {leaf, n.Root()},
		"self-signed":                 {selfSigned, n.cert},
		"signed by itself":            {selfSigned, selfSigned},
		"directly under the root":     {underRoot, n.Root()},
		"under root, with authority":  {underRoot, n.cert},
		"under a lower authority":     {underBelow, below},
		"foreign":                     {foreign, other.cert},
		"foreign leaf, my authority":  {foreign, n.cert},
		"my leaf, foreign authority":  {leaf, other.cert},
		"imitated authority":          {underImitated, imitated},
		"leaf of the imitated one":    {underImitated, n.cert},
		"expired and foreign":         {other.issued(expired, &key.PublicKey), other.cert},
		"expired and without a chain": {n.issued(expired, &key.PublicKey), other.cert},
		"a hub":                       n.hub("hub.example.org").Chain()[:2],
	} {
		t.Run(name, func(t *testing.T) {
			site, err := NewVerifier(n.Root()).Site(chain, now)
			wantError(t, err, ErrUntrusted)
			if site != "" {
				t.Errorf("refused, and yet it names %s", site)
			}
		})
	}
}

func TestVerifierRefusesRoots(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	chain := n.site("FL-LAB").Chain()[:2]
	template := *n.Root()
	template.IsCA, template.MaxPathLen = false, 0
	for name, v := range map[string]Verifier{
		"none":              {Network: n.Network()},
		"no network":        {Root: n.Root()},
		"another network":   {Network: other.Network(), Root: n.Root()},
		"another root":      NewVerifier(other.Root()),
		"no authority":      {Network: n.Network(), Root: signed(t, &template, &template, &n.root.key.PublicKey, n.root.key)},
		"the issuing one":   NewVerifier(n.Issuing()),
		"an unknown kind":   {Network: "", Root: &x509.Certificate{}},
		"the leaf for root": NewVerifier(chain[0]),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Site(chain, now)
			wantError(t, err, ErrUntrusted)
		})
	}
}

func TestTimeIsToldApartFromTrust(t *testing.T) {
	n := newNetwork(t)
	v := NewVerifier(n.Root())
	chain := n.site("FL-LAB").Chain()[:2]
	for name, c := range map[string]struct {
		at   time.Time
		fine bool
	}{
		"first moment":     {now.Add(-backdate), true},
		"before it":        {now.Add(-backdate - time.Second), false},
		"last moment":      {now.Add(leafLife), true},
		"after it":         {now.Add(leafLife + time.Second), false},
		"a century later":  {now.AddDate(100, 0, 0), false},
		"before the epoch": {time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		t.Run(name, func(t *testing.T) {
			site, err := v.Site(chain, c.at)
			if site != "FL-LAB" {
				t.Errorf("it names %q", site)
			}
			if c.fine {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, ErrNotValidNow, "FL-LAB", c.at.Format(time.RFC3339))
		})
	}
	t.Run("the authority has expired, the leaf not", func(t *testing.T) {
		template, key := authorityTemplate(), newKey(t)
		template.NotAfter = now.Add(day)
		issuing := signed(t, template, n.Root(), &key.PublicKey, n.root.key)
		leaf := signed(t, leafTemplate(), issuing, &newKey(t).PublicKey, key)
		_, err := v.Site([]*x509.Certificate{leaf, issuing}, now.Add(2*day))
		wantError(t, err, ErrNotValidNow, "issuing authority")
	})
}

func TestFingerprint(t *testing.T) {
	key := newKey(t)
	if a, b := Fingerprint(&key.PublicKey), Fingerprint(key.Public()); a != b || len(a) != 64 {
		t.Errorf("%q and %q", a, b)
	}
	if got := Fingerprint("no key"); got != "" {
		t.Errorf("fingerprint %q of no key", got)
	}
}

func BenchmarkSite(b *testing.B) {
	root, err := InitRoot(b.TempDir(), "TEST")
	if err != nil {
		b.Fatal(err)
	}
	a, err := InitAuthority(b.TempDir(), root, now)
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	i, err := OpenIdentity(dir+"/identity.key", dir+"/chain.pem")
	if err != nil {
		b.Fatal(err)
	}
	csr, err := i.CSR()
	if err != nil {
		b.Fatal(err)
	}
	pem, err := a.IssueSite(csr, "FL-LAB", now)
	if err != nil {
		b.Fatal(err)
	}
	chain, err := parseChain(pem, 3)
	if err != nil {
		b.Fatal(err)
	}
	v := NewVerifier(a.Root())
	for b.Loop() {
		if _, err := v.Site(chain[:2], now); err != nil {
			b.Fatal(err)
		}
	}
}
