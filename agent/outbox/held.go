package outbox

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// A recipient may hand a message back to the hub for later: it is larger than its max_size, or its
// disk has no room. Or the admin of the hub has put it on hold. The hub has the code of the last
// time, and this site asks for it.

const (
	// heldTick is the pause between two looks for messages that wait at the hub. Most messages have
	// their answer before the first.
	heldTick = time.Second
	// heldLast bounds the pause between two questions about one envelope. It doubles each time.
	heldLast = 5 * time.Minute
	// heldMost bounds the messages of a tray that are asked for; the oldest ones.
	heldMost = 100
)

// whyHeld returns the words for a code that users are told; none for one that ends by itself.
func whyHeld(h api.Held, size int64) reason.Reason {
	site := h.Recipient
	switch h.Code {
	case spool.CodeOnHold:
		return reason.New("held-on-hold", "site", site, "because", reason.Text(h.Because))
	case api.ReleaseTooLarge:
		return reason.New("held-too-large", "site", site, "size", reason.Size(size))
	case api.ReleaseFull:
		return reason.New("held-no-room", "site", site)
	case api.ReleaseLocal:
		return reason.New("held-local-trouble", "site", site)
	case api.ReleasePin:
		return reason.New("held-pin", "site", site)
	case api.ReleaseClock:
		return reason.New("held-clock", "site", site)
	}
	return reason.Reason{}
}

func isHeldCode(code string) bool { return !whyHeld(api.Held{Code: code}, 0).IsZero() }

// held has the codes with which envelopes wait at the hub.
type held struct {
	changes atomic.Uint64 // counts the new codes

	mu    sync.Mutex // guards codes
	codes map[id.Envelope][]api.Held
}

// HeldChanges counts the messages that recipients have handed back.
func (o *Outbox) HeldChanges() uint64 { return o.held.changes.Load() }

// add completes messages by these codes.
func (h *held) add(list ...*Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range list {
		for _, one := range h.codes[m.Envelope] {
			for i, r := range m.Recipients {
				if r.Site == one.Recipient && r.Outcome == "" {
					m.Recipients[i].Held = one.Code
					m.Recipients[i].HeldBecause = one.Because
				}
			}
			if one.Code == spool.CodeOnHold {
				m.Expires = time.Time{}
			}
		}
	}
}

// set replaces the codes of an envelope, and returns the new ones.
func (h *held) set(e id.Envelope, list []api.Held) (added []api.Held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range list {
		if isHeldCode(one.Code) && !slices.Contains(h.codes[e], one) {
			added = append(added, one)
		}
	}
	h.changes.Add(uint64(len(added)))
	if h.codes == nil {
		h.codes = map[id.Envelope][]api.Held{}
	}
	if h.codes[e] = list; len(list) == 0 {
		delete(h.codes, e)
	}
	return added
}

// keep forgets the codes of all other envelopes.
func (h *held) keep(envelopes map[id.Envelope]question) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.codes, func(e id.Envelope, _ []api.Held) bool {
		_, isAsked := envelopes[e]
		return !isAsked
	})
}

// question is the next question about an envelope.
type question struct {
	at      time.Time
	pause   time.Duration
	message id.Message // of the first one in it
}

// followHeld asks the hub for the codes of the oldest messages that wait there, until the context
// ends. It asks nothing while none waits.
func (o *Outbox) followHeld(ctx context.Context) error {
	asked := map[id.Envelope]question{}
	for {
		if err := o.listHeld(ctx, asked, time.Now()); err != nil {
			return ignoreCancel(ctx, err)
		}
		o.askHeld(ctx, asked, time.Now())
		if len(asked) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-o.waits:
			}
		}
		if backoff.Sleep(ctx, heldTick) != nil {
			return nil
		}
	}
}

// listHeld adds the envelopes that wait at the hub, and removes those that wait no more.
func (o *Outbox) listHeld(ctx context.Context, asked map[id.Envelope]question,
	now time.Time) error {
	waits := map[id.Envelope]id.Message{}
	err := o.view(ctx, func(tx *ledger.Tx) error {
		for _, t := range o.trays {
			list, err := tx.Unanswered(t.Name, heldMost)
			if err != nil {
				return err
			}
			for _, m := range list {
				if _, isKnown := waits[m.Envelope]; !isKnown {
					waits[m.Envelope] = m.ID
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for e, m := range waits {
		if _, isKnown := asked[e]; !isKnown {
			asked[e] = question{at: now, pause: heldTick, message: m}
		}
	}
	maps.DeleteFunc(asked, func(e id.Envelope, _ question) bool { return waits[e] == "" })
	o.held.keep(asked)
	return nil
}

// askHeld asks for the envelopes whose time has come.
func (o *Outbox) askHeld(ctx context.Context, asked map[id.Envelope]question, now time.Time) {
	var due []id.Envelope
	for e, q := range asked {
		if !q.at.After(now) && len(due) < api.MaxKnown {
			due = append(due, e)
			q.pause = min(2*q.pause, heldLast)
			q.at = now.Add(q.pause)
			asked[e] = q
		}
	}
	if len(due) == 0 {
		return
	}
	known, err := o.hub.Known(ctx, due)
	if err != nil {
		o.log.Debug("the hub does not say why messages wait", "error", err)
		return
	}
	for _, k := range known {
		for _, h := range o.held.set(k.Envelope, k.Held) {
			o.log.Warn("waits at the hub", "message", asked[k.Envelope].message,
				"envelope", k.Envelope, "recipient", h.Recipient, "code", h.Code)
		}
	}
}
