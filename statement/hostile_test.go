package statement

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
)

func encode64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// TestHostileForms holds changes to a good statement that whoever carries it could make.
func TestHostileForms(t *testing.T) {
	n := newNetwork(t)
	good := mustSign(t, n.centre, n.receipt(1))
	p := strings.Split(good, ".")
	signature, err := base64.RawURLEncoding.DecodeString(p[2])
	if err != nil {
		t.Fatal(err)
	}
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	signed := func(raw []byte) string {
		return join(p[0], p[1], base64.RawURLEncoding.EncodeToString(raw))
	}
	last := string(
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[indexOf64(
			p[2][len(p[2])-1])|1])
	otherReceipt := strings.Split(mustSign(t, n.centre, n.receipt(2)), ".")
	for name, c := range map[string]struct {
		jws      string
		sentinel error
		word     string
	}{
		"empty":      {"", ErrMalformed, "three parts"},
		"one part":   {p[0], ErrMalformed, "three parts"},
		"two parts":  {join(p[0], p[1]), ErrMalformed, "three parts"},
		"four parts": {good + ".", ErrMalformed, "three parts"},
		"five parts": {join(p[0], p[1], p[2], p[0], p[1]), ErrMalformed,
			"three parts"},
		"detached payload": {join(p[0], "", p[2]), ErrMalformed, "payload"},
		"no signature":     {join(p[0], p[1], ""), ErrMalformed, "signature"},
		"JSON serialization": {`{"payload":"` + p[1] + `","protected":"` + p[0] +
			`","signature":"` + p[2] + `"}`, ErrMalformed, "three parts"},
		"a space before":          {" " + good, ErrMalformed, "part 1"},
		"a line break after":      {good + "\n", ErrMalformed, "part 3"},
		"a carriage return after": {good + "\r", ErrMalformed, "part 3"},
		"line breaks inside": {p[0][:64] + "\n" + p[0][64:] + "." + p[1] + "." + p[2],
			ErrMalformed, "part 1"},
		"padding":    {join(p[0], p[1], p[2]+"=="), ErrMalformed, "part 3"},
		"stray bits": {good[:len(good)-1] + last, ErrMalformed, "part 3"},
		"standard alphabet": {join(p[0], p[1], strings.Repeat("+", len(p[2]))), ErrMalformed,
			"part 3"},
		"short signature": {signed(signature[:63]), ErrMalformed, "63 bytes"},
		"long signature": {signed(append(bytes.Clone(signature), 0)), ErrMalformed,
			"65 bytes"},
		"zero signature": {signed(make([]byte, 64)), ErrSignature, "does not fit"},
		"signature of ones": {signed(bytes.Repeat([]byte{0xff}, 64)), ErrSignature,
			"does not fit"},
		"swapped halves": {signed(append(bytes.Clone(signature[32:]), signature[:32]...)),
			ErrSignature, "does not fit"},
		"another's signature": {join(p[0], p[1], otherReceipt[2]), ErrSignature,
			"does not fit"},
		"another's payload": {join(p[0], otherReceipt[1], p[2]), ErrSignature,
			"does not fit"},
		"a NUL": {good + "\x00", ErrMalformed, "part 3"},
		"too long": {good + strings.Repeat("A", maxReceipt), ErrMalformed,
			"are allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Open[Receipt](c.jws, n.verifier, now)
			wantError(t, err, c.sentinel, c.word)
			if got.JWS != "" || got.Site != "" || got.Payload.V != 0 {
				t.Error("refused, and yet it has content")
			}
		})
	}
}

func indexOf64(c byte) int {
	return strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", c)
}

// TestEveryBitCounts flips each bit of a statement.
func TestEveryBitCounts(t *testing.T) {
	n := newNetwork(t)
	good := mustSign(t, n.lab, EnvelopeSignature{V: 1, Head: digits, Body: digits})
	for k := range len(good) {
		spoiled := []byte(good)
		spoiled[k] ^= 1 << (k % 7)
		if _, err := Open[EnvelopeSignature](string(spoiled), n.verifier, now); err == nil {
			t.Errorf("bit %d of byte %d does not count", k%7, k)
		}
		if _, err := Open[EnvelopeSignature](good[:k], n.verifier, now); err == nil {
			t.Errorf("cut at byte %d it still opens", k)
		}
	}
}

// TestBytesIdentifyNothing: without the key, a valid signature can be turned into a second one.
// Hence payloads are compared.
func TestBytesIdentifyNothing(t *testing.T) {
	n := newNetwork(t)
	good := mustSign(t, n.centre, n.receipt(1))
	p := strings.Split(good, ".")
	signature, err := base64.RawURLEncoding.DecodeString(p[2])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(signature[32:]))
	s.FillBytes(signature[32:])
	twin := p[0] + "." + p[1] + "." + base64.RawURLEncoding.EncodeToString(signature)
	one, err := Open[Receipt](good, n.verifier, now)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Open[Receipt](twin, n.verifier, now)
	if err != nil {
		t.Fatal(err)
	}
	if one.JWS == two.JWS || exactly(t, one.Payload) != exactly(t, two.Payload) {
		t.Error("the twin says something else")
	}
}

// TestStatementsAreNotMistakenForEachOther opens each kind as each other kind.
func TestStatementsAreNotMistakenForEachOther(t *testing.T) {
	n := newNetwork(t)
	envelope := mustSign(t, n.centre, EnvelopeSignature{V: 1, Head: digits, Body: digits})
	receipt, key := mustSign(t, n.centre, n.receipt(1)), mustSign(t, n.centre, n.key())
	for name, open := range map[string]func() error{
		"receipt as envelope": func() error {
			_, err := Open[EnvelopeSignature](receipt, n.verifier, now)
			return err
		},
		"key as envelope": func() error {
			_, err := Open[EnvelopeSignature](key, n.verifier, now)
			return err
		},
		"envelope as receipt": func() error {
			_, err := Open[Receipt](envelope, n.verifier, now)
			return err
		},
		"key as receipt": func() error {
			_, err := Open[Receipt](key, n.verifier, now)
			return err
		},
		"envelope as key": func() error {
			_, err := Open[RecipientKey](envelope, n.verifier, now)
			return err
		},
		"receipt as key": func() error {
			_, err := Open[RecipientKey](receipt, n.verifier, now)
			return err
		},
		"receipt, own payload": func() error {
			_, err := Open[Receipt](receipt, n.verifier, now)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := open(); name == "receipt, own payload" {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				wantError(t, err, ErrMalformed, "type")
			}
		})
	}
}

// TestSizes: a statement other than a receipt has at most 16 KiB.
func TestSizes(t *testing.T) {
	n := newNetwork(t)
	jws := mustSign(t, n.lab, EnvelopeSignature{V: 1, Head: digits, Body: digits})
	padded := jws + strings.Repeat("A", maxStatement-len(jws)+1)
	_, err := Open[EnvelopeSignature](padded, n.verifier, now)
	wantError(t, err, ErrMalformed, "16384 are allowed")
	_, err = Open[EnvelopeSignature](padded[:maxStatement], n.verifier, now)
	wantError(t, err, ErrMalformed, "signature")
}
