package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"

	"sealpost/internal/reason"
)

const maxChainFile = 32 << 10 // bytes: three certificates have about 2,500

// encodeChain writes certificates as PEM, in their order.
func encodeChain(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a bytes.Buffer never fails
	}
	return b.Bytes()
}

// parseChain reads exactly count certificates from PEM, without anything beside them.
func parseChain(data []byte, count int) ([]*x509.Certificate, error) {
	if len(data) > maxChainFile {
		return nil, reason.Err("chain-too-large", "limit", maxChainFile)
	}
	var certs []*x509.Certificate
	for rest := data; len(bytes.TrimSpace(rest)) > 0; {
		var der []byte
		var err error
		if der, rest, err = nextPEM(rest, "CERTIFICATE"); err != nil {
			return nil, err
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	if len(certs) != count {
		return nil, reason.Err("chain-length", "want", count, "found", len(certs))
	}
	return certs, nil
}

// readChain reads a file of exactly count certificates, or returns fs.ErrNotExist.
func readChain(path string, count int) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	certs, err := parseChain(data, count)
	if err != nil {
		return nil, reason.Err("certificate-file", "path", path, "why", err)
	}
	return certs, nil
}

// readCertificate reads a file of one certificate, or returns nil if there is no such file.
func readCertificate(path string) (*x509.Certificate, error) {
	certs, err := readChain(path, 1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

// nextPEM returns the block at the start of data; it must have the given type and no headers.
func nextPEM(data []byte, kind string) (der, rest []byte, err error) {
	data = bytes.TrimLeft(data, " \t\r\n")
	if !bytes.HasPrefix(data, []byte("-----BEGIN ")) {
		return nil, nil, reason.Err("pem-missing", "kind", kind)
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != kind || len(block.Headers) > 0 {
		return nil, nil, reason.Err("pem-other", "kind", kind)
	}
	return block.Bytes, rest, nil
}

// onePEM is nextPEM for data of exactly one block.
func onePEM(data []byte, kind string) ([]byte, error) {
	der, rest, err := nextPEM(data, kind)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, reason.Err("pem-followed", "kind", kind)
	}
	return der, nil
}
