package trust

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/statement"
)

// Doubt is why a receipt is not believed, in words for people. It is kept, and checked again once a person has trusted
// the site.
type Doubt struct{ Reason string }

func (d *Doubt) Error() string { return d.Reason }

func doubtf(format string, args ...any) *Doubt { return &Doubt{Reason: fmt.Sprintf(format, args...)} }

// Believe checks a receipt that the hub relayed for one of this site's envelopes: its signature at the time when the hub
// settled it, or when it was signed, because a receipt may have waited longer than its certificate lived; the recipient's
// pin, which is what counts; and that it speaks of this envelope. It does not check fingerprints, which the caller
// compares with its own rows. A *Doubt says why the receipt is not believed; any other error says nothing about it.
func (t *Trust) Believe(ctx context.Context, jws string, self, recipient id.Site, envelope id.Envelope, at time.Time) (statement.Receipt, error) {
	signed, err := statement.Open[statement.Receipt](jws, t.Verifier, at)
	if errors.Is(err, certs.ErrNotValidNow) { // all else holds
		signed, err = statement.Open[statement.Receipt](jws, t.Verifier, statement.ReceiptTime(jws))
	}
	if err != nil {
		return statement.Receipt{}, doubtf("the receipt of %s is not properly signed: %v", recipient, err)
	}
	r := signed.Payload
	if r.Recipient != recipient || r.Sender != self || r.Network != t.Network || r.Envelope != envelope {
		return statement.Receipt{}, doubtf("the receipt that the hub relayed for %s speaks of something else", recipient)
	}
	err = t.Identity(ctx, recipient, signed.Key)
	if errors.Is(err, ErrPin) {
		return statement.Receipt{}, doubtf("the receipt is signed by another identity than the one pinned for %s: ask its people for their fingerprint, and if it is %s, run 'sealpost agent trust %s %s'",
			recipient, signed.Key, recipient, signed.Key)
	}
	return r, err
}
