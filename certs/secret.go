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

// NewSecret draws an invitation's secret: 32 random bytes in base64url, 43 characters.
func NewSecret() string {
	var b [secretSize]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// HashSecret is what the hub keeps of a secret. One round of SHA-256 is enough, and a slow password hash would add nothing:
// the secret is not chosen by a person but has 256 random bits, so that nobody who steals the hash can try them all.
func HashSecret(secret string) id.Hash {
	return hashOf([]byte(secret))
}

// MatchSecret says in constant time whether secret is the one that HashSecret made hash from.
func MatchSecret(secret string, hash id.Hash) bool {
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(hash)) == 1
}

// validSecret wants the one spelling of 32 bytes.
func validSecret(secret string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	return err == nil && len(b) == secretSize && len(secret) == base64.RawURLEncoding.EncodedLen(secretSize)
}
