package hub

import (
	"context"
	"sync"

	"sealpost/internal/id"
	"sealpost/spool"
)

// maxAddresses bounds the remembered addresses of one sender.
const maxAddresses = 1000

// addresses holds the route version that each sender was last given for each address. The hub
// announces a new version to that sender. It is kept in memory only: agents ask again after each
// start of the hub.
type addresses struct {
	mu   sync.Mutex // guards told
	told map[id.Site]map[string]remembered
}

type remembered struct {
	address id.Address
	version id.Hash
}

// change is an address with a new route version for its sender.
type change struct {
	sender id.Site
	remembered
}

func newAddresses() *addresses { return &addresses{told: map[id.Site]map[string]remembered{}} }

// remember records the version that a sender got. At the limit it forgets another one.
func (a *addresses) remember(sender id.Site, address id.Address, version id.Hash) {
	key := address.String()
	a.mu.Lock()
	defer a.mu.Unlock()
	ofSender := a.told[sender]
	if ofSender == nil {
		ofSender = map[string]remembered{}
		a.told[sender] = ofSender
	}
	if _, known := ofSender[key]; !known && len(ofSender) >= maxAddresses {
		for any := range ofSender {
			delete(ofSender, any)
			break
		}
	}
	ofSender[key] = remembered{address, version}
}

// of lists the remembered addresses of a sender.
func (a *addresses) of(sender id.Site) (list []id.Address) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.told[sender] {
		list = append(list, r.address)
	}
	return list
}

func (a *addresses) forget(sender id.Site) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.told, sender)
}

// changed returns the addresses whose route version under t is new to their sender.
func (a *addresses) changed(t *table, network id.Hash) []change {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []change
	for sender, ofSender := range a.told {
		for _, r := range ofSender {
			if version := t.resolve(network, sender, r.address).version; version != r.version {
				out = append(out, change{sender, remembered{r.address, version}})
			}
		}
	}
	return out
}

// tellRoutes announces new route versions to the senders that asked for them. A failed announcement
// is repeated with the next change. The caller holds dir.change.
func (h *Hub) tellRoutes(ctx context.Context) {
	pending := h.told.changed(h.dir.view(), h.verifier.Network)
	for len(pending) > 0 {
		events := map[id.Site]spool.Event{}
		var round, rest []change
		for _, c := range pending {
			if _, taken := events[c.sender]; taken {
				rest = append(rest, c)
				continue
			}
			events[c.sender] = spool.Event{Kind: spool.EventRoute, Time: h.now().UTC(),
				Address: c.address.String(), RouteVersion: c.version}
			round = append(round, c)
		}
		if err := h.spool.Announce(context.WithoutCancel(ctx), events); err != nil {
			h.log.Warn("route changes not announced", "error", err, "senders", len(events))
			return
		}
		for _, c := range round {
			h.told.remember(c.sender, c.address, c.version)
			h.log.Info("route changed", "sender", c.sender, "address", c.address.String(),
				"version", c.version)
		}
		pending = rest
	}
}
