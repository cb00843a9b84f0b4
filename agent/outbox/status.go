package outbox

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
)

// Status is how a tray stands, for people and machines.
type Status struct {
	Counts    map[ledger.State]int64 `json:"counts"`    // of messages that are not final
	Queued    map[string]int64       `json:"queued"`    // messages that wait to be sealed, by address
	Blocked   map[string]string      `json:"blocked"`   // addresses to which nothing is sent for now, and why
	NotTaken  map[string]string      `json:"not_taken"` // entries of outbox/ that are left alone, and why; at most 100
	Explained []Message              `json:"explained"` // messages that wait for a reason of their own; at most 10
	Uploads   []Upload               `json:"uploads"`   // large envelopes under way
	Delivered []Message              `json:"delivered"` // the messages delivered last, newest first; at most 10
	Failed    []Message              `json:"failed"`    // the messages that failed last, newest first; at most 10
	Latest    []Message              `json:"latest"`    // the messages claimed last, newest first
}

// few bounds the lists of the status that are not asked for by number.
const few = 10

// Upload is how far a large envelope is.
type Upload struct {
	Envelope id.Envelope `json:"envelope_id"`
	Message  id.Message  `json:"message_id"`
	Name     string      `json:"name"`
	Address  string      `json:"address"`
	Done     int64       `json:"done_bytes"`
	Size     int64       `json:"size_bytes"`
	Rate     int64       `json:"bytes_per_second"` // of the last seconds; 0: it stands still, or has only begun
	Left     int64       `json:"seconds_left"`     // at that rate; 0: nobody knows
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
	Sealed     time.Time    `json:"sealed,omitzero"`
	Published  time.Time    `json:"published,omitzero"` // the hub's promise
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
		now := p.State(time.Now())
		s.Uploads = append(s.Uploads, Upload{Envelope: e, Done: now.Done, Size: now.Size, Rate: now.Rate, Left: int64(now.Left.Seconds())})
	}
	o.mu.Unlock()
	slices.SortFunc(s.Uploads, func(a, b Upload) int { return strings.Compare(string(a.Envelope), string(b.Envelope)) })
	return s, o.view(ctx, func(tx *ledger.Tx) error { return s.read(tx, latest) })
}

// read fills in what the ledger knows.
func (s *Status) read(tx *ledger.Tx, latest int) error {
	backlogs, err := tx.Backlogs()
	if err != nil {
		return err
	}
	s.Counts, s.Queued = map[ledger.State]int64{}, map[string]int64{}
	for _, b := range backlogs {
		s.Counts[b.State] += b.Count
		if b.State == ledger.Taken {
			s.Queued[b.Address] = b.Count
		}
	}
	for i, u := range s.Uploads {
		list, err := tx.InEnvelope(u.Envelope)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			s.Uploads[i].Message, s.Uploads[i].Name, s.Uploads[i].Address = list[0].ID, list[0].Name, list[0].Address
		}
	}
	for _, part := range []struct {
		into *[]Message
		list func() ([]ledger.Outgoing, error)
	}{
		{&s.Explained, func() ([]ledger.Outgoing, error) { return tx.Explained(few) }},
		{&s.Delivered, func() ([]ledger.Outgoing, error) { return tx.LatestFinal(ledger.Delivered, few) }},
		{&s.Failed, func() ([]ledger.Outgoing, error) { return tx.LatestFinal(ledger.Failed, few) }},
		{&s.Latest, func() ([]ledger.Outgoing, error) { return tx.Latest(latest) }},
	} {
		list, err := part.list()
		if err == nil {
			*part.into, err = describeAll(tx, list)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// findSpan is how many rows one view of a search looks through.
const findSpan = 20_000

// Find lists messages whose file's name contains part, newest first, at most limit: of all messages, or of those that were
// claimed lately.
func (o *Outbox) Find(ctx context.Context, part string, limit int, lately bool) (found []Message, err error) {
	for before := int64(0); ; {
		err := o.ledger.View(ctx, func(tx *ledger.Tx) error {
			list, next, err := tx.FindSent(part, before, findSpan, limit-len(found))
			if err != nil {
				return err
			}
			before = next
			more, err := describeAll(tx, list)
			found = append(found, more...)
			return err
		})
		if err != nil || before == 0 || lately || len(found) == limit || ctx.Err() != nil {
			return found, err
		}
	}
}

func describeAll(tx *ledger.Tx, list []ledger.Outgoing) ([]Message, error) {
	var out []Message
	for _, m := range list {
		line, err := describe(tx, m)
		if err != nil {
			return nil, err
		}
		out = append(out, line)
	}
	return out, nil
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
	m.Sealed, m.Published = e.Sealed, e.Published
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
