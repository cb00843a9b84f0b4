package badgerspool

import (
	"testing"

	"go.uber.org/goleak"

	"sealpost/spool/spooltest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	spooltest.Run(t, func(dir string, clock *spooltest.Clock) (spooltest.Store, error) {
		s, err := Open(dir, Options{Now: clock.Now})
		if err != nil {
			return nil, err // not a nil *Spool in an interface
		}
		return s, nil
	})
}
