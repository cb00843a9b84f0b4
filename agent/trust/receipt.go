package trust

import (
	"context"
	"errors"
	"time"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// Doubt is the reason for not believing a receipt. The receipt is kept, and checked again after a
// user has trusted the site.
type Doubt struct{ Reason reason.Reason }

func (d *Doubt) Error() string { return d.Reason.String() }

// Believe checks a receipt that the hub relayed for one of this site's envelopes. It checks the
// signature at the time of the settlement at the hub, or of the signature, because a receipt may
// wait longer than its certificate is valid. It then checks the recipient's pin, which decides, and
// the envelope. It does not check fingerprints: the caller compares them with its own rows. A
// *Doubt is the reason for not believing the receipt; any other error means nothing about it.
func (t *Trust) Believe(ctx context.Context, jws string, self, recipient id.Site,
	envelope id.Envelope, at time.Time) (statement.Receipt, error) {
	signed, err := statement.Open[statement.Receipt](jws, t.Verifier, at)
	if errors.Is(err, certs.ErrNotValidNow) { // only the time is wrong
		signed, err = statement.Open[statement.Receipt](jws, t.Verifier, statement.ReceiptTime(jws))
	}
	if err != nil {
		return statement.Receipt{}, &Doubt{reason.New("receipt-not-signed",
			"site", recipient, "why", err)}
	}
	r := signed.Payload
	if r.Recipient != recipient || r.Sender != self || r.Network != t.Network ||
		r.Envelope != envelope {
		return statement.Receipt{}, &Doubt{reason.New("receipt-of-other", "site", recipient)}
	}
	off, err := t.checkRoster(ctx, recipient, signed.Key, asSigner)
	if err != nil {
		return statement.Receipt{}, err
	}
	if !off.IsZero() {
		return statement.Receipt{}, &Doubt{off}
	}
	err = t.Identity(ctx, recipient, signed.Key)
	if errors.Is(err, ErrPin) {
		return statement.Receipt{}, &Doubt{reason.New("receipt-of-other-identity",
			"site", recipient, "fingerprint", signed.Key)}
	}
	return r, err
}
