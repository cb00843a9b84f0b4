package outbox

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// smallHub answers small requests, or none, and takes nothing large.
type smallHub struct {
	Hub
	err error
}

func (h smallHub) Known(context.Context, []id.Envelope) ([]api.KnownEnvelope, error) {
	return nil, h.err
}

// A line drops large packets, and lets small requests through. It is named after a minute. A dead
// line and an answer of the hub have reasons of their own.
func TestALineThatDropsWhatIsLarge(t *testing.T) {
	before := time.Now().Add(-2 * stalledAfter)
	for name, c := range map[string]struct {
		hub   error
		err   error
		since time.Time
		want  reason.Code
	}{
		"large ones are dropped": {nil, io.ErrUnexpectedEOF, before, "upload-stalled"},
		"it has just begun":      {nil, io.ErrUnexpectedEOF, time.Now(), ""},
		"the line is dead":       {io.EOF, io.ErrUnexpectedEOF, before, ""},
		"the hub answers":        {nil, &api.Error{Code: api.CodeBusy}, before, ""},
	} {
		o := &Outbox{hub: smallHub{err: c.hub}}
		if got := o.whyStalled(t.Context(), "e", c.err, c.since); got.Code != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

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
