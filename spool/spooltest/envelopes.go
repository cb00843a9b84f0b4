package spooltest

import (
	"hash/crc32"
	rand "math/rand/v2"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// noise returns random bytes.
func noise(size int) []byte {
	b := make([]byte, size)
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	rand.NewChaCha8(seed).Read(b)
	return b
}

func sums(content []byte) (crcs []uint32) {
	for part := 0; part < len(content); part += spool.PartSize {
		crcs = append(crcs, crc32.Checksum(content[part:min(part+spool.PartSize, len(content))],
			castagnoli))
	}
	return crcs
}

// envelope makes one message from the lab, of so many bytes, for the sites.
func envelope(size int, sites ...id.Site) spool.Envelope {
	return envelopeOf(noise(size), 1, sites...)
}

func envelopeOf(content []byte, messages int, sites ...id.Site) spool.Envelope {
	e := spool.Envelope{
		ID: id.Random128[id.Envelope](), Sender: lab, Address: id.Address{RoutingKey: "fl-lab.dat"},
		RouteVersion: id.Hash(id.Random128[string]() + id.Random128[string]()),
		Size:         int64(len(content)), CRC32C: sums(content),
	}
	if e.Size <= spool.SmallSize {
		e.Content = content
	}
	sent := time.Date(2025, 10, 8, 11, 0, 0, 987654321, time.UTC)
	for i := range messages {
		e.Messages = append(e.Messages, spool.Message{ID: id.FormatMessage(lab, "DAT", sent,
			int64(i+1)), UID: id.Random128[id.UID](), Sent: sent})
	}
	for _, site := range sites {
		e.Deliveries = append(e.Deliveries, spool.Target{Site: site, Queue: site.Queue()})
	}
	return e
}

// outcomes says that every message was delivered.
func outcomes(messages []spool.Message) (all []spool.Outcome) {
	for _, m := range messages {
		all = append(all, spool.Outcome{UID: m.UID, Message: m.ID, Outcome: spool.OutcomeDelivered})
	}
	return all
}

// settlement settles an envelope of lab's.
func settlement(d spool.DeliveryID, messages []spool.Message) spool.Settlement {
	return spool.Settlement{Delivery: d, Sender: lab,
		Receipt: "receipt." + string(d.Envelope) + "." + d.Queue, Outcomes: outcomes(messages)}
}

func upload(e spool.Envelope) spool.Upload {
	return spool.Upload{Sender: e.Sender, Envelope: e.ID, Size: e.Size}
}

// part16 is one part of the content.
func part16(content []byte, part int) []byte {
	return content[part*spool.PartSize : min((part+1)*spool.PartSize, len(content))]
}
