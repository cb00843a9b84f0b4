package outbox

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
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

// TestTwoFilesDoNotFillTheDiskTogether has a sealer wait while another has reserved the room, and
// go on when that has ended.
func TestTwoFilesDoNotFillTheDiskTogether(t *testing.T) {
	s := newSealer(t)
	large := make([]byte, smallContent+1)
	if err := os.WriteFile(s.at("outbox/large"), large, 0o644); err != nil {
		t.Fatal(err)
	}
	s.claimAll(newFinder(s.tray))
	m := s.last()
	other := new(space)
	other.left.Store(1 << 60)
	s.desk.tell(func() { s.desk.spaces[other] = true })
	var full *noRoom
	_, err := s.seal(t.Context(), *newJob(s.route(), []ledger.Outgoing{m}))
	if !errors.As(err, &full) || !strings.Contains(full.why.String(), "being sealed") ||
		!strings.Contains(full.why.String(), "and 256.0 MiB must stay free beside it") {
		t.Fatalf("users are told %v", err)
	}
	other.left.Store(0) // all of it is written
	if _, err := s.seal(t.Context(), *newJob(s.route(), []ledger.Outgoing{s.last()})); err != nil {
		t.Error(err)
	}
	s.desk.releaseSpace(other)
	s.desk.tell(func() {
		if len(s.desk.spaces) > 0 {
			t.Error("the room stays reserved")
		}
	})
}

// claimAll sweeps until nothing is taken any more.
func (s *sealer) claimAll(f *finder) {
	s.t.Helper()
	for range 3 {
		f.watch = f.t.files.NewWatch(time.Minute, f.t.hearAstray)
		f.claimers, f.bulkWork = new(errgroup.Group), new(errgroup.Group)
		err := f.sweep(s.t.Context())
		if err = errors.Join(err, f.claimers.Wait(), f.bulkWork.Wait()); err != nil {
			s.t.Fatal(err)
		}
		f.watch.Close()
	}
}

// last returns the message that was claimed last.
func (s *sealer) last() (m ledger.Outgoing) {
	s.t.Helper()
	s.update(func(tx *ledger.Tx) error {
		list, err := tx.Latest(1)
		if len(list) != 1 {
			return errors.Join(err, errors.New("nothing is claimed"))
		}
		m = list[0]
		return err
	})
	return m
}
