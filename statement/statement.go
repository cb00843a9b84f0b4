// Package statement holds the statements that a site signs: envelope signatures, receipts and
// recipient keys. It also holds the roster, which the root signs (roster.go).
//
// Each is a JWS in compact form with ES256 and exactly one spelling: a header of alg, typ and x5c
// (leaf, issuing) and a payload in exact JSON. Open accepts no other form, so that all readers read
// a statement alike. It promises that the named site's identity key signed the payload, that the
// site's certificate was valid under the pinned root at the given time, and that the site speaks
// for itself. The bytes of a statement identify nothing: without the key, an ECDSA signature can be
// turned into another valid one. Compare payloads.
//
// The package must not know how statements travel or are stored. The caller compares the key with
// the site's pin (Signed.Key). The package must not import age, because the hub imports it.
package statement

import (
	"errors"
	"fmt"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
)

var (
	// ErrMalformed means that the text is no statement of the wanted type in its exact form.
	ErrMalformed = errors.New("malformed statement")
	// ErrSignature means that the signature does not match the certificate's key, or that the
	// signer speaks for another site.
	ErrSignature = errors.New("statement not signed by its site")
)

// Statement is one of the closed set of statements.
type Statement interface {
	EnvelopeSignature | Receipt | RecipientKey
	typ() string
	maxSize() int
	// speaker returns the network and the site in the payload; both "" if it names none.
	speaker() (id.Hash, id.Site)
	validate() error
}

// Signed is a verified statement.
type Signed[T any] struct {
	Payload T
	Site    id.Site // the signer, from its certificate
	Key     id.Hash // of the signer's identity key
	JWS     string
}

// Sign signs the payload as the site of i, which must have a certificate.
func Sign[T Statement](i *certs.Identity, payload T) (string, error) {
	if err := payload.validate(); err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	network, site := payload.speaker()
	chain := i.Chain()
	switch {
	case chain == nil || i.Site() == "":
		return "", errors.New("sign: this identity has no site certificate")
	case site != "" && (site != i.Site() || network != certs.Fingerprint(chain[2].PublicKey)):
		return "", fmt.Errorf("sign: %s cannot speak for %s of network %.16s…", i.Site(), site,
			network)
	}
	jws, err := encode(i, payload.typ(), chain[:2], payload)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	if len(jws) > payload.maxSize() {
		return "", fmt.Errorf("sign: %w: it would have %d bytes, and %d are allowed", ErrMalformed,
			len(jws), payload.maxSize())
	}
	return jws, nil
}

// Open checks a statement and returns its payload. It checks its exact form (else ErrMalformed),
// the signer's certificates under the root of v (else certs.ErrUntrusted), the signature, and that
// the signer speaks for itself (else ErrSignature). The time comes last: certs.ErrNotValidNow means
// that all else is right. Only after that error a retry can succeed.
func Open[T Statement](jws string, v certs.Verifier, at time.Time) (Signed[T], error) {
	var payload T
	token, err := parse(jws, payload.typ(), payload.maxSize(), &payload)
	if err != nil {
		return Signed[T]{}, err
	}
	if err := payload.validate(); err != nil {
		return Signed[T]{}, err
	}
	signer, badTime := v.Site(token.chain, at)
	if badTime != nil && !errors.Is(badTime, certs.ErrNotValidNow) {
		return Signed[T]{}, badTime
	}
	if err := token.verify(); err != nil {
		return Signed[T]{}, err
	}
	if network, site := payload.speaker(); site != "" && (site != signer || network != v.Network) {
		return Signed[T]{}, fmt.Errorf("%w: %s signed it, and it speaks for %s of network %.16s…",
			ErrSignature, signer, site, network)
	}
	if badTime != nil {
		return Signed[T]{}, badTime
	}
	return Signed[T]{Payload: payload, Site: signer,
		Key: certs.Fingerprint(token.chain[0].PublicKey), JWS: jws}, nil
}

// malformed wraps ErrMalformed with the reason.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
