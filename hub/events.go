package hub

import (
	"sealpost/hub/api"
	"sealpost/spool"
)

// eventBytes is the approximate size of one answer of events.
const eventBytes = 1 << 20

// events returns the events of the caller's envelopes and routes, and waits for the first.
func (c *call) events() error {
	var in api.EventsRequest
	if err := c.read(&in); err != nil {
		return err
	}
	ctx, cancel := c.waitContext(in.Wait)
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
