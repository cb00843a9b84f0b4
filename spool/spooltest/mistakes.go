package spooltest

import (
	"fmt"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// differences are the changes that make a repetition another envelope.
var differences = map[string]func(*spool.Envelope){
	"sender":      func(e *spool.Envelope) { e.Sender = other },
	"routing key": func(e *spool.Envelope) { e.Address.RoutingKey = "fl-lab.rpt" },
	"address":     func(e *spool.Envelope) { e.Address = id.Address{To: []id.Site{centre}} },
	"route version": func(e *spool.Envelope) {
		e.RouteVersion = id.Hash(id.Random128[string]() + id.Random128[string]())
	},
	"content": func(e *spool.Envelope) {
		e.Content = noise(len(e.Content))
		e.CRC32C = sums(e.Content)
	},
	"size": func(e *spool.Envelope) {
		e.Content = noise(299)
		e.Size, e.CRC32C = 299, sums(e.Content)
	},
	"larger size": func(e *spool.Envelope) {
		e.Size, e.Content, e.CRC32C = spool.SmallSize+1, nil, []uint32{1}
	},
	"message id": func(e *spool.Envelope) {
		e.Messages = []spool.Message{
			{ID: "FL-LAB_DAT_20251008_999", UID: e.Messages[0].UID, Sent: e.Messages[0].Sent}}
	},
	"uid": func(e *spool.Envelope) {
		e.Messages = []spool.Message{
			{ID: e.Messages[0].ID, UID: id.Random128[id.UID](), Sent: e.Messages[0].Sent}}
	},
	"time": func(e *spool.Envelope) {
		e.Messages = []spool.Message{{ID: e.Messages[0].ID, UID: e.Messages[0].UID,
			Sent: e.Messages[0].Sent.Add(time.Nanosecond)}}
	},
	"number of messages": func(e *spool.Envelope) {
		e.Messages = append(e.Messages[:1:1], spool.Message{ID: "FL-LAB_DAT_20251008_002",
			UID: id.Random128[id.UID](), Sent: e.Messages[0].Sent})
	},
	"recipient": func(e *spool.Envelope) {
		e.Deliveries = []spool.Target{{Site: second, Queue: second.Queue()}}
	},
	"number of recipients": func(e *spool.Envelope) {
		e.Deliveries = append(e.Deliveries[:1:1], spool.Target{Site: second, Queue: second.Queue()})
	},
}

// mistakes are the changes that make an envelope invalid.
var mistakes = map[string]func(*spool.Envelope){
	"no id":                   func(e *spool.Envelope) { e.ID = "" },
	"an id that is not hex":   func(e *spool.Envelope) { e.ID = "zz" + e.ID[2:] },
	"an id in capitals":       func(e *spool.Envelope) { e.ID = "ABCDEF" + e.ID[6:] },
	"a sender that is a path": func(e *spool.Envelope) { e.Sender = "../FL-LAB" },
	"no address":              func(e *spool.Envelope) { e.Address = id.Address{} },
	"no sender":               func(e *spool.Envelope) { e.Sender = "" },
	"no delivery":             func(e *spool.Envelope) { e.Deliveries = nil },
	"a delivery to no queue":  func(e *spool.Envelope) { e.Deliveries[0].Queue = "" },
	"a delivery to no site":   func(e *spool.Envelope) { e.Deliveries[0].Site = "" },
	"a recipient twice": func(e *spool.Envelope) {
		e.Deliveries = append(e.Deliveries, spool.Target{Site: centre, Queue: "x"})
	},
	"a queue twice": func(e *spool.Envelope) {
		e.Deliveries = append(e.Deliveries, spool.Target{Site: second, Queue: centre.Queue()})
	},
	"no message": func(e *spool.Envelope) { e.Messages = nil },
	"a uid twice": func(e *spool.Envelope) {
		e.Messages = append(e.Messages, e.Messages[0])
	},
	"no size":                 func(e *spool.Envelope) { e.Size = 0 },
	"too large":               func(e *spool.Envelope) { e.Size = spool.MaxSize + 1 },
	"no checksum":             func(e *spool.Envelope) { e.CRC32C = nil },
	"checksums of more parts": func(e *spool.Envelope) { e.CRC32C = append(e.CRC32C, 1) },
	"too many messages": func(e *spool.Envelope) {
		for range spool.MaxMessages {
			e.Messages = append(e.Messages, spool.Message{ID: e.Messages[0].ID,
				UID: id.Random128[id.UID]()})
		}
	},
	"too many recipients": func(e *spool.Envelope) {
		for i := range spool.MaxRecipients {
			e.Deliveries = append(e.Deliveries,
				spool.Target{Site: id.Site(fmt.Sprintf("S%d", i)), Queue: fmt.Sprintf("q%d", i)})
		}
	},
	"large content that was not staged": func(e *spool.Envelope) {
		e.Content = noise(spool.SmallSize + 1)
		e.Size, e.CRC32C = int64(len(e.Content)), sums(e.Content)
	},
}
