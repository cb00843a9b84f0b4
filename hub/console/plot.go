package console

import (
	"fmt"
	"math"
	"strings"
	"time"

	"sealpost/hub"
	"sealpost/internal/reason"
)

// Measures of a plot.
const (
	plotWidth  = 420
	plotHeight = 150
	plotLeft   = 70
	plotRight  = 8
	plotTop    = 10
	plotBottom = 22
)

// plot is a line over time, drawn as SVG.
type plot struct {
	Title, Now  string // Now is the newest value
	Lines       []string
	Areas       []string
	Marks, Ends []mark
	Empty       bool
}

// mark is a labelled place on an axis.
type mark struct {
	At   int
	Text string
}

// point is a value at a time.
type point struct {
	at    time.Time
	value float64
}

// line returns the plot of points over a span that ends now. Where points lack, the line has a gap.
func line(title string, points []point, every, length time.Duration, now time.Time,
	u unit) plot {
	p := plot{Title: title, Empty: len(points) == 0}
	if p.Empty {
		p.Now = "no figures yet"
		return p
	}
	p.Now = u.text(points[len(points)-1].value)
	most := 0.0
	for _, x := range points {
		most = max(most, x.value)
	}
	most = roundUp(most, u.base)
	from := now.Add(-length)
	place := func(x point) (float64, float64) {
		return plotLeft + x.at.Sub(from).Seconds()/length.Seconds()*(plotWidth-plotLeft-plotRight),
			plotTop + (1-x.value/most)*(plotHeight-plotTop-plotBottom)
	}
	var path []string
	first := 0.0
	end := func(last float64) {
		if len(path) == 0 {
			return
		}
		p.Lines = append(p.Lines, strings.Join(path, " "))
		const floor = plotHeight - plotBottom
		p.Areas = append(p.Areas, fmt.Sprintf("%.1f,%d %s %.1f,%d", first, floor,
			strings.Join(path, " "), last, floor))
		path = nil
	}
	var last point
	for _, x := range points {
		if x.at.Before(from) || x.at.After(now.Add(every)) {
			continue
		}
		if len(path) > 0 && x.at.Sub(last.at) > 3*every {
			before, _ := place(last)
			end(before)
		}
		at, height := place(x)
		if len(path) == 0 {
			first = at
		}
		path, last = append(path, fmt.Sprintf("%.1f,%.1f", at, height)), x
	}
	before, _ := place(last)
	end(before)
	for i := range 3 {
		value := most * float64(i) / 2
		_, y := place(point{value: value})
		p.Marks = append(p.Marks, mark{int(math.Round(y)), u.text(value)})
	}
	p.Ends = []mark{{plotLeft, span(length) + " ago"}, {plotWidth - plotRight, "now"}}
	return p
}

// roundUp returns the next number with one leading digit, in a unit that is a power of the base.
func roundUp(x, base float64) float64 {
	if x <= 0 {
		return 1
	}
	unit := math.Pow(base, math.Floor(math.Log(x)/math.Log(base)))
	unit *= math.Pow(10, math.Floor(math.Log10(x/unit)))
	return math.Ceil(x/unit) * unit
}

func asCount(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.3g M", x/1e6)
	case x >= 1e4:
		return fmt.Sprintf("%.3g k", x/1e3)
	case x != math.Trunc(x):
		return fmt.Sprintf("%.2g", x)
	}
	return grouped(fmt.Sprint(int64(x)))
}

// spanOf returns the length of a history.
func spanOf(past hub.HistoryAnswer) time.Duration {
	switch past.Every {
	case 10 * time.Second:
		return time.Hour
	case 5 * time.Minute:
		return 24 * time.Hour
	}
	return 365 * 24 * time.Hour
}

// unit is the form of a figure.
type unit struct {
	base float64 // of its larger units
	text func(float64) string
}

var (
	counts = unit{10, asCount}
	sizes  = unit{1024, func(x float64) string { return reason.SizeText(int64(x), reason.English) }}
	rates  = unit{1024, func(x float64) string { return sizes.text(x) + "/s" }}
	times  = unit{1000, func(x float64) string {
		return time.Duration(x).Round(10 * time.Microsecond).String()
	}}
	ages = unit{60, func(x float64) string { return span(time.Duration(x * float64(time.Second))) }}
	days = unit{10, func(x float64) string { return asCount(x) + " d" }}
)

// over returns the plot of one figure of a history.
func over(past hub.HistoryAnswer, now time.Time, title string, u unit,
	of func(hub.Sample) float64) plot {
	points := make([]point, 0, len(past.Samples))
	for _, s := range past.Samples {
		points = append(points, point{s.Time, of(s)})
	}
	return line(title, points, past.Every, spanOf(past), now, u)
}

// rate returns a figure for each second of the hub's run.
func rate(n int64, s hub.Sample) float64 {
	if s.Length <= 0 {
		return 0
	}
	return float64(n) / s.Length.Seconds()
}

func waitingPlot(past hub.HistoryAnswer, now time.Time) plot {
	return over(past, now, "Deliveries waiting", counts, func(s hub.Sample) float64 {
		return float64(s.Waiting)
	})
}

func agePlot(past hub.HistoryAnswer, now time.Time) plot {
	return over(past, now, "Age of the oldest", ages, func(s hub.Sample) float64 {
		return s.Oldest.Seconds()
	})
}
