package spool

import (
	"time"

	"sealpost/internal/id"
)

// Bound selects deliveries by age or by attempts. A zero field selects none.
type Bound struct {
	Before   time.Time // those spooled before it, or requeued, if they were
	Attempts int       // those with at least so many real failures
}

// Letter names one delivery by its envelope and recipient.
type Letter struct {
	Envelope  id.Envelope `json:"envelope_id"`
	Recipient id.Site     `json:"recipient_id"`
}

// DeadLetter is a dead delivery whose content is kept, so that it can be requeued.
type DeadLetter struct {
	Letter
	Sender   id.Site   `json:"sender_id"`
	Queue    string    `json:"queue"`
	Messages []Message `json:"messages"`
	Size     int64     `json:"size"` // of the envelope's ciphertext, bytes
	Spooled  time.Time `json:"spooled_time"`
	Died     time.Time `json:"dead_time"`
	Code     string    `json:"code"`
	Attempts int       `json:"attempts"` // real failures before its death
}
