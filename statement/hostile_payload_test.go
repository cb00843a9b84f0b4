package statement

import (
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
)

func TestASiteSpeaksForItselfOnly(t *testing.T) {
	n := newNetwork(t)
	receipt := n.receipt(1)
	_, err := Open[Receipt](craft(t, n.lab, headerOf(t, n.lab, "sealpost-receipt-v1"),
		exactly(t, receipt)), n.verifier, now)
	wantError(t, err, ErrSignature, "FL-LAB signed it, and it speaks for CA-RC")
	receipt.Network = digits
	_, err = Open[Receipt](craft(t, n.centre, headerOf(t, n.centre, "sealpost-receipt-v1"),
		exactly(t, receipt)), n.verifier, now)
	wantError(t, err, ErrSignature, "of network 0123456789abcdef")
	_, err = Open[RecipientKey](craft(t, n.lab, headerOf(t, n.lab, "sealpost-recipient-v1"),
		exactly(t, n.key())), n.verifier, now)
	wantError(t, err, ErrSignature, "FL-LAB signed it")
}

// TestHostileReceipts spoils one field at a time. Neither will Sign sign it, nor Open take it when
// it was signed all the same.
func TestHostileReceipts(t *testing.T) {
	n := newNetwork(t)
	for name, c := range map[string]struct {
		spoil func(r *Receipt)
		word  string
	}{
		"version 0":  {func(r *Receipt) { r.V = 0 }, "v: want 1"},
		"version 2":  {func(r *Receipt) { r.V = 2 }, "newer sealpost"},
		"no network": {func(r *Receipt) { r.Network = "" }, "network"},
		"upper-case network": {func(r *Receipt) {
			r.Network = id.Hash(strings.ToUpper(digits))
		}, "network"},
		"no envelope":   {func(r *Receipt) { r.Envelope = "" }, "envelope_id"},
		"long envelope": {func(r *Receipt) { r.Envelope = digits }, "envelope_id"},
		"bad sender":    {func(r *Receipt) { r.Sender = "../x" }, "sender"},
		"no recipient":  {func(r *Receipt) { r.Recipient = "" }, "recipient"},
		"no time":       {func(r *Receipt) { r.Time = time.Time{} }, "time"},
		"local time": {func(r *Receipt) {
			r.Time = now.In(time.FixedZone("", 3600))
		}, "UTC"},
		"no messages": {func(r *Receipt) { r.Messages = nil }, "1 to 256"},
		"empty messages": {func(r *Receipt) {
			r.Messages = []ReceiptMessage{}
		}, "1 to 256"},
		"257 messages": {func(r *Receipt) {
			r.Messages = n.receipt(257).Messages
		}, "1 to 256"},
		"a message twice": {func(r *Receipt) {
			r.Messages = append(r.Messages, r.Messages[0])
		}, "twice"},
		"a uid twice": {func(r *Receipt) {
			r.Messages[1].UID = r.Messages[0].UID
		}, "twice"},
		"a message id twice": {func(r *Receipt) {
			r.Messages[1].Message = r.Messages[0].Message
		}, "twice"},
		"bad uid": {func(r *Receipt) { r.Messages[1].UID = "1" }, "uid"},
		"bad message id": {func(r *Receipt) {
			r.Messages[0].Message = "a.csv"
		}, "message_id"},
		"no outcome": {func(r *Receipt) { r.Messages[0].Outcome = "" }, "outcome"},
		"another outcome": {func(r *Receipt) {
			r.Messages[0].Outcome = "seen"
		}, "outcome"},
		"capital outcome": {func(r *Receipt) {
			r.Messages[0].Outcome = "Delivered"
		}, "outcome"},
		"delivered, no print": {func(r *Receipt) {
			r.Messages[0].Fingerprint = ""
		}, "fingerprint"},
		"delivered, bad print": {func(r *Receipt) {
			r.Messages[0].Fingerprint = "x"
		}, "fingerprint"},
		"delivered with a code": {func(r *Receipt) {
			r.Messages[0].Code = CodeNotForMe
		}, "outcome"},
		"refused with a print": {func(r *Receipt) {
			r.Messages[0].Outcome, r.Messages[0].Code = Refused, CodeNotForMe
		}, "outcome"},
		"refused without a code": {func(r *Receipt) {
			r.Messages[0].Outcome, r.Messages[0].Fingerprint = Refused, ""
		}, "outcome"},
		"refused for free reasons": {func(r *Receipt) {
			r.Messages[0] = refused(r.Messages[0], "data.csv is ugly")
		}, "outcome"},
		"refused with a dead code": {func(r *Receipt) {
			r.Messages[0] = refused(r.Messages[0], "recipient-removed")
		}, "outcome"},
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

// TestForgottenUTC: on a computer that keeps UTC a local time looks right, and is refused all the
// same.
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
		"second with half a hash": {func(k *RecipientKey) {
			k.Version, k.Prev = 2, "0123456789abcdef"
		}, "prev"},
		"first that overlaps": {func(k *RecipientKey) { k.PrevOpens = now }, "prev_opens"},
		"overlap long ago": {func(k *RecipientKey) {
			k.Version, k.Prev, k.PrevOpens = 2, digits, now.AddDate(-100, 0, 0)
		}, "prev_opens"},
		"no recipient":    {func(k *RecipientKey) { k.Recipient = "" }, "age1"},
		"short recipient": {func(k *RecipientKey) { k.Recipient = "age1qqqq" }, "age1"},
		"an SSH key": {func(k *RecipientKey) {
			k.Recipient = "ssh-ed25519 AAAA"
		}, "age1"},
		"an age identity": {func(k *RecipientKey) {
			k.Recipient = "AGE-SECRET-KEY-1" + strings.Repeat("Q", 58)
		}, "age1"},
		"a plugin": {func(k *RecipientKey) {
			k.Recipient = "age1yubikey1" + strings.Repeat("q", 58)
		}, "age1"},
		"capitals": {func(k *RecipientKey) {
			k.Recipient = strings.ToUpper(k.Recipient)
		}, "age1"},
		"two lines": {func(k *RecipientKey) {
			k.Recipient += "\n" + k.Recipient
		}, "age1"},
		"a line break after": {func(k *RecipientKey) { k.Recipient += "\n" }, "age1"},
		"too long": {func(k *RecipientKey) {
			k.Recipient = "age1" + strings.Repeat("q", maxRecipient)
		}, "age1"},
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
		"empty":       ``,
		"null":        `null`,
		"no hashes":   `{"v":1}`,
		"bad head":    `{"v":1,"head":"","body":"` + digits + `"}`,
		"bad body":    `{"v":1,"head":"` + digits + `","body":"x"}`,
		"version 2":   `{"v":2,"head":"` + digits + `","body":"` + digits + `"}`,
		"unknown key": `{"v":1,"head":"` + digits + `","body":"` + digits + `","x":0}`,
		"key twice": `{"v":1,"head":"` + digits + `","head":"` + digits + `","body":"` +
			digits + `"}`,
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
