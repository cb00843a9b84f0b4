// Package spool is the contract of the hub's durable store.
//
// The store holds queues, envelopes, receipts, events and the registry. This package names no
// engine and imports none. Package badgerspool is the embedded engine; package spooltest holds the
// suite that every engine passes.
//
// Every method promises:
//   - Success means durable, across a kill of the process and a loss of power.
//   - A call repeated after a lost answer gives the same answer, also after a restart.
//   - All methods may be called concurrently.
//   - A cancelled context ends a wait and undoes nothing that was committed.
//
// Times are the hub's, UTC, and cut to milliseconds. Sequences give the order, never clocks.
package spool

import (
	"context"
	"errors"
	"io"
	"time"

	"sealpost/internal/id"
)

// Limits that are part of the contract.
const (
	InlineSize    = 64 << 10 // ciphertext up to here lies in the engine's own tables
	SmallSize     = 1 << 20  // ciphertext up to here is published in one request, without staging
	PartSize      = 16 << 20 // each part but the last has exactly this size
	MaxSize       = 1 << 40  // the largest ciphertext: 65,536 parts
	MaxMessages   = 256      // in one envelope
	MaxRecipients = 64       // of one envelope
	MaxReceipt    = 96 << 10 // bytes of a receipt

	// MessageCost is added to the size of an envelope for each message when senders take turns.
	MessageCost = 64 << 10
	// Turn is the cost by which one sender can be ahead of another, beside one delivery.
	Turn = 256 << 10

	// LookAhead is the number of bytes that an upload reserves beside the parts that it has.
	LookAhead = 4 * PartSize
	// UploadIdle is the time after which an upload without a new part expires.
	UploadIdle = 24 * time.Hour
)

// The closed set of errors a caller branches on. Any other error is the engine's own and promises
// nothing.
var (
	ErrNotFound   = errors.New("no such thing in the spool")
	ErrConflict   = errors.New("differs from the stored one of this name")
	ErrStale      = errors.New("the lease is no longer held")
	ErrHeld       = errors.New("a newer session holds the queue")
	ErrIncomplete = errors.New("the settlement does not name the outcome of every message")
	ErrUnstaged   = errors.New("parts are missing")
	ErrChecksum   = errors.New("the content does not match its checksum")
	ErrDisplaced  = errors.New("a newer caller has taken the upload")
	ErrFull       = errors.New("the spool's disk has no room") // publish or stage later
	ErrUncertain  = errors.New("the outcome is uncertain until the spool has been opened again")
	ErrClosed     = errors.New("the spool is closed")
	ErrInvalid    = errors.New("invalid argument")
	ErrForgotten  = errors.New("the spool has forgotten this final envelope")
)

