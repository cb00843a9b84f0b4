package badgerspool

import (
	"context"
	"hash/crc32"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

func TestSmoke(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 4096)
	ctx := context.Background()
	e := spool.Envelope{ID: id.Random128[id.Envelope](), Sender: "FL-LAB", Address: id.Address{RoutingKey: "fl-lab.dat"}, Size: 4096, CRC32C: []uint32{crc32.Checksum(content, castagnoli)}, Content: content,
		Messages:   []spool.Message{{ID: "FL-LAB_DAT_20251008_001", UID: id.Random128[id.UID](), Sent: time.Now()}},
		Deliveries: []spool.Target{{Site: "CA-RC", Queue: "ca_rc_queue"}}}
	p, err := s.Publish(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := s.Lease(ctx, spool.LeaseRequest{Queue: "ca_rc_queue", Session: "a", Max: 10, MaxBytes: 1 << 20, Duration: time.Minute})
	if err != nil || len(ds) != 1 || len(ds[0].Content) != 4096 {
		t.Fatal(ds, err)
	}
	st, err := s.Settle(ctx, spool.Settlement{Delivery: ds[0].DeliveryID, Receipt: "r", Outcomes: []spool.Outcome{{UID: e.Messages[0].UID, Message: e.Messages[0].ID, Outcome: "delivered"}}})
	if err != nil || !st.First {
		t.Fatal(st, err)
	}
	ev, c, err := s.Events(ctx, "FL-LAB", 0, 1000)
	t.Log(p, ev, c, err)
	recs, c, err := s.Find(ctx, spool.Query{Sender: "FL-LAB"}, 0, 10)
	t.Log(recs, c, err)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
