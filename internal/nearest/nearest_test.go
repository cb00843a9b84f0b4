package nearest

import (
	"slices"
	"testing"
)

func TestTheNearestNamesComeFirst(t *testing.T) {
	known := []string{"SF-RC", "CA-RC", "CA-LAB", "CA-RC", "LONDON-CENTRE"}
	for name, want := range map[string][]string{
		"CA-RX": {"CA-RC"}, "CARC": {"CA-RC"}, "SF-RC": {"SF-RC", "CA-RC"},
		"LONDON-CENTER": {"LONDON-CENTRE"}, "TOKYO-RC": nil, "": nil,
	} {
		if got := Names(name, known, 3); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if got := Names("CA-RC", []string{"CA-RA", "CA-RB", "CA-RD", "CA-RC"}, 2); !slices.Equal(got,
		[]string{"CA-RC", "CA-RA"}) {
		t.Errorf("got %v", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3},
		{"settle", "setle", 1}} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
