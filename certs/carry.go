package certs

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"sealpost/internal/durable"
	"sealpost/internal/reason"
)

// An issuing authority can be certified by carried files, so that the root's key never comes to the
// hub. The hub writes a request for its issuing key, the root signs it on another computer, and the
// hub stores the signed chain. The same renews an authority.

// RequestAuthority returns a certificate request, as PEM, for the issuing key in the hub's state
// folder. It makes a missing key.
func (p Passphrases) RequestAuthority(stateDir string) ([]byte, error) {
	key, err := p.openKey(filepath.Join(stateDir, issuingKeyFile))
	if err != nil {
		return nil, err
	}
	return requestFor(key)
}

// requestFor returns a certificate request for a key, as PEM. It has no name: the authority adds
// it.
func requestFor(key *ecdsa.PrivateKey) ([]byte, error) {
	template := &x509.CertificateRequest{SignatureAlgorithm: x509.ECDSAWithSHA256}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// SignAuthority certifies the key of a request as an issuing authority. It returns the chain as
// PEM: issuing and root.
func (r *Root) SignAuthority(csrPEM []byte, now time.Time) (chainPEM []byte, err error) {
	pub, err := parseCSR(csrPEM)
	if err != nil {
		return nil, err
	}
	cert, err := r.signIssuing(pub, now)
	if err != nil {
		return nil, err
	}
	return encodeChain(cert, r.cert), nil
}

// SignedRoot returns the root of a signed chain. Its caller compares the network.
func SignedRoot(chainPEM []byte) (*x509.Certificate, error) {
	chain, err := parseChain(chainPEM, 2)
	if err != nil {
		return nil, err
	}
	return chain[1], checkSelf(chain[1])
}

// PutAuthority stores the signed chain of the issuing key in the hub's state folder. It refuses one
// of another key or network, one that is not valid now, and one that ends no later than the present
// one, unless it is that one.
func (p Passphrases) PutAuthority(stateDir string, chainPEM []byte,
	now time.Time) (*Authority, error) {
	chain, err := parseChain(chainPEM, 2)
	if err != nil {
		return nil, err
	}
	a := &Authority{cert: chain[0], root: chain[1]}
	if err := a.check(stateDir); err != nil {
		return nil, err
	}
	if err := checkTime(now, a.cert); err != nil {
		return nil, err
	}
	if a.key, err = p.openCertifiedKey(filepath.Join(stateDir, issuingKeyFile)); err != nil {
		return nil, err
	}
	if !a.key.PublicKey.Equal(a.cert.PublicKey) {
		return nil, reason.Err("signed-other-key", "has", Fingerprint(a.cert.PublicKey)[:16],
			"own", Fingerprint(&a.key.PublicKey)[:16])
	}
	switch old, err := readAuthority(stateDir); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case old.Network() != a.Network():
		return nil, reason.Err("signed-other-network", "has", a.Network()[:16],
			"own", old.Network()[:16])
	case !old.cert.Equal(a.cert) && !a.cert.NotAfter.After(old.cert.NotAfter):
		return nil, reason.Err("signed-older", "until", a.cert.NotAfter,
			"present", old.cert.NotAfter)
	}
	// issuing.pem is written last: without it there is no authority
	for _, f := range []struct {
		name string
		cert *x509.Certificate
	}{{rootCertFile, a.root}, {issuingCertFile, a.cert}} {
		if err := durable.WriteFile(filepath.Join(stateDir, f.name), encodeChain(f.cert),
			0o600); err != nil {
			return nil, err
		}
	}
	return a, nil
}
