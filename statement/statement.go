// Package statement holds what a site signs: an envelope's signature, a receipt, a recipient key.
//
// Each is a JWS in compact form with ES256 and exactly one spelling: a header of alg, typ and x5c (leaf, issuing) and a
// payload in exact JSON. Open accepts nothing else, so that no two readers can see two things in one statement. It promises
// that what it returns was signed by the identity key of the site it names, that this site's certificate was good under the
// pinned root at the time asked for, and that the site speaks for itself. The bytes of a statement identify nothing, because
// an ECDSA signature can be turned into another valid one without the key: compare payloads.
//
// The package must not know how statements travel, are stored or are believed: whether the key is the site's pinned one is
// the caller's question (Signed.Key). It must not import age, because the hub imports it.
package statement

import (
	"errors"
	"fmt"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
)

var (
	// ErrMalformed says that this is no statement of the wanted type in its exact form.
	ErrMalformed = errors.New("malformed statement")
	// ErrSignature says that the statement was not signed with the key in its certificate, or by the site that it speaks for.
	ErrSignature = errors.New("statement not signed by its site")
)

// Statement is one of the closed set of statements.
type Statement interface {
	EnvelopeSignature | Receipt | RecipientKey
	typ() string
	maxSize() int
	// speaker is the network and the site that the payload speaks for; both "" when it names none.
	speaker() (id.Hash, id.Site)
	validate() error
}

// Signed is a statement that was opened.
type Signed[T any] struct {
	Payload T
	Site    id.Site // the signer, as its certificate names it
	Key     id.Hash // of the signer's identity key
	JWS     string
}

// Sign signs the payload as the site of i, which must have its certificate.
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
		return "", fmt.Errorf("sign: %s cannot speak for %s of network %.16s…", i.Site(), site, network)
	}
	jws, err := encode(i, payload.typ(), chain[:2], payload)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	if len(jws) > payload.maxSize() {
		return "", fmt.Errorf("sign: %w: it would have %d bytes, and %d are allowed", ErrMalformed, len(jws), payload.maxSize())
	}
	return jws, nil
}

// Open checks a statement and returns what it says: its exact form (else ErrMalformed), the signer's certificates under the
// root of v (else certs.ErrUntrusted), the signature, and that the signer speaks for itself (else ErrSignature). Last
// comes the time: certs.ErrNotValidNow means that all else holds, so it may heal while the others never do.
func Open[T Statement](jws string, v certs.Verifier, at time.Time) (Signed[T], error) {
	var payload T
	token, err := parse(jws, payload.typ(), payload.maxSize(), &payload)
	if err != nil {
		return Signed[T]{}, err
	}
	if err := payload.validate(); err != nil {
		return Signed[T]{}, err
	}
	signer, untimely := v.Site(token.chain, at)
	if untimely != nil && !errors.Is(untimely, certs.ErrNotValidNow) {
		return Signed[T]{}, untimely
	}
	if err := token.verify(); err != nil {
		return Signed[T]{}, err
	}
	if network, site := payload.speaker(); site != "" && (site != signer || network != v.Network) {
		return Signed[T]{}, fmt.Errorf("%w: %s signed it, and it speaks for %s of network %.16s…", ErrSignature, signer, site, network)
	}
	if untimely != nil {
		return Signed[T]{}, untimely
	}
	return Signed[T]{Payload: payload, Site: signer, Key: certs.Fingerprint(token.chain[0].PublicKey), JWS: jws}, nil
}

// malformed wraps ErrMalformed with the reason.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
