package outbox

import (
	"context"
	"errors"
	"strconv"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// follow reads this site's events from the stored cursor on. It loses none: the cursor is stored in
// the same commit as the outcomes of the events.
func (o *Outbox) follow(ctx context.Context) error {
	pause := backoff.Backoff{Min: 200 * time.Millisecond, Max: 15 * time.Second}
	for ctx.Err() == nil {
		err := o.followOnce(ctx)
		switch {
		case err == nil:
			pause.Reset()
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errLedger):
			return err
		default:
			o.log.Debug("events cannot be read; trying again", "error", err)
			if pause.Wait(ctx, api.RetryAfter(err)) != nil {
				return nil
			}
		}
	}
	return nil
}

// cursorKey names the stored cursor. It belongs to an incarnation: another spool counts anew.
func cursorKey(i id.Incarnation) string { return "cursor/" + string(i) }

func (o *Outbox) followOnce(ctx context.Context) error {
	incarnation := o.hubIncarnation()
	cursor, err := o.cursor(ctx, incarnation)
	if err != nil {
		return err
	}
	answer, err := o.hub.Events(ctx, api.EventsRequest{After: cursor, Wait: api.MaxWait})
	if errors.Is(err, api.ErrInvalid) {
		o.log.Warn("the hub was put back to an older state; all its events are read again, "+
			"which is harmless", "cursor", cursor)
		return o.saveCursor(ctx, incarnation, 0, nil)
	}
	if err != nil {
		return err
	}
	if o.hubIncarnation() != incarnation || answer.Next == cursor {
		return nil
	}
	var answers []ledger.Answer
	for _, e := range answer.Events {
		switch e.Kind {
		case api.EventRoute:
			o.forgetRoute(e.Address)
			o.repropose(ctx, e.Address)
		case api.EventRequeued:
			answers = append(answers, ledger.Answer{Envelope: e.Envelope, Site: e.Recipient,
				Requeued: true, Time: e.Time})
		case api.EventSettled, api.EventDead:
			if (e.Kind == api.EventSettled) != (e.Receipt != "") {
				o.log.Error("the hub says something senseless of an envelope; passed over",
					"envelope", e.Envelope, "recipient", e.Recipient, "kind", e.Kind)
				continue
			}
			a, err := o.answer(ctx, e.Envelope, api.Result{Recipient: e.Recipient,
				Receipt: e.Receipt, DeadCode: e.Code, Time: e.Time})
			if err != nil {
				return err
			}
			answers = append(answers, a)
		}
	}
	return o.saveCursor(ctx, incarnation, answer.Next, answers)
}

func (o *Outbox) hubIncarnation() id.Incarnation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.incarnation
}

func (o *Outbox) cursor(ctx context.Context, i id.Incarnation) (api.Cursor, error) {
	var stored string
	err := o.view(ctx, func(tx *ledger.Tx) (err error) {
		stored,
			err = tx.Setting(cursorKey(i))
		return err
	})
	if err != nil || stored == "" {
		return 0, err
	}
	n, err := strconv.ParseUint(stored, 10, 64)
	return api.Cursor(n), err
}

func (o *Outbox) saveCursor(ctx context.Context, i id.Incarnation, next api.Cursor,
	answers []ledger.Answer) error {
	fault.Point("outbox-answered")
	return o.save(ctx, answers, func(tx *ledger.Tx) error {
		return tx.Set(cursorKey(i), strconv.FormatUint(uint64(next), 10))
	})
}

// save records answers, and runs also in the same commit.
func (o *Outbox) save(ctx context.Context, answers []ledger.Answer,
	also func(*ledger.Tx) error) error {
	err := o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		for _, a := range answers {
			if err := tx.Answer(a); err != nil {
				return err
			}
		}
		return also(tx)
	})
	if err != nil {
		return errors.Join(errLedger, err)
	}
	if len(answers) > 0 {
		fault.Point("outbox-settled")
	}
	for _, a := range answers {
		if !a.Doubt.IsZero() {
			o.log.Error("receipt not believed", "envelope", a.Envelope, "recipient", a.Site,
				"reason", a.Doubt)
			continue
		}
		if len(a.Outcomes) > 0 {
			o.log.Info("settled", "envelope", a.Envelope, "recipient", a.Site, "messages",
				len(a.Outcomes))
		}
	}
	if len(answers) > 0 {
		o.fileSoon()
	}
	return nil
}

