package inbox

import (
	"context"
	"errors"

	"sealpost/agent/ledger"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
	"sealpost/statement"
)

// commitPlaced commits the messages as placed, together with the receipt of each envelope.
func (b *Inbox) commitPlaced(ctx context.Context, group []*delivery, list []*placement) error {
	receipts := make([]string, len(group))
	next := 0
	for i, d := range group {
		outcomes := make([]statement.ReceiptMessage, len(d.messages))
		for j, m := range d.messages {
			outcomes[j] = statement.ReceiptMessage{UID: m.UID, Message: m.ID,
				Outcome: statement.Delivered, Fingerprint: m.Fingerprint}
			if code := list[next].code; code != "" {
				outcomes[j] = statement.ReceiptMessage{UID: m.UID, Message: m.ID,
					Outcome: statement.Refused, Code: code}
			}
			next++
		}
		var err error
		if receipts[i], err = b.sign(d, outcomes); err != nil {
			return err
		}
	}
	// One commit, so that no receipt exists before its messages count as placed.
	err := b.ledger.Update(ctx, func(tx *ledger.Tx) error {
		placed, never := map[id.Site][]id.UID{}, map[id.Site][]id.UID{}
		for _, p := range list {
			if p.never != nil {
				never[p.Sender] = append(never[p.Sender], p.UID)
			}
			if p.earlier != nil {
				if err := restoreRow(tx, p); err != nil {
					return err
				}
			}
			if !p.isKnown && p.code == "" {
				placed[p.Sender] = append(placed[p.Sender], p.UID)
			}
		}
		for sender, uids := range placed {
			if err := tx.Placed(sender, uids); err != nil {
				return err
			}
		}
		for sender, uids := range never {
			if err := tx.NotPlaced(sender, uids); err != nil {
				return err
			}
		}
		for i, d := range group {
			if err := d.origin.write(tx, d.Envelope); err != nil {
				return err
			}
			if err := tx.Receipt(d.Envelope, receipts[i], target(d.DeliveryID),
				b.refusalDetail(list, d.Envelope)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fault.Point("inbox-placed")
	b.logOutcomes(list)
	b.count(ctx, list)
	return nil
}

// refusalDetail returns the local explanation of the refusals in an envelope.
func (b *Inbox) refusalDetail(list []*placement, e id.Envelope) reason.Reason {
	var names, messages []string
	var why reason.Reason
	for _, p := range list {
		switch {
		case p.Envelope != e || p.code == "":
		case p.never == nil:
			return reason.New("identity-used-twice", "message", p.ID, "uid", p.UID)
		default:
			names, messages = append(names, p.Name), append(messages, string(p.ID))
			cause := trouble.Of(p.never, b.cfg.Dir)
			if errors.Is(p.never, errNeverFits) {
				cause = reason.Of(p.never)
			}
			if !why.IsZero() && why != cause {
				cause = reason.New("name-or-size-refused")
			}
			why = cause
		}
	}
	if len(names) == 0 {
		return why
	}
	return reason.New("not-placeable", "names", names, "messages", messages, "dir", b.cfg.Dir,
		"why", why)
}

// logOutcomes logs the outcome of the messages, with one line for the placed ones of an envelope.
func (b *Inbox) logOutcomes(list []*placement) {
	type envelope struct {
		sender id.Site
		id     id.Envelope
		placed []id.Message
		size   int64
	}
	var in envelope
	flush := func() {
		if len(in.placed) > 0 {
			b.log.Info("placed", "messages", id.Ranges(in.placed), "sender", in.sender,
				"envelope", in.id, "size", in.size)
		}
	}
	for _, p := range list {
		if p.Envelope != in.id {
			flush()
			in = envelope{sender: p.Sender, id: p.Envelope}
		}
		switch {
		case p.code != "":
			b.log.Error("refused", "message", p.ID, "sender", p.Sender, "code", p.code,
				"error", p.never)
		case p.isKnown:
			b.log.Info("known already", "message", p.ID, "sender", p.Sender)
		default:
			in.placed, in.size = append(in.placed, p.ID), in.size+p.Size
		}
	}
	flush()
}
