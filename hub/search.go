package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// Bounds of a search.
const (
	mostLookedAt  = 2000 // records, for one answer
	mostOfMessage = 500  // deliveries that are shown of one message
)

// search reads records until there are enough that match, or enough were looked at.
func (h *Hub) search(ctx context.Context, in MessagesRequest) (out MessagesAnswer, err error) {
	q := spool.Query{Sender: in.Sender, Recipient: in.Recipient, Message: in.Message, UID: in.UID,
		From: in.From, To: in.To}
	out.Messages, out.Next = []spool.Record{}, in.After
	for looked := 0; ; {
		page := in.Max - len(out.Messages)
		records, next, err := h.spool.Find(ctx, q, out.Next, page)
		if err != nil {
			return out, fmt.Errorf("search the records: %w", err)
		}
		for _, r := range records {
			if in.matches(r) {
				out.Messages = append(out.Messages, r)
			}
		}
		out.Next = next
		looked += len(records)
		if next == 0 || len(records) < page || len(out.Messages) > in.Max*3/4 ||
			looked >= mostLookedAt {
			return out, nil
		}
	}
}

// matches reports whether a record has the state and the address that are asked for.
func (in MessagesRequest) matches(r spool.Record) bool {
	return (in.State == "" || in.State == r.State) &&
		(in.Address == "" || in.Address == r.Address)
}

// MessageRequest asks for one message. Its id names the sender.
type MessageRequest struct {
	Message id.Message `json:"message_id"`
}

// MessageAnswer is one message for each of its recipients, the newest envelope first.
type MessageAnswer struct {
	Deliveries []MessageDelivery `json:"deliveries"`
	More       bool              `json:"more,omitempty"` // there are older ones
}

// MessageDelivery is one message for one recipient.
type MessageDelivery struct {
	spool.Record
	Receipt string `json:"receipt,omitempty"` // the recipient's signed statement
	Because string `json:"because,omitempty"` // of a hold
}

// message returns the life of one message, with its receipts.
func (h *Hub) message(ctx context.Context, in MessageRequest) (out MessageAnswer, err error) {
	_, sender, err := id.ParseMessage(string(in.Message))
	if err != nil {
		return out, err
	}
	records, next, err := h.spool.Find(ctx, spool.Query{Sender: sender, Message: in.Message}, 0,
		mostOfMessage)
	if err != nil {
		return out, fmt.Errorf("search the records: %w", err)
	}
	if len(records) == 0 {
		return out, reason.Err("letter-no-message", "message", in.Message)
	}
	var envelopes []id.Envelope
	for _, r := range records {
		if !slices.Contains(envelopes, r.Envelope) {
			envelopes = append(envelopes, r.Envelope)
		}
	}
	known, err := h.spool.Known(ctx, sender, envelopes)
	if err != nil {
		return out, fmt.Errorf("read the receipts: %w", err)
	}
	out.More = next != 0
	for _, r := range records {
		d := MessageDelivery{Record: r}
		for _, k := range known {
			if k.Envelope == r.Envelope {
				d.add(k)
			}
		}
		out.Deliveries = append(out.Deliveries, d)
	}
	return out, nil
}

// add takes the receipt and the hold of a delivery from the state of its envelope.
func (d *MessageDelivery) add(k spool.Known) {
	for _, r := range k.Results {
		if r.Recipient == d.Recipient {
			d.Receipt = r.Receipt
		}
	}
	for _, held := range k.Held {
		if held.Recipient == d.Recipient {
			d.Because = held.Because
		}
	}
}

// PreviewRequest asks for the recipients of a routing key, now and after a change of one queue.
type PreviewRequest struct {
	Key    string   `json:"routing_key"`
	Sender id.Site  `json:"sender_id,omitempty"` // its own queue is left out
	Queue  string   `json:"queue,omitempty"`
	Bind   []string `json:"bind,omitempty"`
	Unbind []string `json:"unbind,omitempty"`
}

// PreviewAnswer lists the recipients of a routing key, by name.
type PreviewAnswer struct {
	Before []id.Site `json:"before"`
	After  []id.Site `json:"after"`
}

// preview returns the effect of bindings, and changes nothing.
func (h *Hub) preview(_ context.Context, in PreviewRequest) (PreviewAnswer, error) {
	if err := errors.Join(id.ValidRoutingKey(in.Key), validPatterns(in.Bind)); err != nil {
		return PreviewAnswer{}, err
	}
	out := PreviewAnswer{Before: []id.Site{}, After: []id.Site{}}
	t := h.dir.view()
	for _, q := range t.queues {
		if q.Site == in.Sender || !t.hasReceiver(q) {
			continue
		}
		if matchAny(q.Bindings, in.Key) {
			out.Before = append(out.Before, q.Site)
		}
		if q.Name == in.Queue {
			q.Bindings = slices.DeleteFunc(merge(q.Bindings, in.Bind), func(b string) bool {
				return slices.Contains(in.Unbind, b)
			})
		}
		if matchAny(q.Bindings, in.Key) {
			out.After = append(out.After, q.Site)
		}
	}
	slices.Sort(out.Before)
	slices.Sort(out.After)
	return out, nil
}
