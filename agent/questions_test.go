package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/agent/outbox"
)

// statusFile returns the text of the site's STATUS.txt.
func (s *site) statusFile() string {
	s.w.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "STATUS.txt"))
	if err != nil && !os.IsNotExist(err) {
		s.w.t.Fatal(err)
	}
	return string(text)
}

func TestTheStatusFileSaysHowThingsStand(t *testing.T) {
	t.Parallel() // it waits more than it works
	w, lab, centre := labAndCentre(t)
	lab.drop("data.csv", []byte("1;2"))
	lab.dropOld("draft.tmp")
	centre.expect("FL-LAB", "data.csv", []byte("1;2"))
	for _, want := range []string{"CONNECTED to the hub DC-HQ", `"data.csv" has reached CA-RC`,
		`"draft.tmp": it has the name of a temporary file`} {
		eventually(t, "the lab's file says "+want,
			func() bool { return strings.Contains(lab.statusFile(), want) })
	}
	eventually(t, "the centre's file tells of it", func() bool {
		return strings.Contains(centre.statusFile(), `"FL-LAB/data.csv" from FL-LAB, 3 B`)
	})
	w.stopHub()
	eventually(t, "it says that the hub is gone",
		func() bool { return strings.Contains(lab.statusFile(), "NOT CONNECTED since") })
	lab.stop()
	if text := lab.statusFile(); !strings.Contains(text, "STOPPED") {
		t.Errorf("after the end it says:\n%s", text)
	}
}

// A message is found by a part of its file's name.
func TestFindByPartOfAName(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	lab.drop("Blood?Panel 7.csv", []byte("b"))
	lab.drop("other.csv", []byte("o"))
	eventually(t, "both are delivered", func() bool { return len(lab.tray("delivered")) == 2 })
	find := func(s *site, name string) (f agent.Found) {
		must(t, s.call(agent.PathFind, agent.FindRequest{Name: name}, &f))
		return f
	}
	if f := find(lab, "panel"); len(f.Sent) != 1 || f.Sent[0].Name != "Blood?Panel 7.csv" ||
		f.Sent[0].State != "delivered" || f.More {
		t.Errorf("the lab finds %+v", f)
	}
	for _, name := range []string{"panel", "blood?", "%3F"} {
		if f := find(centre, name); len(f.Received) != 1 ||
			f.Received[0].Path != filepath.Join("FL-LAB", "Blood%3FPanel 7.csv") {
			t.Errorf("the centre finds %+v for %q", f, name)
		}
	}
	if f := find(lab, "nothing like this"); len(f.Sent) != 0 {
		t.Errorf("the lab finds %+v", f)
	}
	var f agent.Found
	must(t, lab.call(agent.PathFind, agent.FindRequest{Name: "csv", Limit: 1}, &f))
	if len(f.Sent) != 1 || !f.More {
		t.Errorf("of two the lab finds %+v", f)
	}
	if err := lab.call(agent.PathFind, agent.FindRequest{}, &f); err == nil ||
		!strings.Contains(err.Error(), "part of the file's name") {
		t.Errorf("no name: %v", err)
	}
	var trays agent.Trays
	must(t, lab.call(agent.PathTrays, agent.TraysRequest{Names: []string{"run.part", "run.csv"}},
		&trays))
	if len(trays.Trays) != 1 || trays.Trays[0].Route != "fl-lab.dat" ||
		trays.Trays[0].Outbox != filepath.Join(lab.dir, "outbox") {
		t.Errorf("trays: %+v", trays)
	}
	if left := trays.Trays[0].LeftAlone; len(left) != 1 || left["run.part"].IsZero() {
		t.Errorf("it would leave alone %v", left)
	}
	if err := centre.call(agent.PathTrays, struct{}{}, &trays); err == nil ||
		!strings.Contains(err.Error(), "does not send") {
		t.Errorf("at the centre: %v", err)
	}
}

// The progress of a large file is seen at both ends.
func TestProgressOfALargeFile(t *testing.T) {
	_, lab, centre := labAndCentre(t)
	content := random(40 << 20)
	stop := make(chan struct{})
	var up []outbox.Upload
	var down int
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			default:
			}
			var l, c agent.Status
			if lab.call(agent.PathStatus, agent.StatusRequest{}, &l) == nil &&
				len(l.Outbox.Uploads) > 0 {
				up = append(up, l.Outbox.Uploads[0])
			}
			if centre.call(agent.PathStatus, agent.StatusRequest{}, &c) == nil &&
				len(c.Inbox.Downloads) > 0 {
				down++
			}
		}
	}()
	lab.drop("big", content)
	centre.expect("FL-LAB", "big", content)
	close(stop)
	<-watched
	if len(up) == 0 || down == 0 {
		t.Fatalf("seen %d times on the way up, and %d times on the way down", len(up), down)
	}
	last := up[len(up)-1]
	if last.Name != "big" || last.Size < int64(len(content)) || last.Done > last.Size {
		t.Errorf("got %+v", last)
	}
	for i, u := range up {
		if i > 0 && u.Done < up[i-1].Done {
			t.Errorf("from %d back to %d", up[i-1].Done, u.Done)
		}
	}
	eventually(t, "nothing is under way", func() bool {
		return len(lab.status().Outbox.Uploads) == 0 && len(centre.status().Inbox.Downloads) == 0
	})
}
