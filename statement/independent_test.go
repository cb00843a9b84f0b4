package statement

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var b64 = base64.RawURLEncoding

// taken is a statement taken apart with the standard library alone, by the letter of RFC 7515.
type taken struct {
	header, payload map[string]any
	input           string // signed bytes
	signature       []byte
	leaf, issuing   *x509.Certificate
}

func takeApart(t *testing.T, jws string) taken {
	t.Helper()
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	var out taken
	for n, into := range []any{&out.header, &out.payload} {
		data, err := b64.DecodeString(parts[n])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if out.signature, err = b64.DecodeString(parts[2]); err != nil {
		t.Fatal(err)
	}
	out.input = parts[0] + "." + parts[1]
	x5c := out.header["x5c"].([]any)
	for n, into := range []**x509.Certificate{&out.leaf, &out.issuing} {
		der, err := base64.StdEncoding.DecodeString(x5c[n].(string))
		if err != nil {
			t.Fatal(err)
		}
		if *into, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestVerifiedByHand verifies the receipt of the vectors without any code of ours or go-jose's.
func TestVerifiedByHand(t *testing.T) {
	got := takeApart(t, vector(t, "receipt.jws"))
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(vector(t, "root.pem"))) {
		t.Fatal("no root")
	}
	intermediates.AddCert(got.issuing)
	_, err := got.leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates,
		CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Fatal(err)
	}
	if got.leaf.URIs[0].String() != "urn:sealpost:site:"+got.payload["recipient"].(string) {
		t.Errorf("signed by %s, spoken for %s", got.leaf.URIs[0], got.payload["recipient"])
	}
	if got.header["alg"] != "ES256" || got.header["typ"] != "sealpost-receipt-v1" ||
		len(got.header) != 3 {
		t.Errorf("header %v", got.header)
	}
	digest := sha256.Sum256([]byte(got.input))
	r, s := new(big.Int).SetBytes(got.signature[:32]), new(big.Int).SetBytes(got.signature[32:])
	if !ecdsa.Verify(got.leaf.PublicKey.(*ecdsa.PublicKey), digest[:], r, s) {
		t.Error("the signature does not verify")
	}
	first := got.payload["messages"].([]any)[0].(map[string]any)
	if first["outcome"] != "delivered" || first["message_id"] != "FL-LAB_DAT_20260301_001" {
		t.Errorf("message %v", first)
	}
}

// TestVerifiedByOpenSSL verifies each vector's certificates and signature with the openssl command.
func TestVerifiedByOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	run := func(t *testing.T, dir string, args ...string) (string, error) {
		cmd := exec.Command(openssl, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, name := range []string{"envelope.jws", "receipt.jws", "recipient.jws"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			unpackForOpenSSL(t, dir, takeApart(t, vector(t, name)))
			out, err := run(t, dir, "verify", "-x509_strict", "-purpose", "sslclient", "-attime",
				strconv.FormatInt(now.Unix(), 10),
				"-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem")
			if err != nil || !strings.Contains(out, "leaf.pem: OK") {
				t.Errorf("chain: %v\n%s", err, out)
			}
			out, err = run(t, dir, "dgst", "-sha256", "-verify", "key.pem", "-signature",
				"signature.der", "input")
			if err != nil || !strings.Contains(out, "Verified OK") {
				t.Errorf("signature: %v\n%s", err, out)
			}
			write(t, dir, "input", []byte("something else"))
			if out, err = run(t, dir, "dgst", "-sha256", "-verify", "key.pem", "-signature",
				"signature.der", "input"); err == nil {
				t.Errorf("it verifies anything: %s", out)
			}
			expired := strconv.FormatInt(now.Add(365*24*time.Hour).Unix(), 10)
			if out, err = run(t, dir, "verify", "-attime", expired, "-CAfile", "root.pem",
				"-untrusted", "issuing.pem", "leaf.pem"); err == nil {
				t.Errorf("the certificate does not expire: %s", out)
			}
			if out, err = run(t, dir, "verify", "-purpose", "sslserver", "-attime",
				strconv.FormatInt(now.Unix(), 10),
				"-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem"); err == nil {
				t.Errorf("a site may be a server: %s", out)
			}
		})
	}
}

// unpackForOpenSSL writes the files that the openssl command wants; an ECDSA signature is a DER
// sequence there.
func unpackForOpenSSL(t *testing.T, dir string, got taken) {
	t.Helper()
	key, err := x509.MarshalPKIXPublicKey(got.leaf.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(got.signature[:32]),
		new(big.Int).SetBytes(got.signature[32:])})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "root.pem", []byte(vector(t, "root.pem")))
	write(t, dir, "issuing.pem",
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: got.issuing.Raw}))
	write(t, dir, "leaf.pem",
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: got.leaf.Raw}))
	write(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key}))
	write(t, dir, "signature.der", der)
	write(t, dir, "input", []byte(got.input))
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}
