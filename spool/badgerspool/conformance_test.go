package badgerspool

import (
	"errors"
	"testing"

	"sealpost/spool/spooltest"
)

// TestConformance audits the store whenever a test opens it, so also after every restart.
func TestConformance(t *testing.T) {
	spooltest.Run(t, func(dir string, clock *spooltest.Clock) (spooltest.Store, error) {
		s, err := Open(dir, Options{Now: clock.Now})
		if err != nil {
			return nil, err // not a nil *Spool in an interface
		}
		if err := audit(s); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return s, nil
	})
}
