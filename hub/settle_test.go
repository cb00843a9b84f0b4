package hub

import (
	"testing"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/statement"
)

// The hub accepts a receipt only from its recipient.
func TestReceiptsThatDoNotCount(t *testing.T) {
	q := openHeadquarters(t)
	lab, ca, sf := q.lab("FL-LAB"), q.centre("CA-RC", "#"), q.centre("SF-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	d, foreign := ca.take(), sf.take()
	good := ca.receipt(d)
	thief := q.stranger("CA-RC") // a certificate of that name, and another key
	certify(thief, q.hub.authority, q.clock.now())
	with := func(spoil func(*statement.Receipt)) string {
		r := ca.receipt(d)
		spoil(&r)
		return sign(ca, r)
	}
	queue := d.DeliveryID
	queue.Queue = "sf_rc_queue"
	incarnation := d.DeliveryID
	incarnation.Incarnation = id.Random128[id.Incarnation]()
	sequence := d.DeliveryID
	sequence.Sequence++
	for _, tc := range []struct {
		name string
		s    api.Settlement
		want api.Code
	}{
		{"rubbish", api.Settlement{Delivery: d.DeliveryID, Receipt: "a.b.c"}, api.CodeInvalid},
		{"another statement",
			api.Settlement{Delivery: d.DeliveryID, Receipt: sign(ca, ca.keyStatement())},
			api.CodeInvalid},
		{"another site's", api.Settlement{Delivery: d.DeliveryID, Receipt: sign(sf, sf.receipt(d))},
			api.CodeNotAllowed},
		{"another key's", api.Settlement{Delivery: d.DeliveryID, Receipt: sign(thief, good)},
			api.CodeNotAllowed},
		{"another envelope",
			api.Settlement{Delivery: d.DeliveryID, Receipt: with(func(r *statement.Receipt) {
				r.Envelope = id.Random128[id.Envelope]()
			})}, api.CodeInvalid},
		{"another sender",
			api.Settlement{Delivery: d.DeliveryID, Receipt: with(func(r *statement.Receipt) {
				r.Sender = "PA-LAB"
			})}, api.CodeInvalid},
		{"another message",
			api.Settlement{Delivery: d.DeliveryID, Receipt: with(func(r *statement.Receipt) {
				r.Messages[0].UID = id.Random128[id.UID]()
			})}, api.CodeIncomplete},
		{"another site's queue", api.Settlement{Delivery: queue, Receipt: sign(ca, good)},
			api.CodeNotFound},
		{"another site's delivery", api.Settlement{Delivery: foreign.DeliveryID,
			Receipt: sign(ca, good)}, api.CodeNotFound},
		{"another incarnation", api.Settlement{Delivery: incarnation, Receipt: sign(ca, good)},
			api.CodeNotFound},
		{"another sequence", api.Settlement{Delivery: sequence, Receipt: sign(ca, good)},
			api.CodeNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := ca.Settle(t.Context(), []api.Settlement{tc.s})
			if err != nil || out[0].Code != tc.want || !out[0].Time.IsZero() {
				t.Errorf("got %+v, %v; want %s", out, err, tc.want)
			}
		})
	}
	mixed := []api.Settlement{{Delivery: d.DeliveryID, Receipt: "a.b.c"},
		{Delivery: d.DeliveryID, Receipt: sign(ca, good)},
		{Delivery: queue, Receipt: sign(ca, good)}}
	out, err := ca.Settle(t.Context(), mixed)
	if err != nil || out[0].Code != api.CodeInvalid || out[1].Code != "" ||
		out[2].Code != api.CodeNotFound {
		t.Errorf("mixed: %+v, %v", out, err)
	}
}

// The first settlement stays, through a restart, and without a lease.
func TestTheFirstSettlementStays(t *testing.T) {
	q := openHeadquarters(t)
	lab, ca := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	d := ca.take()
	first := []api.Settlement{{Delivery: d.DeliveryID, Receipt: sign(ca, ca.receipt(d))}}
	q.restart() // voids the lease
	one, err := ca.Settle(t.Context(), first)
	if err != nil || one[0].Code != "" {
		t.Fatal(one, err)
	}
	refused := ca.receipt(d)
	refused.Messages[0] = statement.ReceiptMessage{UID: d.Messages[0].UID,
		Message: d.Messages[0].ID, Outcome: statement.Refused, Code: statement.CodeUIDReused}
	two, err := ca.Settle(t.Context(),
		[]api.Settlement{{Delivery: d.DeliveryID, Receipt: sign(ca, refused)}})
	if err != nil || two[0] != one[0] {
		t.Errorf("another word later: %+v, %v; the first was %+v", two, err, one)
	}
}

// A receipt that was signed before a renewal is as good as it was.
func TestAReceiptOutlivesItsCertificate(t *testing.T) {
	q := openHeadquarters(t)
	lab, ca := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	d := ca.take()
	receipt := sign(ca, ca.receipt(d))
	q.clock.forward(80 * 24 * time.Hour)
	renewed, err := ca.Renew(t.Context(), api.RenewRequest{CSR: ca.csr()})
	if err == nil {
		err = ca.identity.SetChain([]byte(renewed.Chain), q.network(), q.clock.now())
	}
	if err != nil {
		t.Fatal(err)
	}
	ca.CloseIdle()
	q.clock.forward(20 * 24 * time.Hour) // the certificate in the receipt has expired
	out, err := ca.Settle(t.Context(), []api.Settlement{{Delivery: d.DeliveryID, Receipt: receipt}})
	if err != nil || out[0].Code != "" {
		t.Errorf("got %+v, %v", out, err)
	}
}
