package badgerspool

import (
	"encoding/hex"
	"strconv"

	"sealpost/internal/id"
	"sealpost/spool"
)

// The entries of publishes and receipts are many, and are written by hand: an encoder by reflection
// takes a twentieth of a whole publish. Their texts need no escaping.

// audit returns the entry of a publish.
func (e *envelope) audit() []byte {
	b := make([]byte, 0, 256+len(e.targets)*24)
	b = hex.AppendEncode(append(b, `{"op":"`+spool.AuditPublished+`","envelope_id":"`...), e.id[:])
	b = append(append(b, `","sender":"`...), e.sender...)
	for i, t := range e.targets {
		if b = append(b, `","`...); i == 0 {
			b = append(b, `to":["`...)
		}
		b = append(b, t.Site...)
	}
	b = strconv.AppendInt(append(b, `"],"size":`...), e.size, 10)
	b = strconv.AppendInt(append(b, `,"messages":`...), int64(len(e.messages)), 10)
	b = hex.AppendEncode(append(b, `,"metadata":"`...), e.hash[:])
	return append(b, `"}`...)
}

// audit returns the entry of a delivery that becomes final.
func (r *delivery) audit(e *envelope, index int) []byte {
	if r.state == stateDead {
		return auditText(spool.AuditEntry{Op: spool.AuditDead,
			Envelope:  tohex[id.Envelope](e.id[:]),
			Recipient: e.targets[index].Site, Code: r.code})
	}
	b := make([]byte, 0, 256)
	b = hex.AppendEncode(append(b, `{"op":"`+spool.AuditSettled+`","envelope_id":"`...), e.id[:])
	b = append(append(b, `","recipient":"`...), e.targets[index].Site...)
	b = append(append(b, `","receipt":"`...), spool.AuditHash([]byte(r.receipt))...)
	b = append(b, '"')
	if len(r.refused) > 0 {
		b = strconv.AppendInt(append(b, `,"refused":`...), int64(len(r.refused)), 10)
	}
	return append(b, '}')
}
