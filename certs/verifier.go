package certs

import (
	"crypto/x509"
	"fmt"
	"time"

	"sealpost/internal/id"
)

// Verifier believes what the root of one network vouches for. It is safe for concurrent use and knows no revocation: the
// hub asks its directory, the agent its pins.
type Verifier struct {
	Network id.Hash
	Root    *x509.Certificate
}

// NewVerifier returns a verifier for the network of root.
func NewVerifier(root *x509.Certificate) Verifier {
	return Verifier{Network: Fingerprint(root.PublicKey), Root: root}
}

// Site returns the site that chain, a leaf and its issuing authority, names, when every certificate in it has exactly its
// profile and is valid at the given time.
//
// It answers ErrUntrusted for everything that time does not heal, and ErrNotValidNow only when nothing but the time is
// wrong; then the site is returned as well, so that a caller can say whose certificate has expired.
func (v Verifier) Site(chain []*x509.Certificate, at time.Time) (id.Site, error) {
	if len(chain) != 2 {
		return "", untrusted("want two certificates, the site's and its issuing authority's, found %d", len(chain))
	}
	if err := checkRoot(v.Root, v.Network); err != nil {
		return "", err
	}
	site, err := siteOf(chain[0])
	if err != nil {
		return "", err
	}
	if err := checkSigned(chain[0], chain[1], v.Root, x509.ExtKeyUsageClientAuth); err != nil {
		return "", err
	}
	return site, checkTime(at, chain[0], chain[1], v.Root)
}

// hub checks that chain, a leaf and its issuing authority, is a hub's of this network, under whatever name.
func (v Verifier) hub(chain []*x509.Certificate, at time.Time) error {
	if err := checkRoot(v.Root, v.Network); err != nil {
		return err
	}
	if err := checkHub(chain[0]); err != nil {
		return err
	}
	if err := checkSigned(chain[0], chain[1], v.Root, x509.ExtKeyUsageServerAuth); err != nil {
		return err
	}
	return checkTime(at, chain[0], chain[1], v.Root)
}

// checkSigned checks the signatures: leaf directly under issuing directly under root. It looks at a moment at which all
// three are valid, so that the time of day plays no part; certificates that were never valid together are not trusted.
func checkSigned(leaf, issuing, root *x509.Certificate, use x509.ExtKeyUsage) error {
	if err := checkIssuing(issuing); err != nil {
		return err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	between.AddCert(issuing)
	together := leaf.NotBefore
	for _, c := range []*x509.Certificate{issuing, root} {
		if c.NotBefore.After(together) {
			together = c.NotBefore
		}
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: together, KeyUsages: []x509.ExtKeyUsage{use}})
	if err != nil {
		return untrusted("%v", err)
	}
	for _, c := range chains {
		if len(c) == 3 && c[1].Equal(issuing) && c[2].Equal(root) {
			return nil
		}
	}
	return untrusted("the certificate does not stand under the issuing authority that came with it")
}

// checkTime names the first certificate that is not valid at the given time.
func checkTime(at time.Time, certs ...*x509.Certificate) error {
	for _, c := range certs {
		if at.Before(c.NotBefore) || at.After(c.NotAfter) {
			return fmt.Errorf("%w: that of %s is valid from %s to %s, and it is taken to be %s", ErrNotValidNow, c.Subject.CommonName,
				c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
		}
	}
	return nil
}
