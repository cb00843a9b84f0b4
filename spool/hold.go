package spool

import (
	"context"
	"time"

	"sealpost/internal/id"
)

// Holds keeps single deliveries back, for an admin.
type Holds interface {
	// Hold puts a waiting delivery on hold. A lease of it ends, and no Lease gets it until Unhold,
	// also after a restart. Expire leaves it out; Settle, Kill and KillFrom end it. Its sender
	// sees CodeOnHold and the words in Known. A repetition changes only the words, of at most
	// MaxBecause bytes, and reports whether it did. A final delivery is ErrConflict. One that does
	// not exist is ErrNotFound.
	Hold(ctx context.Context, l Letter, because string) (changed bool, err error)
	// Unhold ends the hold of a delivery. It is offered at once, with no attempt counted, and the
	// time on hold does not count for Expire. A delivery that is not on hold is a success.
	Unhold(ctx context.Context, l Letter) error
	// Held returns up to max deliveries on hold, in no particular order.
	Held(ctx context.Context, max int) ([]HeldDelivery, error)
}

// CodeOnHold is the code of a delivery on hold. No recipient releases with it.
const CodeOnHold = "on-hold"

// MaxBecause bounds the words of a hold, in bytes.
const MaxBecause = 200

// HeldDelivery is a delivery on hold.
type HeldDelivery struct {
	Letter
	Sender   id.Site   `json:"sender_id"`
	Messages []Message `json:"messages"`
	Spooled  time.Time `json:"spooled_time"`
	Since    time.Time `json:"since"`
	Because  string    `json:"because,omitempty"`
}
