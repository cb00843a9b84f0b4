package statement

import (
	"encoding/base64"
	"strings"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/strictjson"
)

// The outcomes of a message. Both are final.
const (
	Delivered = "delivered"
	Refused   = "refused"
)

const maxReceipt = 96 << 10 // bytes: 256 messages with the longest ids have about 82 KiB

const maxMessages = 256 // of one envelope

// Receipt holds the recipient's final outcome of every message of one envelope.
type Receipt struct {
	V         int              `json:"v"` // 1
	Network   id.Hash          `json:"network"`
	Envelope  id.Envelope      `json:"envelope_id"`
	Sender    id.Site          `json:"sender"`
	Recipient id.Site          `json:"recipient"` // the signer
	Time      time.Time        `json:"time"`      // UTC
	Messages  []ReceiptMessage `json:"messages"`
}

// ReceiptMessage is the outcome of one message: delivered with its fingerprint, or refused with a
// code.
type ReceiptMessage struct {
	UID         id.UID     `json:"uid"`
	Message     id.Message `json:"message_id"`
	Outcome     string     `json:"outcome"`
	Fingerprint id.Hash    `json:"fingerprint,omitempty"`
	Code        string     `json:"code,omitempty"` // one of Codes
}

func (Receipt) typ() string                   { return "sealpost-receipt-v1" }
func (Receipt) maxSize() int                  { return maxReceipt }
func (r Receipt) speaker() (id.Hash, id.Site) { return r.Network, r.Recipient }

// ReceiptTime returns the unverified time of a receipt, or the zero time if it has none.
func ReceiptTime(jws string) time.Time {
	_, rest, _ := strings.Cut(jws, ".")
	payload, _, _ := strings.Cut(rest, ".")
	exact, err := base64.RawURLEncoding.DecodeString(payload)
	var r Receipt
	if err != nil || strictjson.Unmarshal(exact, &r) != nil {
		return time.Time{}
	}
	return r.Time
}

func (r Receipt) validate() error {
	err := first(version(r.V), hash("network", r.Network), identity("envelope_id", r.Envelope),
		site("sender", r.Sender), site("recipient", r.Recipient), moment("time", r.Time))
	if err != nil {
		return err
	}
	if len(r.Messages) < 1 || len(r.Messages) > maxMessages {
		return malformed("messages: want 1 to %d, found %d", maxMessages, len(r.Messages))
	}
	uids := make(map[id.UID]bool, len(r.Messages))
	labels := make(map[id.Message]bool, len(r.Messages))
	for n, m := range r.Messages {
		if err := m.validate(); err != nil {
			return err
		}
		if uids[m.UID] || labels[m.Message] {
			return malformed("messages: number %d stands there twice", n+1)
		}
		uids[m.UID], labels[m.Message] = true, true
	}
	return nil
}

func (m ReceiptMessage) validate() error {
	if err := identity("uid", m.UID); err != nil {
		return err
	}
	if _, _, err := id.ParseMessage(string(m.Message)); err != nil {
		return malformed("message_id: %v", err)
	}
	switch {
	case m.Outcome == Delivered && m.Code == "":
		return hash("fingerprint", m.Fingerprint)
	case m.Outcome == Refused && m.Fingerprint == "" && Meaning(m.Code) != "":
		return nil
	}
	return malformed("outcome: want %s with a fingerprint, or %s with a known code", Delivered,
		Refused)
}
