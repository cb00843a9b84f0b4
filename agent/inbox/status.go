package inbox

import (
	"context"
	"maps"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
)

// Status is how the inbox stands, for people and machines.
type Status struct {
	Opening  int                    `json:"opening"`  // envelopes leased and not placed yet
	Released map[id.Envelope]string `json:"released"` // envelopes handed back since the start, or stuck, and why
	Refused  []Refused              `json:"refused"`  // envelopes refused, newest first; the detail never leaves this site
	Latest   []Message              `json:"latest"`   // the messages placed last, newest first
}

// Refused is an envelope that was refused for ever.
type Refused struct {
	Envelope id.Envelope `json:"envelope_id"`
	Sender   id.Site     `json:"sender_id"`
	Detail   string      `json:"detail"`
	Time     time.Time   `json:"time"`
}

// Message is one message in the inbox.
type Message struct {
	ID       id.Message `json:"message_id"`
	UID      id.UID     `json:"uid"`
	Sender   id.Site    `json:"sender_id"`
	Name     string     `json:"name"` // as the sender has it
	Path     string     `json:"path"` // relative to the inbox
	Size     int64      `json:"size"`
	Placed   bool       `json:"placed"`
	Sent     time.Time  `json:"sent_timestamp"`
	Received time.Time  `json:"received_time"`
}

// Status returns how the inbox stands, with the latest messages.
func (b *Inbox) Status(ctx context.Context, latest int) (Status, error) {
	s := Status{Released: map[id.Envelope]string{}}
	b.mu.Lock()
	s.Opening = len(b.held)
	maps.Copy(s.Released, b.trouble)
	b.mu.Unlock()
	return s, b.ledger.View(ctx, func(tx *ledger.Tx) error {
		refusals, err := tx.Refusals(latest)
		if err != nil {
			return err
		}
		for _, r := range refusals {
			s.Refused = append(s.Refused, Refused{Envelope: r.Envelope, Sender: r.Sender, Detail: r.Detail, Time: r.Time})
		}
		rows, err := tx.LatestReceived(latest)
		for _, r := range rows {
			s.Latest = append(s.Latest, describe(r))
		}
		return err
	})
}

// Messages returns what came under a message id.
func (b *Inbox) Messages(ctx context.Context, message id.Message) (list []Message, err error) {
	err = b.ledger.View(ctx, func(tx *ledger.Tx) error {
		rows, err := tx.ReceivedByID(message)
		for _, r := range rows {
			list = append(list, describe(r))
		}
		return err
	})
	return list, err
}

func describe(r ledger.Received) Message {
	return Message{ID: r.ID, UID: r.UID, Sender: r.Sender, Name: r.Name, Path: r.Path, Size: r.Size, Placed: r.Placed, Sent: r.Sent, Received: r.Time}
}
