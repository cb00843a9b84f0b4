package envelope

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/strictjson"
)

// Head is the exact message.json: the sender's description of an envelope.
type Head struct {
	V        int         `json:"v"`
	Network  id.Hash     `json:"network"`
	Envelope id.Envelope `json:"envelope_id"`
	Sender   id.Site     `json:"sender_id"`
	id.Address
	Recipients []HeadRecipient `json:"recipients"` // in the order of their sites
	Messages   []HeadMessage   `json:"messages"`
}

// HeadRecipient is a site and its recipient key.
type HeadRecipient struct {
	Site id.Site `json:"site"`
	Key  id.Hash `json:"key"` // SHA-256 of the recipient string
}

// HeadMessage is one message.
type HeadMessage struct {
	ID             id.Message     `json:"message_id"`
	UID            id.UID         `json:"uid"`
	Sender         id.Site        `json:"sender_id"`
	Sent           time.Time      `json:"sent_timestamp"`
	Content        HeadContent    `json:"content"`
	FingerprintKey FingerprintKey `json:"fingerprint_key"`
}

// HeadContent is the name of a message and its type.
type HeadContent struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// FingerprintKey keys the fingerprint of one message. In JSON it is base64url without padding.
type FingerprintKey [32]byte

// MarshalText implements encoding.TextMarshaler.
func (k FingerprintKey) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, k[:]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *FingerprintKey) UnmarshalText(text []byte) error {
	raw, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return err
	}
	if len(raw) != len(k) {
		return fmt.Errorf("a fingerprint key of %d bytes", len(raw))
	}
	copy(k[:], raw)
	return nil
}

// ParseHead reads message.json. It accepts exactly the output of Format: no unknown, repeated,
// reordered or differently spelled field, and every field well formed.
func ParseHead(data []byte) (Head, error) {
	var h Head
	if len(data) > maxHead {
		return h, fmt.Errorf("message.json has %d bytes, more than %d", len(data), maxHead)
	}
	if err := strictjson.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("message.json: %w", err)
	}
	if err := h.Validate(); err != nil {
		return h, fmt.Errorf("message.json: %w", err)
	}
	return h, nil
}

// Format writes message.json.
func (h Head) Format() ([]byte, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	data, err := strictjson.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(data) > maxHead {
		return nil, fmt.Errorf("%w: message.json would have %d bytes, more than %d", ErrTooLarge,
			len(data), maxHead)
	}
	return data, nil
}

// Validate checks that every field is well formed, and that none is repeated.
func (h Head) Validate() error {
	if h.V != formatVersion {
		return fmt.Errorf("version %d is not %d", h.V, formatVersion)
	}
	if _, err := id.ParseHash(string(h.Network)); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if _, err := id.Parse128[id.Envelope](string(h.Envelope)); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	if _, err := id.ParseSite(string(h.Sender)); err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	if err := h.Address.Validate(); err != nil {
		return err
	}
	if err := validRecipients(h.Recipients); err != nil {
		return err
	}
	return h.validMessages()
}

func validRecipients(recipients []HeadRecipient) error {
	if len(recipients) == 0 || len(recipients) > MaxRecipients {
		return fmt.Errorf("%d recipients: want 1 to %d", len(recipients), MaxRecipients)
	}
	keys := make(map[id.Hash]bool, len(recipients))
	for i, r := range recipients {
		if _, err := id.ParseSite(string(r.Site)); err != nil {
			return fmt.Errorf("recipient: %w", err)
		}
		if _, err := id.ParseHash(string(r.Key)); err != nil {
			return fmt.Errorf("recipient %s: %w", r.Site, err)
		}
		if i > 0 && recipients[i-1].Site >= r.Site {
			return fmt.Errorf("recipient %s stands after %s", r.Site, recipients[i-1].Site)
		}
		if keys[r.Key] {
			return fmt.Errorf("recipient %s has the key of another", r.Site)
		}
		keys[r.Key] = true
	}
	return nil
}

func (h Head) validMessages() error {
	if len(h.Messages) == 0 || len(h.Messages) > MaxMessages {
		return fmt.Errorf("%d messages: want 1 to %d", len(h.Messages), MaxMessages)
	}
	ids := make(map[id.Message]bool, len(h.Messages))
	uids := make(map[id.UID]bool, len(h.Messages))
	for _, m := range h.Messages {
		if err := m.validate(h.Sender); err != nil {
			return err
		}
		if ids[m.ID] || uids[m.UID] {
			return fmt.Errorf("message %s stands twice", m.ID)
		}
		ids[m.ID], uids[m.UID] = true, true
		if len(h.Messages) > 1 && m.Content.Type != TypeFile {
			return fmt.Errorf("message %s is a folder and not alone", m.ID)
		}
	}
	return nil
}

func (m HeadMessage) validate(sender id.Site) error {
	_, site, err := id.ParseMessage(string(m.ID))
	if err != nil {
		return err
	}
	if site != sender || m.Sender != sender {
		return fmt.Errorf("message %s is not of %s", m.ID, sender)
	}
	if _, err := id.Parse128[id.UID](string(m.UID)); err != nil {
		return fmt.Errorf("message %s: %w", m.ID, err)
	}
	if _, offset := m.Sent.Zone(); offset != 0 {
		return fmt.Errorf("message %s: its time is not UTC", m.ID)
	}
	if m.Sent.IsZero() {
		return fmt.Errorf("message %s has no time", m.ID)
	}
	if m.Content.Type != TypeFile && m.Content.Type != TypeFolder {
		return fmt.Errorf("message %s is neither a file nor a folder", m.ID)
	}
	if m.FingerprintKey == (FingerprintKey{}) {
		return errors.New("the fingerprint key is all zeros")
	}
	return ValidName(m.Content.Name)
}
