package statement

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sealpost/certs"
	"sealpost/internal/id"
)

// update makes the vectors anew. They are fixed for ever: do that only for a new version of the
// format, in a folder of its own.
var update = flag.Bool("update", false, "make the vectors of testdata/v1 anew")

const vectors = "testdata/v1"

// updateRotation does the same for the vectors of testdata/rotation, which came later.
var updateRotation = flag.Bool("update-rotation", false, "make testdata/rotation anew")

const rotationVectors = "testdata/rotation"

// rotated returns the payload of a planned change of a recipient key.
func rotated(network id.Hash) RecipientKey {
	_, _, key := vectorSigned(network)
	key.PrevOpens = now.AddDate(0, 0, 14)
	return key
}

func TestMakeRotationVectors(t *testing.T) {
	if !*updateRotation {
		t.Skip("the vectors are fixed; -update-rotation makes new ones")
	}
	n := newNetwork(t)
	for name, content := range map[string]string{
		"root.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
			Bytes: n.Root().Raw})),
		"recipient.jws": mustSign(t, n.centre, rotated(n.Network())),
	} {
		if err := os.WriteFile(filepath.Join(rotationVectors, name), []byte(content),
			0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// vectorSigned returns the payloads of the vectors for the network that they name.
func vectorSigned(network id.Hash) (EnvelopeSignature, Receipt, RecipientKey) {
	uid := id.UID(digits[:32])
	return EnvelopeSignature{V: 1, Head: digits, Body: id.Hash(digits[32:] + digits[:32])},
		Receipt{V: 1, Network: network, Envelope: id.Envelope(digits[32:]), Sender: "FL-LAB",
			Recipient: "CA-RC", Time: now, Messages: []ReceiptMessage{
				{UID: uid, Message: "FL-LAB_DAT_20260301_001", Outcome: Delivered,
					Fingerprint: digits},
				{UID: id.UID(strings.Repeat("f", 32)), Message: "FL-LAB_DAT_20260301_002",
					Outcome: Refused, Code: CodeDigestMismatch},
			}},
		RecipientKey{V: 1, Network: network, Site: "CA-RC", Recipient: "age1" +
			strings.Repeat("q", 58), Version: 2, Created: now, Prev: digits}
}

func TestMakeVectors(t *testing.T) {
	if !*update {
		t.Skip("the vectors are fixed; -update makes new ones")
	}
	n := newNetwork(t)
	envelope, receipt, key := vectorSigned(n.Network())
	for name, content := range map[string]string{
		"root.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
			Bytes: n.Root().Raw})),
		"envelope.jws":  mustSign(t, n.lab, envelope),
		"receipt.jws":   mustSign(t, n.centre, receipt),
		"recipient.jws": mustSign(t, n.centre, key),
	} {
		if err := os.WriteFile(filepath.Join(vectors, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func vector(t testing.TB, name string) string {
	t.Helper()
	return vectorIn(t, vectors, name)
}

func vectorIn(t testing.TB, folder, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func vectorVerifier(t testing.TB, folder string) certs.Verifier {
	t.Helper()
	block, _ := pem.Decode([]byte(vectorIn(t, folder, "root.pem")))
	if block == nil {
		t.Fatal("root.pem is no PEM")
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certs.NewVerifier(root)
}

// TestVectors: a signed statement stays readable for ever.
func TestVectors(t *testing.T) {
	v := vectorVerifier(t, vectors)
	envelope, receipt, key := vectorSigned(v.Network)
	t.Run("envelope", func(t *testing.T) {
		expectVector(t, v, vector(t, "envelope.jws"), "FL-LAB", envelope)
	})
	t.Run("receipt", func(t *testing.T) {
		expectVector(t, v, vector(t, "receipt.jws"), "CA-RC", receipt)
	})
	t.Run("recipient key", func(t *testing.T) {
		expectVector(t, v, vector(t, "recipient.jws"), "CA-RC", key)
	})
	v = vectorVerifier(t, rotationVectors)
	t.Run("rotated key", func(t *testing.T) {
		expectVector(t, v, vectorIn(t, rotationVectors, "recipient.jws"), "CA-RC",
			rotated(v.Network))
	})
}

func expectVector[T Statement](t *testing.T, v certs.Verifier, jws string, site id.Site, want T) {
	t.Helper()
	got, err := Open[T](jws, v, now)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Payload, want) || got.Site != site {
		t.Errorf("%s says: %+v", got.Site, got.Payload)
	}
}

// TestFormIsExact: parse, then format, gives the same bytes.
func TestFormIsExact(t *testing.T) {
	for _, name := range []string{"envelope.jws", "receipt.jws", "recipient.jws"} {
		t.Run(name, func(t *testing.T) {
			parts := strings.Split(vector(t, name), ".")
			raw, err := decodeExact(b64, parts[0])
			if err != nil {
				t.Fatal(err)
			}
			var h header
			if err := json.Unmarshal(raw, &h); err != nil {
				t.Fatal(err)
			}
			if resigned := exactly(t, h); !bytes.Equal([]byte(resigned), raw) {
				t.Errorf("the header %s formats again as %s", raw, resigned)
			}
		})
	}
}

// FuzzOpen: a statement that opens under the vectors' root equals a vector, since their keys are
// deleted.
func FuzzOpen(f *testing.F) {
	v := vectorVerifier(f, vectors)
	said := map[string]bool{}
	for _, name := range []string{"envelope.jws", "receipt.jws", "recipient.jws"} {
		jws := vector(f, name)
		parts := strings.Split(jws, ".")
		said[parts[0]+"."+parts[1]] = true
		f.Add(jws)
		f.Add(parts[0] + ".." + parts[2])
		f.Add(parts[0] + "." + parts[1] + "=." + parts[2])
		f.Add(encode64(`{"alg":"none","typ":"sealpost-receipt-v1","x5c":[]}`) + "." + parts[1] +
			".")
	}
	f.Fuzz(func(t *testing.T, jws string) {
		fuzzOne[EnvelopeSignature](t, jws, v, said)
		fuzzOne[Receipt](t, jws, v, said)
		fuzzOne[RecipientKey](t, jws, v, said)
	})
}

func fuzzOne[T Statement](t *testing.T, jws string, v certs.Verifier, said map[string]bool) {
	got, err := Open[T](jws, v, now)
	if err == nil && (!said[jws[:strings.LastIndexByte(jws, '.')]] ||
		encode64(exactly(t, got.Payload)) != strings.Split(jws, ".")[1]) {
		t.Errorf("opened %q as %+v", jws, got.Payload)
	}
	known := errors.Is(err, ErrMalformed) || errors.Is(err, ErrSignature) ||
		errors.Is(err, certs.ErrUntrusted) || errors.Is(err, certs.ErrNotValidNow)
	if err != nil && !known {
		t.Errorf("an error outside the closed set: %v", err)
	}
}

// FuzzPayload gives any payload to the strict parser, which a fuzzer of whole statements hardly
// reaches.
func FuzzPayload(f *testing.F) {
	n := newNetwork(f)
	f.Add(exactly(f, n.receipt(2)))
	f.Add(exactly(f, n.key()))
	f.Add(exactly(f, EnvelopeSignature{V: 1, Head: digits, Body: digits}))
	receipt, key := headerOf(f, n.centre, "sealpost-receipt-v1"),
		headerOf(f, n.centre, "sealpost-recipient-v1")
	f.Fuzz(func(t *testing.T, payload string) {
		if got, err := Open[Receipt](craft(t, n.centre, receipt, payload), n.verifier,
			now); err == nil && exactly(t, got.Payload) != payload {
			t.Errorf("opened %q as %+v", payload, got.Payload)
		}
		if got, err := Open[RecipientKey](craft(t, n.centre, key, payload), n.verifier,
			now); err == nil && exactly(t, got.Payload) != payload {
			t.Errorf("opened %q as %+v", payload, got.Payload)
		}
	})
}

func BenchmarkOpenReceipt(b *testing.B) {
	n := newNetwork(b)
	for name, messages := range map[string]int{"1 message": 1, "256 messages": 256} {
		jws := mustSign(b, n.centre, n.receipt(messages))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Open[Receipt](jws, n.verifier, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSignReceipt(b *testing.B) {
	n := newNetwork(b)
	receipt := n.receipt(256)
	for b.Loop() {
		mustSign(b, n.centre, receipt)
	}
}
