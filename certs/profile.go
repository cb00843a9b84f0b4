package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"strings"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// The prefixes of the holder's name in the only alternative name of a client certificate.
const (
	siteURN  = "urn:sealpost:site:"
	adminURN = "urn:sealpost:admin:"
)

// Holder is the kind of a certificate's holder.
type Holder int

// The kinds of holders. A certificate is of exactly one kind, and good for nothing of another.
const (
	OfSite Holder = iota
	OfAdmin
	OfHub
)

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// untrusted returns ErrUntrusted with its reason. The reason's own sentinels are not among its
// causes.
func untrusted(why error) error {
	return reason.Err("not-trusted", "cause", ErrUntrusted, "why", reason.Of(why))
}

// checkRoot checks the anchor: the pinned key, and an authority's certificate.
func checkRoot(root *x509.Certificate, network id.Hash) error {
	switch {
	case root == nil:
		return untrusted(reason.Err("root-missing"))
	case Fingerprint(root.PublicKey) != network:
		return untrusted(reason.Err("root-of-other-network",
			"has", Fingerprint(root.PublicKey)[:16], "want", network[:min(16, len(network))]))
	case !isP256(root.PublicKey) || !root.IsCA || !root.BasicConstraintsValid:
		return untrusted(reason.Err("root-foreign"))
	}
	return nil
}

// checkSelf checks the signature of a root that came with its chain. Only its key is pinned, so the
// rest of its certificate must be signed with that key.
func checkSelf(root *x509.Certificate) error {
	if err := root.CheckSignatureFrom(root); err != nil {
		return untrusted(reason.Err("root-unsigned", "why", reason.Of(err)))
	}
	return nil
}

// checkIssuing checks the profile of an issuing authority: it signs only leaves.
func checkIssuing(c *x509.Certificate) error {
	switch {
	case !isP256(c.PublicKey) || c.SignatureAlgorithm != x509.ECDSAWithSHA256:
		return untrusted(reason.Err("issuing-algorithm"))
	case !c.BasicConstraintsValid || !c.IsCA || c.MaxPathLen != 0 || !c.MaxPathLenZero:
		return untrusted(reason.Err("issuing-length"))
	case c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign:
		return untrusted(reason.Err("issuing-usage"))
	}
	return nil
}

// checkLeaf checks the common profile of site and hub certificates: a P-256 signing key with
// exactly one use.
func checkLeaf(c *x509.Certificate, use x509.ExtKeyUsage) error {
	switch {
	case !isP256(c.PublicKey) || c.SignatureAlgorithm != x509.ECDSAWithSHA256:
		return untrusted(reason.Err("certificate-algorithm"))
	case c.IsCA || !c.BasicConstraintsValid:
		return untrusted(reason.Err("certificate-of-authority"))
	case c.KeyUsage != x509.KeyUsageDigitalSignature:
		return untrusted(reason.Err("certificate-usage"))
	case len(c.ExtKeyUsage) != 1 || len(c.UnknownExtKeyUsage) != 0 || c.ExtKeyUsage[0] != use:
		return untrusted(reason.Err("certificate-use", "use", map[x509.ExtKeyUsage]string{
			x509.ExtKeyUsageClientAuth: "client", x509.ExtKeyUsageServerAuth: "server"}[use]))
	}
	return nil
}

// clientOf checks the profile of a client certificate and returns the site or admin that it names.
// The alternative names are compared byte by byte: crypto/x509 ignores some kinds of names, which
// could otherwise stand beside the right one.
func clientOf(c *x509.Certificate) (id.Site, Holder, error) {
	if err := checkLeaf(c, x509.ExtKeyUsageClientAuth); err != nil {
		return "", 0, err
	}
	if len(c.URIs) != 1 {
		return "", 0, untrusted(reason.Err("certificate-uris", "n", len(c.URIs)))
	}
	uri, urn, of := c.URIs[0].String(), siteURN, OfSite
	if strings.HasPrefix(uri, adminURN) {
		urn, of = adminURN, OfAdmin
	}
	text, ok := strings.CutPrefix(uri, urn)
	if !ok {
		return "", 0, untrusted(reason.Err("certificate-name-foreign", "name", c.URIs[0]))
	}
	name, err := id.ParseSite(text)
	if err != nil {
		return "", 0, untrusted(err)
	}
	if c.Subject.CommonName != string(name) ||
		!bytes.Equal(alternativeNames(c), clientNames(urn, name)) {
		return "", 0, untrusted(reason.Err("certificate-more-names", "name", urn+string(name)))
	}
	return name, of, nil
}

// clientNames returns the exact subjectAltName of a client certificate: a sequence of one [6] URI.
func clientNames(urn string, name id.Site) []byte {
	uri := urn + string(name)
	// at most 19 + 32 bytes: one byte of length
	san := append([]byte{asn1.ClassContextSpecific<<6 | 6, byte(len(uri))}, uri...)
	return append([]byte{0x30, byte(len(san))}, san...)
}

func alternativeNames(c *x509.Certificate) []byte {
	for _, e := range c.Extensions { // crypto/x509 refuses a repeated extension
		if e.Id.Equal(oidSubjectAltName) {
			return e.Value
		}
	}
	return nil
}

// checkHub checks the profile of a hub certificate: server use only, names of hosts only.
func checkHub(c *x509.Certificate) error {
	if err := checkLeaf(c, x509.ExtKeyUsageServerAuth); err != nil {
		return err
	}
	if len(c.URIs) > 0 || len(c.EmailAddresses) > 0 || len(c.DNSNames)+len(c.IPAddresses) == 0 {
		return untrusted(reason.Err("certificate-no-hosts"))
	}
	return nil
}
