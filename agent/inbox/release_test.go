package inbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/hub/api"
)

// A failure that a retry may heal releases the delivery with a code.
func TestReleaseCodes(t *testing.T) {
	for name, c := range map[string]struct {
		err          error
		code         string
		notAttempted bool
	}{
		"stopped":   {context.Canceled, api.ReleaseStopped, true},
		"no room":   {fmt.Errorf("%w x", errFull), api.ReleaseFull, true},
		"away":      {localError{unusableError{io.ErrClosedPipe}}, api.ReleaseLocal, true},
		"pin":       {fmt.Errorf("open: %w", trust.ErrPin), api.ReleasePin, true},
		"clock":     {fmt.Errorf("open: %w", certs.ErrNotValidNow), api.ReleaseClock, false},
		"too large": {fmt.Errorf("open: %w", envelope.LimitError{}), api.ReleaseTooLarge, false},
		"local": {fmt.Errorf("store: %w", localError{io.ErrShortWrite}), api.ReleaseLocal,
			false},
		"line": {errors.New("connection reset"), api.ReleaseTransport, false},
		"wrong content": {fmt.Errorf("open: %w", envelope.ErrChecksum), api.ReleaseTransport,
			false},
	} {
		got := releaseAfter(c.err, 3, 0)
		if got.Code != c.code || got.NotAttempted != c.notAttempted {
			t.Errorf("%s: %+v", name, got)
		}
		if !api.ValidRelease(got.Code) {
			t.Errorf("%s: %q is not one of the closed list", name, got.Code)
		}
	}
	for size, most := range map[int64]time.Duration{0: time.Minute, 1 << 20: time.Minute,
		16 << 30: 1024 * time.Second, 1 << 50: time.Hour} {
		last := time.Duration(0)
		for attempts := range 40 {
			d := retryDelay(attempts, size)
			if d < last || d < time.Second || d > most {
				t.Errorf("attempt %d of %d bytes waits %s after %s", attempts, size, d, last)
			}
			last = d
		}
		if last != most {
			t.Errorf("an envelope of %d bytes waits for %s in the end, want %s", size, last, most)
		}
	}
}

// A thousand large deliveries that wait for an hour are not leased and released more often than the
// hub allows.
func TestBusyDelay(t *testing.T) {
	seen, age := 0, time.Duration(0)
	for ; age < time.Minute; age += busyDelay(age) {
		seen++
	}
	if seen < 5 || seen > 20 {
		t.Errorf("in its first minute a delivery is put off %d times", seen)
	}
	if d := busyDelay(-time.Hour); d != time.Second {
		t.Errorf("with a wrong clock it is put off for %s", d)
	}
	if d := busyDelay(time.Hour); d != time.Minute {
		t.Errorf("after an hour it is put off for %s", d)
	}
}
