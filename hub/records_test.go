package hub

import (
	"errors"
	"slices"
	"testing"
	"time"

	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// rounds lets the hub end old things every 50 minutes, for some time.
func (q *headquarters) rounds(d time.Duration) {
	q.t.Helper()
	for ; d > 0; d -= 50 * time.Minute {
		q.clock.forward(50 * time.Minute)
		if err := q.hub.endOld(q.t.Context()); err != nil {
			q.t.Fatal(err)
		}
	}
}

// Records are deleted keep_metadata after the last outcome, once their sender has read it. The id
// stays: neither a publish nor a question of an agent with an older ledger leads to a second copy.
func TestRecordsAreForgotten(t *testing.T) {
	q := newHeadquarters(t)
	q.config.KeepMetadata = config.Duration(24 * time.Hour)
	q.reloads()
	q.start()
	t.Cleanup(q.stop)
	lab, other := q.lab("FL-LAB"), q.lab("PA-LAB")
	ca := q.centre("CA-RC", "fl-lab.#", "pa-lab.#")
	records := func() Records { return ask[Status](q, ControlStatus, Nothing{}).Records }
	first := lab.send(key("fl-lab.dat"), "x")
	foreign := other.send(key("pa-lab.dat"), "y")
	for range 2 {
		ca.settle(ca.take())
	}
	events := func(after spool.Cursor) (envelopes []id.Envelope, next spool.Cursor) {
		t.Helper()
		got, err := lab.Events(t.Context(), api.EventsRequest{After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got.Events {
			if e.Kind == spool.EventSettled {
				envelopes = append(envelopes, e.Envelope)
			}
		}
		return envelopes, got.Next
	}
	_, read := events(0)
	q.rounds(23 * time.Hour)
	second := lab.send(key("fl-lab.dat"), "x")
	ca.settle(ca.take())
	q.rounds(2 * time.Hour)
	if r := records(); r.Forgotten != 0 || !slices.Equal(r.Unread, []id.Site{"FL-LAB", "PA-LAB"}) ||
		r.Keep != 24*time.Hour || q.clock.now().Sub(r.Oldest) < r.Keep || r.Next.IsZero() {
		t.Errorf("before it is read: %+v", r)
	}
	got, next := events(read) // it has read the first one
	if !slices.Equal(got, []id.Envelope{second.Envelope}) {
		t.Fatalf("the lab is told of %v", got)
	}
	q.rounds(time.Minute)
	if r := records(); r.Forgotten != 1 || !slices.Equal(r.Unread,
		[]id.Site{"FL-LAB", "PA-LAB"}) {
		t.Errorf("after it was read: %+v", r)
	}
	q.restart()
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "PA-LAB"})
	q.rounds(time.Minute)
	if r := records(); r.Forgotten != 1 || !slices.Equal(r.Unread, []id.Site{"FL-LAB"}) {
		t.Errorf("after the removal: %+v", r)
	}
	known, err := lab.Known(t.Context(), []id.Envelope{first.Envelope, second.Envelope,
		foreign.Envelope})
	if err != nil || known[0].State != spool.StateForgotten || known[0].Published != nil ||
		known[1].State != spool.StateFinal || known[2].State != spool.StateUnknown {
		t.Errorf("known are %+v, %v", known, err)
	}
	for range 2 {
		if _, err := lab.Publish(t.Context(), first, []byte("x")); !errors.Is(err,
			api.ErrForgotten) || api.Retry(err) {
			t.Errorf("published again: %v", err)
		}
		q.bind("CA-RC", "ny-lab.#") // another route
	}
	if got, end := events(0); !slices.Equal(got, []id.Envelope{second.Envelope}) ||
		end != next {
		t.Errorf("from the beginning the lab is told of %v up to %d", got, end)
	}
	if got, _ := events(next); got != nil {
		t.Errorf("after all, the lab is told of %v", got)
	}
	q.clock.forward(25 * time.Hour)
	if err := q.hub.endOld(t.Context()); err != nil || records().Forgotten != 1 {
		t.Errorf("after a leap: %+v, %v", records(), err)
	}
	q.edit(`keep_metadata = "17520h"`, `keep_metadata = "0s"`)
	q.expectReload([]string{"keep_metadata"}, nil)
	q.rounds(26 * time.Hour)
	if r := records(); r.Forgotten != 1 || r.Keep != 0 || r.Oldest.IsZero() || !r.Next.IsZero() {
		t.Errorf("for ever: %+v", r)
	}
	q.edit(`keep_metadata = "0s"`, `keep_metadata = "24h"`)
	q.expectReload([]string{"keep_metadata"}, nil)
	q.rounds(time.Minute)
	if r := records(); r.Forgotten != 2 || !r.Oldest.IsZero() {
		t.Errorf("all were read: %+v", r)
	}
	if list := ask[MessagesAnswer](q, ControlMessages, MessagesRequest{Recipient: "CA-RC"}); len(
		list.Messages) != 0 {
		t.Errorf("there are records: %+v", list)
	}
}
