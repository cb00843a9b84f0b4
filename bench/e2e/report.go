//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"sealpost/bench/room"
)

// report holds the results of one run.
type report struct {
	Time    time.Time    `json:"time"`
	Version string       `json:"version"`
	Machine room.Machine `json:"machine"`
	Room    string       `json:"room"`
	Fsyncs  float64      `json:"fsyncs_per_second"`
	Writes  float64      `json:"disk_bytes_per_second"`
	Steps   []step       `json:"steps"`
	Runs    []run        `json:"runs"`
	Idle    *idle        `json:"idle,omitempty"`
	Single  *single      `json:"single,omitempty"`
}

func newReport(r room.Room, o options) (*report, error) {
	rep := &report{Time: time.Now().UTC().Truncate(time.Second), Machine: room.Look(), Room: r.Is}
	if out, err := exec.Command(o.bin, "version").Output(); err == nil {
		rep.Version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	}
	var err error
	if rep.Fsyncs, err = room.Fsyncs(r.Dir, time.Second); err != nil {
		return nil, err
	}
	rep.Writes, err = room.Writes(r.Dir, min(512<<20, room.Free(r.Dir)/8))
	return rep, err
}

func (r *report) head() string {
	m := r.Machine
	return fmt.Sprintf("%s; %d × %s, %.0f GiB, Linux %s, %s\nthe files lie on: %s\nthe disk "+
		"makes 4 KiB durable %.0f times a second, and writes %.0f MB/s in one piece\n\n",
		r.Version, m.Cores, m.CPU, float64(m.Memory)/(1<<30), m.Kernel, m.Go, r.Room, r.Fsyncs,
		r.Writes/1e6)
}

func (r *report) add(run run) {
	r.Runs = append(r.Runs, run)
	fmt.Print(run.table())
}

// sum returns the cost of one byte or file on its whole way to the recipients; 0: not measured.
func (r *report) sum(load string, recipients int) (sum float64) {
	for _, s := range r.Steps {
		if s.Load != load || s.Recipients != 0 && s.Recipients != recipients {
			continue
		}
		if s.Each {
			sum += s.Cost * float64(recipients)
		} else {
			sum += s.Cost
		}
	}
	return sum
}

// largeCeiling returns the bytes per second of all cores if only the steps cost time.
func (r *report) largeCeiling(recipients int) float64 {
	if sum := r.sum("large", recipients); sum > 0 {
		return float64(r.Machine.Cores) / sum * (1 << 30)
	}
	return 0
}

// smallCeiling returns the small files per second of all cores if only the steps cost time.
func (r *report) smallCeiling(recipients int) float64 {
	if sum := r.sum("small", recipients); sum > 0 {
		return float64(r.Machine.Cores) / sum * 1e6
	}
	return 0
}

func (r *report) stepsTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-34s %18s %18s\n", "a step alone, in CPU time", "large, s/GiB",
		"4 KiB, µs/file")
	for _, s := range r.Steps {
		name := s.Name
		if s.Recipients != 0 {
			name += ", " + recipients(s.Recipients)
		}
		if s.Each {
			name += ", each recipient"
		}
		large, small := fmt.Sprintf("%.2f", s.Cost), ""
		if s.Load == "small" {
			large, small = "", fmt.Sprintf("%.0f", s.Cost)
		}
		fmt.Fprintf(&b, "%-34s %18s %18s\n", name, large, small)
	}
	return b.String() + "\n"
}

func recipients(n int) string {
	if n == 1 {
		return "1 recipient"
	}
	return strconv.Itoa(n) + " recipients"
}

// rate returns the main number of a run, and its unit.
func (r run) rate() (value float64, unit string) {
	if r.Name == "large" {
		return r.bytesPerSecond() / 1e6, "MB/s"
	}
	return r.filesPerSecond(), "files/s"
}

func (r run) title() string {
	return fmt.Sprintf("%d files of %s for %s", r.Files, amount(r.Size), recipients(r.Recipients))
}

func (r run) table() string {
	var b strings.Builder
	value, unit := r.rate()
	fmt.Fprintf(&b, "%s: %.0f %s, all in the inboxes after %.2f s, all receipts after %.2f s\n",
		r.title(), value, unit, r.Seconds, r.Receipts)
	if r.Ceiling > 0 {
		scale := 1.0
		if r.Name == "large" {
			scale = 1e6
		}
		fmt.Fprintf(&b, "  ceiling of the CPU: %.0f %s, of which that is %.2f\n", r.Ceiling/scale,
			unit, value*scale/r.Ceiling)
	}
	cost, per := 1e6/float64(r.Files), "µs/file"
	if r.Name == "large" {
		cost, per = float64(1<<30)/(float64(r.Files)*float64(r.Size)), "s/GiB"
	}
	var sum float64
	for _, p := range r.Processes {
		if sum += p.CPU; p.CPU*cost >= 0.005 {
			fmt.Fprintf(&b, "  %-8s %8.2f %s of CPU, peak private memory %4.0f MiB\n", p.Name,
				p.CPU*cost, per, float64(p.Private)/(1<<20))
		}
	}
	fmt.Fprintf(&b,
		"  %-8s %8.2f %s; the whole machine %.2f, the kernel's own threads included\n\n", "all",
		sum*cost, per, r.Machine*cost)
	return b.String()
}

// write writes the report to the files of the options.
func (r *report) write(o *options) error {
	if o.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if o.table != "" {
		if err := os.WriteFile(o.table, []byte(r.text()), 0o644); err != nil {
			return err
		}
	}
	if o.svg != "" {
		return os.WriteFile(o.svg, []byte(r.chart()), 0o644)
	}
	return nil
}

// text returns the printed report.
func (r *report) text() string {
	var b strings.Builder
	b.WriteString(r.head() + r.stepsTable())
	for _, run := range r.Runs {
		b.WriteString(run.table())
	}
	if r.Idle != nil {
		b.WriteString(r.Idle.line())
	}
	if r.Single != nil {
		b.WriteString(r.Single.table())
	}
	return b.String()
}
