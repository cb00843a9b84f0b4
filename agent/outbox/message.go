package outbox

import (
	"cmp"
	"context"
	"path"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/internal/id"
	"sealpost/internal/patience"
	"sealpost/internal/reason"
)

// Message is one message and where it stands with each recipient.
type Message struct {
	ID      id.Message   `json:"message_id"`
	UID     id.UID       `json:"uid"`
	Tray    string       `json:"tray"`
	Name    string       `json:"name"`
	Size    int64        `json:"size"`
	Address string       `json:"address"`
	State   ledger.State `json:"state"`
	Filed   bool         `json:"filed"` // it lies in its final folder
	// in the tray, where it lies: sending/…, delivered/… or failed/…
	Folder    string        `json:"folder,omitempty"`
	Missing   bool          `json:"missing,omitempty"` // a user has taken it out of there
	Reason    reason.Reason `json:"reason,omitzero"`   // why it waits, or how it has ended
	Claimed   time.Time     `json:"claimed"`
	HeldUntil time.Time     `json:"held_until,omitzero"` // it waits so that it can be recalled
	Sealed    time.Time     `json:"sealed,omitzero"`
	// OnTheWay reports whether it is encrypted on its way to the hub. Its state is sealed.
	OnTheWay  bool      `json:"on_the_way,omitempty"`
	Published time.Time `json:"published,omitzero"` // the hub's promise
	// when the hub ends its deliveries that still wait, in the last quarter of their time
	Expires  time.Time `json:"expires,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// when its content was removed from delivered/ for its age
	Removed  time.Time   `json:"removed,omitzero"`
	Envelope id.Envelope `json:"envelope_id,omitempty"`
	// Follows is a message whose content was changed after it was sent. This one has the rest.
	Follows    id.Message  `json:"follows,omitempty"`
	Recipients []Recipient `json:"recipients,omitempty"`
}

// labels returns the message ids for the log, as ranges.
func labels(list []ledger.Outgoing) []string {
	out := make([]id.Message, len(list))
	for i, m := range list {
		out[i] = m.ID
	}
	return id.Ranges(out)
}

// Recipient is the answer of one recipient of a message.
type Recipient struct {
	Site id.Site `json:"site"`
	// delivered, refused or dead; empty: none yet
	Outcome  string        `json:"outcome,omitempty"`
	Code     string        `json:"code,omitempty"`     // of a refusal or a death
	Verified bool          `json:"verified,omitempty"` // its receipt is believed
	Doubt    reason.Reason `json:"doubt,omitzero"`     // why it is not
	Time     time.Time     `json:"time,omitzero"`
	// why it has handed the message back to the hub; on-hold: the admin of the hub holds it
	Held        string `json:"held,omitempty"`
	HeldBecause string `json:"held_because,omitempty"` // the admin's words
	// the standing of a site that the roster shuts out, of a message that waits for it
	ShutOut trust.Ground `json:"shut_out,omitempty"`
	Roster  int64        `json:"shut_out_roster,omitempty"` // its number
}

// findSpan is the number of rows that one view of a search reads.
const findSpan = 20_000

// Find lists messages with part in their file's name, newest first, at most limit. With recentOnly
// it looks through the latest findSpan messages only.
func (o *Outbox) Find(ctx context.Context, part string, limit int,
	recentOnly bool) (found []Message, err error) {
	delays := o.blocked(ctx)
	for before := int64(0); ; {
		err := o.ledger.View(ctx, func(tx *ledger.Tx) error {
			list, next, err := tx.FindSent(part, before, findSpan, limit-len(found))
			if err != nil {
				return err
			}
			before = next
			more, err := describeAll(tx, list)
			for i := range more {
				more[i].Reason = cmp.Or(more[i].Reason, delays.of(more[i]))
			}
			found = append(found, more...)
			return err
		})
		if err != nil || before == 0 || recentOnly || len(found) == limit || ctx.Err() != nil {
			o.markMissing(ctx, found)
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
	m.Reason = cmp.Or(m.Reason, o.blocked(ctx).of(m))
	list := []Message{m}
	o.expiring(list)
	o.held.add(&list[0])
	o.markMissing(ctx, list)
	return list[0], err
}

// markMissing marks filed messages that users have taken out of their folders, or renamed there. It
// names the disk of recalled ones. A tray that is away or does not answer has none.
func (o *Outbox) markMissing(ctx context.Context, list []Message) {
	for _, t := range o.trays {
		var paths []string
		var ended []id.UID
		for _, m := range list {
			if m.Tray == t.Name && m.State == ledger.Failed && !m.Filed && m.Sealed.IsZero() {
				ended = append(ended, m.UID)
			}
			if m.Filed && m.Tray == t.Name && m.Folder != "" && m.Removed.IsZero() {
				paths = append(paths, m.Folder+"/"+m.Name)
			}
		}
		if len(ended) > 0 {
			without := o.awayOf(ctx, t.Name, ended...)
			for i, m := range list {
				if without[m.UID] {
					list[i].Folder, list[i].Reason = "", reason.New("recalled-and-away")
				}
			}
		}
		if len(paths) == 0 {
			continue
		}
		missing, _ := patience.Within(answersNumber, func() map[string]bool {
			return t.missingOf(ctx, paths)
		})
		for i, m := range list {
			if m.Filed && m.Tray == t.Name && missing[m.Folder+"/"+m.Name] {
				list[i].Missing = true
			}
		}
	}
}

// missingOf returns the paths in the tray at which no entry is.
func (t *box) missingOf(ctx context.Context, paths []string) map[string]bool {
	h, err := t.open()
	if err != nil {
		return nil
	}
	defer h.Close()
	if home, err := t.atHome(ctx, h); err != nil || !home {
		return nil
	}
	missing := map[string]bool{}
	for _, rel := range paths {
		missing[rel] = h.IsGone(rel)
		h.Relax()
	}
	return missing
}

// lies returns the folder of a message in its tray. It is empty for a withdrawn message, and while
// the file may still be in outbox/.
func lies(m ledger.Outgoing) string {
	switch {
	case m.State == ledger.Claimed || m.State == ledger.Withdrawn:
		return ""
	case !m.Filed && m.WasFiled():
		return path.Join("failed", string(m.ID))
	case !m.Filed:
		return path.Join("sending", folderName(m))
	case m.State == ledger.Failed:
		return path.Join("failed", string(m.ID))
	}
	return path.Join("delivered", folderName(m))
}

func describe(tx *ledger.Tx, row ledger.Outgoing) (Message, error) {
	m := Message{ID: row.ID, UID: row.UID, Tray: row.Tray, Name: row.Name, Size: row.Source.Size,
		Address: row.Address, State: row.State, Filed: row.Filed,
		Reason: row.Reason, Claimed: row.Claimed, Finished: row.Finished, Envelope: row.Envelope,
		Follows: row.Follows}
	m.Folder = lies(row)
	if row.State == ledger.Taken && time.Now().Before(row.Due) {
		m.HeldUntil = row.Due
	}
	if row.Envelope != "" {
		e, err := tx.Envelope(row.Envelope)
		if err != nil {
			return m, err
		}
		m.OnTheWay = row.State == ledger.Sealed && len(e.CRC32C) == 0
		m.Sealed, m.Published = e.Sealed, e.Published
		for _, r := range e.Recipients {
			m.Recipients = append(m.Recipients,
				Recipient{Site: r.Site, Verified: r.Believed, Doubt: r.Doubt})
		}
	}
	outcomes, err := tx.Outcomes(row.UID)
	if err != nil {
		return m, err
	}
	for _, o := range outcomes {
		m.take(o)
	}
	if m.Reason.IsZero() {
		m.Reason = m.doubted()
	}
	if m.IsRequeued() {
		m.Reason = m.onItsWayAgain()
	}
	return m, m.removal(tx, row)
}

// IsRequeued reports whether a failed message is on its way to a recipient again.
func (m Message) IsRequeued() bool { return slices.ContainsFunc(m.Recipients, m.isRequeuedAt) }

func (m Message) isRequeuedAt(r Recipient) bool {
	return m.State == ledger.Failed && r.Outcome == ledger.OutcomeDead &&
		r.Code == ledger.CodeRequeued
}

// Stands returns the state of a message for users.
func (m Message) Stands() reason.Reason {
	if m.IsRequeued() {
		return reason.New("state-requeued")
	}
	if m.OnTheWay {
		return reason.New("state-on-the-way")
	}
	return m.State.Reason()
}

// onItsWayAgain returns the reason of a failed message that the hub's admin has requeued. It names
// the recipients that do not get it all the same.
func (m Message) onItsWayAgain() reason.Reason {
	var to, others []id.Site
	for _, r := range m.Recipients {
		switch {
		case m.isRequeuedAt(r):
			to = append(to, r.Site)
		case r.Outcome != ledger.OutcomeDelivered:
			others = append(others, r.Site)
		}
	}
	return reason.New("requeued-to", "sites", to, "others", others)
}

// take adds an outcome to its recipient. A receipt of an earlier envelope, or a site that only that
// one had, counts too.
func (m *Message) take(o ledger.Outcome) {
	i := slices.IndexFunc(m.Recipients, func(r Recipient) bool { return r.Site == o.Site })
	if i < 0 {
		i = len(m.Recipients)
		m.Recipients = append(m.Recipients, Recipient{Site: o.Site})
	}
	r := &m.Recipients[i]
	r.Outcome, r.Code, r.Time = o.Outcome, o.Code, o.Time
	if o.Outcome != ledger.OutcomeDead { // the others are signed, and recorded once believed
		r.Verified, r.Doubt = true, reason.Reason{}
	}
}
