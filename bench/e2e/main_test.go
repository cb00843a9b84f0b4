//go:build linux

package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The small form of the whole: every part is measured once, and every number is there.
func TestQuick(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"json": filepath.Join(dir, "r.json"),
		"svg": filepath.Join(dir, "r.svg"), "table": filepath.Join(dir, "r.txt")}
	if err := command([]string{"-quick", "-dir", dir, "-json", files["json"], "-svg", files["svg"],
		"-table", files["table"]}); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(read(t, files["json"]), &r); err != nil {
		t.Fatal(err)
	}
	if r.Fsyncs <= 0 || r.Idle == nil || r.Idle.P50 <= 0 || r.Idle.P99 < r.Idle.P50 ||
		len(r.Runs) != 4 {
		t.Errorf("the report is not whole: %+v", r)
	}
	if s := r.Single; s == nil || len(s.Phases) != 4 || s.Extra <= 0 || s.Extra > 64<<20 ||
		s.Run.Seconds <= 0 {
		t.Errorf("the single file is not whole: %+v", s)
	} else {
		sum := 0.0
		for _, p := range s.Phases {
			sum += p.Seconds
		}
		if diff := sum - s.Run.Receipts; diff > 1e-6 || diff < -1e-6 {
			t.Errorf("the phases %+v are not %f s", s.Phases, s.Run.Receipts)
		}
	}
	for _, run := range r.Runs {
		if run.Seconds <= 0 || run.Receipts < run.Seconds || run.Ceiling <= 0 || run.Machine <= 0 ||
			len(run.Processes) != 6 {
			t.Errorf("%s is not whole: %+v", run.title(), run)
		}
		for _, p := range run.Processes {
			if p.Private < 1<<20 {
				t.Errorf("%s: %s has %d bytes of memory", run.title(), p.Name, p.Private)
			}
		}
	}
	for dec := xml.NewDecoder(strings.NewReader(string(read(t, files["svg"])))); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the drawing is no XML: %v", err)
		}
	}
	if text := string(read(t, files["table"])); !strings.Contains(text,
		"200 files of 4 KiB for 3 recipients") {
		t.Errorf("the table:\n%s", text)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "sealpost-bench-*")); err != nil ||
		len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The ceiling counts the steps of each recipient once for each.
func TestCeiling(t *testing.T) {
	r := report{Steps: []step{
		{Name: stepSeal, Load: "small", Recipients: 1, Cost: 10},
		{Name: stepSeal, Load: "small", Recipients: 3, Cost: 20},
		{Name: stepUp, Load: "small", Cost: 5}, {Name: stepOpen, Load: "small", Each: true,
			Cost: 25}, {Name: stepSeal, Load: "large", Cost: 4},
	}}
	r.Machine.Cores = 2
	if got := r.smallCeiling(1); got != 2e6/40 {
		t.Errorf("one recipient: %v", got)
	}
	if got := r.smallCeiling(3); got != 2e6/100 {
		t.Errorf("three: %v", got)
	}
	if got := r.largeCeiling(3); got != 1<<29 {
		t.Errorf("large: %v", got)
	}
}
