package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Authority is the issuing authority, in the hub's state folder. It issues certificates to sites
// and to the hub. It is safe for concurrent use.
type Authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	root *x509.Certificate
}

// Files of the authority in the hub's state folder.
const (
	issuingKeyFile  = "issuing.key"
	issuingCertFile = "issuing.pem"
)

// InitAuthority makes an issuing authority under r in the hub's state folder, or loads an existing
// one. That must be under the same root. issuing.pem is written last: without it the authority is
// made again.
func (p Passphrases) InitAuthority(stateDir string, r *Root, now time.Time) (*Authority, error) {
	known, err := readCertificate(filepath.Join(stateDir, rootCertFile))
	if err != nil {
		return nil, fmt.Errorf("issuing authority: %w", err)
	}
	if known != nil && Fingerprint(known.PublicKey) != r.Network() {
		return nil, fmt.Errorf("the issuing authority in %s stands under another root (%.16s…)",
			stateDir, Fingerprint(known.PublicKey))
	}
	existing, err := p.OpenAuthority(stateDir)
	if !errors.Is(err, fs.ErrNotExist) {
		return existing, err
	}
	if err := r.makeAuthority(p, stateDir, now); err != nil {
		return nil, fmt.Errorf("issuing authority: %w", err)
	}
	return p.OpenAuthority(stateDir)
}

// InitAuthority is Passphrases.InitAuthority without any.
func InitAuthority(stateDir string, r *Root, now time.Time) (*Authority, error) {
	return Passphrases{}.InitAuthority(stateDir, r, now)
}

func (r *Root) makeAuthority(p Passphrases, stateDir string, now time.Time) error {
	key, err := p.openKey(filepath.Join(stateDir, issuingKeyFile))
	if err != nil {
		return err
	}
	cert, err := r.signIssuing(&key.PublicKey, now)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(stateDir, rootCertFile), encodeChain(r.cert),
		0o600); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(stateDir, issuingCertFile), encodeChain(cert), 0o600)
}

func (r *Root) signIssuing(pub *ecdsa.PublicKey, now time.Time) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject: pkix.Name{CommonName: "sealpost issuing authority " +
			string(Fingerprint(pub)[:16])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(issuingLife),
		SignatureAlgorithm:    x509.ECDSAWithSHA256,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	return sign(template, r.cert, pub, r.key)
}

// OpenAuthority loads the issuing authority of a hub. It needs the root's certificate, never its
// key. It returns fs.ErrNotExist if there is no authority, and another error if a part of it is
// missing.
func (p Passphrases) OpenAuthority(stateDir string) (*Authority, error) {
	a, err := readAuthority(stateDir)
	if err != nil {
		return nil, err
	}
	if a.key, err = p.openCertifiedKey(filepath.Join(stateDir, issuingKeyFile)); err != nil {
		return nil, fmt.Errorf("issuing authority: %w", err)
	}
	if !a.key.PublicKey.Equal(a.cert.PublicKey) {
		return nil, fmt.Errorf("issuing authority in %s: %s and %s do not belong together",
			stateDir, issuingKeyFile, issuingCertFile)
	}
	if err := a.check(stateDir); err != nil {
		return nil, err
	}
	return a, nil
}

// OpenAuthority is Passphrases.OpenAuthority without any.
func OpenAuthority(stateDir string) (*Authority, error) {
	return Passphrases{}.OpenAuthority(stateDir)
}

// ReadAuthority loads only the certificates of an issuing authority. It issues nothing. Errors are
// those of OpenAuthority.
func ReadAuthority(stateDir string) (*Authority, error) {
	a, err := readAuthority(stateDir)
	if err != nil {
		return nil, err
	}
	if err := a.check(stateDir); err != nil {
		return nil, err
	}
	return a, nil
}

func readAuthority(stateDir string) (*Authority, error) {
	issuing, err := readChain(filepath.Join(stateDir, issuingCertFile), 1)
	if err != nil {
		return nil, fmt.Errorf("issuing authority: %w", err)
	}
	root, err := readCertificate(filepath.Join(stateDir, rootCertFile))
	if err != nil {
		return nil, fmt.Errorf("issuing authority: %w", err)
	}
	if root == nil {
		return nil, fmt.Errorf("issuing authority in %s: %s is missing: bring it back", stateDir,
			rootCertFile)
	}
	return &Authority{cert: issuing[0], root: root}, nil
}

// check checks the certificates.
func (a *Authority) check(stateDir string) error {
	err := errors.Join(checkRoot(a.root, a.Network()), checkSelf(a.root))
	if err == nil {
		err = checkIssuing(a.cert)
	}
	if err == nil {
		if why := a.cert.CheckSignatureFrom(a.root); why != nil {
			err = untrusted(reason.Err("issuing-under-other-root", "root", rootCertFile,
				"why", reason.Of(why)))
		}
	}
	if err != nil {
		return fmt.Errorf("issuing authority in %s: %w", stateDir, err)
	}
	return nil
}

// Network returns the fingerprint of the root's key.
func (a *Authority) Network() id.Hash { return Fingerprint(a.root.PublicKey) }

// Root returns the root's certificate.
func (a *Authority) Root() *x509.Certificate { return a.root }

// Issuing returns the authority's own certificate. No certificate that it issues outlives it.
func (a *Authority) Issuing() *x509.Certificate { return a.cert }