// Spool carries envelopes from their publication to the last recipient's settlement.
type Spool interface {
	// Incarnation returns the random id of this store. It changes when the spool is made or
	// restored, and never while the spool is open.
	Incarnation() id.Incarnation

	// Stage opens the upload of one large envelope, named by (Sender, Envelope). It reopens the
	// upload after a cut line or a restart. An upload reserves the parts that it has or receives,
	// and at most LookAhead beside them: ErrFull when the disk would fall below its reserve, and
	// ErrQuota when that passes a quota. A reopened one has the same errors if its next missing
	// part has no room: a caller asks before it makes the part. Without a new part it expires after
	// UploadIdle; reopening it prolongs nothing. The newest caller wins: an older Staging answers
	// ErrDisplaced from then on. Another size under the same name: ErrConflict. An envelope that is
	// already published: a Staging with nothing missing. Without a size it reopens an open upload
	// only, else ErrNotFound. An envelope that was forgotten: ErrForgotten.
	Stage(ctx context.Context, up Upload) (Staging, error)

	// Publish puts the envelope into every queue of its deliveries, or into none, in one commit
	// with its metadata. The ciphertext comes from Content when Size is at most SmallSize, and
	// otherwise from a complete Staging (else ErrUnstaged) with exactly these checksums (else
	// ErrConflict). The same id, size, checksums and metadata again: the same answer, even after
	// the envelope has become final. Anything else under the same id, from any sender: ErrConflict.
	// No room: ErrFull. Over a quota of the sender, of a queue or of the spool: ErrQuota; a
	// repetition passes every quota. A delivery to no queue is ErrInvalid. An id of the sender that
	// was forgotten is ErrForgotten for ever, so that nothing arrives twice.
	Publish(ctx context.Context, e Envelope) (Published, error)

	// Known returns the state of each envelope of the sender, in the order asked, with the outcomes
	// and receipts stored so far. Another sender's envelope is unknown. A forgotten one has its
	// state alone.
	Known(ctx context.Context, sender id.Site, envelopes []id.Envelope) ([]Known, error)

	// Lease leases deliveries of one queue to one session. The senders take turns; of each sender
	// due retries come first, then the others by sequence. It waits until there is at least one,
	// the context ends (nil, nil at a deadline or a cancellation), or the session is displaced.
	//
	// A delivery costs its size and MessageCost for each message. While two senders have something
	// due, the leases of either cost at most Turn and one delivery more than the leases of the
	// other. So a backlog, of many or of huge envelopes, delays its own sender. A sender with
	// nothing due saves nothing for later. Turns begin anew after a restart. Deliveries of the
	// senders in Except wait for a later call, with no attempt counted.
	//
	// One session holds a queue. A session that this process has not seen before is newer, and
	// takes the queue. That voids the leases of the other one and ends its waits with ErrHeld, and
	// every later call of the displaced session gets ErrHeld too. While a queue is held, a session
	// with numbered calls takes it with the first call that has the answer to an earlier one, and
	// until then it gets nothing, at once. Of two such sessions the one that called first is older,
	// and the other displaces it. So a late call of a session that has ended displaces none. Renews
	// names the session that the caller has held until now: the new one takes the queue at once
	// from that one, and gets ErrHeld if that one was displaced.
	// Deliveries that rested for the displaced session, or before the call number 1 of the first
	// one, are due at once, at least thousands of them.
	// Leases live in memory: after a restart everything waits again, and no attempt was counted.
	//
	// A session that calls one after the other numbers its calls, and names the newest call whose
	// answer it has. So an answer that was lost on the way costs nothing: its deliveries, and no
	// others, wait again at once with no attempt counted, and a call before this one that still
	// waits returns nothing. A number that is not the highest of the session so far is ErrInvalid:
	// it was sent twice, or late. Calls without a number take no part in this.
	Lease(ctx context.Context, req LeaseRequest) ([]Delivery, error)

	// Open reads the ciphertext from offset. The delivery must stand in that queue, else
	// ErrNotFound; no lease is needed. An open reader reads to the end even if the content is
	// removed meanwhile.
	Open(ctx context.Context, d DeliveryID, offset int64) (io.ReadCloser, error)

	// Extend prolongs a lease by its own duration from now, and returns its new end. ErrStale when
	// it is not held.
	Extend(ctx context.Context, t Token) (time.Time, error)

	// Release returns a delivery to its queue, to be offered again after the delay. It counts an
	// attempt unless nack.NotAttempted is set. A delivery whose rest would exceed MaxDelay by the
	// present clock was released under a wrong clock, and is offered at once. ErrStale when the
	// lease is not held.
	Release(ctx context.Context, t Token, nack Nack) error

	// Settle records the final outcome of every message of a delivery (else ErrIncomplete) with the
	// recipient's signed statement. In the same commit it takes the delivery out of its queue and
	// tells the sender. It needs no lease: it states a fact. The first settlement of a delivery
	// stays, and every later one gets its answer. It counts also for a dead delivery: the recipient
	// had read the content before. One that names another sender than the envelope's is ErrInvalid.
	// When the last delivery of an envelope is final, settled or dead, the envelope waits no more,
	// and the content is removed in the background unless it is kept for a dead letter; metadata
	// stay until Forget. ErrNotFound when the delivery does not match in all four parts, or was
	// forgotten.
	Settle(ctx context.Context, s Settlement) (Settled, error)

	// Events returns the site's events after the cursor, oldest first, and the cursor to ask with
	// next. It returns at least one event if there is any, and otherwise at most maxBytes of them.
	// It waits like Lease. Sequences have no gaps and survive restarts. A cursor from the future is
	// ErrInvalid: it belongs to another incarnation. A call says that its site needs no event up to
	// the cursor any more. That is durable after the site's next event, or after a Forget; an
	// earlier restart may lose it until the next call. Events that were forgotten are passed over.
	Events(ctx context.Context, site id.Site, after Cursor, maxBytes int) ([]Event, Cursor, error)

	// Find returns records of messages, newest first, a page of at most max after the cursor. The
	// zero cursor starts; a zero cursor in the answer ends the listing.
	Find(ctx context.Context, q Query, after Cursor, max int) ([]Record, Cursor, error)

	// Close waits for calls under way. Every later call answers ErrClosed.
	Close() error
}

