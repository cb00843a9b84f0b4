package spool

import (
	"time"

	"sealpost/internal/id"
)

// Retention selects the records that Forget deletes. They are those of envelopes whose last event
// is older than Before, and all events before that one.
//
// A site needs an event until it calls Events with a cursor from there on. A restart may lose this
// cursor, as Spool.Events says. An event that is needed stays, with the records of its envelope,
// and so does an envelope with a dead letter. All later events of the same site stay behind it. An
// envelope that waits stays, and its old events go.
type Retention struct {
	Before time.Time
	// IsGone reports whether a site will call Events no more, so that it needs no event. Nil: none
	// is gone.
	IsGone func(id.Site) bool
}

// Forgotten is the result of Forget.
type Forgotten struct {
	Envelopes int       `json:"envelopes"`
	Events    int       `json:"events"`
	Oldest    time.Time `json:"oldest,omitzero"` // of the oldest event that is left; zero: none is
	// the sites that have not read events older than the bound, by name
	Unread []id.Site `json:"unread,omitempty"`
}
