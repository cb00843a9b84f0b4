package hub

import (
	"sealpost/hub/api"
	"sealpost/spool"
)

// eventBytes is about how much one answer of events holds.
const eventBytes = 1 << 20

// events reads what has happened to the caller's envelopes and routes, and waits for it.
func (c *call) events() error {
	var in api.EventsRequest
	if err := c.read(&in); err != nil {
		return err
	}
	ctx, cancel := c.patient(in.Wait)
	defer cancel()
	events, next, err := c.hub.spool.Events(ctx, c.caller.Name, in.After, eventBytes)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		events, next = []spool.Event{}, in.After
	}
	return c.reply(api.EventsAnswer{Events: events, Next: next})
}
