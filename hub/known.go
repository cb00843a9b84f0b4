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
func (c *call) known() error {
	var in api.KnownRequest
	if err := c.read(&in); err != nil {
		return err
	}
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
			if room -= weight(k); room < 0 && len(answer.Envelopes) > 0 {
				return c.reply(answer)
			}
			answer.Envelopes = append(answer.Envelopes, knownEnvelope(k))
		}
	}
	return c.reply(answer)
}

// weight returns the approximate size of its JSON in bytes.
func weight(k spool.Known) int {
	n := 300
	for _, r := range k.Results {
		n += 200 + len(r.Receipt)
	}
	return n
}

func knownEnvelope(k spool.Known) api.KnownEnvelope {
	out := api.KnownEnvelope{Envelope: k.Envelope, State: k.State, Results: k.Results}
	if k.State != spool.StateUnknown {
		p := api.Published(k.Published)
		out.Published = &p
	}
	return out
}
