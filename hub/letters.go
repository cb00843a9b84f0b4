package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// dead lists the dead letters.
func (h *Hub) dead(ctx context.Context, in DeadRequest) (DeadAnswer, error) {
	if in.Max <= 0 {
		in.Max = 100
	}
	letters, next, err := h.spool.DeadLetters(ctx, in.After, min(in.Max, 200))
	if err != nil {
		return DeadAnswer{}, err
	}
	return DeadAnswer{Letters: append([]spool.DeadLetter{}, letters...), Next: next,
		Keep: time.Duration(h.deliveries.Load().DeadKeep), Paused: h.ages.pausedUntil()}, nil
}

// requeue returns the dead letters of a message to their queues.
func (h *Hub) requeue(ctx context.Context, in LetterRequest) (LettersAnswer, error) {
	return h.changeLetters(ctx, in, deadLetters, "requeued", func(ctx context.Context,
		r spool.Record) (bool, error) {
		s, known := h.dir.view().sites[r.Recipient]
		switch {
		case !known || s.isRemoved() || !s.canReceive():
			return false, reason.Err("letter-no-recipient", "site", r.Recipient, "key", s.Key,
				"sender", r.Sender, "message", r.Message)
		case s.Created.After(r.Spooled):
			return false, reason.Err("letter-other-key", "site", r.Recipient, "sender", r.Sender,
				"message", r.Message)
		}
		err := h.spool.Requeue(ctx, letterOf(r))
		if errors.Is(err, spool.ErrNotFound) {
			err = reason.Err("letter-no-content", "site", r.Recipient, "sender", r.Sender,
				"message", r.Message)
		}
		return true, err
	})
}

// failure returns the first error if no letter was changed.
func (a LettersAnswer) failure() error {
	for _, l := range a.Letters {
		if l.Failed.IsZero() {
			return nil
		}
	}
	if len(a.Letters) == 0 {
		return nil
	}
	return a.Letters[0].Failed.AsError()
}

// discard frees the content of the dead letters of a message.
func (h *Hub) discard(ctx context.Context, in LetterRequest) (LettersAnswer, error) {
	return h.changeLetters(ctx, in, deadLetters, "discarded",
		func(ctx context.Context, r spool.Record) (bool, error) {
			return h.spool.Discard(ctx, letterOf(r))
		})
}

func letterOf(r spool.Record) spool.Letter {
	return spool.Letter{Envelope: r.Envelope, Recipient: r.Recipient}
}

// selection is a choice among the deliveries of a message.
type selection struct {
	isMeant func(spool.Record) bool
	none    func(id.Message) error // if there is none
}

var deadLetters = selection{func(r spool.Record) bool { return r.State == "dead" },
	func(m id.Message) error { return reason.Err("letter-not-dead", "message", m) }}

// changeLetters changes the selected deliveries of a message. It holds the directory, so that no
// recipient is removed meanwhile.
func (h *Hub) changeLetters(ctx context.Context, in LetterRequest, s selection, event string,
	change func(context.Context, spool.Record) (changed bool, err error)) (out LettersAnswer,
	err error) {
	h.dir.change.Lock()
	defer h.dir.change.Unlock()
	ctx = context.WithoutCancel(ctx)
	records, err := h.selected(ctx, in, s)
	if err != nil {
		return out, err
	}
	out.Letters = make([]LetterChange, 0, len(records))
	for _, r := range records {
		l := LetterChange{Letter: letterOf(r)}
		if l.Messages, err = h.messagesIn(ctx, r); err != nil {
			return out, err
		}
		if l.Changed, err = change(ctx, r); err != nil {
			if errors.Is(err, spool.ErrUncertain) || errors.Is(err, spool.ErrFull) {
				return out, err
			}
			l.Changed, l.Failed = false, reason.Of(err)
		} else if l.Changed {
			h.log.Info("delivery "+event, "envelope", r.Envelope, "sender", r.Sender,
				"recipient", r.Recipient, "messages", len(l.Messages))
		}
		out.Letters, out.Changed = append(out.Letters, l), out.Changed || l.Changed
	}
	return out, nil
}

// recordPage is the number of records that are read at once.
const recordPage = 500

// selected finds deliveries of a message, whose id names its sender.
func (h *Hub) selected(ctx context.Context, in LetterRequest, s selection) (list []spool.Record,
	err error) {
	_, sender, err := id.ParseMessage(string(in.Message))
	if err != nil {
		return nil, err
	}
	if _, known := h.dir.view().sites[in.Site]; in.Site != "" && !known {
		return nil, reason.Err("hub-no-site", "site", in.Site)
	}
	found := 0
	q := spool.Query{Sender: sender, Recipient: in.Site, Message: in.Message}
	err = h.eachRecord(ctx, q, func(r spool.Record) {
		if found++; s.isMeant(r) {
			list = append(list, r)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case found == 0 && in.Site != "":
		in.Site = ""
		if _, err := h.selected(ctx, in, selection{func(spool.Record) bool { return true },
			nil}); err != nil {
			return nil, err
		}
		return nil, reason.Err("letter-not-for", "message", in.Message, "site", q.Recipient,
			"sender", sender)
	case found == 0:
		return nil, reason.Err("letter-no-message", "message", in.Message)
	case len(list) == 0:
		return nil, s.none(in.Message)
	}
	return list, nil
}

// messagesIn lists the messages that share the envelope of a record.
func (h *Hub) messagesIn(ctx context.Context, r spool.Record) (list []id.Message, err error) {
	q := spool.Query{Sender: r.Sender, Recipient: r.Recipient, From: r.Spooled,
		To: r.Spooled.Add(time.Millisecond)}
	err = h.eachRecord(ctx, q, func(other spool.Record) {
		if other.Envelope == r.Envelope {
			list = append(list, other.Message)
		}
	})
	return list, err
}

func (h *Hub) eachRecord(ctx context.Context, q spool.Query, visit func(spool.Record)) error {
	for after := spool.Cursor(0); ; {
		page, next, err := h.spool.Find(ctx, q, after, recordPage)
		if err != nil {
			return fmt.Errorf("search the records: %w", err)
		}
		for _, r := range page {
			visit(r)
		}
		if after = next; next == 0 {
			return nil
		}
	}
}
