package statement

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
)

func roundTrip[T Statement](t *testing.T, n network, i *certs.Identity, payload T) {
	t.Helper()
	jws := mustSign(t, i, payload)
	got, err := Open[T](jws, n.verifier, now)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Payload, payload) || got.Site != i.Site() || got.Key != i.Key() ||
		got.JWS != jws {
		t.Errorf("opened %+v, signed %+v", got, payload)
	}
	parts := strings.Split(jws, ".")
	if want := headerOf(t, i, payload.typ()); parts[0] != encode64(want) {
		t.Errorf("header %s, want %s in base64url", parts[0], want)
	}
	if want := exactly(t, payload); parts[1] != encode64(want) {
		t.Errorf("payload %s, want %s in base64url", parts[1], want)
	}
}

func TestStatementsRoundTrip(t *testing.T) {
	n := newNetwork(t)
	mixed := n.receipt(3)
	mixed.Messages[1] = ReceiptMessage{UID: mixed.Messages[1].UID,
		Message: mixed.Messages[1].Message, Outcome: Refused, Code: CodeDigestMismatch}
	second := n.key()
	second.Version, second.Prev, second.Recipient = 2, n.key().Hash(),
		"age1pq1"+strings.Repeat("z", 1953)
	t.Run("envelope", func(t *testing.T) {
		roundTrip(t, n, n.lab, EnvelopeSignature{V: 1, Head: digits, Body: digits})
	})
	t.Run("receipt", func(t *testing.T) { roundTrip(t, n, n.centre, mixed) })
	t.Run("first key", func(t *testing.T) { roundTrip(t, n, n.centre, n.key()) })
	t.Run("second key", func(t *testing.T) { roundTrip(t, n, n.centre, second) })
	second.PrevOpens = now.Add(time.Hour)
	t.Run("overlap", func(t *testing.T) { roundTrip(t, n, n.centre, second) })
}

// TestAFullReceiptFits gives the reason for the limit: an envelope may hold 256 messages, and their
// receipt must fit.
func TestAFullReceiptFits(t *testing.T) {
	n := newNetwork(t)
	usual := n.receipt(maxMessages)
	t.Logf("256 messages with ids as usual: %d bytes", len(mustSign(t, n.centre, usual)))
	site := id.Site(strings.Repeat("S", 32))
	centre := n.site(site)
	longest := n.receipt(maxMessages)
	longest.Sender, longest.Recipient = site, site
	longest.Time = now.Add(123456789 * time.Nanosecond)
	for k := range longest.Messages {
		longest.Messages[k].Message = id.FormatMessage(site, "ABCDEFGH", now,
			999_999_999_999_999_000+int64(k))
	}
	jws := mustSign(t, centre, longest)
	t.Logf("256 messages with the longest ids: %d bytes", len(jws))
	if len(jws) > maxReceipt {
		t.Fatalf("%d bytes do not fit in %d", len(jws), maxReceipt)
	}
	if _, err := Open[Receipt](jws, n.verifier, now); err != nil {
		t.Error(err)
	}
}

func TestOpenTellsTimeApart(t *testing.T) {
	n := newNetwork(t)
	jws := mustSign(t, n.centre, n.receipt(1))
	for name, at := range map[string]time.Time{"after a year": now.AddDate(1, 0, 0),
		"the day before": now.AddDate(0, 0, -1)} {
		t.Run(name, func(t *testing.T) {
			got, err := Open[Receipt](jws, n.verifier, at)
			wantError(t, err, certs.ErrNotValidNow, "CA-RC")
			if got.Site != "" || got.Payload.V != 0 {
				t.Error("refused, and yet it has content")
			}
		})
	}
}

