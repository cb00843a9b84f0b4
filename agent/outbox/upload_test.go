package outbox

import (
	"errors"
	"testing"

	"sealpost/hub/api"
)

// A line may be so slow that several parts at once never come through and one does.
func TestFewerPartsOnABadLine(t *testing.T) {
	s := &sealed{}
	failed := errors.New("broken line")
	for i, step := range []struct {
		brought int64
		err     error
		atOnce  int
	}{
		{1, failed, 3}, // the line is bad, and carries parts
		{0, failed, 1},
		{0, failed, 1}, // never none
		{1, failed, 3},
		{0, failed, 1},
		{1, nil, 3},
	} {
		s.adapt(step.brought, step.err)
		if got := partsAtOnce >> s.fewer; got != step.atOnce {
			t.Errorf("after step %d %d parts go at once, want %d", i, got, step.atOnce)
		}
	}
}

func TestWhatIsMissing(t *testing.T) {
	const size = 2*api.PartSize + 5
	for _, c := range []struct {
		parts []int
		want  int64
	}{{nil, 0}, {[]int{0, 1, 2}, size}, {[]int{2}, 5}, {[]int{0, 2}, api.PartSize + 5}} {
		if got := missing(c.parts, size); got != c.want {
			t.Errorf("%v: %d bytes, want %d", c.parts, got, c.want)
		}
	}
}
