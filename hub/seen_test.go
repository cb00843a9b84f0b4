package hub

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
	"sealpost/spool"
)

// The pages are made from these calls.
func TestTrafficIsSeen(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "fl-lab.#")
	q.centre("SF-RC", "*.img")
	sent := lab.send(key("fl-lab.dat"), "x")
	m := sent.Messages[0].ID
	first := ask[MessageAnswer](q, ControlMessage, MessageRequest{Message: m})
	if len(first.Deliveries) != 1 || first.Deliveries[0].State != "waiting" ||
		first.Deliveries[0].Receipt != "" || first.Deliveries[0].Address != "fl-lab.dat" {
		t.Errorf("before: %+v", first)
	}
	ask[LettersAnswer](q, ControlHoldOne, HoldOneRequest{LetterRequest{Message: m}, "a question"})
	held := ask[MessageAnswer](q, ControlMessage, MessageRequest{Message: m})
	if held.Deliveries[0].Because != "a question" || held.Deliveries[0].Code != spool.CodeOnHold {
		t.Errorf("on hold: %+v", held)
	}
	ask[LettersAnswer](q, ControlUnholdOne, LetterRequest{Message: m})
	d := centre.take()
	centre.settle(d)
	last := ask[MessageAnswer](q, ControlMessage, MessageRequest{Message: m})
	if last.Deliveries[0].State != "delivered" || strings.Count(last.Deliveries[0].Receipt,
		".") != 2 {
		t.Errorf("after: %+v", last)
	}
	for _, wrong := range []id.Message{"", "x", "FL-LAB_DAT_20251008_999", "XX_DAT_20251008_001"} {
		if _, err := tryAsk[MessageAnswer](q, ControlMessage,
			MessageRequest{Message: wrong}); err == nil {
			t.Errorf("%q is found", wrong)
		}
	}
	flow := ask[FlowAnswer](q, ControlFlow, Nothing{})
	if len(flow.Pairs) != 1 || flow.Pairs[0].Sender != "FL-LAB" ||
		flow.Pairs[0].Recipient != "CA-RC" || flow.Pairs[0].Messages != 6 ||
		flow.Pairs[0].Bytes != 6 {
		t.Errorf("the flow is %+v", flow)
	}
	for in, want := range map[[3]string]string{
		{"fl-lab.dat", "", ""}:               "[CA-RC] [CA-RC]",
		{"fl-lab.img", "", ""}:               "[CA-RC SF-RC] [CA-RC SF-RC]",
		{"fl-lab.dat", "sf_rc_queue", "#"}:   "[CA-RC] [CA-RC SF-RC]",
		{"fl-lab.dat", "ca_rc_queue", ""}:    "[CA-RC] []",
		{"pa-lab.dat", "sf_rc_queue", "x.*"}: "[] []",
	} {
		r := PreviewRequest{Key: in[0], Queue: in[1], Unbind: []string{"fl-lab.#"}}
		if in[2] != "" {
			r.Bind = []string{in[2]}
		}
		got := ask[PreviewAnswer](q, ControlPreview, r)
		if text := fmt.Sprint(got.Before, got.After); text != want {
			t.Errorf("%v: %s, want %s", in, text, want)
		}
	}
	for _, wrong := range []PreviewRequest{{}, {Key: "a..b"}, {Key: "a", Bind: []string{"a.**"}}} {
		if _, err := tryAsk[PreviewAnswer](q, ControlPreview, wrong); err == nil {
			t.Errorf("%+v is answered", wrong)
		}
	}
}

// A search for a state or an address fills its pages, and loses none at their edges.
func TestSearchByStateAndAddress(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "fl-lab.#")
	want := map[id.Message]bool{}
	for i := range 25 {
		address := "fl-lab.dat"
		if i%5 == 0 {
			address = "fl-lab.img"
		}
		m := lab.send(key(address), "x").Messages[0].ID
		want[m] = address == "fl-lab.img"
		if i < 3 {
			centre.settle(centre.take())
		}
	}
	count := func(in MessagesRequest) (n, pages int) {
		in.Sender, in.Max = "FL-LAB", 2
		for {
			page := ask[MessagesAnswer](q, ControlMessages, in)
			for _, r := range page.Messages {
				if in.Address != "" && !want[r.Message] {
					t.Errorf("%+v finds %+v", in, r)
				}
			}
			if n += len(page.Messages); len(page.Messages) > in.Max {
				t.Errorf("a page of %d has %d records", in.Max, len(page.Messages))
			}
			if pages++; page.Next == 0 {
				return n, pages
			}
			in.After = page.Next
		}
	}
	for want, in := range map[int]MessagesRequest{5: {Address: "fl-lab.img"},
		22: {State: "waiting"}, 3: {State: "delivered"}, 0: {State: "dead"},
		4: {Address: "fl-lab.img", State: "waiting"}, 25: {}} {
		if n, pages := count(in); n != want || pages > want+2 {
			t.Errorf("%+v finds %d in %d pages, want %d", in, n, pages, want)
		}
	}
}

