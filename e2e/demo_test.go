//go:build linux

package e2e

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// scenario lists the drops, each with its lab and its centres.
var scenario = []struct {
	lab, kind, number string
	to                []string
}{
	{"FL-LAB", "DAT", "001", []string{"CA-RC", "SF-RC"}},
	{"PA-LAB", "RPT", "125", []string{"CA-RC", "NY-RC", "SF-RC"}},
	{"MA-LAB", "DAT", "045", []string{"NY-RC", "SF-RC"}},
	{"IL-LAB", "RPT", "175", []string{"CA-RC", "SF-RC"}},
}

func TestTheDemo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	must(t, lookAtSources())
	var report struct {
		OK           bool
		Problems     []string
		ContentBytes int64 `json:"hub_content_bytes"`
		Deliveries   []struct {
			Message   string    `json:"message_id"`
			Recipient string    `json:"recipient_id"`
			Queue     string    `json:"queue"`
			Equal     bool      `json:"byte_equal"`
			Verified  bool      `json:"receipt_verified"`
			Spooled   time.Time `json:"spooled_time"`
			Settled   time.Time `json:"acknowledged_time"`
		}
	}
	day := time.Now().UTC().Format("20060102")
	must(t, json.Unmarshal([]byte(sealpost(t, "demo", "--dir", dir, "--once", "--json")), &report))
	if !report.OK || len(report.Problems) > 0 || report.ContentBytes != 0 ||
		len(report.Deliveries) != 9 {
		t.Fatalf("it reports %+v", report)
	}
	for _, s := range scenario {
		id := s.lab + "_" + s.kind + "_" + day + "_" + s.number
		var to []string
		for _, d := range report.Deliveries {
			if d.Message != id {
				continue
			}
			to = append(to, d.Recipient)
			if !d.Equal || !d.Verified || d.Spooled.IsZero() || d.Settled.Before(d.Spooled) ||
				d.Queue != queueOf(d.Recipient) {
				t.Errorf("%+v", d)
			}
		}
		if slices.Sort(to); !slices.Equal(to, s.to) && day == time.Now().UTC().Format("20060102") {
			t.Errorf("%s went to %v, want %v", id, to, s.to)
		}
	}
	auditDemo(t, dir)
}

// auditDemo compares the demo's files with the scenario.
func auditDemo(t testing.TB, dir string) {
	t.Helper()
	w := &world{t: t, dir: dir, root: filepath.Join(dir, "DC-HQ-root")}
	w.hub = &hubSide{w: w, dir: filepath.Join(dir, "DC-HQ")}
	w.hub.daemon = newDaemon(t, "DC-HQ", filepath.Join(dir, "DC-HQ", "log after the demo"), program,
		"hub", "run", "--dir", w.hub.dir)
	centres := map[string]*site{}
	for _, name := range []string{"CA-RC", "NY-RC", "SF-RC"} {
		centres[name] = &site{w: w, name: name, role: "receive", dir: filepath.Join(dir, name),
			daemon: &daemon{t: t, name: name}}
		w.sites = append(w.sites, centres[name])
	}
	for _, s := range scenario {
		lab := &site{w: w, name: s.lab, role: "send", dir: filepath.Join(dir, s.lab),
			daemon: &daemon{t: t, name: s.lab}}
		for _, name := range s.to {
			lab.to = append(lab.to, centres[name])
		}
		w.sites = append(w.sites, lab)
		for path := range lab.files("delivered") {
			d := &drop{lab: lab, name: filepath.Base(path)}
			d.reread(lab.at("delivered", path))
			w.drops = append(w.drops, d)
		}
	}
	if len(w.drops) != 4 {
		t.Errorf("%d files lie in delivered", len(w.drops))
	}
	w.hub.Start()
	a := newAudit(w)
	a.await()
	a.records = a.readRecords()
	w.hub.Stop()
	a.check()
	for _, p := range a.problems {
		t.Errorf("auditor: %s", p)
	}
}