// answer turns the hub's result of one delivery into this site's answer. It is a receipt, believed
// or in doubt, or the death of the delivery.
func (o *Outbox) answer(ctx context.Context, e id.Envelope, r api.Result) (ledger.Answer, error) {
	a := ledger.Answer{Envelope: e, Site: r.Recipient, Receipt: r.Receipt, Time: r.Time}
	if r.Receipt == "" {
		return a, o.view(ctx, func(tx *ledger.Tx) error {
			list, err := tx.SentIn(e)
			for _, m := range list {
				a.Outcomes = append(a.Outcomes,
					ledger.Outcome{UID: m.UID, Outcome: ledger.OutcomeDead, Code: r.DeadCode})
			}
			return err
		})
	}
	receipt, err := o.trust.Believe(ctx, r.Receipt, o.site, r.Recipient, e, r.Time)
	var doubt *trust.Doubt
	if errors.As(err, &doubt) {
		a.Doubt = doubt.Reason
		return a, nil
	}
	if err != nil {
		return a, errors.Join(errLedger, err)
	}
	return a, o.view(ctx, func(tx *ledger.Tx) error { return compare(tx, &a, receipt) })
}

// compare checks a believed receipt against the ledger. Every message must be one of this site's,
// sealed, and with the fingerprint of its content, and every message of the envelope must be in the
// receipt. Of an envelope that the ledger does not know, only the messages that fit count.
func compare(tx *ledger.Tx, a *ledger.Answer, receipt statement.Receipt) error {
	list, err := tx.SentIn(a.Envelope)
	if err != nil {
		return err
	}
	sent := make(map[id.UID]ledger.SentMessage, len(list))
	for _, m := range list {
		sent[m.UID] = m
	}
	for _, r := range receipt.Messages {
		m, isSent := sent[r.UID]
		if !isSent { // it may have gone into another envelope meanwhile
			if m, err = otherMessage(tx, r.UID); err != nil {
				return err
			}
		}
		if m.UID != r.UID || m.ID != r.Message || m.Digest == "" ||
			(r.Outcome == statement.Delivered &&
				r.Fingerprint != envelope.Fingerprint(m.FingerprintKey, m.Digest)) {
			if _, err := tx.Envelope(a.Envelope); errors.Is(err, ledger.ErrNotFound) {
				continue // of a ledger that is gone
			}
			a.Doubt, a.Outcomes = reason.New("receipt-of-unsent", "site", a.Site), nil
			return nil
		}
		a.Outcomes = append(a.Outcomes, ledger.Outcome{UID: r.UID, Outcome: r.Outcome, Code: r.Code,
			Elsewhere: !isSent})
		delete(sent, r.UID)
	}
	for _, m := range sent {
		a.Doubt, a.Outcomes = reason.New("receipt-incomplete", "site", a.Site, "message", m.ID), nil
	}
	return nil
}

// otherMessage returns a message outside the answered envelope, or none if this site sent none.
func otherMessage(tx *ledger.Tx, uid id.UID) (ledger.SentMessage, error) {
	m, err := tx.Message(string(uid))
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.SentMessage{}, nil
	}
	return ledger.SentMessage{UID: m.UID, ID: m.ID, FingerprintKey: m.FingerprintKey,
		Digest: m.Digest}, err
}

// recheckPage is the number of receipts in memory while doubted ones are checked again.
const recheckPage = 200

// Recheck checks the doubted receipts of a site again, after an operator has trusted it.
func (o *Outbox) Recheck(ctx context.Context, site id.Site) error {
	for after := int64(0); ; {
		var doubted []ledger.Answer
		err := o.view(ctx, func(tx *ledger.Tx) (err error) {
			doubted, after, err = tx.Doubted(site, after, recheckPage)
			return err
		})
		if err == nil {
			err = o.recheck(ctx, doubted)
		}
		if err != nil || len(doubted) < recheckPage {
			return err
		}
	}
}

func (o *Outbox) recheck(ctx context.Context, doubted []ledger.Answer) error {
	var changed []ledger.Answer
	for _, d := range doubted {
		a, err := o.answer(ctx, d.Envelope, api.Result{Recipient: d.Site, Receipt: d.Receipt,
			Time: d.Time})
		if err != nil {
			return err
		}
		if a.Doubt != d.Doubt {
			changed = append(changed, a)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return o.save(ctx, changed, func(*ledger.Tx) error { return nil })
}
