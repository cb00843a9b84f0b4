// Package certs decides who is who: the authority that names sites, their identities, and the TLS between agent and hub.
//
// It promises that a certificate is believed only when its chain and its profile are exactly what this package issues: a
// leaf directly under an issuing authority directly under the root whose key is pinned, for a site (client use only, one
// name urn:sealpost:site:NAME) or for a hub (server use only), never both. Private keys never leave it: an Identity signs,
// an Authority issues, and nobody gets their bytes. What it writes is durable when the call returns, and key files are
// readable by their owner alone.
//
// It must not know what is carried: no messages, no queues, no HTTP. Whether a known site may do something is the hub's
// decision, and whether a site is the one that was seen before is the agent's (package trust).
package certs

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"sealpost/internal/id"
)

// ErrUntrusted says that a certificate, or what it signed, is not what the pinned root vouches for. Time does not heal it.
var ErrUntrusted = errors.New("not trusted")

// ErrNotValidNow says that all is well with a certificate but the time: it has expired, or a clock is wrong. It may heal.
var ErrNotValidNow = errors.New("certificate not valid at this time")

// ErrClock says that this computer's clock differs too much from the hub's.
var ErrClock = errors.New("this computer's clock is wrong, or the hub's is")

// How long what lives. The root has no end, because it is believed for its key alone; see InitRoot.
const (
	issuingLife = 10 * 365 * 24 * time.Hour
	leafLife    = 90 * 24 * time.Hour
	backdate    = time.Hour // so that a clock behind the authority's accepts a new certificate
	maxSkew     = 10 * time.Minute
)

// Fingerprint is the SHA-256 of a public key (its SubjectPublicKeyInfo). Of a site's identity key it is what people
// compare; of the root's key it is the network's id. It returns "" for a kind of key that X.509 has no form for.
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

// CheckClock compares the hub's time with this computer's, and answers ErrClock, saying by how much and in which direction,
// when they are more than ten minutes apart.
func CheckClock(hub, local time.Time) error {
	ahead := local.Sub(hub)
	direction := "ahead of"
	if ahead < 0 {
		ahead, direction = -ahead, "behind"
	}
	if ahead <= maxSkew {
		return nil
	}
	return fmt.Errorf("%w: this one is %s %s the hub's; the wrong one has to be set right", ErrClock, ahead.Round(time.Second), direction)
}

// RenewAt is when a certificate should be replaced: after two thirds of its life.
func RenewAt(cert *x509.Certificate) time.Time {
	return cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 3 * 2)
}
