package outbox

import (
	"context"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// hangingHub is a hub to which the line hangs in a part.
type hangingHub struct {
	*fileHub
	at   atomic.Int32 // the part
	hung chan struct{}
}

func (h *hangingHub) PutPart(ctx context.Context, e id.Envelope, n int, sum uint32, r io.Reader,
	size int64) error {
	if n < int(h.at.Load()) {
		return h.fileHub.PutPart(ctx, e, n, sum, r, size)
	}
	select {
	case h.hung <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return ctx.Err()
}

// isUploading claims a large file, which hangs in its third part.
func (s *sealer) isUploading(why reason.Reason) (m ledger.Outgoing, hub *hangingHub) {
	s.t.Helper()
	hub = &hangingHub{fileHub: newFileHub(s.t.(*testing.T)), hung: make(chan struct{}, 1)}
	hub.at.Store(2)
	s.hub = hub
	m = s.large(4*api.PartSize, 1)
	s.update(func(tx *ledger.Tx) error { return tx.Explain(m.UID, why) })
	s.routed(m.Address)
	<-hub.hung
	return s.last(), hub
}

// isFailed checks that a recalled message lies in failed/, and that the hub has no part of it.
func (s *sealer) isFailed(m ledger.Outgoing, hub *fileHub) {
	s.t.Helper()
	testkit.Eventually(s.t, "its parts are deleted", func() bool {
		hub.mu.Lock()
		defer hub.mu.Unlock()
		return len(hub.parts) == 0
	})
	testkit.Eventually(s.t, "nothing is noted", func() bool { return len(s.noted()) == 0 })
	if len(hub.published) > 0 || s.held(m.UID) || s.desk.has(m.Envelope) {
		s.t.Errorf("published are %v, in hand %t", hub.published, s.held(m.UID))
	}
	_, err := s.tray.file(s.t.Context(), 0)
	testkit.Must(s.t, err)
	row := s.last()
	why, err := os.ReadFile(s.at(placeAt(row) + "/WHY.txt"))
	if err != nil || !strings.Contains(string(why), row.Reason.String()) {
		s.t.Errorf("the note is %q, %v", why, err)
	}
	if _, err := os.Stat(s.at(placeAt(row) + "/" + row.Name)); err != nil ||
		row.State != ledger.Failed {
		s.t.Errorf("it is %s: %v", row.State, err)
	}
}

// A recall ends an upload at once, and after a restart. The hub keeps no part.
func TestALargeFileIsRecalledDuringItsUpload(t *testing.T) {
	for name, c := range map[string]struct {
		before reason.Code
		want   reason.Code
		resume func(s *sealer, left *sealed) // in the next process; nil: in this one
	}{
		"at once":             {"", "recalled-midway", nil},
		"after a lost ledger": {reason.LedgerLost, reason.RecalledAfterLoss, nil},
		"after a lost hub":    {reason.LostByHub, reason.RecalledAfterHub, nil},
		"before the hub answers": {"", "recalled-midway",
			func(*sealer, *sealed) {}},
		"before it goes on": {"", "recalled-midway", func(s *sealer, left *sealed) {
			s.desk.tell(func() { s.desk.resume([]*sealed{left}) })
		}},
		"before it goes on, after a lost hub": {reason.LostByHub, reason.RecalledAfterHub,
			func(s *sealer, left *sealed) {
				s.desk.tell(func() { s.desk.resume([]*sealed{left}) })
			}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSealer(t)
			var m ledger.Outgoing
			var hub *fileHub
			if c.resume == nil {
				now, hanging := s.isUploading(reason.Reason{Code: c.before})
				m, hub = now, hanging.fileHub
			} else {
				hub = newFileHub(t)
				s.hub = hub
				m = s.large(3*api.PartSize, 1)
				m.Reason.Code = c.before
				out, err := s.seal(t.Context(), *newJob(s.route(), []ledger.Outgoing{m}))
				testkit.Must(t, err)
				out.free()
				hub.parts[out.ID] = map[int]uint32{0: 1}
				c.resume(s, s.found(out.ID))
			}
			if m = s.last(); m.State != ledger.Sealed {
				t.Fatalf("it is %s", m.State)
			}
			r, err := s.Recall(t.Context(), string(m.ID))
			if err != nil || r.Reason.Code != c.want || s.held(m.UID) {
				t.Errorf("%+v, %v", r, err)
			}
			s.isFailed(m, hub)
			if _, err := s.Recall(t.Context(), string(m.ID)); err == nil {
				t.Error("it is recalled twice")
			}
		})
	}
}

// The recall is in the ledger, and the agent stops, or its worker goes on for a moment.
func TestARecallOutlivesAKill(t *testing.T) {
	recalled := func(s *sealer, m ledger.Outgoing) {
		s.update(func(tx *ledger.Tx) error { _, err := recall(tx, m); return err })
	}
	t.Run("the next start", func(t *testing.T) {
		s := newSealer(t)
		m, hub := s.isUploading(reason.Reason{})
		recalled(s, m)
		s.desk.tell(func() { s.desk.largeJob(m.UID).stop(context.Canceled) })
		testkit.Eventually(t, "its worker ends", func() bool { return !s.held(m.UID) })
		if len(hub.parts) != 1 || len(s.noted()) != 1 {
			t.Fatalf("the hub has %v", hub.parts)
		}
		testkit.Must(t, s.tidy(t.Context()))
		s.hubIsNew <- struct{}{}
		left, err := s.connected(t.Context())
		if err != nil || len(left) > 0 {
			t.Errorf("it goes on: %v, %v", left, err)
		}
		s.isFailed(m, hub.fileHub)
	})
	t.Run("its worker goes on", func(t *testing.T) {
		s := newSealer(t)
		s.hub = newFileHub(t)
		m := s.large(3*api.PartSize, 1)
		out, err := s.seal(t.Context(), *newJob(s.route(), []ledger.Outgoing{m}))
		testkit.Must(t, err)
		m = s.last()
		recalled(s, m)
		left := &sealed{Envelope: out.Envelope, messages: out.messages,
			segments: out.stream.segments}
		out.free()
		next, err := s.send(t.Context(), job{envelope: out.ID, decision: s.route(),
			messages: out.messages, sealed: left})
		if err != nil || len(next.batches) > 0 {
			t.Errorf("%+v, %v", next, err)
		}
		s.isFailed(m, s.hub.(*fileHub))
	})
}

// A large file cannot be recalled once its publish may have begun.
func TestALargeFileIsRecalledTooLate(t *testing.T) {
	s := newSealer(t)
	hub := newFileHub(t)
	s.hub = hub
	m := s.large(2*api.PartSize, 1)
	out, err := s.seal(t.Context(), *newJob(s.route(), []ledger.Outgoing{m}))
	testkit.Must(t, err)
	defer out.free()
	testkit.Must(t, out.stream.upload(t.Context()))
	_, err = s.Recall(t.Context(), string(m.ID))
	if reason.Of(err).Code == "" || s.state(m) != ledger.Sealed || len(hub.parts) == 0 {
		t.Errorf("it is %s: %v", s.state(m), err)
	}
	if waits, err := s.publish(t.Context(), out); waits || err != nil ||
		s.last().State != ledger.Published {
		t.Error(waits, err)
	}
}
