package agent

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// witness is the newest head of the hub's audit chain that this site has seen. The hub is asked for
// the hash of that block with each hello: a past that was changed since cannot give it.
type witness struct {
	Incarnation id.Incarnation `json:"incarnation"` // of the hub's store, which has one chain
	Block       uint64         `json:"block"`
	Hash        id.Hash        `json:"hash"`
	// of the answer to a receipt, until a hello has shown it; zero: none
	Receipt auditBlock `json:"receipt,omitzero"`
}

// auditBlock is one block of a chain.
type auditBlock struct {
	Block uint64  `json:"block"`
	Hash  id.Hash `json:"hash"`
}

// settledHead is the head in the newest answer to a receipt that no hello has asked for yet.
type settledHead struct{ atomic.Pointer[witness] }

func (s *settledHead) take(of id.Incarnation, head api.Audit) {
	s.Store(&witness{Incarnation: of, Block: head.Block, Hash: head.Hash})
}

// witnessReceipt remembers the head in the newest answer to a receipt. The next hello asks for it.
// One that was asked for before stays until the hub has shown it.
func (a *Agent) witnessReceipt(ctx context.Context) {
	newest := a.settled.Load()
	if newest == nil || newest.Incarnation != a.seen.Incarnation || a.seen.Receipt.Block != 0 {
		return
	}
	next := a.seen
	next.Receipt = auditBlock{newest.Block, newest.Hash}
	if err := next.store(ctx, a.ledger); err != nil {
		a.log.Warn("head of the audit chain not stored", "error", err)
		return
	}
	a.seen = next
	a.settled.CompareAndSwap(newest, nil)
}

const witnessKey = "audit-head"

// loadWitness reads the head from the ledger. Without one the next hello brings the first.
func loadWitness(ctx context.Context, l *ledger.Ledger) (w witness, err error) {
	var stored string
	err = l.View(ctx, func(tx *ledger.Tx) (err error) {
		stored, err = tx.Setting(witnessKey)
		return err
	})
	if err != nil || stored == "" {
		return w, err
	}
	return w, json.Unmarshal([]byte(stored), &w)
}

// store writes the head into the ledger.
func (w witness) store(ctx context.Context, l *ledger.Ledger) error {
	text, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return l.Update(ctx, func(tx *ledger.Tx) error { return tx.Set(witnessKey, string(text)) })
}

// next returns the head after a hello, and the reason for an alarm. With an alarm the head stays as
// it was: the alarm lasts until the hub shows that block, or begins another store.
func (w witness) next(h api.Hello) (witness, reason.Reason) {
	isSame := w.Incarnation == h.Incarnation && w.Block > 0
	switch a := h.Audit; {
	case a == nil && isSame:
		return w, reason.New("audit-gone", "block", w.Block)
	case a == nil:
		return w, reason.Reason{} // a hub of an older version
	case isSame && a.Block < max(w.Block, w.Receipt.Block):
		return w, reason.New("audit-went-back", "block", max(w.Block, w.Receipt.Block),
			"now", a.Block)
	case isSame && w.Block >= a.Truncated && a.Asked != w.Hash:
		return w, reason.New("audit-rewritten", "block", w.Block, "hash", w.Hash)
	case isSame && w.Receipt.Block > 0 && w.Receipt.Block >= a.Truncated &&
		a.AskedReceipt != w.Receipt.Hash:
		return w, reason.New("audit-rewritten", "block", w.Receipt.Block, "hash", w.Receipt.Hash)
	default:
		return witness{Incarnation: h.Incarnation, Block: a.Block, Hash: a.Hash}, reason.Reason{}
	}
}

// witness compares the hub's audit chain with the head that this site has seen, and remembers the
// new one.
func (a *Agent) witness(ctx context.Context, hello api.Hello) reason.Reason {
	next, alarm := a.seen.next(hello)
	if next == a.seen {
		return alarm
	}
	if a.seen.Block > 0 && next.Incarnation != a.seen.Incarnation {
		a.log.Info("the hub has another store, and begins a new audit chain", "block", next.Block)
	}
	if err := next.store(ctx, a.ledger); err != nil {
		a.log.Warn("head of the audit chain not stored", "error", err)
		return alarm // it is compared with the stored one, as after a restart
	}
	a.seen = next
	return alarm
}
