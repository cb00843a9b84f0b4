package agent

import (
	"time"

	"sealpost/config"
	"sealpost/internal/line"
	"sealpost/internal/reason"
)

// newLine returns a line with the limit of the configuration; nil: there is none.
func newLine(r config.Rate) *line.Line {
	if !r.IsLimit() {
		return nil
	}
	return line.New(func(now time.Time) int64 {
		limit, _ := r.At(now.Local())
		return limit
	})
}

// Limit is a limit of the line that holds now.
type Limit struct {
	Way   string    `json:"way"`            // LimitUp or LimitDown
	Tray  string    `json:"tray,omitempty"` // whose messages it limits; empty: all of the site
	Rate  int64     `json:"bytes_per_second"`
	Until time.Time `json:"until,omitzero"` // zero: it never changes
}

// The ways of a Limit.
const (
	LimitUp   = "up"
	LimitDown = "down"
)

// Reason returns the limit in words.
func (l Limit) Reason() reason.Reason {
	var until any
	if !l.Until.IsZero() {
		until = l.Until
	}
	switch {
	case l.Tray != "":
		return reason.New("line-limits-tray", "tray", l.Tray, "rate", reason.Size(l.Rate),
			"until", until)
	case l.Way == LimitDown:
		return reason.New("line-limits-down", "rate", reason.Size(l.Rate), "until", until)
	}
	return reason.New("line-limits-up", "rate", reason.Size(l.Rate), "until", until)
}

// limits lists the limits that hold now.
func (a *Agent) limits(now time.Time) (list []Limit) {
	add := func(way, tray string, r config.Rate) {
		if limit, until := r.At(now.Local()); limit > 0 {
			list = append(list, Limit{Way: way, Tray: tray, Rate: limit, Until: until})
		}
	}
	if a.cfg.Sends() {
		add(LimitUp, "", a.cfg.RateUp)
	}
	for _, t := range a.cfg.Trays() {
		add(LimitUp, t.Name, t.RateUp)
	}
	if a.cfg.Receives() {
		add(LimitDown, "", a.cfg.RateDown)
	}
	return list
}
