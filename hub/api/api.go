// Package api is the wire contract between an agent and the hub: paths, types, errors, and the
// client. Both sides import it.
//
// Transport is HTTP/1.1 over mutual TLS 1.3. Bodies are JSON of at most MaxJSON bytes, except where
// a path says "framed": a 4-byte big-endian length, that much JSON, then raw bytes up to the body's
// end. The hub accepts only JSON in its exact form (package strictjson); the client ignores unknown
// fields of an answer, which a newer hub may add. Errors are RFC 9457 problem details with a stable
// code; see errors.go. Every request is authorised by its client certificate; only PathEnroll is
// open to callers without one.
package api

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/strictjson"
	"sealpost/spool"
)

// The paths. Everything lies under the version of the contract.
const (
	PathHello   = "/v1/hello"   // GET  → Hello
	PathEnroll  = "/v1/enroll"  // POST EnrollRequest → Enrolled; no certificate needed
	PathRenew   = "/v1/renew"   // POST RenewRequest → Enrolled; same key, valid certificate
	PathKey     = "/v1/key"     // PUT  KeyUpload → no content
	PathResolve = "/v1/resolve" // POST ResolveRequest → Route
	// PathUploads has POST UploadRequest → UploadState.
	// PUT /v1/uploads/{envelope}/{part}?crc32c=N takes raw bytes, with their CRC-32C as a decimal
	// number, and DELETE /v1/uploads/{envelope} aborts.
	PathUploads = "/v1/uploads"
	// PathPublish has POST framed PublishRequest + ciphertext, if small → Published.
	PathPublish   = "/v1/envelopes"
	PathKnown     = "/v1/known"        // POST KnownRequest → KnownAnswer
	PathLease     = "/v1/lease"        // POST LeaseRequest → framed LeaseAnswer + ciphertexts
	PathContent   = "/v1/content"      // POST ContentRequest → raw bytes
	PathExtend    = "/v1/extend"       // POST ExtendRequest → Extended
	PathRelease   = "/v1/release"      // POST ReleaseRequest → no content
	PathSettle    = "/v1/settle"       // POST SettleRequest → SettleAnswer
	PathEvents    = "/v1/events"       // POST EventsRequest → EventsAnswer
	PathRoster    = "/v1/roster"       // GET  → RosterAnswer
	PathAdmin     = "/v1/admin"        // and the path of a call on the control socket; for admins
	HeaderRequest = "Sealpost-Request" // a random id per request, echoed in problems and logs
)

// Limits of the wire.
const (
	MaxJSON   = 4 << 20
	MaxLease  = 4 << 20 // bytes of a lease's framed answer
	RangeSize = 4 << 20 // bytes of one content range
	MaxKnown  = 1000    // envelope ids in one KnownRequest
	MaxWait   = 55 * time.Second
	MaxLeases = 64   // deliveries in one lease
	MaxExcept = 1000 // senders left out of one lease
	MaxOnly   = 4096 // senders that one lease is limited to
)

// Hello identifies the hub and the caller. An agent reconciles when StartID or Incarnation has
// changed.
type Hello struct {
	Hub         string         `json:"hub"`
	Network     id.Hash        `json:"network"`
	Suite       string         `json:"suite"`
	StartID     string         `json:"start_id"`
	Incarnation id.Incarnation `json:"incarnation"`
	Time        time.Time      `json:"time"`
	Site        id.Site        `json:"site"` // the caller
	// of the caller's recipient key; empty: upload it
	KeyHash    id.Hash  `json:"key_hash,omitempty"`
	KeyVersion int      `json:"key_version,omitempty"` // of that key
	MaySend    []string `json:"may_send,omitempty"`    // patterns of the caller's routing keys
	MayReceive bool     `json:"may_receive"`
	Copy       *Copy    `json:"copy,omitempty"` // another agent that runs as this site
	// after which a waiting delivery ends undelivered; 0: never
	ExpiresAfter time.Duration `json:"expires_after_ns,omitempty"`
	// the same for recipients that have a time of their own
	ExpiresOf map[id.Site]time.Duration `json:"expires_of_ns,omitempty"`
	Hold      *Hold                     `json:"hold,omitempty"` // the hub's admin holds the caller
	// of the hub's audit chain; none: it is a hub of an older version
	Audit *Audit `json:"audit,omitempty"`
	// recipients that take nothing from the caller, as far as the hub has heard since its start
	BlockedBy []id.Site `json:"blocked_by,omitempty"`
	// number of the newest roster that the hub has; 0: none
	Roster int64 `json:"roster,omitempty"`
	// recipients that the caller sends to, and that take nothing of it for another reason
	Withheld []Withheld `json:"withheld,omitempty"`
	// senders to the caller that it has not compared, if it takes from compared ones only
	Uncompared []Sender `json:"uncompared,omitempty"`
	Queue      *Backlog `json:"queue,omitempty"` // of the caller, if it asks with QueryBacklog
}

