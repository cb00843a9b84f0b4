package statement

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"sealpost/certs"
	"sealpost/internal/strictjson"
)

// header is the header of every statement. The order of its fields is that of the encoded bytes.
type header struct {
	Alg string   `json:"alg"`
	Typ string   `json:"typ"`
	X5C []string `json:"x5c"` // base64 of DER: leaf, issuing
}

const algorithm = jose.ES256

// token is a well-formed JWS with an unverified signature.
type token struct {
	jws     string
	payload []byte
	chain   []*x509.Certificate // leaf, issuing
}

// encode signs a payload in its exact form.
func encode(i *certs.Identity, typ string, chain []*x509.Certificate, payload any) (string, error) {
	return signExact(i, payload, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).
		WithHeader("x5c", encodeCertificates(chain)))
}

func signExact(key crypto.Signer, payload any, options *jose.SignerOptions) (string, error) {
	exact, err := strictjson.Marshal(payload)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm,
		Key: cryptosigner.Opaque(key)}, options)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(exact)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func encodeCertificates(chain []*x509.Certificate) []string {
	out := make([]string, len(chain))
	for n, c := range chain {
		out[n] = base64.StdEncoding.EncodeToString(c.Raw)
	}
	return out
}

// parse checks that jws has the exact form of a statement of type typ, and decodes its payload.
func parse(jws, typ string, maxSize int, payload any) (token, error) {
	raw, err := split(jws, maxSize)
	if err != nil {
		return token{}, err
	}
	chain, err := parseHeader(raw[0], typ)
	if err != nil {
		return token{}, err
	}
	if err := strictjson.Unmarshal(raw[1], payload); err != nil {
		return token{}, malformed("payload: %v", err)
	}
	return token{jws: jws, payload: raw[1], chain: chain}, nil
}

// split returns the header, the payload and the signature of a JWS, decoded.
func split(jws string, maxSize int) (raw [3][]byte, err error) {
	if len(jws) > maxSize {
		return raw, malformed("it has %d bytes, and %d are allowed", len(jws), maxSize)
	}
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return raw, malformed("want three parts joined by dots, found %d", len(parts))
	}
	for n, part := range parts {
		if raw[n], err = decodeExact(base64.RawURLEncoding, part); err != nil {
			return raw, malformed("part %d: %v", n+1, err)
		}
	}
	if len(raw[2]) != 64 {
		return raw, malformed("the signature has %d bytes, not 64", len(raw[2]))
	}
	return raw, nil
}

func parseHeader(raw []byte, typ string) ([]*x509.Certificate, error) {
	var h header
	if err := strictjson.Unmarshal(raw, &h); err != nil {
		return nil, malformed("header: %v", err)
	}
	switch {
	case h.Alg != string(algorithm):
		return nil, malformed("header: algorithm %.20q, not %s", h.Alg, algorithm)
	case h.Typ != typ:
		return nil, malformed("header: type %.40q, not %s", h.Typ, typ)
	case len(h.X5C) != 2:
		return nil, malformed("header: %d certificates, not 2", len(h.X5C))
	}
	chain := make([]*x509.Certificate, len(h.X5C))
	for n, text := range h.X5C {
		der, err := decodeExact(base64.StdEncoding, text)
		if err != nil {
			return nil, malformed("header: certificate %d: %v", n+1, err)
		}
		if chain[n], err = x509.ParseCertificate(der); err != nil {
			return nil, malformed("header: certificate %d: %v", n+1, err)
		}
	}
	return chain, nil
}

// decodeExact accepts only the spelling that the encoding itself would write. Go's decoders ignore
// line breaks, and without Strict also stray bits.
func decodeExact(encoding *base64.Encoding, text string) ([]byte, error) {
	data, err := encoding.Strict().DecodeString(text)
	if err != nil {
		return nil, err
	}
	if encoding.EncodeToString(data) != text {
		return nil, fmt.Errorf("base64 in another spelling than the exact one")
	}
	return data, nil
}

// verify checks the signature with the key of the leaf.
func (t token) verify() error { return verifyWith(t.chain[0].PublicKey, t.jws, t.payload) }

// verifyWith checks the signature of a JWS over its payload.
func verifyWith(key crypto.PublicKey, jws string, want []byte) error {
	signed, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return malformed("%v", err)
	}
	payload, err := signed.Verify(key)
	if err != nil || !bytes.Equal(payload, want) {
		return fmt.Errorf("%w: the signature does not fit", ErrSignature)
	}
	return nil
}
