package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const maxCSR = 8 << 10 // bytes: ours have about 300

// ErrRequest means that a certificate request is malformed or does not prove possession of the key.
var ErrRequest = errors.New("certificate request refused")

// KeyOfCSR checks a certificate request and returns the fingerprint of its key. It must be one PEM
// block with an ECDSA P-256 key, signed with that key. Its other fields, such as names, are
// ignored: the authority decides them.
func KeyOfCSR(csrPEM []byte) (id.Hash, error) {
	pub, err := parseCSR(csrPEM)
	if err != nil {
		return "", err
	}
	return Fingerprint(pub), nil
}

func parseCSR(csrPEM []byte) (*ecdsa.PublicKey, error) {
	if len(csrPEM) > maxCSR {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrRequest, maxCSR)
	}
	der, err := onePEM(csrPEM, "CERTIFICATE REQUEST")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	pub, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || !isP256(pub) || csr.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		return nil, fmt.Errorf("%w: want an ECDSA P-256 key and SHA-256", ErrRequest)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: not signed with its own key: %w", ErrRequest, err)
	}
	return pub, nil
}

// IssueSite certifies that the key of the request is the site's, and returns the chain as PEM:
// leaf, issuing, root. Every call issues a certificate; the caller must check that this key may
// have that name.
func (a *Authority) IssueSite(csrPEM []byte, site id.Site,
	now time.Time) (chainPEM []byte, err error) {
	return a.issueClient(csrPEM, siteURN, site, now)
}

// IssueAdmin does the same for an admin. Its certificate is no site's.
func (a *Authority) IssueAdmin(csrPEM []byte, admin id.Site,
	now time.Time) (chainPEM []byte, err error) {
	return a.issueClient(csrPEM, adminURN, admin, now)
}

func (a *Authority) issueClient(csrPEM []byte, urn string, name id.Site,
	now time.Time) (chainPEM []byte, err error) {
	if _, err := id.ParseSite(string(name)); err != nil {
		return nil, err
	}
	pub, err := parseCSR(csrPEM)
	if err != nil {
		return nil, err
	}
	return a.issue(pub, now, x509.Certificate{
		Subject:     pkix.Name{CommonName: string(name)},
		URIs:        []*url.URL{{Scheme: "urn", Opaque: urn[len("urn:"):] + string(name)}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// IssueHub certifies the key of i for the hub name at hosts, and stores the chain in i. Hosts are
// names or IP addresses. A hub renews in the same way.
func (a *Authority) IssueHub(i *Identity, name string, hosts []string, now time.Time) error {
	template := x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if err := checkName(name); err != nil {
		return err
	}
	if err := addHosts(&template, hosts); err != nil {
		return err
	}
	chain, err := a.issue(&i.key.PublicKey, now, template)
	if err != nil {
		return err
	}
	return i.setChain(chain, a.Network(), OfHub, now)
}

var hostPattern = regexp.MustCompile(
	`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

// CheckHosts returns the error with which IssueHub would refuse the hosts.
func CheckHosts(hosts []string) error { return addHosts(&x509.Certificate{}, hosts) }

func addHosts(template *x509.Certificate, hosts []string) error {
	if len(hosts) == 0 {
		return reason.Err("hub-without-name")
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		if len(host) > 253 || !hostPattern.MatchString(host) {
			return reason.Err("host-malformed", "host", fmt.Sprintf("%.80s", host))
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	return nil
}

// issue adds the common fields of all leaves, and signs.
func (a *Authority) issue(pub *ecdsa.PublicKey, now time.Time,
	template x509.Certificate) ([]byte, error) {
	if err := checkTime(now, a.cert); err != nil {
		return nil, fmt.Errorf("the issuing authority cannot issue: %w", err)
	}
	template.SerialNumber = serial()
	template.NotBefore = now.Add(-backdate)
	template.NotAfter = now.Add(leafLife)
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	template.SignatureAlgorithm = x509.ECDSAWithSHA256
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	leaf, err := sign(&template, a.cert, pub, a.key)
	if err != nil {
		return nil, err
	}
	return encodeChain(leaf, a.cert, a.root), nil
}
