package hub

import (
	"slices"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// Limits of one site. After a hub was replaced, all envelopes of a site are unknown for once.
const (
	unknownRate    = 5000 // per second, ids that the hub does not know
	unknownBurst   = 20_000
	unsettledRate  = 100 // per second, settlements that are wrong
	unsettledBurst = 2000
)

var (
	errUnknown = &api.Error{Code: api.CodeBusy, After: time.Second,
		Detail: "this site asks about too many envelopes that the hub does not know"}
	errUnsettled = &api.Error{Code: api.CodeBusy, After: time.Second,
		Detail: "too many settlements of this site are wrong"}
)

// known returns the states of the caller's envelopes, in the requested order. It answers as many as
// fit and as the site's rate of unknown ids allows, and at least one.
func (c *call) known(in api.KnownRequest) error {
	if len(in.Envelopes) > api.MaxKnown {
		return problem(api.CodeInvalid, "want at most %d envelope ids, not %d", api.MaxKnown,
			len(in.Envelopes))
	}
	for _, e := range in.Envelopes {
		if _, err := id.Parse128[id.Envelope](string(e)); err != nil {
			return err
		}
	}
	answer := api.KnownAnswer{Envelopes: []api.KnownEnvelope{}}
	const step = 8
	room := api.MaxJSON / 2
	for start := 0; start < len(in.Envelopes); start += step {
		if !c.hub.unknown.has(c.caller.Name, time.Now()) {
			if start == 0 {
				return errUnknown
			}
			break
		}
		some := in.Envelopes[start:min(start+step, len(in.Envelopes))]
		known, err := c.hub.spool.Known(c.r.Context(), c.caller.Name, some)
		if err != nil {
			return err
		}
		for i, k := range known {
			if c.caller.isBefore(k.Published.Spooled) {
				known[i] = spool.Known{Envelope: k.Envelope, State: spool.StateUnknown}
			}
		}
		invented := 0
		for _, k := range known {
			if k.State == spool.StateUnknown {
				invented++
			}
		}
		c.hub.unknown.charge(c.caller.Name, invented, time.Now())
		for _, k := range known {
			size := 300 + 100*len(k.Held) // of its JSON, about
			for _, r := range k.Results {
				size += 200 + len(r.Receipt)
			}
			if room -= size; room < 0 && len(answer.Envelopes) > 0 {
				return c.reply(answer)
			}
			out := api.KnownEnvelope{Envelope: k.Envelope, State: k.State, Results: k.Results,
				Held: k.Held}
			if k.Published != (spool.Published{}) {
				p := api.Published(k.Published)
				out.Published = &p
			}
			answer.Envelopes = append(answer.Envelopes, out)
		}
	}
	return c.reply(answer)
}

// eventBytes is the approximate size of one answer of events.
const eventBytes = 1 << 20

// events returns the events of the caller's envelopes and routes, and waits for the first.
func (c *call) events(in api.EventsRequest) error {
	ctx, cancel := c.waitContext(in.Wait)
	defer cancel()
	for after := in.After; ; {
		events, next, err := c.hub.spool.Events(ctx, c.caller.Name, after, eventBytes)
		if err != nil {
			return err
		}
		own, err := c.ownEvents(events)
		if err != nil {
			return err
		}
		if len(own) > 0 || len(events) == 0 {
			return c.reply(api.EventsAnswer{Events: own, Next: next})
		}
		after = next
	}
}

// ownEvents returns the events without those of an earlier holder of the caller's name. Envelopes
// of that one can be settled after the name was given again.
func (c *call) ownEvents(events []spool.Event) (own []spool.Event, err error) {
	if len(c.caller.Former) == 0 {
		return append([]spool.Event{}, events...), nil
	}
	var ids []id.Envelope
	for _, e := range events {
		if e.Envelope != "" && !c.caller.isBefore(e.Time) {
			ids = append(ids, e.Envelope)
		}
	}
	slices.Sort(ids)
	earlier := map[id.Envelope]bool{}
	for some := range slices.Chunk(slices.Compact(ids), api.MaxKnown) {
		known, err := c.hub.spool.Known(c.r.Context(), c.caller.Name, some)
		if err != nil {
			return nil, err
		}
		for _, k := range known {
			earlier[k.Envelope] = c.caller.isBefore(k.Published.Spooled)
		}
	}
	return slices.DeleteFunc(append([]spool.Event{}, events...), func(e spool.Event) bool {
		return c.caller.isBefore(e.Time) || earlier[e.Envelope]
	}), nil
}
