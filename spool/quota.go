package spool

import (
	"errors"
	"fmt"

	"sealpost/internal/id"
)

// ErrQuota reports that a quota leaves no room. The error is an *OverQuota.
var ErrQuota = errors.New("a quota leaves no room") // publish or stage later

// Usage counts the envelopes and uploads of one sender, of one queue, or of the whole spool. An
// envelope waits until each of its deliveries is final. A queue has no uploads, and counts its
// deliveries.
type Usage struct {
	Bytes     int64 `json:"bytes"`          // ciphertext of the waiting envelopes
	Reserved  int64 `json:"reserved_bytes"` // for open uploads
	Uploads   int64 `json:"uploads"`        // open
	Envelopes int64 `json:"envelopes"`      // waiting
	Messages  int64 `json:"messages"`       // in the waiting envelopes
	// MetadataSize of the envelopes published on the present day (UTC); of senders only
	Metadata int64 `json:"metadata_bytes"`
}

// The bytes on the disk that the metadata of an envelope take, about, and count for a quota.
const (
	envelopeMetadata  = 512
	recipientMetadata = 128
	messageMetadata   = 320
)

// MetadataSize returns the bytes that the metadata of an envelope count. They are kept for as long
// as the envelope is remembered, so they are limited by the day.
func MetadataSize(recipients, messages int) int64 {
	return envelopeMetadata + recipientMetadata*int64(recipients) + messageMetadata*int64(messages)
}

// Plus returns the sum of both.
func (u Usage) Plus(v Usage) Usage {
	return Usage{u.Bytes + v.Bytes, u.Reserved + v.Reserved, u.Uploads + v.Uploads,
		u.Envelopes + v.Envelopes, u.Messages + v.Messages, u.Metadata + v.Metadata}
}

// Minus returns the difference.
func (u Usage) Minus(v Usage) Usage {
	return Usage{u.Bytes - v.Bytes, u.Reserved - v.Reserved, u.Uploads - v.Uploads,
		u.Envelopes - v.Envelopes, u.Messages - v.Messages, u.Metadata - v.Metadata}
}

// Quota holds the highest permitted values of a Usage; 0 sets no limit. Bytes limits the waiting
// and the reserved bytes together, so that a complete upload is never refused for its bytes.
type Quota Usage

// Quotas are the limits of a spool.
type Quotas struct {
	Hub    Quota             // of the whole spool
	Site   Quota             // of each sender
	Queue  Quota             // of each queue
	Sites  map[id.Site]Quota // of a sender, instead of Site
	Queues map[string]Quota  // of a queue, instead of Queue
	// Dead limits the bytes of the content that is kept for dead letters. Above it the content of
	// another envelope is removed when its last delivery dies. 0 keeps none. A lower limit takes
	// nothing away.
	Dead int64
}

// OfSite returns the quota of a sender.
func (q Quotas) OfSite(s id.Site) Quota {
	if own, found := q.Sites[s]; found {
		return own
	}
	return q.Site
}

// OfQueue returns the quota of a queue.
func (q Quotas) OfQueue(name string) Quota {
	if own, found := q.Queues[name]; found {
		return own
	}
	return q.Queue
}

// QuotaScope tells whose quota leaves no room.
type QuotaScope string

// The scopes of quotas.
const (
	ScopeHub   QuotaScope = "hub"
	ScopeSite  QuotaScope = "site"
	ScopeQueue QuotaScope = "queue"
)

// The limits of a quota, by their names in a Usage.
const (
	LimitBytes     = "bytes"
	LimitReserved  = "reserved_bytes"
	LimitUploads   = "uploads"
	LimitEnvelopes = "envelopes"
	LimitMessages  = "messages"
	LimitMetadata  = "metadata_bytes" // of one day
)

// OverQuota is the error of a call that would pass a quota. It wraps ErrQuota.
type OverQuota struct {
	Scope   QuotaScope `json:"scope"`
	Name    string     `json:"name,omitempty"` // of the site or queue
	Limit   string     `json:"limit"`
	Used    int64      `json:"used"`
	Allowed int64      `json:"allowed"`
	Needed  int64      `json:"needed"` // by this call, beside the used
}

func (o *OverQuota) Error() string {
	owner := string(o.Scope)
	if o.Name != "" {
		owner += " " + o.Name
	}
	return fmt.Sprintf("%v: %s of %s: %d of %d are used, and this needs %d", ErrQuota, o.Limit,
		owner, o.Used, o.Allowed, o.Needed)
}

// Unwrap returns ErrQuota.
func (o *OverQuota) Unwrap() error { return ErrQuota }

// NeverFits reports whether the call fits only under a higher quota.
func (o *OverQuota) NeverFits() bool { return o.Needed > o.Allowed }

// Check returns an *OverQuota if more would pass the quota. A value that does not grow passes, also
// above its limit.
func (q Quota) Check(scope QuotaScope, name string, used, more Usage) error {
	if !passes(q.Bytes, used.Bytes+used.Reserved, more.Bytes+more.Reserved) &&
		!passes(q.Reserved, used.Reserved, more.Reserved) &&
		!passes(q.Uploads, used.Uploads, more.Uploads) &&
		!passes(q.Envelopes, used.Envelopes, more.Envelopes) &&
		!passes(q.Messages, used.Messages, more.Messages) &&
		!passes(q.Metadata, used.Metadata, more.Metadata) {
		return nil // without the list below: each publish comes here four times
	}
	for _, l := range []struct {
		limit                 string
		used, more, permitted int64
	}{
		{LimitBytes, used.Bytes + used.Reserved, more.Bytes + more.Reserved, q.Bytes},
		{LimitReserved, used.Reserved, more.Reserved, q.Reserved},
		{LimitUploads, used.Uploads, more.Uploads, q.Uploads},
		{LimitEnvelopes, used.Envelopes, more.Envelopes, q.Envelopes},
		{LimitMessages, used.Messages, more.Messages, q.Messages},
		{LimitMetadata, used.Metadata, more.Metadata, q.Metadata},
	} {
		if passes(l.permitted, l.used, l.more) {
			return &OverQuota{Scope: scope, Name: name, Limit: l.limit, Used: l.used,
				Allowed: l.permitted, Needed: l.more}
		}
	}
	return nil
}

// passes reports whether more would pass a limit; 0 is none.
func passes(limit, used, more int64) bool { return limit > 0 && more > 0 && used+more > limit }

// Usages are the counts of the whole spool, of each sender, and of each queue. A sender or queue
// with nothing may be left out. The envelopes of dead letters wait no more: they count for no
// sender and no queue. Their bytes count for the whole spool.
type Usages struct {
	Hub    Usage
	Sites  map[id.Site]Usage
	Queues map[string]Usage
	Dead   Usage // of the envelopes that wait no more, and are kept for dead letters
}
