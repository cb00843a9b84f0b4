package outbox

import (
	"sealpost/agent/ledger"
	"sealpost/internal/id"
)

// hold marks messages as being in the hands of a sealer, or as free again.
func (o *Outbox) hold(list []ledger.Outgoing, held bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range list {
		if held {
			o.busy[m.UID] = true
		} else {
			delete(o.busy, m.UID)
		}
	}
}

func (o *Outbox) held(uid id.UID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.busy[uid]
}

// handle marks an envelope as being published by a sealer of this process, so that nobody else takes it for lost.
func (o *Outbox) handle(e id.Envelope, mine bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if mine {
		o.sending[e] = true
	} else {
		delete(o.sending, e)
	}
}

func (o *Outbox) handled(e id.Envelope) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sending[e]
}
