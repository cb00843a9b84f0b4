package statement

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
)

func encode64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// TestHostileHeaders holds statements that are signed with the right key under a header that is not the exact one.
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
		"no header":                {"", ErrMalformed, "header"},
		"empty object":             {"{}", ErrMalformed, "header"},
		"no JSON":                  {"hello", ErrMalformed, "header"},
		"alg none":                 {spoil(`"ES256"`, `"none"`), ErrMalformed, "algorithm"},
		"alg HS256":                {spoil(`"ES256"`, `"HS256"`), ErrMalformed, "algorithm"},
		"alg ES384":                {spoil(`"ES256"`, `"ES384"`), ErrMalformed, "algorithm"},
		"alg in lower case":        {spoil(`"ES256"`, `"es256"`), ErrMalformed, "algorithm"},
		"alg twice":                {spoil(`"alg":"ES256"`, `"alg":"none","alg":"ES256"`), ErrMalformed, "header"},
		"no alg":                   {spoil(`"alg":"ES256",`, ``), ErrMalformed, "header"},
		"another typ":              {spoil("sealpost-receipt-v1", "sealpost-recipient-v1"), ErrMalformed, "type"},
		"typ of the next version":  {spoil("sealpost-receipt-v1", "sealpost-receipt-v2"), ErrMalformed, "type"},
		"typ as a media type":      {spoil("sealpost-receipt-v1", "application/sealpost-receipt-v1"), ErrMalformed, "type"},
		"typ in capitals":          {spoil("sealpost-receipt-v1", "SEALPOST-RECEIPT-V1"), ErrMalformed, "type"},
		"no typ":                   {spoil(`"typ":"sealpost-receipt-v1",`, ``), ErrMalformed, "header"},
		"kid":                      {spoil(`"typ"`, `"kid":"1","typ"`), ErrMalformed, "header"},
		"jwk":                      {spoil(`"typ"`, `"jwk":{},"typ"`), ErrMalformed, "header"},
		"jku":                      {spoil(`"typ"`, `"jku":"https://example.org","typ"`), ErrMalformed, "header"},
		"x5u":                      {strings.TrimSuffix(good, "}") + `,"x5u":"https://example.org"}`, ErrMalformed, "header"},
		"x5t":                      {strings.TrimSuffix(good, "}") + `,"x5t":"AA"}`, ErrMalformed, "header"},
		"crit":                     {spoil(`"alg"`, `"crit":["b64"],"alg"`), ErrMalformed, "header"},
		"b64 false":                {spoil(`"alg"`, `"b64":false,"alg"`), ErrMalformed, "header"},
		"zip":                      {strings.TrimSuffix(good, "}") + `,"zip":"DEF"}`, ErrMalformed, "header"},
		"another order":            {`{"typ":"sealpost-receipt-v1","alg":"ES256"` + good[strings.Index(good, `,"x5c"`):], ErrMalformed, "header"},
		"odd case":                 {spoil(`"x5c"`, `"X5C"`), ErrMalformed, "header"},
		"a space":                  {spoil(`"ES256",`, `"ES256", `), ErrMalformed, "header"},
		"an escape":                {spoil(`"ES256"`, `"\u0045S256"`), ErrMalformed, "header"},
		"an escaped slash":         {with(header{"ES256", "sealpost-receipt-v1", x5c[:2]})[:40] + `\/` + good[40:], ErrMalformed, "header"},
		"something after it":       {good + "{}", ErrMalformed, "header"},
		"no x5c":                   {`{"alg":"ES256","typ":"sealpost-receipt-v1"}`, ErrMalformed, "header"},
		"x5c null":                 {with(header{"ES256", "sealpost-receipt-v1", nil}), ErrMalformed, "0 certificates"},
		"x5c empty":                {with(header{"ES256", "sealpost-receipt-v1", []string{}}), ErrMalformed, "0 certificates"},
		"x5c a string":             {`{"alg":"ES256","typ":"sealpost-receipt-v1","x5c":"` + x5c[0] + `"}`, ErrMalformed, "header"},
		"x5c of one":               {with(header{"ES256", "sealpost-receipt-v1", x5c[:1]}), ErrMalformed, "1 certificates"},
		"x5c with the root":        {with(header{"ES256", "sealpost-receipt-v1", x5c}), ErrMalformed, "3 certificates"},
		"x5c reversed":             {with(header{"ES256", "sealpost-receipt-v1", []string{x5c[1], x5c[0]}}), certs.ErrUntrusted, ""},
		"x5c in base64url":         {bad64(func(s string) string { return strings.NewReplacer("+", "-", "/", "_").Replace(s) + "-_" }), ErrMalformed, "certificate 1"},
		"x5c with a line break":    {bad64(func(s string) string { return s[:64] + "\n" + s[64:] }), ErrMalformed, "certificate 1"},
		"x5c with padding to much": {bad64(func(s string) string { return s + "=" }), ErrMalformed, "certificate 1"},
		"x5c with bytes after DER": {bad64(func(s string) string {
			return base64.StdEncoding.EncodeToString(append(bytes.Clone(n.centre.Chain()[0].Raw), 0))
		}), ErrMalformed, "certificate 1"},
		"x5c no certificate":      {bad64(func(string) string { return "AAAA" }), ErrMalformed, "certificate 1"},
		"x5c empty certificate":   {bad64(func(string) string { return "" }), ErrMalformed, "certificate 1"},
		"a foreign authority":     {with(header{"ES256", "sealpost-receipt-v1", encodeCertificates(other.centre.Chain()[:2])}), certs.ErrUntrusted, ""},
		"a foreign issuing one":   {with(header{"ES256", "sealpost-receipt-v1", []string{x5c[0], encodeCertificates(other.centre.Chain())[1]}}), certs.ErrUntrusted, ""},
		"somebody else's site":    {headerOf(t, n.lab, "sealpost-receipt-v1"), ErrSignature, "does not fit"},
		"the root as a site":      {with(header{"ES256", "sealpost-receipt-v1", []string{x5c[2], x5c[1]}}), certs.ErrUntrusted, ""},
		"the root as issuing one": {with(header{"ES256", "sealpost-receipt-v1", []string{x5c[0], x5c[2]}}), certs.ErrUntrusted, ""},
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
	signed := func(raw []byte) string { return join(p[0], p[1], base64.RawURLEncoding.EncodeToString(raw)) }
	last := string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[indexOf64(p[2][len(p[2])-1])|1])
	otherReceipt := strings.Split(mustSign(t, n.centre, n.receipt(2)), ".")
	for name, c := range map[string]struct {
		jws      string
		sentinel error
		word     string
	}{
		"empty":                   {"", ErrMalformed, "three parts"},
		"one part":                {p[0], ErrMalformed, "three parts"},
		"two parts":               {join(p[0], p[1]), ErrMalformed, "three parts"},
		"four parts":              {good + ".", ErrMalformed, "three parts"},
		"five parts":              {join(p[0], p[1], p[2], p[0], p[1]), ErrMalformed, "three parts"},
		"detached payload":        {join(p[0], "", p[2]), ErrMalformed, "payload"},
		"no signature":            {join(p[0], p[1], ""), ErrMalformed, "signature"},
		"JSON serialization":      {`{"payload":"` + p[1] + `","protected":"` + p[0] + `","signature":"` + p[2] + `"}`, ErrMalformed, "three parts"},
		"a space before":          {" " + good, ErrMalformed, "part 1"},
		"a line break after":      {good + "\n", ErrMalformed, "part 3"},
		"a carriage return after": {good + "\r", ErrMalformed, "part 3"},
		"line breaks inside":      {p[0][:64] + "\n" + p[0][64:] + "." + p[1] + "." + p[2], ErrMalformed, "part 1"},
		"padding":                 {join(p[0], p[1], p[2]+"=="), ErrMalformed, "part 3"},
		"stray bits":              {good[:len(good)-1] + last, ErrMalformed, "part 3"},
		"standard alphabet":       {join(p[0], p[1], strings.Repeat("+", len(p[2]))), ErrMalformed, "part 3"},
		"short signature":         {signed(signature[:63]), ErrMalformed, "63 bytes"},
		"long signature":          {signed(append(bytes.Clone(signature), 0)), ErrMalformed, "65 bytes"},
		"zero signature":          {signed(make([]byte, 64)), ErrSignature, "does not fit"},
		"signature of ones":       {signed(bytes.Repeat([]byte{0xff}, 64)), ErrSignature, "does not fit"},
		"swapped halves":          {signed(append(bytes.Clone(signature[32:]), signature[:32]...)), ErrSignature, "does not fit"},
		"another's signature":     {join(p[0], p[1], otherReceipt[2]), ErrSignature, "does not fit"},
		"another's payload":       {join(p[0], otherReceipt[1], p[2]), ErrSignature, "does not fit"},
		"a NUL":                   {good + "\x00", ErrMalformed, "part 3"},
		"too long":                {good + strings.Repeat("A", maxReceipt), ErrMalformed, "are allowed"},
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

// TestBytesIdentifyNothing: anybody can make a second valid signature from a first. That is why payloads are compared.
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
		"receipt as envelope":  func() error { _, err := Open[EnvelopeSignature](receipt, n.verifier, now); return err },
		"key as envelope":      func() error { _, err := Open[EnvelopeSignature](key, n.verifier, now); return err },
		"envelope as receipt":  func() error { _, err := Open[Receipt](envelope, n.verifier, now); return err },
		"key as receipt":       func() error { _, err := Open[Receipt](key, n.verifier, now); return err },
		"envelope as key":      func() error { _, err := Open[RecipientKey](envelope, n.verifier, now); return err },
		"receipt as key":       func() error { _, err := Open[RecipientKey](receipt, n.verifier, now); return err },
		"receipt, own payload": func() error { _, err := Open[Receipt](receipt, n.verifier, now); return err },
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

func TestASiteSpeaksForItselfOnly(t *testing.T) {
	n := newNetwork(t)
	receipt := n.receipt(1)
	_, err := Open[Receipt](craft(t, n.lab, headerOf(t, n.lab, "sealpost-receipt-v1"), exactly(t, receipt)), n.verifier, now)
	wantError(t, err, ErrSignature, "FL-LAB signed it, and it speaks for CA-RC")
	receipt.Network = digits
	_, err = Open[Receipt](craft(t, n.centre, headerOf(t, n.centre, "sealpost-receipt-v1"), exactly(t, receipt)), n.verifier, now)
	wantError(t, err, ErrSignature, "of network 0123456789abcdef")
	_, err = Open[RecipientKey](craft(t, n.lab, headerOf(t, n.lab, "sealpost-recipient-v1"), exactly(t, n.key())), n.verifier, now)
	wantError(t, err, ErrSignature, "FL-LAB signed it")
}

// TestSizes: what is not a receipt has 16 KiB at most.
func TestSizes(t *testing.T) {
	n := newNetwork(t)
	jws := mustSign(t, n.lab, EnvelopeSignature{V: 1, Head: digits, Body: digits})
	padded := jws + strings.Repeat("A", maxStatement-len(jws)+1)
	_, err := Open[EnvelopeSignature](padded, n.verifier, now)
	wantError(t, err, ErrMalformed, "16384 are allowed")
	_, err = Open[EnvelopeSignature](padded[:maxStatement], n.verifier, now)
	wantError(t, err, ErrMalformed, "signature")
}

// TestHostileReceipts spoils one field at a time. Neither will Sign sign it, nor Open take it when it was signed all the same.
func TestHostileReceipts(t *testing.T) {
	n := newNetwork(t)
	for name, c := range map[string]struct {
		spoil func(r *Receipt)
		word  string
	}{
		"version 0":                {func(r *Receipt) { r.V = 0 }, "v: want 1"},
		"version 2":                {func(r *Receipt) { r.V = 2 }, "newer sealpost"},
		"no network":               {func(r *Receipt) { r.Network = "" }, "network"},
		"upper-case network":       {func(r *Receipt) { r.Network = id.Hash(strings.ToUpper(digits)) }, "network"},
		"no envelope":              {func(r *Receipt) { r.Envelope = "" }, "envelope_id"},
		"long envelope":            {func(r *Receipt) { r.Envelope = digits }, "envelope_id"},
		"bad sender":               {func(r *Receipt) { r.Sender = "../x" }, "sender"},
		"no recipient":             {func(r *Receipt) { r.Recipient = "" }, "recipient"},
		"no time":                  {func(r *Receipt) { r.Time = time.Time{} }, "time"},
		"local time":               {func(r *Receipt) { r.Time = now.In(time.FixedZone("", 3600)) }, "UTC"},
		"no messages":              {func(r *Receipt) { r.Messages = nil }, "1 to 256"},
		"empty messages":           {func(r *Receipt) { r.Messages = []ReceiptMessage{} }, "1 to 256"},
		"257 messages":             {func(r *Receipt) { r.Messages = n.receipt(257).Messages }, "1 to 256"},
		"a message twice":          {func(r *Receipt) { r.Messages = append(r.Messages, r.Messages[0]) }, "twice"},
		"a uid twice":              {func(r *Receipt) { r.Messages[1].UID = r.Messages[0].UID }, "twice"},
		"a message id twice":       {func(r *Receipt) { r.Messages[1].Message = r.Messages[0].Message }, "twice"},
		"bad uid":                  {func(r *Receipt) { r.Messages[1].UID = "1" }, "uid"},
		"bad message id":           {func(r *Receipt) { r.Messages[0].Message = "a.csv" }, "message_id"},
		"no outcome":               {func(r *Receipt) { r.Messages[0].Outcome = "" }, "outcome"},
		"another outcome":          {func(r *Receipt) { r.Messages[0].Outcome = "seen" }, "outcome"},
		"capital outcome":          {func(r *Receipt) { r.Messages[0].Outcome = "Delivered" }, "outcome"},
		"delivered, no print":      {func(r *Receipt) { r.Messages[0].Fingerprint = "" }, "fingerprint"},
		"delivered, bad print":     {func(r *Receipt) { r.Messages[0].Fingerprint = "x" }, "fingerprint"},
		"delivered with a code":    {func(r *Receipt) { r.Messages[0].Code = CodeNotForMe }, "outcome"},
		"refused with a print":     {func(r *Receipt) { r.Messages[0].Outcome, r.Messages[0].Code = Refused, CodeNotForMe }, "outcome"},
		"refused without a code":   {func(r *Receipt) { r.Messages[0].Outcome, r.Messages[0].Fingerprint = Refused, "" }, "outcome"},
		"refused for free reasons": {func(r *Receipt) { r.Messages[0] = refused(r.Messages[0], "data.csv is ugly") }, "outcome"},
		"refused with a dead code": {func(r *Receipt) { r.Messages[0] = refused(r.Messages[0], "recipient-removed") }, "outcome"},
	} {
		t.Run(name, func(t *testing.T) {
			r := n.receipt(2)
			c.spoil(&r)
			_, err := Sign(n.centre, r)
			wantError(t, err, ErrMalformed, c.word)
			jws := craft(t, n.centre, headerOf(t, n.centre, "sealpost-receipt-v1"), exactly(t, r))
			_, err = Open[Receipt](jws, n.verifier, now)
			wantError(t, err, ErrMalformed, c.word)
		})
	}
}

func refused(m ReceiptMessage, code string) ReceiptMessage {
	return ReceiptMessage{UID: m.UID, Message: m.Message, Outcome: Refused, Code: code}
}

// TestForgottenUTC: on a computer that keeps UTC a local time looks right, and is refused all the same.
func TestForgottenUTC(t *testing.T) {
	n := newNetwork(t)
	r := n.receipt(1)
	r.Time = time.Now()
	_, err := Sign(n.centre, r)
	wantError(t, err, ErrMalformed, "UTC")
}

// TestHostileKeys is TestHostileReceipts for recipient keys.
func TestHostileKeys(t *testing.T) {
	n := newNetwork(t)
	for name, c := range map[string]struct {
		spoil func(k *RecipientKey)
		word  string
	}{
		"version 2 of the format": {func(k *RecipientKey) { k.V = 2 }, "v: want 1"},
		"no network":              {func(k *RecipientKey) { k.Network = "" }, "network"},
		"bad site":                {func(k *RecipientKey) { k.Site = "ca-rc" }, "site"},
		"no time":                 {func(k *RecipientKey) { k.Created = time.Time{} }, "created"},
		"version 0":               {func(k *RecipientKey) { k.Version = 0 }, "version"},
		"version -1":              {func(k *RecipientKey) { k.Version = -1 }, "version"},
		"first with predecessor":  {func(k *RecipientKey) { k.Prev = digits }, "prev"},
		"second without":          {func(k *RecipientKey) { k.Version = 2 }, "prev"},
		"second with half a hash": {func(k *RecipientKey) { k.Version, k.Prev = 2, "0123456789abcdef" }, "prev"},
		"no recipient":            {func(k *RecipientKey) { k.Recipient = "" }, "age1"},
		"short recipient":         {func(k *RecipientKey) { k.Recipient = "age1qqqq" }, "age1"},
		"an SSH key":              {func(k *RecipientKey) { k.Recipient = "ssh-ed25519 AAAA" }, "age1"},
		"an age identity":         {func(k *RecipientKey) { k.Recipient = "AGE-SECRET-KEY-1" + strings.Repeat("Q", 58) }, "age1"},
		"a plugin":                {func(k *RecipientKey) { k.Recipient = "age1yubikey1" + strings.Repeat("q", 58) }, "age1"},
		"capitals":                {func(k *RecipientKey) { k.Recipient = strings.ToUpper(k.Recipient) }, "age1"},
		"two lines":               {func(k *RecipientKey) { k.Recipient += "\n" + k.Recipient }, "age1"},
		"a line break after":      {func(k *RecipientKey) { k.Recipient += "\n" }, "age1"},
		"too long":                {func(k *RecipientKey) { k.Recipient = "age1" + strings.Repeat("q", maxRecipient) }, "age1"},
	} {
		t.Run(name, func(t *testing.T) {
			k := n.key()
			c.spoil(&k)
			_, err := Sign(n.centre, k)
			wantError(t, err, ErrMalformed, c.word)
			jws := craft(t, n.centre, headerOf(t, n.centre, "sealpost-recipient-v1"), exactly(t, k))
			_, err = Open[RecipientKey](jws, n.verifier, now)
			wantError(t, err, ErrMalformed, c.word)
		})
	}
}

// TestHostilePayloads holds payloads that are not in their exact form.
func TestHostilePayloads(t *testing.T) {
	n := newNetwork(t)
	header := headerOf(t, n.lab, "sealpost-envelope-v1")
	for name, payload := range map[string]string{
		"empty":         ``,
		"null":          `null`,
		"no hashes":     `{"v":1}`,
		"bad head":      `{"v":1,"head":"","body":"` + digits + `"}`,
		"bad body":      `{"v":1,"head":"` + digits + `","body":"x"}`,
		"version 2":     `{"v":2,"head":"` + digits + `","body":"` + digits + `"}`,
		"unknown key":   `{"v":1,"head":"` + digits + `","body":"` + digits + `","x":0}`,
		"key twice":     `{"v":1,"head":"` + digits + `","head":"` + digits + `","body":"` + digits + `"}`,
		"a space":       `{"v":1,"head":"` + digits + `", "body":"` + digits + `"}`,
		"another order": `{"v":1,"body":"` + digits + `","head":"` + digits + `"}`,
		"odd case":      `{"V":1,"head":"` + digits + `","body":"` + digits + `"}`,
		"after it":      `{"v":1,"head":"` + digits + `","body":"` + digits + `"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open[EnvelopeSignature](craft(t, n.lab, header, payload), n.verifier, now)
			wantError(t, err, ErrMalformed, "")
		})
	}
}
