package statement

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/strictjson"
)

// now is the time of most tests.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// network is an authority with two sites, FL-LAB and CA-RC.
type network struct {
	t testing.TB
	*certs.Authority
	verifier    certs.Verifier
	lab, centre *certs.Identity
}

func newNetwork(t testing.TB) network {
	t.Helper()
	root, err := certs.InitRoot(t.TempDir(), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	a, err := certs.InitAuthority(t.TempDir(), root, now)
	if err != nil {
		t.Fatal(err)
	}
	n := network{t: t, Authority: a, verifier: certs.NewVerifier(a.Root())}
	n.lab, n.centre = n.site("FL-LAB"), n.site("CA-RC")
	return n
}

func stranger(t testing.TB) *certs.Identity {
	t.Helper()
	dir := t.TempDir()
	i, err := certs.OpenIdentity(filepath.Join(dir, "identity.key"),
		filepath.Join(dir, "chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (n network) site(name id.Site) *certs.Identity {
	n.t.Helper()
	i := stranger(n.t)
	csr, err := i.CSR()
	if err != nil {
		n.t.Fatal(err)
	}
	chain, err := n.IssueSite(csr, name, now)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := i.SetChain(chain, n.Network(), now); err != nil {
		n.t.Fatal(err)
	}
	return i
}

func (n network) receipt(messages int) Receipt {
	r := Receipt{V: 1, Network: n.Network(), Envelope: id.Envelope(digits[:32]), Sender: "FL-LAB",
		Recipient: "CA-RC", Time: now}
	for k := range messages {
		r.Messages = append(r.Messages, ReceiptMessage{
			UID: id.UID(fmt.Sprintf("%032x", k)), Message: id.FormatMessage("FL-LAB", "DAT", now,
				int64(k+1)), Outcome: Delivered, Fingerprint: digits,
		})
	}
	return r
}

func (n network) key() RecipientKey {
	return RecipientKey{V: 1, Network: n.Network(), Site: "CA-RC", Recipient: "age1" +
		strings.Repeat("q", 58), Version: 1, Created: now}
}

const digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// craft signs any header and payload, right or wrong, as a compact JWS.
func craft(t testing.TB, i crypto.Signer, header, payload string) string {
	t.Helper()
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(payload))
	return input + "." + base64.RawURLEncoding.EncodeToString(rawSignature(t, i, input))
}

func rawSignature(t testing.TB, i crypto.Signer, input string) []byte {
	t.Helper()
	digest := sha256.Sum256([]byte(input))
	der, err := i.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		t.Fatal(err)
	}
	return append(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))...)
}

// headerOf is the exact header of a statement by i.
func headerOf(t testing.TB, i *certs.Identity, typ string) string {
	return exactly(t, header{Alg: "ES256", Typ: typ, X5C: encodeCertificates(i.Chain()[:2])})
}

func exactly(t testing.TB, v any) string {
	t.Helper()
	data, err := strictjson.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// wantError fails unless err is the sentinel, and only that one of all, and says the word.
func wantError(t *testing.T, err, sentinel error, word string) {
	t.Helper()
	for _, one := range []error{ErrMalformed, ErrSignature, certs.ErrUntrusted,
		certs.ErrNotValidNow} {
		if errors.Is(err, one) != (one == sentinel) {
			t.Fatalf("got error %v, want %v", err, sentinel)
		}
	}
	if !strings.Contains(err.Error(), word) {
		t.Errorf("error %q does not say %q", err, word)
	}
}

// mustSign signs a valid payload.
func mustSign[T Statement](t testing.TB, i *certs.Identity, payload T) string {
	t.Helper()
	jws, err := Sign(i, payload)
	if err != nil {
		t.Fatal(err)
	}
	return jws
}