// Upload announces a large envelope. Its parts have PartSize bytes each, the last one the rest.
type Upload struct {
	Sender   id.Site
	Envelope id.Envelope
	Size     int64 // bytes, more than SmallSize, at most MaxSize
}

// Staging is one caller's hold on an upload. Its methods may be called concurrently.
type Staging interface {
	// Missing lists the parts that are not durable yet, in order.
	Missing() []int
	// Put stores one part with its CRC-32C (Castagnoli); nil means it is durable. Repeating a part
	// is harmless. A durable part of another checksum is replaced: it is missing from the first
	// new byte on. ErrChecksum when the bytes do not match the checksum, or are too few or too
	// many: the part is missing then, unless it was a repetition. An upload receives at most
	// LookAhead bytes at once; another call waits. ErrFull and ErrQuota as for Stage, before a byte
	// is read.
	Put(ctx context.Context, part int, sum uint32, r io.Reader) error
	// Abort forgets the upload and frees its space. After Publish it does nothing.
	Abort(ctx context.Context) error
}

// Envelope is the part of an envelope that the hub may know.
type Envelope struct {
	ID           id.Envelope
	Sender       id.Site
	Address      id.Address
	RouteVersion id.Hash
	Size         int64
	CRC32C       []uint32 // of each part of PartSize
	Messages     []Message
	Deliveries   []Target // one per recipient
	Content      []byte   // the ciphertext, when Size <= SmallSize
}

// Message is the metadata of one message, in clear.
type Message struct {
	ID   id.Message `json:"message_id"`
	UID  id.UID     `json:"uid"`
	Sent time.Time  `json:"sent_timestamp"`
}

// Target is one recipient and the queue from which it reads.
type Target struct {
	Site  id.Site `json:"site"`
	Queue string  `json:"queue"`
}

// Published is the hub's promise: the envelope stands in these queues, durably.
type Published struct {
	Incarnation id.Incarnation
	Sequence    uint64    // the envelope's place in the order of all commits
	Spooled     time.Time // the hub's time at the commit
}

// KnownState is the state of an envelope as its sender sees it.
type KnownState string

// The states of Known. Waiting means that at least one delivery is not final.
const (
	StateUnknown   KnownState = "unknown"
	StateWaiting   KnownState = "waiting"
	StateFinal     KnownState = "final"
	StateForgotten KnownState = "forgotten" // it was final, and its records are deleted
)

// Known is the state of one envelope and its results so far.
type Known struct {
	Envelope  id.Envelope
	State     KnownState
	Published Published
	Results   []Result // one per delivery that is final so far
	Held      []Held   // the others that were released with a code
}

// Held is a delivery that is not final. Its recipient has released it since it was published or
// requeued, or it is on hold.
type Held struct {
	Recipient id.Site `json:"recipient"`
	Code      string  `json:"code"`              // of the last release, or CodeOnHold
	Because   string  `json:"because,omitempty"` // of a hold
}

// Result is the final outcome of one delivery: settled with a receipt, or dead with a code.
type Result struct {
	Recipient id.Site   `json:"recipient"`
	Receipt   string    `json:"receipt,omitempty"`
	DeadCode  string    `json:"dead_code,omitempty"`
	Time      time.Time `json:"time"`
}

// LeaseRequest asks for deliveries.
type LeaseRequest struct {
	Queue    string
	Session  id.Session
	Max      int           // deliveries, at least 1
	MaxBytes int           // of Content in the answer; a delivery that does not fit has none
	Duration time.Duration // of each lease
	Except   []id.Site     // senders whose deliveries wait for a later call
	Number   uint64        // of this call in its session, growing from 1; 0: not numbered
	Got      uint64        // number of the newest call whose answer is complete; 0: none
	Renews   id.Session    // the caller's session before this one; empty: none
}

// DeliveryID names one envelope in one queue. Settling and reading check all four parts.
type DeliveryID struct {
	Incarnation id.Incarnation `json:"incarnation"`
	Queue       string         `json:"queue"`
	Sequence    uint64         `json:"sequence"`
	Envelope    id.Envelope    `json:"envelope_id"`
}

// Token proves a lease. It is unguessable and means nothing after a restart.
type Token string

// Delivery is a leased envelope.
type Delivery struct {
	DeliveryID
	Token       Token
	LeasedUntil time.Time
	Attempts    int // real failures so far
	Sender      id.Site
	Address     id.Address
	Spooled     time.Time
	Size        int64
	CRC32C      []uint32
	Messages    []Message
	Content     []byte // all ciphertext if small and within MaxBytes; else read it with Open
}

