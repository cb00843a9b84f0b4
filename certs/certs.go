// Package certs holds identities: the authority that certifies sites, their keys, and the TLS
// between agent and hub.
//
// It promises to trust a certificate only if its chain and profile are exactly those that this
// package issues: a leaf directly under an issuing authority directly under the root whose key is
// pinned, for a site (client use only, one name urn:sealpost:site:NAME) or for a hub (server use
// only), never both. Private keys never leave it: an Identity signs, an Authority issues, and no
// caller gets their bytes. A file is durable when the call that writes it returns, and key files
// are readable by their owner only.
//
// It must not know messages, queues or HTTP. The hub decides about the rights of a site, and the
// agent compares a site with its pin (package trust).
package certs

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// ErrUntrusted means that a certificate, or a signature with it, is not certified by the pinned
// root. A retry never succeeds.
var ErrUntrusted = reason.Err("certificate-untrusted")

// ErrNotValidNow means that only the time of a certificate is wrong: it has expired, or a clock is
// wrong. A retry may succeed.
var ErrNotValidNow = reason.Err("certificate-not-now")

// ErrClock means that this computer's clock differs too much from the hub's.
var ErrClock = reason.Err("clock-wrong")

// Lifetimes. The root has no end, because only its key is trusted; see InitRoot.
const (
	issuingLife = 10 * 365 * 24 * time.Hour
	leafLife    = 90 * 24 * time.Hour
	backdate    = time.Hour // so that a clock behind the authority's accepts a new certificate
	maxSkew     = 10 * time.Minute
)

// Fingerprint returns the SHA-256 of a public key (its SubjectPublicKeyInfo). Users compare that of
// a site's identity key; that of the root's key is the network's id. It returns "" for a key that
// X.509 cannot encode.
func Fingerprint(pub crypto.PublicKey) id.Hash {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return ""
	}
	return hashOf(der)
}

func hashOf(data []byte) id.Hash {
	sum := sha256.Sum256(data)
	return id.Hash(hex.EncodeToString(sum[:]))
}

// CheckClock returns ErrClock if the hub's time and this computer's differ by more than ten
// minutes. The error has the difference and its direction.
func CheckClock(hub, local time.Time) error {
	switch ahead := local.Sub(hub); {
	case ahead > maxSkew:
		return reason.Err("clock-ahead", "cause", ErrClock, "by", ahead.Round(time.Second))
	case ahead < -maxSkew:
		return reason.Err("clock-behind", "cause", ErrClock, "by", -ahead.Round(time.Second))
	}
	return nil
}

// RenewAt returns the time at which a certificate is due for renewal: two thirds of its life.
func RenewAt(cert *x509.Certificate) time.Time {
	return cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 3 * 2)
}
