package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Identity holds the permanent private key of a site, admin or hub, and its present certificate
// chain. It is the only holder of the key's bytes: it signs, and never returns them. It is a
// crypto.Signer for SHA-256 digests, and safe for concurrent use.
type Identity struct {
	key       *ecdsa.PrivateKey
	print     id.Hash
	chainPath string

	mu    sync.Mutex // serializes SetChain: the file and the chain in use never differ
	chain atomic.Pointer[chain]
}

// chain is one immutable certificate chain, in all its forms.
type chain struct {
	certs []*x509.Certificate // leaf, issuing, root
	of    Holder
	site  id.Site // or the admin; "" for a hub
}

// OpenIdentity loads the key at keyPath, or makes one, and loads the chain at chainPath, if there
// is one. The chain may have expired: see NotAfter.
func OpenIdentity(keyPath, chainPath string) (*Identity, error) {
	certs, err := readChain(chainPath, 3)
	enrolled := !errors.Is(err, fs.ErrNotExist)
	if enrolled && err != nil {
		return nil, err
	}
	open := Passphrases{}.openKey
	if enrolled {
		open = Passphrases{}.openCertifiedKey
	}
	key, err := open(keyPath)
	if err != nil {
		return nil, err
	}
	i := &Identity{key: key, print: Fingerprint(&key.PublicKey), chainPath: chainPath}
	if !enrolled {
		return i, nil
	}
	of := OfHub
	if !slices.Contains(certs[0].ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		if _, of, err = clientOf(certs[0]); err != nil {
			return nil, fmt.Errorf("identity: certificate file %s: %w", chainPath, err)
		}
	}
	loaded, err := i.check(certs, Fingerprint(certs[2].PublicKey), of, certs[0].NotAfter)
	if err != nil && !errors.Is(err, ErrNotValidNow) {
		return nil, reason.Err("certificate-file", "path", chainPath, "why", err)
	}
	i.chain.Store(loaded)
	return i, nil
}

// check returns the chain of certs, leaf to root, for this identity. With ErrNotValidNow it returns
// the chain as well.
func (i *Identity) check(certs []*x509.Certificate, network id.Hash, of Holder,
	at time.Time) (*chain, error) {
	if !i.key.PublicKey.Equal(certs[0].PublicKey) {
		return nil, untrusted(reason.Err("certificate-other-key", "own", i.print[:16]))
	}
	if err := checkSelf(certs[2]); err != nil {
		return nil, err
	}
	v := Verifier{Network: network, Root: certs[2]}
	if of == OfHub {
		return &chain{certs: certs, of: of}, v.hub(certs[:2], at)
	}
	name, err := v.client(certs[:2], at, of)
	return &chain{certs: certs, of: of, site: name}, err
}

// CheckChain returns the site of a chain, and the error that SetChain would return. After
// ErrNotValidNow only the time is wrong.
func (i *Identity) CheckChain(chainPEM []byte, network id.Hash, now time.Time) (id.Site, error) {
	certs, err := parseChain(chainPEM, 3)
	if err != nil {
		return "", untrusted(err)
	}
	next, err := i.check(certs, network, OfSite, now)
	if next == nil {
		return "", err
	}
	return next.site, err
}

// SetChain replaces the chain of a site (PEM of leaf, issuing, root), on disk and then in use. The
// new one must be for this key, under the network's root, valid now, and for the same site as
// before.
func (i *Identity) SetChain(chainPEM []byte, network id.Hash, now time.Time) error {
	return i.setChain(chainPEM, network, OfSite, now)
}

// SetAdminChain does the same for an admin. It compares the name of the first chain as well.
func (i *Identity) SetAdminChain(chainPEM []byte, network id.Hash, admin id.Site,
	now time.Time) error {
	certs, err := parseChain(chainPEM, 3)
	if err != nil {
		return untrusted(err)
	}
	if name, _, err := clientOf(certs[0]); err == nil && name != admin {
		return untrusted(reason.Err("certificate-other-site", "site", name, "own", admin))
	}
	return i.setChain(chainPEM, network, OfAdmin, now)
}

func (i *Identity) setChain(chainPEM []byte, network id.Hash, of Holder, now time.Time) error {
	certs, err := parseChain(chainPEM, 3)
	if err != nil {
		return untrusted(err)
	}
	next, err := i.check(certs, network, of, now)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if old := i.chain.Load(); old != nil && (old.site != next.site || old.of != next.of) {
		return untrusted(reason.Err("certificate-other-site", "site", next.site,
			"own", old.site))
	}
	if err := durable.WriteFile(i.chainPath, encodeChain(certs...), 0o600); err != nil {
		return err
	}
	i.chain.Store(next)
	return nil
}

// HasChain reports whether there is a certificate: a site has none before it has enrolled.
func (i *Identity) HasChain() bool { return i.chain.Load() != nil }

// Chain returns leaf, issuing and root, or nil.
func (i *Identity) Chain() []*x509.Certificate {
	if c := i.chain.Load(); c != nil {
		return slices.Clone(c.certs)
	}
	return nil
}

// Site returns the site or admin in the certificate; "" for a hub, and before enrolment.
func (i *Identity) Site() id.Site {
	if c := i.chain.Load(); c != nil {
		return c.site
	}
	return ""
}

// Key returns the fingerprint of the public key.
func (i *Identity) Key() id.Hash { return i.print }

// RenewAt returns the time at which the certificate is due for renewal; the zero time without one.
func (i *Identity) RenewAt() time.Time {
	if c := i.chain.Load(); c != nil {
		return RenewAt(c.certs[0])
	}
	return time.Time{}
}

// Current reports whether the certificate needs no renewal. It needs one when due, and when it
// comes from a clock that was ahead and has been corrected since. A clock from before the issuing
// authority is wrong itself.
func (i *Identity) Current(now time.Time) bool {
	c := i.chain.Load()
	if c == nil || !now.Before(RenewAt(c.certs[0])) {
		return false
	}
	return !now.Before(c.certs[0].NotBefore) || now.Before(c.certs[1].NotBefore)
}

// NotAfter returns the time at which the certificate expires; the zero time without one.
func (i *Identity) NotAfter() time.Time {
	if c := i.chain.Load(); c != nil {
		return c.certs[0].NotAfter
	}
	return time.Time{}
}

// Fixed returns the identity with its present chain. A later SetChain does not change it.
func (i *Identity) Fixed() *Identity {
	fixed := &Identity{key: i.key, print: i.print}
	fixed.chain.Store(i.chain.Load())
	return fixed
}

// Public returns the public key.
func (i *Identity) Public() crypto.PublicKey { return &i.key.PublicKey }

// Sign signs a SHA-256 digest.
func (i *Identity) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 {
		return nil, fmt.Errorf("sign: want a SHA-256 digest, not %v", opts.HashFunc())
	}
	return i.key.Sign(rand, digest, opts)
}

// CSR returns a certificate request for the key, as PEM. It has no name: the authority adds it.
func (i *Identity) CSR() ([]byte, error) { return requestFor(i.key) }

// certificate returns the chain for a TLS handshake, with the root: an agent finds it by its pin.
// It is nil before enrolment.
func (i *Identity) certificate() *tls.Certificate {
	c := i.chain.Load()
	if c == nil {
		return nil
	}
	presented := c.certs[:2]
	if c.of == OfHub {
		presented = c.certs
	}
	out := &tls.Certificate{PrivateKey: i, Leaf: c.certs[0]}
	for _, cert := range presented {
		out.Certificate = append(out.Certificate, cert.Raw)
	}
	return out
}
