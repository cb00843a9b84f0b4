package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
)

const maxKeyFile = 4 << 10 // bytes: a key of P-256 has 241 as PEM, and about 500 encrypted

// openKey reads the ECDSA P-256 key at path, or makes one and its folder. Several processes that do
// so at once get the same key.
func (p Passphrases) openKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := p.readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := p.createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return p.readKey(path)
}

// openCertifiedKey reads the key at path, for which there is a certificate. A missing key is lost
// or offline: a new one would be useless and hide that.
func (p Passphrases) openCertifiedKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := p.readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, reason.Err("key-gone", "path", path)
	}
	return key, err
}

func (p Passphrases) createKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	data, err := p.encode(path, key)
	if err != nil {
		return err
	}
	if err := secretfile.MkdirAll(filepath.Dir(path)); err != nil {
		return err
	}
	return secretfile.Create(path, data)
}

func (p Passphrases) readKey(path string) (*ecdsa.PrivateKey, error) {
	data, err := secretfile.Read(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	var parsed any
	if isEncrypted(data) {
		if parsed, err = p.decrypt(path, data); err != nil {
			return nil, err
		}
	} else {
		der, err := onePEM(data, "PRIVATE KEY")
		if err == nil {
			parsed, err = x509.ParsePKCS8PrivateKey(der)
		}
		if err != nil {
			return nil, reason.Err("key-file", "path", path, "why", err)
		}
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, reason.Err("key-not-p256", "path", path)
	}
	return key, nil
}

// isP256 reports whether pub is an ECDSA P-256 key, the only kind in use.
func isP256(pub any) bool {
	key, ok := pub.(*ecdsa.PublicKey)
	return ok && key.Curve == elliptic.P256()
}
