package certs

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"

	"sealpost/internal/id"
)

const secretSize = 32 // random bytes in an invitation's secret

// NewSecret returns an invitation's secret: 32 random bytes in base64url, 43 characters.
func NewSecret() string {
	var b [secretSize]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// HashSecret returns the hub's record of a secret. One round of SHA-256 is enough: the secret is no
// password but has 256 random bits, so that a thief of the hash cannot try them all.
func HashSecret(secret string) id.Hash {
	return hashOf([]byte(secret))
}

// MatchSecret reports in constant time whether hash is the HashSecret of secret.
func MatchSecret(secret string, hash id.Hash) bool {
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(hash)) == 1
}

// isSecret reports whether secret is 32 bytes in their only spelling.
func isSecret(secret string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	return err == nil && len(b) == secretSize &&
		len(secret) == base64.RawURLEncoding.EncodedLen(secretSize)
}
