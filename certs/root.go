package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"path/filepath"
	"strings"
	"time"

	"sealpost/internal/durable"
	"sealpost/internal/id"
)

// Root is the anchor of a network: the key that every agent pins. It signs only issuing
// authorities and rosters, and its folder should be taken off the hub afterwards.
type Root struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// Files of the root's folder.
const (
	rootKeyFile  = "root.key"
	rootCertFile = "root.pem"
)

// rootSubject begins the common name of a root. The name of its network follows.
const rootSubject = "sealpost root "

// InitRoot makes the root of the network name in dir, or loads an existing one. After a crash it
// continues with the key that it finds.
func (p Passphrases) InitRoot(dir string, network string) (*Root, error) {
	if err := checkName(network); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, rootCertFile)
	cert, err := readCertificate(path)
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	open := p.openKey
	if cert != nil {
		open = p.openCertifiedKey
	}
	key, err := open(filepath.Join(dir, rootKeyFile))
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	if cert == nil {
		if cert, err = selfSigned(key, network); err != nil {
			return nil, err
		}
		if err := durable.WriteFile(path, encodeChain(cert), 0o644); err != nil {
			return nil, err
		}
	}
	return newRoot(dir, key, cert)
}

// InitRoot is Passphrases.InitRoot without any.
func InitRoot(dir string, network string) (*Root, error) {
	return Passphrases{}.InitRoot(dir, network)
}

// OpenRoot loads the root in dir.
func (p Passphrases) OpenRoot(dir string) (*Root, error) {
	key, err := p.readKey(filepath.Join(dir, rootKeyFile))
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	certs, err := readChain(filepath.Join(dir, rootCertFile), 1)
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	return newRoot(dir, key, certs[0])
}

// OpenRoot is Passphrases.OpenRoot without any.
func OpenRoot(dir string) (*Root, error) { return Passphrases{}.OpenRoot(dir) }

func newRoot(dir string, key *ecdsa.PrivateKey, cert *x509.Certificate) (*Root, error) {
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("root in %s: %s and %s do not belong together", dir, rootKeyFile,
			rootCertFile)
	}
	if err := errors.Join(checkRoot(cert, Fingerprint(cert.PublicKey)),
		checkSelf(cert)); err != nil {
		return nil, fmt.Errorf("root in %s: %w", dir, err)
	}
	return &Root{key: key, cert: cert}, nil
}

// Certificate returns the root's own certificate.
func (r *Root) Certificate() *x509.Certificate { return r.cert }

// Public returns the root's public key.
func (r *Root) Public() crypto.PublicKey { return r.cert.PublicKey }

// Sign signs a SHA-256 digest. It is for rosters, whose signed text begins as no certificate does.
func (r *Root) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 {
		return nil, fmt.Errorf("sign: want a SHA-256 digest, not %v", opts.HashFunc())
	}
	return r.key.Sign(rand, digest, opts)
}

// Name returns the name that the network was given with its root.
func (r *Root) Name() string { return strings.TrimPrefix(r.cert.Subject.CommonName, rootSubject) }

// Network returns the fingerprint of the root's key.
func (r *Root) Network() id.Hash { return Fingerprint(r.cert.PublicKey) }

// selfSigned makes the root's certificate, without an effective start or end. The last second of
// 9999 is "no end" in RFC 5280, 4.1.2.5. The root is trusted because its key is pinned, and a wrong
// clock at the set-up must not spoil a network.
func selfSigned(key *ecdsa.PrivateKey, network string) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: rootSubject + network},
		NotBefore:             time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		SignatureAlgorithm:    x509.ECDSAWithSHA256,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            1,
	}
	return sign(template, template, &key.PublicKey, key)
}

// sign issues a certificate and parses it as a reader would.
func sign(template, parent *x509.Certificate, pub *ecdsa.PublicKey,
	key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// serial returns a positive number with 144 random bits. With the leading 1 it fits the 20 bytes of
// RFC 5280.
func serial() *big.Int {
	var b [19]byte
	rand.Read(b[1:]) // never fails: crypto/rand ends the process instead
	b[0] = 1
	return new(big.Int).SetBytes(b[:])
}

// checkName checks the name of a network or hub: it must fit a certificate's common name and be
// readable.
func checkName(name string) error {
	if name == "" || len(name) > 40 {
		return fmt.Errorf("name %.50q: want 1 to 40 characters", name)
	}
	for _, r := range name {
		if r < ' ' || r > '~' {
			return fmt.Errorf("name %q: want printable ASCII characters", name)
		}
	}
	return nil
}
