package inbox

import (
	"context"
	"encoding/json"
	"time"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/fault"
)

const (
	settleInterval = time.Minute
	maxSettleBytes = api.MaxJSON / 2 // of receipts in one request
)

// settleAll sends every unconfirmed receipt from the ledger. A settlement states a fact: repeating
// it is harmless, and it needs no lease.
func (b *Inbox) settleAll(ctx context.Context) error {
	pause := backoff.Backoff{Min: 200 * time.Millisecond, Max: 15 * time.Second}
	for {
		var list []ledger.Delivery
		err := b.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
			list, err = tx.Unsettled(api.MaxLeases)
			return err
		})
		if err != nil {
			return ignoreCancel(ctx, err)
		}
		if len(list) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-b.settling:
			case <-time.After(settleInterval):
			}
			continue
		}
		list = limitBytes(list, maxSettleBytes)
		answers, err := b.sendReceipts(ctx, list)
		if err == nil {
			pause.Reset()
			if err := b.recordSettled(ctx, list, answers); err != nil {
				return ignoreCancel(ctx, err)
			}
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		b.log.Warn("settle failed", "deliveries", len(list), "error", err)
		if pause.Wait(ctx, api.RetryAfter(err)) != nil {
			return nil
		}
	}
}

// limitBytes returns the beginning of a list that fits into one request of most bytes, at least one
// entry.
func limitBytes(list []ledger.Delivery, most int) []ledger.Delivery {
	for i, d := range list {
		if most -= len(d.Receipt); most < 0 && i > 0 {
			return list[:i]
		}
	}
	return list
}

// sendReceipts sends receipts in one request. The answers are in the order of the list.
func (b *Inbox) sendReceipts(ctx context.Context,
	list []ledger.Delivery) ([]api.SettledDelivery, error) {
	settlements := make([]api.Settlement, len(list))
	for i, d := range list {
		settlements[i].Receipt = d.Receipt
		if err := json.Unmarshal([]byte(d.Target), &settlements[i].Delivery); err != nil {
			return nil, err
		}
	}
	return b.hub.Settle(ctx, settlements)
}

// recordSettled records the settlements that the hub has confirmed. A delivery that the hub does
// not know belongs to a former hub: if its sender publishes it again, it is settled then, with the
// same receipt.
func (b *Inbox) recordSettled(ctx context.Context, list []ledger.Delivery,
	answers []api.SettledDelivery) error {
	fault.Point("inbox-settled")
	var wait bool
	err := b.ledger.Update(ctx, func(tx *ledger.Tx) error {
		wait = false
		for i, a := range answers {
			if i >= len(list) {
				break
			}
			if a.Code != "" && api.Retry(&api.Error{Code: a.Code}) {
				wait = true
				continue
			}
			if err := tx.Settled(list[i].Envelope, list[i].Target); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, a := range answers {
		switch {
		case i >= len(list):
		case a.Code == "":
			b.log.Info("settled", "envelope", list[i].Envelope, "sender", list[i].Sender)
		default:
			b.log.Warn("not settled", "envelope", list[i].Envelope, "sender", list[i].Sender,
				"code", a.Code)
		}
	}
	if wait {
		return backoff.Sleep(ctx, time.Second)
	}
	return nil
}
