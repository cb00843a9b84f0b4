package hub

import (
	"sealpost/hub/api"
	"sealpost/internal/id"
)

func (c *call) hello() error {
	h, s := c.hub, c.caller
	hello := api.Hello{
		Hub: h.config.Name, Network: h.verifier.Network, Suite: h.config.Suite,
		StartID: h.startID, Incarnation: h.spool.Incarnation(), Time: h.now().UTC(),
		Site: s.Name, KeyHash: s.KeyHash, MayReceive: s.canReceive(),
	}
	if s.canSend() {
		hello.MaySend = s.MaySend
	}
	asks := c.r.URL.Query()
	session, err := id.Parse128[id.Session](asks.Get(api.QuerySession))
	if err != nil {
		session = "" // not said
	}
	h.present.seen(s.Name, c.r.UserAgent(), h.now())
	var isNew bool
	hello.Copy, isNew = h.present.hello(s.Name, session, asks.Get(api.QueryRole),
		linkOf(c.r.Context()).from.String(), h.now())
	if isNew {
		c.log.Warn("two agents of one site run", "site", s.Name, "one", linkOf(c.r.Context()).from,
			"other", hello.Copy.From)
	}
	return c.reply(hello)
}
