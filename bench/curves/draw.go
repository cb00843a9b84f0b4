package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A picture is a row of panels, one for each operation. Each has the number on a logarithmic scale,
// and the cost from zero.
const (
	panelWidth, panelHeight = 250, 200
	left, top, gap, bottom  = 50, 60, 60, 60
)

// colours differ for colour-blind readers, too.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

func draw(points []point) string {
	var ops, stories []string
	for _, p := range points {
		if !slices.Contains(ops, p.op) {
			ops = append(ops, p.op)
		}
		if !slices.Contains(stories, p.story) {
			stories = append(stories, p.story)
		}
	}
	width := left + len(ops)*(panelWidth+gap)
	var b strings.Builder
	fmt.Fprintf(&b,
		`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d"`+
			` font-family="sans-serif" font-size="11">`+"\n", width, top+panelHeight+bottom)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	for i, story := range stories {
		x := left + i*210
		fmt.Fprintf(&b, `<line x1="%d" y1="16" x2="%d" y2="16" stroke="%s" stroke-width="2"/>`+"\n",
			x, x+20, colours[i%len(colours)])
		fmt.Fprintf(&b, `<text x="%d" y="20">%s</text>`+"\n", x+26, story)
	}
	for i, op := range ops {
		own := slices.DeleteFunc(slices.Clone(points), func(p point) bool { return p.op != op })
		fmt.Fprintf(&b, `<g transform="translate(%d,%d)">`+"\n", left+i*(panelWidth+gap), top)
		newPanel(own).draw(&b, op, stories)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// panel is one panel with its scales.
type panel struct {
	points      []point
	first, last float64 // powers of ten
	most, step  float64 // microseconds: the top, and the distance of two lines
}

func newPanel(points []point) panel {
	p := panel{points: points, first: math.Inf(1)}
	for _, q := range points {
		p.first = min(p.first, math.Floor(math.Log10(q.at)))
		p.last = max(p.last, math.Ceil(math.Log10(q.at)))
		p.most = max(p.most, q.cost)
	}
	p.last = max(p.last, p.first+1)
	p.step = math.Pow(10, math.Floor(math.Log10(max(p.most, 1))))
	if p.most/p.step < 3 {
		p.step /= 2
	}
	p.most = (math.Floor(p.most/p.step) + 1) * p.step
	return p
}

func (p panel) x(at float64) float64 {
	return panelWidth * (math.Log10(at) - p.first) / (p.last - p.first)
}

func (p panel) y(cost float64) float64 { return panelHeight * (1 - cost/p.most) }

func (p panel) draw(b *strings.Builder, op string, stories []string) {
	fmt.Fprintf(b, `<text x="0" y="-12" font-weight="bold">%s, µs each</text>`+"\n", op)
	for cost := 0.0; cost <= p.most; cost += p.step {
		fmt.Fprintf(b, `<line x1="0" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/>`, p.y(cost),
			panelWidth, p.y(cost))
		fmt.Fprintf(b, `<text x="-6" y="%.1f" text-anchor="end">%g</text>`+"\n", p.y(cost)+4, cost)
	}
	for power := p.first; power <= p.last; power++ {
		x := p.x(math.Pow(10, power))
		fmt.Fprintf(b, `<line x1="%.1f" y1="0" x2="%.1f" y2="%d" stroke="#ddd"/>`, x, x,
			panelHeight)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x,
			panelHeight+16, thousands(math.Pow(10, power)))
	}
	for i, story := range stories {
		p.line(b, story, colours[i%len(colours)])
	}
}

func (p panel) line(b *strings.Builder, story, colour string) {
	var at []string
	for _, q := range p.points {
		if q.story == story {
			at = append(at, fmt.Sprintf("%.1f,%.1f", p.x(q.at), p.y(q.cost)))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>`+"\n", p.x(q.at),
				p.y(q.cost), colour)
		}
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n",
		strings.Join(at, " "), colour)
}

// thousands formats a number like 1,000,000.
func thousands(n float64) string {
	text := fmt.Sprintf("%.0f", n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