// Backlog describes the deliveries of a queue that are not final.
type Backlog struct {
	Waiting int64     `json:"waiting"`
	Oldest  time.Time `json:"oldest,omitzero"` // when the oldest was spooled
}

// RosterAnswer holds the newest roster that the hub has, as the root has signed it.
type RosterAnswer struct {
	Roster string `json:"roster"` // a JWS
}

// Withheld is a recipient that takes nothing from the caller for now.
type Withheld struct {
	Site id.Site `json:"site"`
	Why  string  `json:"why"` // WithheldUncompared or WithheldToday
}

// The reasons of Withheld.
const (
	WithheldUncompared = "not-compared" // no user there has compared the caller's fingerprint
	WithheldToday      = "enough-today" // it has taken as many bytes of the caller as it does a day
)

// Sender is a site with the fingerprint of its identity, as the hub knows it.
type Sender struct {
	Site        id.Site `json:"site"`
	Fingerprint id.Hash `json:"fingerprint"`
}

// Hold is the hold of a site by the admin of the hub.
type Hold struct {
	Since   time.Time `json:"since"`
	Because string    `json:"because,omitempty"` // the admin's words
}

// ExpiresSoon returns the time at which a delivery ends that has waited since a time. It is zero
// before the last quarter of that time, and afterwards: a delivery that was requeued waits on.
func ExpiresSoon(since, now time.Time, after time.Duration) time.Time {
	ends := since.Add(after)
	if after == 0 || since.IsZero() || ends.Sub(now) > after/4 || ends.Before(now) {
		return time.Time{}
	}
	return ends
}

// Audit is the head of the hub's audit chain, for a site that remembers it.
type Audit struct {
	Block     uint64  `json:"block"` // 0: the chain is empty
	Hash      id.Hash `json:"hash,omitempty"`
	Truncated uint64  `json:"truncated,omitempty"` // the last block of the truncated past
	// hash of the block that QueryAudit has asked for; empty: it is not there
	Asked id.Hash `json:"asked,omitempty"`
	// likewise of QueryReceiptAudit
	AskedReceipt id.Hash `json:"asked_receipt,omitempty"`
}

// Role returns the caller's role at the hub: send, receive or both.
func (h Hello) Role() string {
	switch {
	case h.MayReceive && len(h.MaySend) > 0:
		return "both"
	case h.MayReceive:
		return "receive"
	}
	return "send"
}

// Query parameters of PathHello from a running agent.
const (
	QueryRole    = "role"    // send, receive or both
	QuerySession = "session" // of this start of the agent
	// QueryHeard is the StartID in the newest answer of the session to hello; empty: none.
	QueryHeard = "heard"
	QueryAudit = "audit" // number of the newest audit block that it knows; 0: none
	// QueryReceiptAudit is the number of the audit block of a SettleAnswer; 0: none.
	QueryReceiptAudit = "audit_receipt"
	// QueryBacklog asks for the caller's queue, if it has a value.
	QueryBacklog = "backlog"
)

// QueryCRC32C is the checksum of a part (Castagnoli), in decimal.
const QueryCRC32C = "crc32c"

// Copy is an agent that runs at the same time as the caller, with the same keys.
type Copy struct {
	From  string    `json:"from"`  // its address, as the hub sees it
	Since time.Time `json:"since"` // of its first contact with this hub
}

// EnrollRequest redeems an invitation for a certificate.
type EnrollRequest struct {
	Site   id.Site `json:"site"`
	Secret string  `json:"secret"`
	CSR    string  `json:"csr"` // PEM
}

