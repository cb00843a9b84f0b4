package console

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/id"
)

func TestIsLocal(t *testing.T) {
	for host, want := range map[string]bool{"127.0.0.1:7445": true, "localhost:80": true,
		"localhost": true, "[::1]:7445": true, "[::1]": true, "127.9.9.9": true, "": false,
		"evil.example": false, "localhost.evil.example:80": false, "127.0.0.1.evil.example": false,
		"192.0.2.1:7445": false, "0.0.0.0:7445": false} {
		if isLocal(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}

func TestSpans(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "now", 5 * time.Second: "5 s ago",
		90 * time.Second: "1 min ago", 47 * time.Hour: "47 h ago", 49 * time.Hour: "2 days ago",
		-3 * time.Hour: "in 3 h"} {
		if got := ago(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[string]string{"0": "0", "999": "999", "1000": "1\u202f000",
		"-1234567": "-1\u202f234\u202f567", "x": "x"} {
		if got := grouped(n); got != want {
			t.Errorf("%s: %q, want %q", n, got, want)
		}
	}
	for x, want := range map[float64]float64{0: 1, 0.3: 0.3, 1: 1, 7.2: 8, 1234: 2000} {
		if got := roundUp(x, 10); got < want*0.999 || got > want*1.001 {
			t.Errorf("%v: %v, want %v", x, got, want)
		}
	}
	if got := roundUp(1500*1024, 1024); got != 2<<20 {
		t.Errorf("1500 KiB: %v", got)
	}
}

// A plot has a gap where the hub was off, and leaves out whatever is older than its span.
func TestPlots(t *testing.T) {
	now := time.Now()
	var points []point
	for _, minutes := range []int{90, 50, 49, 48, 20, 19, 1} {
		points = append(points, point{now.Add(-time.Duration(minutes) * time.Minute), 10})
	}
	p := line("x", points, time.Minute, time.Hour, now, counts)
	var shape []int
	for _, l := range p.Lines {
		shape = append(shape, len(strings.Fields(l)))
	}
	if fmt.Sprint(shape) != "[3 2 1]" || len(p.Areas) != 3 || p.Now != "10" {
		t.Errorf("the lines have %v points; %+v", shape, p)
	}
	for _, l := range p.Lines {
		for _, place := range strings.Fields(l) {
			var x, y float64
			if _, err := fmt.Sscanf(place, "%f,%f", &x, &y); err != nil || x < plotLeft ||
				x > plotWidth-plotRight || y != plotTop {
				t.Errorf("a point at %s", place)
			}
		}
	}
	if none := line("x", nil, time.Minute, time.Hour, now, counts); !none.Empty {
		t.Errorf("without points: %+v", none)
	}
}

// The picture is bounded: sites with alarms come first, then the busiest.
func TestThePictureOfManySites(t *testing.T) {
	var sites []hub.SiteStatus
	var pairs []hub.FlowPair
	for i := range 400 {
		name := id.Site(fmt.Sprintf("LAB-%d", i))
		sites = append(sites, hub.SiteStatus{Site: name, State: hub.SiteJoined, Connections: 1,
			Role: config.RoleSend})
		pairs = append(pairs, hub.FlowPair{Sender: name, Recipient: "CA-RC", Messages: int64(i)})
	}
	sites[7].Connections = 0
	sites[9].Copies = []string{"192.0.2.1", "192.0.2.2"}
	sites[11].State = hub.SiteInvited
	p := draw("DC-HQ", sites, pairs)
	if len(p.Boxes) != mostBoxes || p.LessLeft != 399-mostBoxes || p.Boxes[0].Name != "LAB-9" ||
		p.Boxes[1].Name != "LAB-7" || p.Boxes[2].Name != "LAB-399" || p.Boxes[1].Detail != "away" {
		t.Errorf("it has %d boxes, %+v", len(p.Boxes), p.Boxes[:3])
	}
}

// Alarms tell of each trouble; without one all is well.
func TestAlarms(t *testing.T) {
	now := time.Now()
	old := now.Add(-30 * time.Hour)
	joined := hub.SiteStatus{Site: "CA-RC", State: hub.SiteJoined, Connections: 1, LastSeen: now}
	for want, change := range map[string]func(*hub.SiteStatus){
		"": func(*hub.SiteStatus) {},
		"is away: 2 deliveries wait for it": func(s *hub.SiteStatus) {
			s.Connections, s.Waiting = 0, 2
		},
		"was last seen 30 h ago": func(s *hub.SiteStatus) {
			s.Connections, s.LastSeen = 0, old
		},
		"is connected, and a delivery waits for it for 30 h": func(s *hub.SiteStatus) {
			s.Waiting, s.Oldest = 1, old
		},
		"runs twice": func(s *hub.SiteStatus) {
			s.Copies = []string{"a", "b"}
		},
		"runs in another role than the hub has": func(s *hub.SiteStatus) { s.RunsAs = "send" },
		"ends undelivered in 2 days": func(s *hub.SiteStatus) {
			s.OldestExpires = now.Add(49 * time.Hour)
		},
	} {
		s := joined
		change(&s)
		list := alarmsOf(s, now)
		if want == "" && len(list) != 0 || want != "" && (len(list) != 1 ||
			!strings.Contains(list[0].Text, want)) {
			t.Errorf("want %q: %+v", want, list)
		}
	}
	fine := hub.Status{CertExpires: now.Add(60 * 24 * time.Hour)}
	if list := hubAlarms(fine, now); len(list) != 0 {
		t.Errorf("a hub that is well has %+v", list)
	}
	bad := hub.Status{CertExpires: now.Add(time.Hour), Paused: now}
	bad.Spool.Reserve = 1
	if list := hubAlarms(bad, now); len(list) != 3 {
		t.Errorf("a hub in trouble has %+v", list)
	}
}