// MaxDelay is the longest time for which a delivery can rest.
const MaxDelay = 72 * time.Hour

// Nack is the reason and the delay of a release.
type Nack struct {
	Code         string        // from the closed list of release codes; kept for the admin
	Delay        time.Duration // at most MaxDelay
	NotAttempted bool          // it was never tried, so it does not count
}

// Settlement states the final outcomes of a delivery.
type Settlement struct {
	Delivery DeliveryID
	Sender   id.Site // of the envelope, as the statement names it
	Receipt  string  // the signed statement, relayed as it is
	Outcomes []Outcome
}

// Outcome is the final outcome of one message.
type Outcome struct {
	UID     id.UID     `json:"uid"`
	Message id.Message `json:"message_id"`
	Outcome string     `json:"outcome"` // OutcomeDelivered or OutcomeRefused
	Code    string     `json:"code,omitempty"`
}

// The two final outcomes that a recipient can state.
const (
	OutcomeDelivered = "delivered"
	OutcomeRefused   = "refused"
)

// Settled answers a settlement.
type Settled struct {
	Time  time.Time // of the first settlement
	First bool      // this call was the one that counted
}

// Cursor is a place in a site's events, or in a listing.
type Cursor uint64

// EventKind is the kind of an event.
type EventKind string

// The kinds of events.
const (
	EventSettled EventKind = "settled" // has Envelope, Recipient, Receipt
	EventDead    EventKind = "dead"    // has Envelope, Recipient, Code
	// EventRequeued tells that a dead delivery waits again; it has Envelope and Recipient.
	EventRequeued EventKind = "requeued"
	EventRoute    EventKind = "route" // has Address and its new RouteVersion
)

// Event is one line of a site's gapless sequence.
type Event struct {
	Sequence     Cursor      `json:"sequence"`
	Kind         EventKind   `json:"kind"`
	Time         time.Time   `json:"time"`
	Envelope     id.Envelope `json:"envelope_id,omitempty"`
	Recipient    id.Site     `json:"recipient,omitempty"`
	Receipt      string      `json:"receipt,omitempty"`
	Code         string      `json:"code,omitempty"`
	Address      string      `json:"address,omitempty"`
	RouteVersion id.Hash     `json:"route_version,omitempty"`
}

// Query selects records. Empty fields do not restrict. At least one of Sender and Recipient is set,
// and authorises.
type Query struct {
	Sender    id.Site
	Recipient id.Site
	Message   id.Message
	UID       id.UID
	From, To  time.Time // spooled in [From, To)
}

// Record is one message for one recipient, as metadata.
type Record struct {
	Message      id.Message  `json:"message_id"`
	UID          id.UID      `json:"uid"`
	Envelope     id.Envelope `json:"envelope_id"`
	Sender       id.Site     `json:"sender_id"`
	Recipient    id.Site     `json:"recipient_id"`
	Queue        string      `json:"queue"`
	Address      string      `json:"address"` // of the envelope
	Sent         time.Time   `json:"sent_timestamp"`
	Spooled      time.Time   `json:"spooled_time"`
	FirstLeased  time.Time   `json:"first_leased_time,omitzero"`
	Acknowledged time.Time   `json:"acknowledged_time,omitzero"`
	State        string      `json:"state"` // waiting | delivered | refused | dead
	Code         string      `json:"code,omitempty"`
	Size         int64       `json:"size"` // of the envelope's ciphertext, bytes
}

// Registry keeps small named values: sites, keys, invitations, bindings. Values are at most 64 KiB.
type Registry interface {
	// Get returns an item, or ErrNotFound.
	Get(ctx context.Context, kind, key string) (Item, error)
	// Put stores value if the item has the given version (0: it must not exist), else it returns
	// ErrConflict. It returns the new version. A nil value deletes.
	Put(ctx context.Context, kind, key string, version uint64, value []byte) (uint64, error)
	// List returns up to max items of the kind with keys after the given one, in byte order.
	List(ctx context.Context, kind, after string, max int) ([]Item, error)
}

// Item is one named value and its version, which starts at 1 and grows with every Put.
type Item struct {
	Key     string
	Version uint64
	Value   []byte
}

