//go:build linux

package main

import (
	"fmt"
	"html"
	"strings"
)

// Sizes of the chart, in its own units.
const (
	chartWidth = 880
	labelWidth = 290
	barWidth   = 400
	barHeight  = 22
	rowHeight  = 40
	headHeight = 76
)

// chart returns a picture of each run beside its ceiling, and of the processor time of each step
// and process.
func (r *report) chart() string {
	var b strings.Builder
	y := headHeight
	for _, run := range r.Runs {
		value, unit := run.rate()
		ceiling := run.Ceiling
		if run.Name == "large" {
			ceiling /= 1e6
		}
		drawRate(&b, y, run.title(), value, ceiling, unit)
		y += rowHeight
	}
	if r.Idle != nil {
		drawText(&b, 16, y+16, "idle, drop to inbox")
		drawText(&b, labelWidth, y+16, fmt.Sprintf("p50 %.1f ms, p99 %.1f ms (%d single files)",
			r.Idle.P50, r.Idle.P99, r.Idle.Drops))
		y += rowHeight
	}
	head := fmt.Sprintf("%d × %s, %.0f fsync/s", r.Machine.Cores, r.Machine.CPU, r.Fsyncs)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg"
  width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">
<rect width="100%%" height="100%%" fill="#ffffff"/>
<text x="16" y="26" font-size="16" font-weight="bold">%s</text>
<text x="16" y="46" fill="#555555">%s</text>
<text x="16" y="63" fill="#555555">%s</text>
%s</svg>
`, chartWidth, y+8, chartWidth, y+8,
		"sealpost, from outbox to inbox, beside the ceiling of the CPU", html.EscapeString(head),
		html.EscapeString(r.Room), b.String())
}

// drawRate draws one run: the outline is its ceiling, the bar its rate.
func drawRate(b *strings.Builder, y int, title string, value, ceiling float64, unit string) {
	drawText(b, 16, y+16, title)
	text := fmt.Sprintf("%.0f %s", value, unit)
	width := barWidth
	if ceiling > 0 {
		text += fmt.Sprintf(" of %.0f", ceiling)
		width = min(barWidth, int(barWidth*value/ceiling))
		fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#eef2f6\" "+
			"stroke=\"#9aa7b4\"/>\n", labelWidth, y, barWidth, barHeight)
	}
	fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#2f6f9f\"/>\n",
		labelWidth, y, width, barHeight)
	drawText(b, labelWidth+barWidth+8, y+16, text)
}

func drawText(b *strings.Builder, x, y int, text string) {
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s</text>\n", x, y, html.EscapeString(text))
}
