package console

import (
	"sealpost/hub"
)

// figures are all that the page of the hub's health shows.
type figures struct {
	Status hub.Status
	Span   string
	Spans  []string
	Plots  []plot
}

// measure asks the hub for its figures over the span in the page's address.
func measure(v *visit) (f figures, err error) {
	f.Spans = []string{"hour", "day", "year"}
	if f.Span = v.field("span"); f.Span == "" {
		f.Span = "hour"
	}
	if f.Status, err = ask[hub.Status](v, hub.ControlStatus, hub.Nothing{}); err != nil {
		return f, err
	}
	past, err := ask[hub.HistoryAnswer](v, hub.ControlHistory, hub.HistoryRequest{Span: f.Span})
	if err != nil {
		return f, err
	}
	now := v.hub.Now()
	add := func(title string, u unit, of func(hub.Sample) float64) {
		f.Plots = append(f.Plots, over(past, now, title, u, of))
	}
	add("Messages a second", counts, func(s hub.Sample) float64 { return rate(s.Messages, s) })
	add("Outcomes a second", counts, func(s hub.Sample) float64 { return rate(s.Settled, s) })
	add("Ciphertext in", rates, func(s hub.Sample) float64 { return rate(s.In, s) })
	add("Ciphertext out", rates, func(s hub.Sample) float64 { return rate(s.Out, s) })
	add("Time of a request", times, func(s hub.Sample) float64 {
		return float64(s.Busy) / float64(max(1, s.Requests))
	})
	f.Plots = append(f.Plots, waitingPlot(past, now))
	add("Disk free", sizes, func(s hub.Sample) float64 { return float64(s.Free) })
	add("Memory", sizes, func(s hub.Sample) float64 { return float64(s.Memory) })
	add("Connections", counts, func(s hub.Sample) float64 { return float64(s.Links) })
	add("Hub's certificate", days, func(s hub.Sample) float64 { return float64(s.Days) })
	return f, nil
}

// Disk is the share of the disk that is in use, in percent.
func (f figures) Disk() int64 {
	s := f.Status.Spool
	return 100 - 100*s.DiskFree/max(1, s.DiskSize)
}

// Reserve is the share above which the hub takes nothing in, in percent.
func (f figures) Reserve() int64 {
	s := f.Status.Spool
	return 100 - 100*s.Reserve/max(1, s.DiskSize)
}

// health shows the hub's figures over time.
func health(v *visit) error {
	f, err := measure(v)
	if err != nil {
		return err
	}
	return v.page("health", "Health", f)
}
