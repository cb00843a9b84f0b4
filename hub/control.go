package hub

import (
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// The paths of the hub's administration, on the control socket and below api.PathAdmin. adminCalls
// has their callers.
const (
	ControlInvite      = "/invite"       // InviteRequest → Invited
	ControlAdmins      = "/admins"       // Nothing → AdminsAnswer
	ControlInviteAdmin = "/invite-admin" // InviteAdminRequest → Invited
	ControlRemoveAdmin = "/remove-admin" // RemoveAdminRequest → Removed
	ControlInvitations = "/invitations"  // Nothing → InvitationsAnswer
	ControlRevoke      = "/revoke"       // RevokeRequest → Changed
	ControlAdmit       = "/admit"        // AdmitRequest → Changed
	ControlRemove      = "/remove"       // RemoveRequest → Removed
	ControlBind        = "/bind"         // BindRequest → Bound
	ControlUnbind      = "/unbind"       // BindRequest → Bound
	ControlQueues      = "/queues"       // Nothing → QueuesAnswer
	ControlSites       = "/sites"        // Nothing → SitesAnswer
	ControlMessages    = "/messages"     // MessagesRequest → MessagesAnswer
	ControlStatus      = "/status"       // Nothing → Status
	ControlUsage       = "/usage"        // Nothing → UsageAnswer
	ControlQuota       = "/quota"        // QuotaRequest → SiteUsage
	ControlExport      = "/export"       // Nothing → Exported
	ControlLastExport  = "/last-export"  // Nothing → LastExport
	ControlAudit       = "/audit"        // AuditRequest → AuditAnswer
	ControlReload      = "/reload"       // Nothing → Reloaded
	ControlHold        = "/hold"         // HoldRequest → Changed
	ControlUnhold      = "/unhold"       // HoldRequest → Changed
	ControlHoldOne     = "/hold-one"     // HoldOneRequest → LettersAnswer
	ControlUnholdOne   = "/unhold-one"   // LetterRequest → LettersAnswer
	ControlHolds       = "/holds"        // Nothing → HoldsAnswer
	ControlDead        = "/dead"         // DeadRequest → DeadAnswer
	ControlRequeue     = "/requeue"      // LetterRequest → LettersAnswer
	ControlDiscard     = "/discard"      // LetterRequest → LettersAnswer
	ControlRoster      = "/roster"       // Nothing → RosterState
	ControlSetRoster   = "/set-roster"   // RosterRequest → RosterState
	ControlAcknowledge = "/acknowledge"  // Nothing → Changed
	ControlConsole     = "/console"      // ConsoleRequest → ConsoleLink
	ControlMessage     = "/message"      // MessageRequest → MessageAnswer
	ControlPreview     = "/preview"      // PreviewRequest → PreviewAnswer
	ControlFlow        = "/flow"         // Nothing → FlowAnswer
	ControlHistory     = "/history"      // HistoryRequest → HistoryAnswer
)

// Nothing is the request of operations that need none.
type Nothing struct{}

// InviteRequest asks for an invitation. A repeated one replaces the invitation and, until the site
// has joined, its role and patterns. For a joined site it is bound to the site's key: this is the
// way back after its certificate has expired.
type InviteRequest struct {
	Site id.Site `json:"site"`
	// send, receive or both; empty: the one it has
	Role string `json:"role"`
	// patterns; empty: the site's own name, fl-lab.#
	MaySend []string      `json:"may_send,omitempty"`
	Valid   time.Duration `json:"valid_ns,omitempty"` // default 7 days, at most 366
}

// Invited holds the contents of the invitation file. The hub keeps no copy of the secret.
type Invited struct {
	Site    id.Site   `json:"site"`
	Role    string    `json:"role"`
	MaySend []string  `json:"may_send,omitempty"`
	Hub     []string  `json:"hub"`
	Network id.Hash   `json:"network"`
	Suite   string    `json:"suite"`
	Roster  string    `json:"roster,omitempty"` // required, or empty
	Secret  string    `json:"secret"`
	Expires time.Time `json:"expires"`
	Queue   string    `json:"queue,omitempty"` // the site's queue, when it receives
	New     bool      `json:"new"`             // the site was not known before
	// the site has joined before: only its key can use this
	Joined bool `json:"joined"`
}

// File returns the invitation for its file, without fingerprints.
func (i Invited) File() certs.Invitation {
	return certs.Invitation{Site: i.Site, Role: i.Role, Hub: i.Hub, Network: i.Network,
		Suite: i.Suite, Roster: i.Roster, Secret: i.Secret, Expires: i.Expires}
}

// AdmitRequest admits a site whose certificate was issued by another hub under the same root.
type AdmitRequest struct {
	Site        id.Site  `json:"site"`
	Fingerprint id.Hash  `json:"fingerprint"` // of its identity key
	Role        string   `json:"role"`
	MaySend     []string `json:"may_send,omitempty"` // as in InviteRequest
}

// Changed is the answer of an operation that may have had nothing to do.
type Changed struct {
	Changed bool   `json:"changed"`
	Queue   string `json:"queue,omitempty"`
	// the role that the site's agent says it has, where that is another one
	RunsAs string `json:"runs_as,omitempty"`
}

// RemoveRequest takes a site off the network.
type RemoveRequest struct {
	Site     id.Site `json:"site"`
	KeepSent bool    `json:"keep_sent,omitempty"` // its envelopes still arrive
}

// Removed counts the effects of a removal.
type Removed struct {
	Changed     bool `json:"changed"`     // false: it was removed before
	Killed      int  `json:"killed"`      // waiting deliveries that are dead now
	Sent        int  `json:"sent"`        // deliveries of its envelopes that are dead now
	Uploads     int  `json:"uploads"`     // aborted
	Connections int  `json:"connections"` // closed by the removal
}

// QuotaRequest changes the limits of a site: those of the site as a sender, and those of its queue.
// KeepQuota keeps a limit, DefaultQuota returns to the default.
type QuotaRequest struct {
	Site  id.Site     `json:"site"`
	Send  spool.Quota `json:"send,omitzero"`
	Queue spool.Quota `json:"queue,omitzero"`
	// after which a delivery for the site ends undelivered; NeverExpires: never
	ExpiresAfter time.Duration `json:"expires_after_ns,omitempty"`
}

// QuotaState holds the counts of a sender, of a queue or of the hub, and their limits; 0: none.
type QuotaState struct {
	Used    spool.Usage `json:"used"`
	Allowed spool.Quota `json:"allowed"`
	Own     bool        `json:"own,omitempty"` // an admin has set a limit for it alone
}

// SiteUsage are the counts and limits of a site that sends, and of the queue of one that receives.
type SiteUsage struct {
	Site  id.Site     `json:"site"`
	Send  *QuotaState `json:"send,omitempty"`
	Queue *QuotaState `json:"queue,omitempty"`
	// after which a delivery in its queue ends undelivered; 0: never
	ExpiresAfter time.Duration `json:"expires_after_ns,omitempty"`
	// an admin has set that time for this site alone
	OwnExpires bool `json:"own_expires,omitempty"`
}

// UsageAnswer lists the counts and limits of the hub and of its sites, by name.
type UsageAnswer struct {
	Hub   QuotaState  `json:"hub"`
	Dead  QuotaState  `json:"dead"` // envelopes that are kept for dead letters
	Sites []SiteUsage `json:"sites"`
}

// BindRequest adds or removes bindings of a queue.
type BindRequest struct {
	Queue string   `json:"queue"`
	Keys  []string `json:"keys"`
}

// Bound holds the queue's bindings after the operation.
type Bound struct {
	Bindings []string `json:"bindings"`
	Changed  bool     `json:"changed"`
}

// QueuesAnswer lists the queues, by name.
type QueuesAnswer struct {
	Queues []QueueStatus `json:"queues"`
}

// QueueStatus is one queue with its figures.
type QueueStatus struct {
	spool.QueueInfo
	Site     id.Site  `json:"site"`
	Bindings []string `json:"bindings"`
}

// SitesAnswer lists the sites by name, and the callers that are not admitted.
type SitesAnswer struct {
	Sites    []SiteStatus `json:"sites"`
	Knocking []Knock      `json:"knocking"`
	Roster   RosterState  `json:"roster"`
}

// SiteStatus is one site. Its state is invited, joined or removed.
type SiteStatus struct {
	Site        id.Site   `json:"site"`
	State       string    `json:"state"`
	Role        string    `json:"role"`
	MaySend     []string  `json:"may_send,omitempty"`
	Fingerprint id.Hash   `json:"fingerprint,omitempty"` // of its identity key
	Words       string    `json:"words,omitempty"`       // of the fingerprint
	KeyHash     id.Hash   `json:"key_hash,omitempty"`    // of its recipient key
	KeyVersion  int       `json:"key_version,omitempty"`
	Queue       string    `json:"queue,omitempty"`
	Created     time.Time `json:"created"`
	Removed     time.Time `json:"removed,omitzero"`
	// of an invitation that is not used yet
	Expires     time.Time `json:"invitation_expires,omitzero"`
	Connections int       `json:"connections"` // open now
	// of its agent, since the hub's start; at most a quarter of a minute old while it is connected
	LastSeen time.Time `json:"last_seen,omitzero"`
	Version  string    `json:"version,omitempty"` // of its agent
	Waiting  int64     `json:"waiting"`           // deliveries for it
	Oldest   time.Time `json:"oldest,omitzero"`   // when the oldest of them was spooled
	Hold     *api.Hold `json:"hold,omitempty"`    // an admin holds it
	// when the first of them ends undelivered, if that is in the last quarter of expires_after
	OldestExpires time.Time `json:"oldest_expires,omitzero"`
	// addresses of agents of this site at the same time
	Copies []string `json:"copies,omitempty"`
	// the role of its agent, if it is not the hub's
	RunsAs string `json:"runs_as,omitempty"`
	// on, off, other-key, other-role or distrusted; empty: removed or invited, or no roster
	Roster string `json:"roster,omitempty"`
	// of the site as a sender, and of its queue; empty for a removed site
	Usage *SiteUsage `json:"usage,omitempty"`
}

// The states of a site.
const (
	SiteInvited = "invited"
	SiteJoined  = "joined"
	SiteRemoved = "removed"
)

// MessagesRequest searches the hub's records. At least one of sender and recipient is given.
type MessagesRequest struct {
	Sender    id.Site    `json:"sender,omitempty"`
	Recipient id.Site    `json:"recipient,omitempty"`
	Message   id.Message `json:"message_id,omitempty"`
	UID       id.UID     `json:"uid,omitempty"`
	// of the record, as it is now: with one of these a page may have fewer than max records
	State   string       `json:"state,omitempty"`
	Address string       `json:"address,omitempty"`
	From    time.Time    `json:"from,omitzero"`
	To      time.Time    `json:"to,omitzero"`
	After   spool.Cursor `json:"after,omitempty"`
	Max     int          `json:"max,omitempty"` // default 100, at most 1000
}

// MessagesAnswer is one page of records, newest first. Next asks for the following one; 0: there is
// none.
type MessagesAnswer struct {
	Messages []spool.Record `json:"messages"`
	Next     spool.Cursor   `json:"next,omitempty"`
}

// HoldRequest holds a site, or ends that.
type HoldRequest struct {
	Site    id.Site `json:"site"`
	Because string  `json:"because,omitempty"` // the site reads it; at most 200 bytes
}

// HoldOneRequest holds the deliveries of a message that wait.
type HoldOneRequest struct {
	LetterRequest
	Because string `json:"because,omitempty"` // the sender reads it; at most 200 bytes
}

// HoldsAnswer lists the sites and the deliveries on hold.
type HoldsAnswer struct {
	Sites      []SiteHold           `json:"sites"`
	Deliveries []spool.HeldDelivery `json:"deliveries"`
	More       bool                 `json:"more"` // there are more deliveries
}

// SiteHold is a site on hold.
type SiteHold struct {
	Site id.Site `json:"site"`
	api.Hold
}

// DeadRequest asks for one page of dead letters.
type DeadRequest struct {
	After spool.Cursor `json:"after,omitempty"`
	Max   int          `json:"max,omitempty"` // default 100, at most 200
}

// DeadAnswer is one page of dead letters, the latest first. Next asks for the following one; 0:
// there is none.
type DeadAnswer struct {
	Letters []spool.DeadLetter `json:"dead"`
	Next    spool.Cursor       `json:"next,omitempty"`
	Keep    time.Duration      `json:"keep_ns"` // dead_keep
	// until then nothing is discarded for its age, since the clock has leapt
	Paused time.Time `json:"paused_until,omitzero"`
	// where the root's key lies on this computer, and need not
	Root *RootKey `json:"root_key,omitempty"`
}

// LetterRequest names deliveries by a message in them.
type LetterRequest struct {
	Message id.Message `json:"message_id"`
	Site    id.Site    `json:"site,omitempty"` // the recipient; empty: each one
}

// LettersAnswer lists the deliveries that were changed, and those that could not be.
type LettersAnswer struct {
	Changed bool           `json:"changed"` // at least one was changed
	Letters []LetterChange `json:"letters"`
}

// LetterChange is the result for one delivery. It has all messages of its envelope.
type LetterChange struct {
	spool.Letter
	Messages []id.Message  `json:"message_ids"`
	Changed  bool          `json:"changed"`
	Failed   reason.Reason `json:"failed,omitzero"`
}

// Status is the hub as a whole.
type Status struct {
	Hub         string     `json:"hub"`
	Version     string     `json:"version"`
	Listen      string     `json:"listen"`
	Network     id.Hash    `json:"network"`
	Suite       string     `json:"suite"`
	Started     time.Time  `json:"started"`
	StartID     string     `json:"start_id"`
	Sites       int        `json:"sites"` // joined
	Connections int        `json:"connections"`
	CertExpires time.Time  `json:"certificate_expires"`
	Spool       spool.Info `json:"spool"`
	Waiting     int64      `json:"waiting"` // deliveries, in all queues
	Leased      int64      `json:"leased"`
	Released    int64      `json:"released"`
	Settled     int64      `json:"settled"`
	Dead        int64      `json:"dead"`
	Oldest      time.Time  `json:"oldest,omitzero"` // when the oldest waiting delivery was spooled
	Records     Records    `json:"records"`
	// until then nothing ends for its age, since the clock has leapt
	Paused time.Time `json:"paused_until,omitzero"`
	// where the root's key lies on this computer, and need not
	Root *RootKey `json:"root_key,omitempty"`
	// the newest one; its number is 0 without one
	Roster RosterState `json:"roster"`
}
