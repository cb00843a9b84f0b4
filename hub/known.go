package hub

import (
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
	events, next, err := c.hub.spool.Events(ctx, c.caller.Name, in.After, eventBytes)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		events = []spool.Event{}
	}
	return c.reply(api.EventsAnswer{Events: events, Next: next})
}
