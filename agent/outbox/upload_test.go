package outbox

import (
	"errors"
	"testing"
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
