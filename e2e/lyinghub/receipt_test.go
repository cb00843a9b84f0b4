package lyinghub

import (
	"encoding/json"
	"io"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/statement"
)

// silent keeps the centres from getting anything.
func (l *liar) silent() {
	l.tell(api.PathLease, func(x *exchange) {
		<-x.r.Context().Done()
		x.problem(api.CodeBusy)
	})
}

// told makes the hub tell the lab of one settlement, once, which the real hub knows nothing of.
func (l *liar) told(e api.Event) {
	var isTold atomic.Bool
	l.tell(api.PathEvents, func(x *exchange) {
		var in api.EventsRequest
		must(x.t, json.Unmarshal(x.In, &in))
		if isTold.Swap(true) {
			<-x.r.Context().Done()
			x.problem(api.CodeBusy)
			return
		}
		// The real hub will not know this place, and so the lab reads all events again.
		x.answer(api.EventsAnswer{Events: []api.Event{e}, Next: in.After + 1000})
	})
}

// receipt returns a receipt for the lab's latest message, changed and signed as the test wants.
func receipt(t *testing.T, lab *site, by *certs.Identity,
	change func(*statement.Receipt)) api.Event {
	t.Helper()
	m := lab.message()
	r := statement.Receipt{V: 1, Network: lab.w.liar.network, Envelope: m.Envelope,
		Sender: "FL-LAB", Recipient: "CA-RC", Time: time.Now().UTC().Truncate(time.Second),
		Messages: []statement.ReceiptMessage{{UID: m.UID, Message: m.ID,
			Outcome: statement.Delivered, Fingerprint: lab.w.liar.network}}}
	if change != nil {
		change(&r)
	}
	jws, err := statement.Sign(by, r)
	must(t, err)
	return api.Event{Kind: api.EventSettled, Time: time.Now(), Envelope: m.Envelope,
		Recipient: "CA-RC", Receipt: jws}
}

// published is a file on the hub that the centre knows nothing of.
func published(t *testing.T, w *world, lab *site, name string) {
	t.Helper()
	w.liar.silent()
	lab.drop(name, name)
	eventually(t, name+" is published", func() bool {
		m := lab.message()
		return m.Name == name && m.State == "published"
	})
}

func TestTheHubForgesAReceipt(t *testing.T) {
	for name, c := range map[string]struct {
		forged func(t *testing.T, w *world, lab, centre *site) api.Event
		doubt  string
	}{
		"by an identity of its own": {func(t *testing.T, w *world, lab, centre *site) api.Event {
			return receipt(t, lab, w.liar.forger("CA-RC"), nil)
		}, "signed by another identity than the one pinned for CA-RC"},
		"by another centre": {func(t *testing.T, w *world, lab, centre *site) api.Event {
			return receipt(t, lab, w.liar.forger("SF-RC"),
				func(r *statement.Receipt) { r.Recipient = "SF-RC" })
		}, "is of something else"},
		"out of nothing": {func(t *testing.T, w *world, lab, centre *site) api.Event {
			e := receipt(t, lab, w.liar.forger("CA-RC"), nil)
			e.Receipt = "eyJhbGciOiJub25lIn0.e30."
			return e
		}, "not properly signed"},
		"of another envelope": {func(t *testing.T, w *world, lab, centre *site) api.Event {
			return receipt(t, lab, centre.Identity(),
				func(r *statement.Receipt) { r.Envelope = id.Random128[id.Envelope]() })
		}, "is of something else"},
		"for other content": {func(t *testing.T, w *world, lab, centre *site) api.Event {
			return receipt(t, lab, centre.Identity(), nil)
		}, "is of content that was not sent"},
		"for another message": {func(t *testing.T, w *world, lab, centre *site) api.Event {
			return receipt(t, lab, centre.Identity(),
				func(r *statement.Receipt) { r.Messages[0].UID = id.Random128[id.UID]() })
		}, "is of content that was not sent"},
	} {
		t.Run(name, func(t *testing.T) {
			w, lab, centre, _ := network(t)
			published(t, w, lab, "data.csv")
			w.liar.told(c.forged(t, w, lab, centre))
			eventually(t, "the lab doubts it", func() bool {
				r := lab.message().Recipients
				return len(r) == 1 && strings.Contains(r[0].Doubt.String(), c.doubt) &&
					!r[0].Verified
			})
			eventually(t, "it is logged", func() bool {
				return lab.Count("receipt not believed") > 0
			})
			if n := lab.Count("receipt not believed"); n != 1 {
				t.Errorf("it is logged %d times", n)
			}
			lab.tray("sending", "data.csv")
			w.nothingWent(centre)
			w.liar.truth()
			centre.has("FL-LAB/data.csv: data.csv")
			lab.tray("delivered", "data.csv")
			if r := lab.message().Recipients[0]; !r.Verified || !r.Doubt.IsZero() {
				t.Errorf("in the end the lab says %+v", r)
			}
		})
	}
}