// TestTimeIsTheLastCheck: ErrNotValidNow is only returned for a statement that is right otherwise.
func TestTimeIsTheLastCheck(t *testing.T) {
	n := newNetwork(t)
	expired := now.AddDate(1, 0, 0)
	header, receipt := headerOf(t, n.centre, "sealpost-receipt-v1"), n.receipt(1)
	_, err := Open[Receipt](craft(t, n.lab, header, exactly(t, receipt)), n.verifier, expired)
	wantError(t, err, ErrSignature, "does not fit")
	receipt.Recipient = "NY-RC"
	_, err = Open[Receipt](craft(t, n.centre, header, exactly(t, receipt)), n.verifier, expired)
	wantError(t, err, ErrSignature, "NY-RC")
	_, err = Open[Receipt](mustSign(t, n.centre, n.receipt(1)), newNetwork(t).verifier, expired)
	wantError(t, err, certs.ErrUntrusted, "")
}

func TestRenewalKeepsOldStatements(t *testing.T) {
	n := newNetwork(t)
	before := mustSign(t, n.centre, n.key())
	csr, err := n.centre.CSR()
	if err != nil {
		t.Fatal(err)
	}
	chain, err := n.IssueSite(csr, "CA-RC", now.AddDate(0, 0, 60))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.centre.SetChain(chain, n.Network(), now.AddDate(0, 0, 60)); err != nil {
		t.Fatal(err)
	}
	after := mustSign(t, n.centre, n.key())
	one, err := Open[RecipientKey](before, n.verifier, now)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Open[RecipientKey](after, n.verifier, now.AddDate(0, 0, 100))
	if err != nil {
		t.Fatal(err)
	}
	if one.Key != two.Key || one.Payload != two.Payload {
		t.Error("renewal changed the key")
	}
}

func TestSignRefusesWhoCannotSpeak(t *testing.T) {
	n := newNetwork(t)
	hub := stranger(t)
	if err := n.IssueHub(hub, "DC-HQ", []string{"hub"}, now); err != nil {
		t.Fatal(err)
	}
	foreign := n.key()
	foreign.Network = digits
	for name, sign := range map[string]func() (string, error){
		"not enrolled": func() (string, error) { return Sign(stranger(t), n.key()) },
		"a hub": func() (string, error) {
			return Sign(hub, EnvelopeSignature{V: 1, Head: digits, Body: digits})
		},
		"another site":    func() (string, error) { return Sign(n.lab, n.key()) },
		"the sender":      func() (string, error) { return Sign(n.lab, n.receipt(1)) },
		"another network": func() (string, error) { return Sign(n.centre, foreign) },
	} {
		t.Run(name, func(t *testing.T) {
			if jws, err := sign(); err == nil || jws != "" ||
				!strings.HasPrefix(err.Error(), "sign: ") {
				t.Errorf("%q, %v", jws, err)
			}
		})
	}
}

func TestKeysAreChained(t *testing.T) {
	n := newNetwork(t)
	first := n.key()
	if len(first.Hash()) != 64 || first.Hash() != n.key().Hash() {
		t.Errorf("hash %q", first.Hash())
	}
	changed := first
	changed.Recipient = "age1" + strings.Repeat("p", 58)
	if changed.Hash() == first.Hash() {
		t.Error("another recipient has the same hash")
	}
	if got := first.Hash(); got != sum([]byte(exactly(t, first))) {
		t.Errorf("the hash is not that of the payload's bytes: %s", got)
	}
	if got := RecipientKeyHash(
		"age1abc"); got != "87a7f3079f95a7fcfdf1b17f3c952744a1bd73644208d26557e5808288b8dcee" {
		t.Error("RecipientKeyHash is not the SHA-256 of the string")
	}
}

func TestCodes(t *testing.T) {
	seen := map[string]bool{}
	step := 0
	for _, c := range Codes {
		if seen[c.Code] || c.Meaning == "" || c.Step < step || c.Step > 9 ||
			strings.Trim(c.Code, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("code %+v", c)
		}
		if Meaning(c.Code) != c.Meaning {
			t.Errorf("Meaning(%q) = %q", c.Code, Meaning(c.Code))
		}
		seen[c.Code], step = true, c.Step
	}
	for _, code := range []string{"", "Not-For-Me", "because", "recipient-removed"} {
		if Meaning(code) != "" {
			t.Errorf("%q has a meaning", code)
		}
	}
}
