package inbox

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Status is the state of the inbox, for users and programs.
type Status struct {
	Opening   int        `json:"opening"`   // envelopes leased and not yet placed
	Downloads []Download `json:"downloads"` // large envelopes under way
	// reason for leasing nothing: no space
	Full reason.Reason `json:"full,omitzero"`
	// reason for which the inbox is unusable
	Away reason.Reason `json:"away,omitzero"`
	// the senders that have reached accept_per_day, and the end of the day
	Limited Limited `json:"limited,omitzero"`
	// reasons of released and stuck envelopes
	Released map[id.Envelope]reason.Reason `json:"released"`
	// newest first; the detail never leaves this site
	Refused []Refused `json:"refused"`
	// the latest messages, newest first
	Latest []Message `json:"latest"`
}

// Limited has the senders from which nothing more is taken on this day.
type Limited struct {
	Senders []id.Site `json:"senders"`
	Bytes   int64     `json:"bytes"` // the limit
	Until   time.Time `json:"until"`
}

// IsZero reports whether there is no such sender.
func (l Limited) IsZero() bool { return len(l.Senders) == 0 }

// Reasons returns a reason for each sender.
func (l Limited) Reasons() (list []reason.Reason) {
	for _, s := range l.Senders {
		list = append(list, reason.New("sender-had-enough", "site", s,
			"limit", reason.Size(l.Bytes), "until", l.Until))
	}
	return list
}

// HandedBack returns the released envelopes with their reasons. It leaves out those of the whole
// inbox that Full or Away has.
func (s Status) HandedBack() map[id.Envelope]reason.Reason {
	list := maps.Clone(s.Released)
	maps.DeleteFunc(list, func(_ id.Envelope, why reason.Reason) bool {
		return !s.Full.IsZero() && why.Code == s.Full.Code ||
			!s.Away.IsZero() && slices.Contains([]reason.Code{reason.InboxAway,
				reason.InboxTrouble, reason.InboxIsOther, reason.InboxIsAnother,
				reason.InboxOfOtherAccount, reason.InboxSilent}, why.Code)
	})
	return list
}

// Download is the progress of one large envelope.
type Download struct {
	Envelope id.Envelope `json:"envelope_id"`
	Message  id.Message  `json:"message_id"` // the first in it
	Sender   id.Site     `json:"sender_id"`
	Done     int64       `json:"done_bytes"`
	Size     int64       `json:"size_bytes"`
	// of the last seconds; 0: stalled or just begun
	Rate int64 `json:"bytes_per_second"`
	Left int64 `json:"seconds_left"` // at that rate; 0: unknown
}

// Refused is one envelope with a final refusal.
type Refused struct {
	Envelope id.Envelope   `json:"envelope_id"`
	Sender   id.Site       `json:"sender_id"`
	Detail   reason.Reason `json:"detail"`
	Time     time.Time     `json:"time"`
}

// Message is one message in the inbox.
type Message struct {
	ID       id.Message `json:"message_id"`
	UID      id.UID     `json:"uid"`
	Sender   id.Site    `json:"sender_id"`
	Name     string     `json:"name"` // at the sender
	Path     string     `json:"path"` // relative to the inbox
	Size     int64      `json:"size"`
	Placed   bool       `json:"placed"`
	Sent     time.Time  `json:"sent_timestamp"`
	Received time.Time  `json:"received_time"`
}

// Status returns the state of the inbox, with the latest messages.
func (b *Inbox) Status(ctx context.Context, latest int) (Status, error) {
	s := Status{Released: map[id.Envelope]reason.Reason{}}
	b.mu.Lock()
	s.Opening, s.Full, s.Away = len(b.held), b.fullReason, b.unusableReason
	maps.Copy(s.Released, b.reasons)
	if b.cfg.PerDay > 0 {
		senders := limited(b.today.of(b.cfg.Now()), b.cfg.PerDay)
		s.Limited = Limited{senders, b.cfg.PerDay, b.today.day.Add(24 * time.Hour)}
	}
	for e, p := range b.progress {
		now := p.State(time.Now())
		d := Download{Envelope: e, Sender: p.delivery.Sender, Done: now.Done, Size: now.Size,
			Rate: now.Rate, Left: int64(now.Left.Seconds())}
		if len(p.delivery.Messages) > 0 {
			d.Message = p.delivery.Messages[0].ID
		}
		s.Downloads = append(s.Downloads, d)
	}
	b.mu.Unlock()
	slices.SortFunc(s.Downloads, func(a, b Download) int {
		return strings.Compare(string(a.Envelope), string(b.Envelope))
	})
	return s, b.ledger.View(ctx, func(tx *ledger.Tx) error {
		refusals, err := tx.Refusals(latest)
		if err != nil {
			return err
		}
		for _, r := range refusals {
			s.Refused = append(s.Refused, Refused{Envelope: r.Envelope, Sender: r.Sender,
				Detail: r.Detail, Time: r.Time})
		}
		rows, err := tx.LatestReceived(latest)
		for _, r := range rows {
			s.Latest = append(s.Latest, describe(r))
		}
		return err
	})
}

// Messages returns the messages with an id. Several may have one, as it is only a label.
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

// findSpan is the number of rows that one view of a search reads.
const findSpan = 20_000

// Find returns messages with part in the file's name, at the sender or in the inbox. It returns at
// most limit, newest first.
func (b *Inbox) Find(ctx context.Context, part string, limit int) (found []Message, err error) {
	for before := int64(0); ; {
		err := b.ledger.View(ctx, func(tx *ledger.Tx) error {
			rows, next, err := tx.FindReceived(part, before, findSpan, limit-len(found))
			for _, r := range rows {
				found = append(found, describe(r))
			}
			before = next
			return err
		})
		if err != nil || before == 0 || len(found) == limit || ctx.Err() != nil {
			return found, err
		}
	}
}

func describe(r ledger.Received) Message {
	return Message{ID: r.ID, UID: r.UID, Sender: r.Sender, Name: r.Name, Path: r.Path, Size: r.Size,
		Placed: r.Placed, Sent: r.Sent, Received: r.Time}
}