// RenewRequest asks for a new certificate for the same key.
type RenewRequest struct {
	CSR string `json:"csr"`
}

// Enrolled carries the site's certificate chain, leaf first, the root last, PEM.
type Enrolled struct {
	Chain string    `json:"chain"`
	Time  time.Time `json:"time"` // the hub's, so that a site can check its clock
}

// KeyUpload publishes the caller's recipient-key statement (a JWS).
type KeyUpload struct {
	Statement string `json:"statement"`
}

// ResolveRequest asks for the present route of an address.
type ResolveRequest struct {
	Address id.Address `json:"address"`
}

// Route is the hub's proposal of recipients for an address, sorted by site. The sender decides.
type Route struct {
	Address    id.Address       `json:"address"`
	Recipients []RouteRecipient `json:"recipients"`
	Version    id.Hash          `json:"route_version"`
}

// RouteRecipient is one proposed recipient. Statement is empty until its agent has given one to the
// hub: before it has joined, and when it runs in a role that does not receive.
type RouteRecipient struct {
	Site      id.Site `json:"site"`
	Statement string  `json:"statement,omitempty"` // its recipient-key statement, a JWS
	KeyHash   id.Hash `json:"key_hash,omitempty"`  // SHA-256 of the recipient string
	// it is in the network, also when it has given the hub no statement
	Joined bool `json:"joined,omitempty"`
}

// RouteVersion computes a route's version: SHA-256 over the exact JSON of network, address and
// (site, key hash) in order. It has no counter, so it is equal on a new hub.
func RouteVersion(network id.Hash, address id.Address, recipients []RouteRecipient) id.Hash {
	type pair struct {
		Site id.Site `json:"site"`
		Key  id.Hash `json:"key"`
	}
	pairs := make([]pair, len(recipients))
	for i, r := range recipients {
		pairs[i] = pair{r.Site, r.KeyHash}
	}
	exact, err := strictjson.Marshal(struct {
		Network    id.Hash    `json:"network"`
		Address    id.Address `json:"address"`
		Recipients []pair     `json:"recipients"`
	}{network, address, pairs})
	if err != nil {
		panic(err) // strings and slices of strings always encode
	}
	sum := sha256.Sum256(exact)
	return id.Hash(hex.EncodeToString(sum[:]))
}

// UploadRequest opens or reopens the upload of a large envelope.
type UploadRequest struct {
	Envelope id.Envelope `json:"envelope_id"`
	Size     int64       `json:"size"`
}

// UploadState lists the missing parts.
type UploadState struct {
	Missing []int `json:"missing"`
}

// PublishRequest is the head of a publish, in clear. Small ciphertext follows it in the same body.
type PublishRequest struct {
	Envelope     id.Envelope     `json:"envelope_id"`
	Address      id.Address      `json:"address"`
	RouteVersion id.Hash         `json:"route_version"`
	Recipients   []id.Site       `json:"recipients"`
	Size         int64           `json:"size"`
	CRC32C       []uint32        `json:"crc32c"`
	Messages     []spool.Message `json:"messages"`
}

// Published is the hub's durable promise.
type Published struct {
	Incarnation id.Incarnation `json:"incarnation"`
	Sequence    uint64         `json:"sequence"`
	Spooled     time.Time      `json:"spooled_time"`
}

// KnownRequest asks about the caller's own envelopes, at most MaxKnown.
type KnownRequest struct {
	Envelopes []id.Envelope `json:"envelope_ids"`
}

// KnownAnswer answers in the requested order. It may hold fewer envelopes than requested (MaxJSON);
// ask again for the rest.
type KnownAnswer struct {
	Envelopes []KnownEnvelope `json:"envelopes"`
}

// KnownEnvelope is the hub's record of one envelope.
type KnownEnvelope struct {
	Envelope  id.Envelope      `json:"envelope_id"`
	State     spool.KnownState `json:"state"`
	Published *Published       `json:"published,omitempty"`
	Results   []spool.Result   `json:"results,omitempty"`
	Held      []spool.Held     `json:"held,omitempty"` // older hubs have none
}

