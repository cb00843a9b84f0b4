package trust

import (
	"context"
	"errors"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/words"
	"sealpost/statement"
)

// Doubt is why a receipt is not believed, in words for people. It is kept, and checked again once a person has trusted
// the site.
type Doubt struct{ Reason string }

func (d *Doubt) Error() string { return d.Reason }

func doubt(reason string) *Doubt { return &Doubt{Reason: reason} }

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
		return statement.Receipt{}, doubt(words.ReceiptNotSigned(recipient, err))
	}
	r := signed.Payload
	if r.Recipient != recipient || r.Sender != self || r.Network != t.Network || r.Envelope != envelope {
		return statement.Receipt{}, doubt(words.ReceiptOfOther(recipient))
	}
	err = t.Identity(ctx, recipient, signed.Key)
	if errors.Is(err, ErrPin) {
		return statement.Receipt{}, doubt(words.ReceiptOfOtherIdentity(recipient, signed.Key))
	}
	return r, err
}
