package hub

import (
	"errors"
	"testing"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// invented returns envelope ids that no hub knows.
func invented(n int) []id.Envelope {
	list := make([]id.Envelope, n)
	for i := range list {
		list[i] = id.Random128[id.Envelope]()
	}
	return list
}

// A site that asks about envelopes that do not exist soon gets few answers, and none later than
// others.
func TestInventedEnvelopesCostTheirInventor(t *testing.T) {
	q := openHeadquarters(t)
	bad, good := q.lab("PA-LAB"), q.lab("FL-LAB")
	q.centre("CA-RC", "#")
	sent := good.send(key("fl-lab.dat"), "x")
	real := make([]id.Envelope, api.MaxKnown)
	for i := range real {
		real[i] = sent.Envelope
	}
	for n := range 40 {
		got, err := good.Known(t.Context(), real)
		if err != nil || len(got) != api.MaxKnown {
			t.Fatalf("request %d about its own: %d answers, %v", n, len(got), err)
		}
	}
	got, err := bad.Known(t.Context(), invented(api.MaxKnown))
	if err != nil || len(got) != api.MaxKnown || got[0].State != spool.StateUnknown {
		t.Fatalf("after a hub was replaced: %d answers, %v", len(got), err)
	}
	q.hub.unknown.limit = 0 // a slow machine would give it more
	clear(q.hub.unknown.by)
	answers := 0
	for range 2 * unknownBurst / api.MaxKnown {
		if got, err = bad.Known(t.Context(), invented(api.MaxKnown)); err != nil {
			break
		}
		answers += len(got)
	}
	if !errors.Is(err, api.ErrBusy) || api.RetryAfter(err) == 0 || answers > unknownBurst+8 {
		t.Errorf("after %d answers: %v", answers, err)
	}
	if got, err := good.Known(t.Context(), invented(100)); err != nil || len(got) != 100 {
		t.Errorf("another site: %d answers, %v", len(got), err)
	}
}

// Wrong settlements are checked up to a rate, and right ones of other sites always.
func TestWrongSettlementsCostTheirInventor(t *testing.T) {
	q := openHeadquarters(t)
	lab, bad, good := q.lab("FL-LAB"), q.centre("CA-RC", "#"), q.centre("SF-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	d := bad.take()
	receipt := sign(bad, bad.receipt(d))
	var wrong []api.Settlement
	for n := range api.MaxLeases {
		s := api.Settlement{Delivery: d.DeliveryID, Receipt: receipt}
		s.Delivery.Sequence += uint64(n) + 1
		wrong = append(wrong, s)
	}
	q.hub.unsettled.limit = 0 // a slow machine would check more
	var err error
	requests := 0
	for ; err == nil && requests < 2*unsettledBurst/api.MaxLeases; requests++ {
		_, err = bad.Settle(t.Context(), wrong)
	}
	if !errors.Is(err, api.ErrBusy) || api.RetryAfter(err) == 0 {
		t.Errorf("after %d requests: %v", requests, err)
	}
	good.settle(good.take())
}
