package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"sealpost/internal/reason"
)

// signatureKind is the type of the PEM block with the signature of a text.
const signatureKind = "SEALPOST SIGNATURE"

// SignedText is a text with the certificates and the signature that stand below it.
type SignedText struct {
	Text []byte

	chain     []*x509.Certificate // leaf and issuing
	signature []byte              // ECDSA in ASN.1 over the SHA-256 of Text
}

// SignText returns the text with the certificates and the signature of i below it, all printable.
// The text ends with a line feed. Its first line states its purpose, and so the signature fits
// nothing else: neither a handshake nor a statement begins with such a line.
func (i *Identity) SignText(text []byte) ([]byte, error) {
	c := i.chain.Load()
	switch {
	case c == nil:
		return nil, errors.New("sign a text: there is no certificate")
	case !bytes.HasPrefix(text, []byte("# sealpost ")) || !bytes.HasSuffix(text, []byte("\n")) ||
		bytes.Contains(text, []byte("-----BEGIN ")):
		return nil, errors.New("sign a text: want lines from \"# sealpost \" on, without PEM")
	}
	digest := sha256.Sum256(text)
	signature, err := i.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return SignedText{Text: text, chain: c.certs[:2], signature: signature}.encode(), nil
}

func (t SignedText) encode() []byte {
	var b bytes.Buffer
	b.Write(t.Text)
	b.Write(encodeChain(t.chain...))
	// a bytes.Buffer never fails
	pem.Encode(&b, &pem.Block{Type: signatureKind, Bytes: t.signature})
	return b.Bytes()
}

// ParseSignedText splits a signed text, strictly. It verifies nothing: the text is untrusted until
// Verifier.HubText has returned nil.
func ParseSignedText(data []byte) (SignedText, error) {
	at := bytes.Index(data, []byte("-----BEGIN "))
	if at < 0 {
		return SignedText{}, reason.Err("text-unsigned")
	}
	t, rest := SignedText{Text: data[:at]}, data[at:]
	for range 2 {
		der, next, err := nextPEM(rest, "CERTIFICATE")
		if err != nil {
			return SignedText{}, err
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return SignedText{}, err
		}
		t.chain, rest = append(t.chain, cert), next
	}
	var err error
	if t.signature, err = onePEM(rest, signatureKind); err != nil {
		return SignedText{}, err
	}
	if !bytes.Equal(t.encode(), data) {
		return SignedText{}, reason.Err("text-odd")
	}
	return t, nil
}

// HubText returns nil if a hub of this network has signed the text, under any name. Its certificate
// must have been valid at the given time, which the text itself states.
func (v Verifier) HubText(t SignedText, at time.Time) error {
	if len(t.chain) != 2 {
		return untrusted(reason.Err("text-uncertified"))
	}
	if err := v.hub(t.chain, at); err != nil {
		return err
	}
	digest := sha256.Sum256(t.Text)
	key := t.chain[0].PublicKey.(*ecdsa.PublicKey) // the profile of a hub has no other
	if !ecdsa.VerifyASN1(key, digest[:], t.signature) {
		return untrusted(reason.Err("text-changed"))
	}
	return nil
}
