package hub

import (
	"testing"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// A removed name is given to another identity. It never sees the events, receipts and envelopes of
// the old holder, also after a restart of the hub, and if those envelopes still arrive later. It
// has its own.
func TestAGivenNameHasNoPast(t *testing.T) {
	q := openHeadquarters(t)
	old, centre := q.lab("FL-LAB"), q.centre("CA-RC", "fl-lab.#")
	settled, waits := old.send(key("fl-lab.dat"), "1"), old.send(key("fl-lab.dat"), "2")
	centre.settle(centre.take())
	old.expectEvents(0, spool.EventSettled)
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "FL-LAB", KeepSent: true})
	anew := q.lab("FL-LAB")
	centre.settle(centre.take())
	for range 2 {
		got, err := anew.Events(t.Context(), api.EventsRequest{})
		if err != nil || len(got.Events) > 0 {
			t.Errorf("the new holder was told %+v, %v", got.Events, err)
		}
		known, err := anew.Known(t.Context(), []id.Envelope{settled.Envelope, waits.Envelope})
		if err != nil || len(known) != 2 {
			t.Fatalf("known are %+v, %v", known, err)
		}
		for _, k := range known {
			if k.State != api.StateUnknown || len(k.Results) > 0 || k.Published != nil {
				t.Errorf("the new holder knows %+v", k)
			}
		}
		q.restart()
	}
	sent := anew.send(key("fl-lab.dat"), "3")
	centre.settle(centre.take())
	if got, _ := anew.expectEvents(0, spool.EventSettled); len(got) != 1 ||
		got[0].Envelope != sent.Envelope {
		t.Errorf("the new holder was told %+v", got)
	}
	known, err := anew.Known(t.Context(), []id.Envelope{sent.Envelope})
	if err != nil || known[0].State == api.StateUnknown || len(known[0].Results) != 1 {
		t.Errorf("the new holder knows %+v, %v", known, err)
	}
}
