package statement

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"sealpost/certs"
)

// TestHostileHeaders holds statements that are signed with the right key under a header that is not
// the exact one.
func TestHostileHeaders(t *testing.T) {
	n, other := newNetwork(t), newNetwork(t)
	payload := exactly(t, n.receipt(1))
	good := headerOf(t, n.centre, "sealpost-receipt-v1")
	x5c := encodeCertificates(n.centre.Chain())
	with := func(h header) string { return exactly(t, h) }
	spoil := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in the header", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	bad64 := func(change func(string) string) string {
		return with(header{"ES256", "sealpost-receipt-v1", []string{change(x5c[0]), x5c[1]}})
	}
	for name, c := range map[string]struct {
		header   string
		sentinel error
		word     string
	}{
		"no header":         {"", ErrMalformed, "header"},
		"empty object":      {"{}", ErrMalformed, "header"},
		"no JSON":           {"hello", ErrMalformed, "header"},
		"alg none":          {spoil(`"ES256"`, `"none"`), ErrMalformed, "algorithm"},
		"alg HS256":         {spoil(`"ES256"`, `"HS256"`), ErrMalformed, "algorithm"},
		"alg ES384":         {spoil(`"ES256"`, `"ES384"`), ErrMalformed, "algorithm"},
		"alg in lower case": {spoil(`"ES256"`, `"es256"`), ErrMalformed, "algorithm"},
		"alg twice": {spoil(`"alg":"ES256"`, `"alg":"none","alg":"ES256"`), ErrMalformed,
			"header"},
		"no alg": {spoil(`"alg":"ES256",`, ``), ErrMalformed, "header"},
		"another typ": {spoil("sealpost-receipt-v1", "sealpost-recipient-v1"),
			ErrMalformed, "type"},
		"typ of the next version": {spoil("sealpost-receipt-v1", "sealpost-receipt-v2"),
			ErrMalformed, "type"},
		"typ as a media type": {spoil("sealpost-receipt-v1",
			"application/sealpost-receipt-v1"), ErrMalformed, "type"},
		"typ in capitals": {spoil("sealpost-receipt-v1", "SEALPOST-RECEIPT-V1"),
			ErrMalformed, "type"},
		"no typ": {spoil(`"typ":"sealpost-receipt-v1",`, ``), ErrMalformed, "header"},
		"kid":    {spoil(`"typ"`, `"kid":"1","typ"`), ErrMalformed, "header"},
		"jwk":    {spoil(`"typ"`, `"jwk":{},"typ"`), ErrMalformed, "header"},
		"jku": {spoil(`"typ"`, `"jku":"https://example.org","typ"`), ErrMalformed,
			"header"},
		"x5u": {strings.TrimSuffix(good, "}") + `,"x5u":"https://example.org"}`,
			ErrMalformed, "header"},
		"x5t": {strings.TrimSuffix(good, "}") + `,"x5t":"AA"}`, ErrMalformed,
			"header"},
		"crit":      {spoil(`"alg"`, `"crit":["b64"],"alg"`), ErrMalformed, "header"},
		"b64 false": {spoil(`"alg"`, `"b64":false,"alg"`), ErrMalformed, "header"},
		"zip": {strings.TrimSuffix(good, "}") + `,"zip":"DEF"}`, ErrMalformed,
			"header"},
		"another order": {`{"typ":"sealpost-receipt-v1","alg":"ES256"` +
			good[strings.Index(good, `,"x5c"`):], ErrMalformed, "header"},
		"odd case":  {spoil(`"x5c"`, `"X5C"`), ErrMalformed, "header"},
		"a space":   {spoil(`"ES256",`, `"ES256", `), ErrMalformed, "header"},
		"an escape": {spoil(`"ES256"`, `"\u0045S256"`), ErrMalformed, "header"},
		"an escaped slash": {with(header{"ES256", "sealpost-receipt-v1", x5c[:2]})[:40] + `\/` +
			good[40:], ErrMalformed, "header"},
		"something after it": {good + "{}", ErrMalformed, "header"},
		"no x5c": {`{"alg":"ES256","typ":"sealpost-receipt-v1"}`, ErrMalformed,
			"header"},
		"x5c null": {with(header{"ES256", "sealpost-receipt-v1", nil}),
			ErrMalformed, "0 certificates"},
		"x5c empty": {with(header{"ES256", "sealpost-receipt-v1", []string{}}),
			ErrMalformed, "0 certificates"},
		"x5c a string": {`{"alg":"ES256","typ":"sealpost-receipt-v1","x5c":"` + x5c[0] + `"}`,
			ErrMalformed, "header"},
		"x5c of one": {with(header{"ES256", "sealpost-receipt-v1", x5c[:1]}),
			ErrMalformed, "1 certificates"},
		"x5c with the root": {with(header{"ES256", "sealpost-receipt-v1", x5c}),
			ErrMalformed, "3 certificates"},
		"x5c reversed": {with(header{"ES256", "sealpost-receipt-v1",
			[]string{x5c[1], x5c[0]}}), certs.ErrUntrusted, ""},
		"x5c in base64url": {bad64(func(s string) string {
			return strings.NewReplacer("+", "-", "/", "_").Replace(s) + "-_"
		}), ErrMalformed, "certificate 1"},
		"x5c with a line break": {bad64(func(s string) string {
			return s[:64] + "\n" + s[64:]
		}), ErrMalformed, "certificate 1"},
		"x5c with padding to much": {bad64(func(s string) string {
			return s + "="
		}), ErrMalformed, "certificate 1"},
		"x5c with bytes after DER": {bad64(func(s string) string {
			return base64.StdEncoding.EncodeToString(append(bytes.Clone(n.centre.Chain()[0].Raw),
				0))
		}), ErrMalformed, "certificate 1"},
		"x5c no certificate": {bad64(func(string) string {
			return "AAAA"
		}), ErrMalformed, "certificate 1"},
		"x5c empty certificate": {bad64(func(string) string {
			return ""
		}), ErrMalformed, "certificate 1"},
		"a foreign authority": {with(header{"ES256", "sealpost-receipt-v1",
			encodeCertificates(other.centre.Chain()[:2])}), certs.ErrUntrusted, ""},
		"a foreign issuing one": {with(header{"ES256", "sealpost-receipt-v1",
			[]string{x5c[0], encodeCertificates(other.centre.Chain())[1]}}), certs.ErrUntrusted,
			""},
		"somebody else's site": {headerOf(t, n.lab, "sealpost-receipt-v1"), ErrSignature,
			"does not fit"},
		"the root as a site": {with(header{"ES256", "sealpost-receipt-v1",
			[]string{x5c[2], x5c[1]}}), certs.ErrUntrusted, ""},
		"the root as issuing one": {with(header{"ES256", "sealpost-receipt-v1",
			[]string{x5c[0], x5c[2]}}), certs.ErrUntrusted, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open[Receipt](craft(t, n.centre, c.header, payload), n.verifier, now)
			wantError(t, err, c.sentinel, c.word)
		})
	}
	if _, err := Open[Receipt](craft(t, n.centre, good, payload), n.verifier, now); err != nil {
		t.Fatalf("the exact header: %v; the cases above prove nothing", err)
	}
}
