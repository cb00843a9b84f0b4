package certs

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"
)

// issued signs whatever it is given with the network's real issuing key.
func (n network) issued(template *x509.Certificate, pub any) *x509.Certificate {
	n.t.Helper()
	return signed(n.t, template, n.cert, pub, n.key)
}

func signed(t *testing.T, template, parent *x509.Certificate, pub any,
	key *ecdsa.PrivateKey) *x509.Certificate {
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
	if site, err := NewVerifier(n.Root()).Site([]*x509.Certificate{leaf, n.cert},
		now); err != nil || site != "FL-LAB" {
		t.Fatalf("%q, %v: the tests below would prove nothing", site, err)
	}
}

func TestVerifierRefusesChains(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	leaf, foreign := n.site("FL-LAB").Chain()[0], other.site("FL-LAB").Chain()[0]
	key := newKey(t)
	selfSigned := signed(t, leafTemplate(), leafTemplate(), &key.PublicKey, key)
	underRoot := signed(t, leafTemplate(), n.Root(), &key.PublicKey, n.root.key)
	// an authority under the issuing one
	below := signed(t, authorityTemplate(), n.cert, &key.PublicKey, n.key)
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
		"none":            {Network: n.Network()},
		"no network":      {Root: n.Root()},
		"another network": {Network: other.Network(), Root: n.Root()},
		"another root":    NewVerifier(other.Root()),
		"no authority": {Network: n.Network(),
			Root: signed(t, &template, &template, &n.root.key.PublicKey, n.root.key)},
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
