package hub

import (
	"sealpost/hub/api"
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
	return c.reply(hello)
}
