package outbox

import (
	"context"
	"maps"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
)

// Status is how a tray stands, for people and machines.
type Status struct {
	Counts   map[ledger.State]int64 `json:"counts"`    // of messages that are not final
	Blocked  map[string]string      `json:"blocked"`   // addresses to which nothing is sent for now, and why
	NotTaken map[string]string      `json:"not_taken"` // entries of outbox/ that are left alone, and why; at most 100
	Uploads  []Upload               `json:"uploads"`   // large envelopes under way
	Latest   []Message              `json:"latest"`    // the messages claimed last, newest first
}

// Upload is how far a large envelope is.
type Upload struct {
	Envelope id.Envelope `json:"envelope_id"`
	Done     int64       `json:"done_bytes"`
	Size     int64       `json:"size_bytes"`
}

// Message is one message and where it stands with each recipient.
type Message struct {
	ID         id.Message   `json:"message_id"`
	UID        id.UID       `json:"uid"`
	Name       string       `json:"name"`
	Size       int64        `json:"size"`
	Address    string       `json:"address"`
	State      ledger.State `json:"state"`
	Filed      bool         `json:"filed"` // it lies in its final folder
	Reason     string       `json:"reason,omitempty"`
	Claimed    time.Time    `json:"claimed"`
	Finished   time.Time    `json:"finished,omitzero"`
	Envelope   id.Envelope  `json:"envelope_id,omitempty"`
	Recipients []Recipient  `json:"recipients,omitempty"`
}

// Recipient is what one recipient of a message has answered.
type Recipient struct {
	Site     id.Site   `json:"site"`
	Outcome  string    `json:"outcome,omitempty"`  // delivered, refused or dead; empty: none yet
	Code     string    `json:"code,omitempty"`     // of a refusal or a death
	Verified bool      `json:"verified,omitempty"` // its receipt is believed
	Doubt    string    `json:"doubt,omitempty"`    // why it is not
	Time     time.Time `json:"time,omitzero"`
}

// Status returns how the tray stands, with the latest messages.
func (o *Outbox) Status(ctx context.Context, latest int) (Status, error) {
	s := Status{Blocked: o.routes.blocked(), NotTaken: map[string]string{}}
	o.mu.Lock()
	maps.Copy(s.NotTaken, o.notes)
	for e, p := range o.progress {
		s.Uploads = append(s.Uploads, Upload{Envelope: e, Done: p.done.Load(), Size: p.size.Load()})
	}
	o.mu.Unlock()
	return s, o.view(ctx, func(tx *ledger.Tx) (err error) {
		if s.Counts, err = tx.Counts(); err != nil {
			return err
		}
		list, err := tx.Latest(latest)
		if err != nil {
			return err
		}
		for _, m := range list {
			line, err := describe(tx, m)
			if err != nil {
				return err
			}
			s.Latest = append(s.Latest, line)
		}
		return nil
	})
}

// Message returns one message by its message id or uid; ledger.ErrNotFound when there is none.
func (o *Outbox) Message(ctx context.Context, name string) (m Message, err error) {
	err = o.ledger.View(ctx, func(tx *ledger.Tx) error {
		row, err := tx.Message(name)
		if err != nil {
			return err
		}
		m, err = describe(tx, row)
		return err
	})
	return m, err
}

func describe(tx *ledger.Tx, row ledger.Outgoing) (Message, error) {
	m := Message{ID: row.ID, UID: row.UID, Name: row.Name, Size: row.Source.Size, Address: row.Address, State: row.State, Filed: row.Filed,
		Reason: row.Reason, Claimed: row.Claimed, Finished: row.Finished, Envelope: row.Envelope}
	if row.Envelope == "" {
		return m, nil
	}
	e, err := tx.Envelope(row.Envelope)
	if err != nil {
		return m, err
	}
	outcomes, err := tx.Outcomes(row.UID)
	if err != nil {
		return m, err
	}
	for _, r := range e.Recipients {
		line := Recipient{Site: r.Site, Verified: r.Believed, Doubt: r.Doubt}
		for _, c := range outcomes {
			if c.Site == r.Site {
				line.Outcome, line.Code, line.Time = c.Outcome, c.Code, c.Time
			}
		}
		m.Recipients = append(m.Recipients, line)
	}
	return m, nil
}
