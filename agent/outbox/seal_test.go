package outbox

import (
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
)

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
