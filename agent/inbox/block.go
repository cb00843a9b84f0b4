package inbox

import (
	"context"
	"encoding/json"
	"slices"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// The user of a site decides from whom it takes nothing. The hub keeps the deliveries of blocked
// senders, and tells them. A delivery that is being opened meanwhile can still arrive.

// blockedKey is the ledger's setting with the blocked senders.
const blockedKey = "blocked-senders"

// maxBlocked limits the blocked senders: every lease names them all.
const maxBlocked = api.MaxExcept - 100

// loadBlocked reads the blocked senders from the ledger.
func (b *Inbox) loadBlocked(ctx context.Context) error {
	var text string
	err := b.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		text, err = tx.Kept(blockedKey)
		return err
	})
	if err != nil || text == "" {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return json.Unmarshal([]byte(text), &b.blocked)
}

// Blocked lists the blocked senders by name.
func (b *Inbox) Blocked() []id.Site {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.blocked)
}

// Block takes nothing more from a sender, and returns whether that is new.
func (b *Inbox) Block(ctx context.Context, sender id.Site) (isNew bool, err error) {
	isNew, err = b.changeBlocked(ctx, func(list []id.Site) []id.Site {
		if !slices.Contains(list, sender) {
			list = append(list, sender)
		}
		return list
	})
	if err != nil || !isNew {
		return false, err
	}
	b.log.Warn("blocked", "sender", sender)
	b.TurnAway(ctx, sender)
	return true, nil
}

// TurnAway makes the next lease leave out a sender that was blocked or distrusted just now. Its
// deliveries that wait here for an opener go back to the hub.
func (b *Inbox) TurnAway(ctx context.Context, sender id.Site) {
	b.leaseAgain()
	b.handBack(ctx, append(b.small.drop(sender), b.large.drop(sender)...))
}

// turnedAway lists the blocked senders and the distrusted ones, in order. There are at most as many
// as a lease can name. A delivery of another one is handed back unopened.
func (b *Inbox) turnedAway(ctx context.Context) ([]id.Site, error) {
	distrusted, err := b.cfg.Trust.DistrustedSites(ctx)
	list := append(b.Blocked(), distrusted...)
	slices.Sort(list)
	list = slices.Compact(list)
	return list[:min(len(list), maxBlocked)], err
}

// Unblock takes deliveries of a sender again, and returns whether it was blocked.
func (b *Inbox) Unblock(ctx context.Context, sender id.Site) (isNew bool, err error) {
	isNew, err = b.changeBlocked(ctx, func(list []id.Site) []id.Site {
		return slices.DeleteFunc(list, func(s id.Site) bool { return s == sender })
	})
	if err != nil || !isNew {
		return false, err
	}
	b.log.Warn("not blocked any more", "sender", sender)
	b.leaseAgain()
	return true, nil
}

// changeBlocked changes the blocked senders, in the ledger first.
func (b *Inbox) changeBlocked(ctx context.Context,
	change func([]id.Site) []id.Site) (isNew bool, err error) {
	b.blocking.Lock()
	defer b.blocking.Unlock()
	before := b.Blocked()
	next := change(slices.Clone(before))
	slices.Sort(next)
	if slices.Equal(before, next) {
		return false, nil
	}
	if len(next) > maxBlocked {
		return false, reason.Err("too-many-blocked", "most", maxBlocked)
	}
	text, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	err = b.ledger.Update(ctx, func(tx *ledger.Tx) error {
		return tx.Keep(blockedKey, string(text))
	})
	if err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocked = next
	return true, nil
}

// leaseAgain ends a lease that waits at the hub, so that the next one names the blocked senders.
func (b *Inbox) leaseAgain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopLease != nil {
		b.stopLease()
	}
}

// handBack releases deliveries that were not opened.
func (b *Inbox) handBack(ctx context.Context, list []*delivery) {
	b.releaseAll(ctx, list, func(*delivery) api.ReleaseRequest {
		return api.ReleaseRequest{Code: api.ReleaseBusy, NotAttempted: true}
	}, nil)
}