// LeaseRequest asks for deliveries of the caller's own queue and waits for them. A session that
// sends one request at a time numbers them. The hub then offers the deliveries of a lost answer
// again at once, and not when their leases end. While another session holds the queue, the answer
// to the first numbered request of a newer one is empty; the next request takes the queue.
type LeaseRequest struct {
	Session  id.Session    `json:"session"`
	Max      int           `json:"max"`
	MaxBytes int           `json:"max_bytes"` // of ciphertext in the answer
	Wait     time.Duration `json:"wait_ns"`
	// in the session, growing from 1; a retry needs a new one
	Number uint64 `json:"number,omitempty"`
	// number of the newest request with a complete answer
	Got uint64 `json:"got,omitempty"`
	// the caller's session before this one, which ends that
	Renews id.Session `json:"renews,omitempty"`
	// senders whose deliveries wait for a later request; with Blocked at most MaxExcept
	Except []id.Site `json:"except,omitempty"`
	// senders from whom the caller takes nothing: their deliveries wait, and they are told
	Blocked []id.Site `json:"blocked,omitempty"`
	// senders from whom it takes no more today, likewise; with the others at most MaxExcept
	Limited []id.Site `json:"limited,omitempty"`
	// the only senders that it takes from, at most MaxOnly; none: it takes from all others
	Only *Senders `json:"only,omitempty"`
}

// Senders is a list of senders, which can be empty.
type Senders struct {
	Sites []id.Site `json:"sites"`
}

// LeaseAnswer is the head of a lease's answer. The ciphertexts of the deliveries with Inline
// follow, in order.
type LeaseAnswer struct {
	Deliveries []Delivery `json:"deliveries"`
}

// Delivery is one leased envelope.
type Delivery struct {
	spool.DeliveryID
	Token       spool.Token     `json:"token"`
	LeasedUntil time.Time       `json:"leased_until"`
	Attempts    int             `json:"attempts"`
	Sender      id.Site         `json:"sender_id"`
	Address     id.Address      `json:"address"`
	Spooled     time.Time       `json:"spooled_time"`
	Size        int64           `json:"size"`
	CRC32C      []uint32        `json:"crc32c"`
	Messages    []spool.Message `json:"messages"`
	Inline      bool            `json:"inline,omitempty"` // its Size bytes follow in this answer
	Content     []byte          `json:"-"`
}

// ContentRequest reads a range of a delivery's ciphertext.
type ContentRequest struct {
	Delivery spool.DeliveryID `json:"delivery"`
	Offset   int64            `json:"offset"`
	Length   int64            `json:"length"` // at most RangeSize
}

// ExtendRequest prolongs a lease.
type ExtendRequest struct {
	Token spool.Token `json:"token"`
}

// Extended holds the new end of the lease.
type Extended struct {
	LeasedUntil time.Time `json:"leased_until"`
}

// ReleaseRequest hands a delivery back.
type ReleaseRequest struct {
	Token        spool.Token   `json:"token"`
	Code         string        `json:"code"` // one of the release codes
	Delay        time.Duration `json:"delay_ns"`
	NotAttempted bool          `json:"not_attempted,omitempty"`
}

// SettleRequest states the final outcomes of one or more deliveries.
type SettleRequest struct {
	Settlements []Settlement `json:"settlements"` // at most MaxLeases
}

// Settlement is one delivery's receipt. The receipt holds the outcomes; the hub reads it but cannot
// forge it.
type Settlement struct {
	Delivery spool.DeliveryID `json:"delivery"`
	Receipt  string           `json:"receipt"`
}

// SettleAnswer answers each settlement in order.
type SettleAnswer struct {
	Settled []SettledDelivery `json:"settled"`
	Audit   *Audit            `json:"audit,omitempty"` // the head, with these settlements
}

// SettledDelivery is the answer to one settlement: settled at Time, or not, with the code of the
// problem.
type SettledDelivery struct {
	Time time.Time `json:"time,omitzero"`
	Code Code      `json:"code,omitempty"` // empty: settled
}

// EventsRequest reads the caller's events and waits for them.
type EventsRequest struct {
	After spool.Cursor  `json:"after"`
	Wait  time.Duration `json:"wait_ns"`
}

// EventsAnswer holds events, oldest first, and the cursor to ask with next.
type EventsAnswer struct {
	Events []spool.Event `json:"events"`
	Next   spool.Cursor  `json:"next"`
}
