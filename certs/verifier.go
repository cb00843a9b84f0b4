package certs

import (
	"crypto/x509"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Verifier verifies certificates under the root of one network. It is safe for concurrent use and
// knows no revocation: the hub asks its directory, the agent its pins.
type Verifier struct {
	Network id.Hash
	Root    *x509.Certificate
}

// NewVerifier returns a verifier for the network of root.
func NewVerifier(root *x509.Certificate) Verifier {
	return Verifier{Network: Fingerprint(root.PublicKey), Root: root}
}

// Site returns the site of chain, as Client does. Another holder's certificate is ErrUntrusted.
func (v Verifier) Site(chain []*x509.Certificate, at time.Time) (id.Site, error) {
	return v.client(chain, at, OfSite)
}

// client returns the name in a chain of one kind of holder, as Client does.
func (v Verifier) client(chain []*x509.Certificate, at time.Time, want Holder) (id.Site, error) {
	name, of, err := v.Client(chain, at)
	if name != "" && of != want {
		if of == OfAdmin {
			return "", untrusted(reason.Err("certificate-of-admin", "name", name))
		}
		return "", untrusted(reason.Err("certificate-of-site", "name", name))
	}
	return name, err
}

// Client returns the site or admin of chain, a leaf and its issuing authority. Every certificate
// must have exactly its profile and be valid at the given time.
//
// It returns ErrNotValidNow if only the time is wrong, and then the name as well, so that a caller
// can name the owner of an expired certificate. For any other fault it returns ErrUntrusted.
func (v Verifier) Client(chain []*x509.Certificate, at time.Time) (id.Site, Holder, error) {
	if len(chain) != 2 {
		return "", 0, untrusted(reason.Err("site-chain-length", "n", len(chain)))
	}
	if err := checkRoot(v.Root, v.Network); err != nil {
		return "", 0, err
	}
	name, of, err := clientOf(chain[0])
	if err != nil {
		return "", 0, err
	}
	if err := checkSigned(chain[0], chain[1], v.Root, x509.ExtKeyUsageClientAuth); err != nil {
		return "", 0, err
	}
	return name, of, checkTime(at, chain[0], chain[1], v.Root)
}

// hub checks that chain, a leaf and its issuing authority, is a hub's of this network, under any
// name.
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

// checkSigned checks the signatures: leaf directly under issuing directly under root. It checks at
// a time at which all three are valid, so that the present time does not matter. Certificates
// without such a time are not trusted.
func checkSigned(leaf, issuing, root *x509.Certificate, use x509.ExtKeyUsage) error {
	if err := checkIssuing(issuing); err != nil {
		return err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	intermediates.AddCert(issuing)
	commonTime := leaf.NotBefore
	for _, c := range []*x509.Certificate{issuing, root} {
		if c.NotBefore.After(commonTime) {
			commonTime = c.NotBefore
		}
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates,
		CurrentTime: commonTime, KeyUsages: []x509.ExtKeyUsage{use}})
	if err != nil {
		return untrusted(err)
	}
	for _, c := range chains {
		if len(c) == 3 && c[1].Equal(issuing) && c[2].Equal(root) {
			return nil
		}
	}
	return untrusted(reason.Err("certificate-of-other-issuing"))
}

// checkTime returns an error for the first certificate that is not valid at the given time.
func checkTime(at time.Time, certs ...*x509.Certificate) error {
	for _, c := range certs {
		if at.Before(c.NotBefore) || at.After(c.NotAfter) {
			return reason.Err("certificate-time", "cause", ErrNotValidNow,
				"name", c.Subject.CommonName, "from", c.NotBefore.UTC().Format(time.RFC3339),
				"to", c.NotAfter.UTC().Format(time.RFC3339),
				"now", at.UTC().Format(time.RFC3339))
		}
	}
	return nil
}