// Admin holds the calls of the hub's administration. No agent's path uses them.
type Admin interface {
	// Queues returns the figures of every queue that has ever had a delivery, by name.
	Queues(ctx context.Context) ([]QueueInfo, error)
	// Kill makes every waiting delivery of a queue dead with the code and tells the senders. Their
	// content is kept as far as Quotas.Dead has room: they are dead letters.
	Kill(ctx context.Context, queue, code string) (int, error)
	// KillFrom makes every waiting delivery of a sender's envelopes dead with the code. It keeps no
	// content, and discards the sender's dead letters.
	KillFrom(ctx context.Context, sender id.Site, code string) (int, error)
	// Expire makes the waiting deliveries of a queue dead that pass a bound, and tells the senders.
	// Their content is kept like that of Kill. It leaves out leased ones, and those on hold.
	Expire(ctx context.Context, queue string, bound Bound, code string) (int, error)
	// DeadLetters returns the dead letters, the latest first, a page of about max after the cursor.
	// It has all letters of an envelope or none. A zero cursor in the answer ends the listing.
	DeadLetters(ctx context.Context, after Cursor, max int) ([]DeadLetter, Cursor, error)
	// Requeue returns a dead letter to its queue, and tells its sender. It is offered at once, with
	// no attempt counted, and counts again as waiting; no quota refuses it. A delivery that waits
	// is a success. A settled one is ErrConflict. One that is dead without content, or that does
	// not exist, is ErrNotFound.
	Requeue(ctx context.Context, l Letter) error
	// Discard frees the content of a dead letter, and reports whether there was one; the delivery
	// stays dead. Any other delivery than a dead one is ErrConflict. One that does not exist is
	// ErrNotFound.
	Discard(ctx context.Context, l Letter) (changed bool, err error)
	// DiscardBefore discards the dead letters of envelopes whose last delivery died before a time.
	// It returns the number of envelopes.
	DiscardBefore(ctx context.Context, before time.Time) (int, error)
	// Forget deletes the records of old final envelopes, and old events, as Retention selects them.
	// It remembers the ids of the envelopes for ever. It works in steps, of which each delays other
	// calls by at most one commit. An interrupted call has forgotten some of them.
	Forget(ctx context.Context, r Retention) (Forgotten, error)
	// AbortUploads forgets the sender's uploads and frees their space.
	AbortUploads(ctx context.Context, sender id.Site) (int, error)
	// Limit sets the quotas until the spool is closed. They refuse only new envelopes, uploads and
	// parts. Whatever is held above a lower limit stays.
	Limit(ctx context.Context, q Quotas) error
	// Usage returns the counts that the quotas limit. They are exact after each commit, and the
	// same after a restart.
	Usage(ctx context.Context) (Usages, error)
	// Announce appends one event of kind EventRoute for each site.
	Announce(ctx context.Context, events map[id.Site]Event) error
	// AcknowledgeLoss ends the report of lost commits in Info. Without one it is a success.
	AcknowledgeLoss(ctx context.Context) error
	// Info returns the figures of the whole spool.
	Info(ctx context.Context) (Info, error)
	// Poisoned returns a channel that closes when a commit's outcome is uncertain: the process
	// should exit and open the spool again.
	Poisoned() <-chan struct{}
}

// QueueInfo is one queue's figures.
type QueueInfo struct {
	Name     string    `json:"name"`
	Waiting  int64     `json:"waiting"` // deliveries not final, leased ones included
	Leased   int64     `json:"leased"`
	Released int64     `json:"released"`        // resting until they are due
	Settled  int64     `json:"settled"`         // ever, forgotten ones included
	Dead     int64     `json:"dead"`            // the same
	Oldest   time.Time `json:"oldest,omitzero"` // when the oldest waiting delivery was spooled
	// the beginning of the greatest age that Expire sees; zero: none waits, but on hold
	Ages time.Time `json:"-"`
}

// Info is the whole spool's figures.
type Info struct {
	Incarnation id.Incarnation `json:"incarnation"`
	Envelopes   int64          `json:"envelopes"` // with records, waiting or final
	// held for waiting envelopes and dead letters, and reserved for uploads
	Content  int64 `json:"content_bytes"`
	DiskFree int64 `json:"disk_free_bytes"`
	DiskSize int64 `json:"disk_size_bytes"`
	Reserve  int64 `json:"reserve_bytes"`
	// the commits that the store has lost; nil: none, or it was acknowledged
	Lost *Loss `json:"lost,omitempty"`
}

// Loss reports that a store lacks its newest commits: it was damaged, or is an older copy. Senders
// publish again the envelopes that it does not know.
type Loss struct {
	Found   time.Time `json:"found"`             // at the start that has found it first
	Commits uint64    `json:"commits,omitempty"` // of envelopes and outcomes; 0: not known
}
