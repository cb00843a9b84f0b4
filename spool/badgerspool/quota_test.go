package badgerspool

import (
	"errors"
	"strings"
	"testing"

	"sealpost/spool"
)

// TestARefusedSenderCostsNoDisk: a sender that was refused before writes no content. Nothing is
// left of the content of the first refusal.
func TestARefusedSenderCostsNoDisk(t *testing.T) {
	d := &faultyDisk{}
	sm := realSeams()
	sm.disk = d.do
	s := mustOpen(t, t.TempDir(), Options{}, sm)
	must(t, s.Limit(t.Context(), spool.Quotas{Site: spool.Quota{Envelopes: 2}}))
	must(t, publishAny(t.Context(), s, testEnvelope(filler(500)), nil))
	must(t, publishAny(t.Context(), s, testEnvelope(filler(spool.InlineSize+1)), nil))
	refuse := func(size int) (operations int) {
		d.mu.Lock()
		before := d.count
		d.mu.Unlock()
		e := testEnvelope(filler(size))
		if err := publishAny(t.Context(), s, e, nil); !errors.Is(err, spool.ErrQuota) {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if strings.Contains(contentFiles(s), string(e.ID)) {
			t.Errorf("the content of %d refused bytes stays", size)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.count - before
	}
	refuse(spool.InlineSize + 1)
	for _, size := range []int{500, spool.InlineSize + 1} {
		if n := refuse(size); n > 0 {
			t.Errorf("a refusal of %d bytes costs %d operations of the disk", size, n)
		}
	}
	must(t, settleAll(t.Context(), s, "ca_rc_queue", 2))
	must(t, settleAll(t.Context(), s, "sf_rc_queue", 2))
	must(t, publishAny(t.Context(), s, testEnvelope(filler(500)), nil))
	mustAudit(t, s)
}
