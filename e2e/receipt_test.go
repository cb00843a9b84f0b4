//go:build linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
)

// receipt is a receipt as FORMAT describes it, read with nothing but the standard library.
type receipt struct {
	Network   string           `json:"network"`
	Envelope  string           `json:"envelope_id"`
	Sender    string           `json:"sender"`
	Recipient string           `json:"recipient"`
	Messages  []receiptMessage `json:"messages"`
	signer    string           // whom the certificate names
}

type receiptMessage struct {
	UID         string `json:"uid"`
	Message     string `json:"message_id"`
	Outcome     string `json:"outcome"`
	Fingerprint string `json:"fingerprint"`
}

// openReceipt verifies the signature of a receipt and the certificates that it brings along up to
// the network's root.
func (w *world) openReceipt(jws string) (*receipt, error) {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return nil, errors.New("not a compact JWS")
	}
	var header struct {
		Alg, Typ string
		X5c      [][]byte
	}
	var r receipt
	if err := errors.Join(decode(parts[0], &header), decode(parts[1], &r)); err != nil {
		return nil, err
	}
	if header.Alg != "ES256" || header.Typ != "sealpost-receipt-v1" || len(header.X5c) != 2 {
		return nil, fmt.Errorf("header %s", parts[0])
	}
	leaf, err := w.verifyChain(header.X5c[0], header.X5c[1])
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return nil, fmt.Errorf("signature of %d bytes (%v)", len(signature), err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	key, isECDSA := leaf.PublicKey.(*ecdsa.PublicKey)
	if !isECDSA || !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]),
		new(big.Int).SetBytes(signature[32:])) {
		return nil, errors.New("the signature is wrong")
	}
	r.signer = strings.TrimPrefix(leaf.URIs[0].String(), "urn:sealpost:site:")
	return &r, nil
}

func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (w *world) verifyChain(leafDER, issuingDER []byte) (*x509.Certificate, error) {
	text, err := os.ReadFile(filepath.Join(w.root, "root.pem"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	root, err1 := x509.ParseCertificate(block.Bytes)
	issuing, err2 := x509.ParseCertificate(issuingDER)
	leaf, err3 := x509.ParseCertificate(leafDER)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	if len(leaf.URIs) != 1 {
		return nil, fmt.Errorf("the certificate names %v", leaf.URIs)
	}
	return leaf, errors.Join(leaf.CheckSignatureFrom(issuing), issuing.CheckSignatureFrom(root))
}
