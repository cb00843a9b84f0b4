package outbox

import (
	"errors"
	"math"
	"testing"

	"sealpost/envelope"
	"sealpost/internal/id"
)

// TestThereIsNoRoomForTheLargestFile holds for a claim from before the bound on sizes.
func TestThereIsNoRoomForTheLargestFile(t *testing.T) {
	s := newSealer(t)
	e := new(sealed)
	e.ID = id.Random128[id.Envelope]()
	var full *noRoom
	_, err := s.sealFile(e, envelope.SealRequest{}, math.MaxInt64)
	if !errors.As(err, &full) {
		t.Errorf("it is sealed: %v", err)
	}
}
