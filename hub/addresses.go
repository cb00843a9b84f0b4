package hub

import (
	"context"
	"sync"

	"sealpost/internal/id"
	"sealpost/spool"
)

// maxAddresses bounds the addresses that are remembered for one sender.
const maxAddresses = 1000

// addresses remembers which route version each sender was last told for each address that it has asked for since the hub's
// start, so that it can be told when that changes. It is no promise: agents ask again at each start of the hub.
type addresses struct {
	mu   sync.Mutex // guards told
	told map[id.Site]map[string]remembered
}

type remembered struct {
	address id.Address
	version id.Hash
}

// change is one address that now resolves to something else.
type change struct {
	sender id.Site
	remembered
}

func newAddresses() *addresses { return &addresses{told: map[id.Site]map[string]remembered{}} }

func (a *addresses) remember(sender id.Site, address id.Address, version id.Hash) {
	key := address.String()
	a.mu.Lock()
	defer a.mu.Unlock()
	mine := a.told[sender]
	if mine == nil {
		mine = map[string]remembered{}
		a.told[sender] = mine
	}
	if _, known := mine[key]; !known && len(mine) >= maxAddresses {
		for any := range mine {
			delete(mine, any)
			break
		}
	}
	mine[key] = remembered{address, version}
}

func (a *addresses) forget(sender id.Site) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.told, sender)
}

// changed lists the addresses whose version under t is not the one that was told.
func (a *addresses) changed(t *table, network id.Hash) []change {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []change
	for sender, mine := range a.told {
		for _, r := range mine {
			if version := t.resolve(network, sender, r.address).version; version != r.version {
				out = append(out, change{sender, remembered{r.address, version}})
			}
		}
	}
	return out
}

// tellRoutes announces to each sender which of its addresses resolve to something else now. What cannot be announced is
// tried again with the next change. The caller holds dir.change.
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
			events[c.sender] = spool.Event{Kind: spool.EventRoute, Time: h.now().UTC(), Address: c.address.String(), RouteVersion: c.version}
			round = append(round, c)
		}
		if err := h.spool.Announce(context.WithoutCancel(ctx), events); err != nil {
			h.log.Warn("route changes not announced", "error", err, "senders", len(events))
			return
		}
		for _, c := range round {
			h.told.remember(c.sender, c.address, c.version)
			h.log.Info("route changed", "sender", c.sender, "address", c.address.String(), "version", c.version)
		}
		pending = rest
	}
}