// Traffic loses its weight with time, and the pairs are bounded.
func TestFlows(t *testing.T) {
	f, now := newFlows(), time.Now()
	f.note("A", []id.Site{"B", "C"}, 10, 1000, now)
	m, b := f.by[flowPair{"A", "B"}].at(now.Add(flowTime))
	if m < 3.6 || m > 3.7 || b < 360 || b > 370 {
		t.Errorf("after ten minutes %v messages and %v bytes count", m, b)
	}
	if m, _ := f.by[flowPair{"A", "C"}].at(now.Add(-time.Hour)); m != 10 {
		t.Errorf("with a clock that was set back %v messages count", m)
	}
	for i := range maxFlows + 10 {
		f.note("X", []id.Site{id.Site(fmt.Sprint(i))}, 1, 1, now.Add(time.Duration(i+1)))
	}
	if len(f.by) != maxFlows || f.by[flowPair{"A", "B"}] != nil {
		t.Errorf("%d pairs are remembered", len(f.by))
	}
}

// The history is bounded, survives a restart, and a broken file of it stops nothing.
func TestHistory(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "fl-lab.#")
	lab.send(key("fl-lab.dat"), "x")
	s, err := q.hub.sample(t.Context(), q.clock.now(), sampleTime)
	if err != nil || s.Messages != 1 || s.In == 0 || s.Requests == 0 || s.Busy == 0 ||
		s.Waiting != 1 || s.Free == 0 || s.Memory == 0 || s.Days == 0 || s.Links == 0 {
		t.Errorf("the sample is %+v, %v", s, err)
	}
	q.hub.past.add(s)
	q.stop()
	q.start()
	for _, span := range []string{"hour", "day", "year"} {
		got := ask[HistoryAnswer](q, ControlHistory, HistoryRequest{Span: span})
		if len(got.Samples) != 1 || got.Samples[0].Messages != 1 || got.Every == 0 {
			t.Errorf("of the %s it has %+v", span, got)
		}
	}
	if _, err := tryAsk[HistoryAnswer](q, ControlHistory,
		HistoryRequest{Span: "week"}); err == nil {
		t.Error("a week is answered")
	}
	path := filepath.Join(q.config.State, historyFile)
	q.stop()
	for _, text := range []string{"{", `{"hour":[{"time":1}]}`,
		strings.Repeat(" ", mostHistory+1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		q.start()
		if got := ask[HistoryAnswer](q, ControlHistory,
			HistoryRequest{Span: "hour"}); len(got.Samples) != 0 {
			t.Errorf("of %.20q it has %+v", text, got)
		}
		q.stop()
	}
	if !strings.Contains(q.log.String(), "history not read") {
		t.Error("the log does not tell of the broken file")
	}
}

// Spans keep their newest samples, and merge those of one time.
func TestSpans(t *testing.T) {
	h := newHistory()
	at := time.Date(2025, 10, 8, 0, 0, 0, 0, time.UTC)
	for i := range 1000 {
		h.add(Sample{Time: at.Add(time.Duration(i) * sampleTime), Length: sampleTime, Messages: 1,
			Waiting: int64(i % 7), Free: int64(100 - i%7), Days: i})
	}
	hour, day, year := h.by["hour"], h.by["day"], h.by["year"]
	if len(hour) != 360 || !hour[0].Time.Equal(at.Add(640*sampleTime)) {
		t.Errorf("the hour has %d samples from %v", len(hour), hour[0].Time)
	}
	if len(day) != 34 || day[0].Messages != 30 || day[0].Length != 5*time.Minute ||
		day[0].Waiting != 6 || day[0].Free != 94 || day[0].Days != 29 {
		t.Errorf("the day has %d samples, the first %+v", len(day), day[0])
	}
	if len(year) != 1 || year[0].Messages != 1000 {
		t.Errorf("the year has %+v", year)
	}
	h.add(Sample{Time: at, Messages: 1}) // the clock was set back
	if len(h.by["hour"]) != 360 || h.by["hour"][359].Messages != 2 {
		t.Errorf("after a clock that was set back it has %d samples", len(h.by["hour"]))
	}
}

// A user of the console makes the calls of its role, and no others.
func TestCallsOfTheConsole(t *testing.T) {
	q := openHeadquarters(t)
	for role, want := range map[string]string{"viewer": "/status", "operator": "/status /requeue",
		"admin": "/status /requeue /invite", "": "", "send": "", "root": ""} {
		made := ""
		for _, c := range []struct {
			path string
			in   any
		}{{ControlStatus, Nothing{}}, {ControlRequeue, LetterRequest{}},
			{ControlInvite, InviteRequest{}}, {ControlInviteAdmin, InviteAdminRequest{}},
			{ControlConsole, ConsoleRequest{}}, {"/nothing", Nothing{}}} {
			_, err := q.hub.Call(context.Background(), User{"account test", role}, c.path, c.in)
			may := err == nil || !strings.Contains(err.Error(), "may not do this")
			if may != May(role, c.path) {
				t.Errorf("%s of %q: %v", c.path, role, err)
			}
			if may {
				made += " " + c.path
			}
		}
		if made = strings.TrimSpace(made); made != want {
			t.Errorf("%q makes %q, want %q", role, made, want)
		}
	}
	if _, err := q.hub.Call(context.Background(), User{"account test", "admin"}, ControlStatus,
		3); err == nil {
		t.Error("a request of another type is answered")
	}
	if _, err := tryAsk[ConsoleLink](q, ControlConsole, ConsoleRequest{}); err == nil ||
		!strings.Contains(err.Error(), "without a console") {
		t.Errorf("without a console it says %v", err)
	}
}