// The receipt of a file that did arrive, offered for one that did not.
func TestTheHubReusesAReceipt(t *testing.T) {
	w, lab, centre, _ := network(t)
	lab.drop("first", "first")
	centre.has("FL-LAB/first: first")
	lab.tray("delivered", "first")
	var got agent.Receipts
	lab.Call(agent.PathReceipts, agent.MessageRequest{Message: string(lab.message().ID)}, &got)
	published(t, w, lab, "second")
	w.liar.told(api.Event{Kind: api.EventSettled, Time: time.Now(),
		Envelope: lab.message().Envelope, Recipient: "CA-RC", Receipt: got.Receipts[0].JWS})
	eventually(t, "the lab doubts it", func() bool {
		return strings.Contains(lab.message().Recipients[0].Doubt.String(), "is of something else")
	})
	lab.tray("sending", "second")
	w.liar.truth()
	centre.has("FL-LAB/first: first", "FL-LAB/second: second")
	lab.tray("delivered", "first", "second")
}

// A settlement without a receipt, and a kind of event that is unknown, say nothing.
func TestTheHubTellsNonsense(t *testing.T) {
	for name, e := range map[string]api.Event{
		"settled without a receipt": {Kind: api.EventSettled},
		"dead, with a receipt":      {Kind: api.EventDead, Receipt: "x"},
		"a kind that nobody knows":  {Kind: "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			w, lab, centre, _ := network(t)
			published(t, w, lab, "data.csv")
			e.Envelope, e.Recipient, e.Time = lab.message().Envelope, "CA-RC", time.Now()
			w.liar.told(e)
			lab.waitsAtEvents(1)
			lab.tray("sending", "data.csv")
			w.liar.truth()
			centre.has("FL-LAB/data.csv: data.csv")
			lab.tray("delivered", "data.csv")
		})
	}
}

// waitsAtEvents waits until the lab has taken in an event.
func (s *site) waitsAtEvents(n int) {
	s.T.Helper()
	eventually(s.T, "the events are read", func() bool {
		return s.w.liar.asked(api.PathEvents) > n
	})
}

func TestTheHubWithholdsReceipts(t *testing.T) {
	w, lab, centre, _ := network(t)
	hold := func(x *exchange) {
		<-x.r.Context().Done()
		x.problem(api.CodeBusy)
	}
	w.liar.tell(api.PathEvents, hold)
	lab.drop("data.csv", "secret")
	centre.has("FL-LAB/data.csv: secret")
	lab.tray("sending", "data.csv") // as far as the lab knows, it is under way
	// The lab asks for receipts that the events omit: at the next start, and daily.
	lab.Stop()
	lab.Start()
	lab.tray("delivered", "data.csv")
}

func TestTheHubReordersAndRepeatsEvents(t *testing.T) {
	w, lab, centre, _ := network(t)
	edit(w.liar, api.PathEvents, func(x *exchange, a *api.EventsAnswer) {
		slices.Reverse(a.Events)
		a.Events = append(a.Events, a.Events...)
	})
	centre.Stop()
	for _, name := range []string{"a", "b", "c"} {
		lab.drop(name, name)
		eventually(t, "it is published", func() bool {
			m := lab.message()
			return m.Name == name && m.State == "published"
		})
	}
	centre.Start()
	centre.has("FL-LAB/a: a", "FL-LAB/b: b", "FL-LAB/c: c")
	lab.tray("delivered", "a", "b", "c")
}

// The hub says that it has a file and forgets it. The lab keeps the file until there is a receipt,
// and asks.
func TestTheHubPromisesAndForgets(t *testing.T) {
	w, lab, centre, _ := network(t)
	w.liar.tell(api.PathPublish, func(x *exchange) {
		x.answer(api.Published{Incarnation: id.Random128[id.Incarnation](), Sequence: 7,
			Spooled: time.Now()})
	})
	lab.drop("data.csv", "secret")
	eventually(t, "it is promised", func() bool { return lab.message().State == "published" })
	lab.tray("sending", "data.csv")
	w.nothingWent(centre)
	w.liar.truth()
	lab.Stop()
	lab.Start()
	centre.has("FL-LAB/data.csv: secret")
	lab.tray("delivered", "data.csv")
}

// forgedMessage is a file that no user dropped.
func forgedMessage(like api.Message) envelope.Message {
	const content = "forged"
	entry := envelope.Entry{Path: "forged.csv", Size: int64(len(content)), ModTime: time.Now(),
		Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(content)), nil
		}}
	return envelope.Message{ID: like.ID, UID: like.UID, Sent: like.Sent, Name: entry.Path,
		Type: envelope.TypeFile, FingerprintKey: [32]byte{1},
		Entries: iter.Seq2[envelope.Entry, error](
			func(yield func(envelope.Entry, error) bool) { yield(entry, nil) })}
}
