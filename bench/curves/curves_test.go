package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// The picture in docs is the one of the measurements beside it.
func TestThePictureIsOfItsMeasurements(t *testing.T) {
	var now strings.Builder
	if err := run([]string{"../../docs/spool-curves.csv"}, &now); err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile("../../docs/spool-curves.svg")
	if err != nil {
		t.Fatal(err)
	}
	if string(drawn) != now.String() {
		t.Error("docs/spool-curves.svg is out of date: go run ./bench/curves " +
			"docs/spool-curves.csv > docs/spool-curves.svg")
	}
	d := xml.NewDecoder(strings.NewReader(now.String()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// Every point lies in its panel, the largest near its top, and none is left out.
func TestPointsLieInTheirPanel(t *testing.T) {
	for _, most := range []float64{0, 0.7, 9.9, 10, 29, 12345} {
		points := []point{{"lease", "queued", 1000, 0}, {"lease", "queued", 1_000_000, most}}
		p := newPanel(points)
		for _, q := range points {
			if x, y := p.x(q.at), p.y(q.cost); x < 0 || x > panelWidth || y < 0 || y > panelHeight {
				t.Errorf("%+v is drawn at %.1f, %.1f", q, x, y)
			}
		}
		if most >= 1 && p.y(most) > panelHeight/2 {
			t.Errorf("%g is drawn at %.1f of %d", most, p.y(most), panelHeight)
		}
		if n := strings.Count(draw(points), "<circle"); n != 2 {
			t.Errorf("%d points are drawn", n)
		}
	}
}

func TestWhatCannotBeDrawn(t *testing.T) {
	for _, text := range []string{"", "a;b;c;d\n", "a;b;c;d\nlease;queued;x;1\n",
		"a;b;c;d\nlease;queued;0;1\n", "a;b\nlease;queued\n"} {
		if points, err := read(strings.NewReader(text)); err == nil {
			t.Errorf("%q gives %+v", text, points)
		}
	}
}
