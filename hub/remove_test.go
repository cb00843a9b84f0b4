package hub

import (
	"context"
	"errors"
	"testing"
	"time"

	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// A removed site loses its connections, deliveries and routes at once, and its senders hear of it.
// Invited again, it is a new site.
func TestRemove(t *testing.T) {
	q := newHeadquarters(t)
	waiting := make(chan struct{}, 8)
	q.wrap = func(s Store) Store { return waitStore{s, waiting} }
	q.start()
	t.Cleanup(q.stop)
	lab := q.lab("FL-LAB")
	ca := q.centre("CA-RC", "fl-lab.#")
	sent := lab.send(key("fl-lab.dat"), "x")
	ca.take()
	<-waiting

	cut := make(chan error)
	go func() {
		_, err := ca.Lease(t.Context(), api.LeaseRequest{Session: ca.session(), Max: 1,
			Wait: api.MaxWait})
		cut <- err
	}()
	<-waiting
	got := ask[Removed](q, ControlRemove, RemoveRequest{Site: "CA-RC"})
	if !got.Changed || got.Killed != 1 || got.Connections < 1 {
		t.Errorf("removed: %+v", got)
	}
	if err := <-cut; err == nil {
		t.Error("its wait ended as if nothing had happened")
	}
	_, err := ca.Hello(t.Context())
	wantCode(t, err, api.CodeRemoved)
	if problem, ok := errors.AsType[*api.Error](err); !ok || time.Since(problem.Since) > time.Hour {
		t.Errorf("it does not say when: %+v", problem)
	}
	_, err = lab.Resolve(t.Context(), key("fl-lab.dat"))
	wantCode(t, err, api.CodeUnroutable)
	events := map[spool.EventKind]spool.Event{}
	for after := spool.Cursor(0); len(events) < 2; {
		answer, err := lab.Events(t.Context(), api.EventsRequest{After: after, Wait: api.MaxWait})
		if err != nil || len(answer.Events) == 0 {
			t.Fatalf("the lab was told only %v, %v", events, err)
		}
		for _, e := range answer.Events {
			events[e.Kind] = e
		}
		after = answer.Next
	}
	if dead := events[spool.EventDead]; dead.Envelope != sent.Envelope ||
		dead.Recipient != "CA-RC" || dead.Code != "recipient-removed" {
		t.Errorf("the lab was told %+v", dead)
	}
	if repeated := ask[Removed](q, ControlRemove, RemoveRequest{Site: "CA-RC"}); repeated.Changed ||
		repeated.Killed != 0 {
		t.Errorf("removed again: %+v", repeated)
	}
	if _, err := tryAsk[Removed](q, ControlRemove, RemoveRequest{Site: "XX-RC"}); err == nil {
		t.Error("a site that is not there was removed")
	}
	back := q.join("CA-RC", config.RoleReceive)
	if hello, err := back.Hello(t.Context()); err != nil || hello.KeyHash != "" {
		t.Errorf("invited again it gets %+v, %v", hello, err)
	}
	_, err = ca.Hello(t.Context())
	wantCode(t, err, api.CodeOtherKey)
}

// A removal that was cut short is finished at the next start.
func TestARemovalIsFinishedAfterACrash(t *testing.T) {
	q := newHeadquarters(t)
	q.wrap = func(s Store) Store { return killStore{s} }
	q.start()
	t.Cleanup(q.stop)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "fl-lab.#")
	sent := lab.send(key("fl-lab.dat"), "x")
	if _, err := tryAsk[Removed](q, ControlRemove, RemoveRequest{Site: "CA-RC"}); err == nil {
		t.Fatal("the removal was not cut short")
	}
	q.wrap = func(s Store) Store { return s }
	q.restart()
	known, err := lab.Known(t.Context(), []id.Envelope{sent.Envelope})
	if err != nil || known[0].State != spool.StateFinal ||
		known[0].Results[0].DeadCode != "recipient-removed" {
		t.Errorf("after the next start the envelope is %+v, %v", known, err)
	}
}

// killStore fails to make deliveries dead.
type killStore struct{ Store }

func (killStore) Kill(context.Context, string, string) (int, error) { return 0, spool.ErrFull }
