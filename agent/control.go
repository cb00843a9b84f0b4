package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"sealpost/agent/inbox"
	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
	"sealpost/agent/stranger"
	"sealpost/agent/trust"
	"sealpost/internal/control"
	"sealpost/internal/id"
	"sealpost/internal/nearest"
	"sealpost/internal/profile"
	"sealpost/internal/reason"
	"sealpost/internal/spoken"
)

// The paths of the control socket.
const (
	PathStatus   = "/status"   // StatusRequest → Status
	PathApprove  = "/approve"  // ApproveRequest → Done
	PathTrust    = "/trust"    // TrustRequest → Done
	PathReceipts = "/receipts" // MessageRequest → Receipts
	PathProof    = "/proof"    // MessageRequest → Proof
	PathOrigin   = "/origin"   // OriginRequest → OriginPart
	PathRecall   = "/recall"   // MessageRequest → Done
	PathResend   = "/resend"   // ResendRequest → Done
	PathLog      = "/log"      // MessageRequest → Log
	PathRetry    = "/retry"    // Nothing → Done
	PathIdentity = "/identity" // IdentityRequest → Identities
	PathRoster   = "/roster"   // RosterRequest → RosterState
	PathBlock    = "/block"    // BlockRequest → Done
	PathUnblock  = "/unblock"  // BlockRequest → Done
	PathDistrust = "/distrust" // DistrustRequest → Done
	PathRotate   = "/rotate"   // RotateRequest → Done
)

// StatusRequest asks how the site stands.
type StatusRequest struct {
	Latest int `json:"latest"` // how many of the latest messages to list; at most 1000
}

// Status is how a site stands.
type Status struct {
	Site        id.Site        `json:"site"`
	Role        string         `json:"role"`
	Fingerprint id.Hash        `json:"fingerprint"` // of the identity key
	Words       string         `json:"words"`       // of the fingerprint, to compare by voice
	Network     id.Hash        `json:"network"`
	Expires     time.Time      `json:"expires"` // of the certificate
	Link        Link           `json:"link"`
	Outbox      *outbox.Status `json:"outbox,omitempty"`
	Inbox       *inbox.Status  `json:"inbox,omitempty"`
	Pins        []Pin          `json:"pins"`
	Roster      RosterState    `json:"roster"`
	// approved recipients, and those that the hub proposes
	Routes []Route `json:"routes,omitempty"`
	// senders from whom this site takes nothing
	Blocked []id.Site `json:"blocked,omitempty"`
	// keys for which this site seals nothing and from which it takes nothing, whoever shows them
	Distrusted []DistrustedKey `json:"distrusted,omitempty"`
	Limits     []Limit         `json:"limits,omitempty"` // of the line, that hold now
	// the key of another one that the hub shows for this site
	OwnDiffers reason.Reason `json:"own_differs,omitzero"`
	// the change of the recipient key that is not complete; none: the site has one key
	Rotation *Rotation `json:"rotation,omitempty"`
}

// Roles returns how the hub's role for this site differs from the site's own, and what to do. It is
// of use where Link.HubRole is set.
func (s Status) Roles() reason.Verdict {
	site := stranger.Site{Name: s.Site, Role: s.Role, Key: s.Fingerprint}
	return site.RoleDiffers(s.Link.HubRole)
}

// Pin is whom this site knows another site by.
type Pin struct {
	Site     id.Site       `json:"site"`
	Identity id.Hash       `json:"fingerprint"`
	Words    string        `json:"words"`       // of the fingerprint
	Version  int           `json:"key_version"` // of its recipient key; 0: none seen yet
	Seen     time.Time     `json:"seen"`
	Trouble  reason.Reason `json:"trouble,omitzero"`  // with the identity or key that it shows
	Offered  id.Hash       `json:"offered,omitempty"` // the identity that it shows with it
	Advice   reason.Reason `json:"advice,omitzero"`   // the next step of the user

	trust.Standing
	trust.Rekeyed
}

// SiteStanding is why another site is believed, and since when.
type SiteStanding = trust.Standing

// Distrusted is the standing of a site whose key the roster or this site's admin distrusts.
const Distrusted = trust.Distrusted

// DistrustedKey is a key that this site's admin distrusts.
type DistrustedKey = trust.DistrustedKey

// BlockRequest names a sender from whom this site takes nothing, or takes files again.
type BlockRequest struct {
	Site string `json:"site"`
}

// TrustRequest accepts an identity for a site.
type TrustRequest struct {
	Site        string `json:"site"`
	Fingerprint string `json:"fingerprint"`
}

// Nothing is the request of commands without arguments.
type Nothing struct{}

// Done is the result of a command, in one or more lines.
type Done struct {
	Says []reason.Reason `json:"says"`
}

// done returns the lines that say something.
func done(lines ...reason.Reason) Done {
	return Done{slices.DeleteFunc(lines, reason.Reason.IsZero)}
}

// MessageRequest names a message by its message id or uid.
type MessageRequest struct {
	Message string `json:"message"`
}

// Receipts are the receipts of a message, as they were relayed.
type Receipts struct {
	Message  outbox.Message `json:"message"`
	Receipts []Receipt      `json:"receipts"`
}

// Receipt is one recipient's signed receipt.
type Receipt struct {
	Site     id.Site       `json:"site"`
	Envelope id.Envelope   `json:"envelope_id"` // which may be earlier than the message's
	JWS      string        `json:"jws"`
	Verified bool          `json:"verified"`
	Doubt    reason.Reason `json:"doubt,omitzero"`
	Time     time.Time     `json:"time"`

	trust.Standing // of the site now
}

// Log is the history of a message, sent or received.
type Log struct {
	Sent     *outbox.Message `json:"sent,omitempty"`
	Received []inbox.Message `json:"received,omitempty"`
	// how the recipients and senders of these messages stand now
	Standings map[id.Site]trust.Standing `json:"standings,omitempty"`
}

func (a *Agent) handle(mux *http.ServeMux) {
	control.Handle(mux, PathStatus, a.status)
	control.Handle(mux, PathApprove, a.approve)
	control.Handle(mux, PathTrust, a.accept)
	control.Handle(mux, PathIdentity, a.identify)
	control.Handle(mux, PathReceipts, a.receipts)
	control.Handle(mux, PathProof, a.proof)
	control.Handle(mux, PathOrigin, a.origin)
	control.Handle(mux, PathLog, a.lookUp)
	control.Handle(mux, PathRecall, a.recall)
	control.Handle(mux, PathResend, a.resend)
	control.Handle(mux, PathRetry, a.retry)
	control.Handle(mux, PathRoster, a.giveRoster)
	control.Handle(mux, PathBlock, a.block)
	control.Handle(mux, PathUnblock, a.unblock)
	control.Handle(mux, PathDistrust, a.distrust)
	control.Handle(mux, PathRotate, a.rotate)
	profile.Handle(mux)
}

func (a *Agent) status(ctx context.Context, in StatusRequest) (Status, error) {
	latest := min(max(in.Latest, 0), 1000)
	s := Status{Site: a.site, Role: a.cfg.Role, Fingerprint: a.identity.Key(),
		Words: spoken.Words(a.identity.Key()), Network: a.network,
		Expires: a.identity.NotAfter(), Roster: a.rosterState(), Distrusted: a.trust.Distrusted(),
		OwnDiffers: a.ownDiffers(), Limits: a.limits(time.Now())}
	rotation, err := a.rotationState()
	if err != nil {
		return s, err
	}
	s.Rotation = rotation
	a.mu.Lock()
	s.Link = a.link
	a.mu.Unlock()
	if a.outbox != nil {
		o, err := a.outbox.Status(ctx, latest)
		if err != nil {
			return s, err
		}
		s.Outbox = &o
	}
	if a.inbox != nil {
		i, err := a.inbox.Status(ctx, latest)
		if err != nil {
			return s, err
		}
		s.Inbox, s.Blocked = &i, a.inbox.Blocked()
	}
	return s, a.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		if a.outbox != nil {
			if s.Routes, err = a.routes(tx); err != nil {
				return err
			}
		}
		pins, err := tx.Pins()
		for _, p := range pins {
			rekeyed, err := a.trust.Rekeyed(tx, p)
			if err != nil {
				return err
			}
			s.Pins = append(s.Pins, Pin{Site: p.Site, Identity: p.Identity,
				Words: spoken.Words(p.Identity), Version: p.Version, Seen: p.Seen,
				Standing: a.trust.Standing(p), Trouble: p.Trouble, Offered: p.Offered,
				Advice: trust.Advice(p), Rekeyed: rekeyed})
		}
		return err
	})
}

// ownRoute returns the named route or, without a name, the only one of the site's trays.
func (a *Agent) ownRoute(name string) (string, error) {
	var routes []string
	for _, t := range a.cfg.Trays() {
		routes = append(routes, t.Route)
	}
	slices.Sort(routes)
	routes = slices.Compact(routes)
	switch {
	case name != "":
		return name, nil
	case len(routes) > 1:
		return "", reason.Err("which-route", "routes", routes)
	}
	return routes[0], nil
}

func (a *Agent) accept(ctx context.Context, in TrustRequest) (Done, error) {
	site, err := a.otherSite(in.Site)
	if err != nil {
		return Done{}, err
	}
	identity, err := trust.ParseFingerprint(site, in.Fingerprint)
	if err != nil {
		return Done{}, err
	}
	if identity == a.identity.Key() {
		return Done{}, reason.Err("fingerprint-of-other", "site", site, "other", a.site)
	}
	shown, err := a.identify(ctx, IdentityRequest{Site: in.Site})
	if err != nil && reason.Of(err).Code != siteNotSeen {
		return Done{}, err
	}
	before, err := a.trust.Accept(ctx, site, string(identity))
	if err != nil {
		return Done{}, err
	}
	if err := a.trustsAgain(ctx, site); err != nil {
		return Done{}, err
	}
	says := []reason.Reason{reason.New("trusted", "site", site)}
	if offered := shown.Other.Fingerprint; offered != "" && offered != identity {
		says[0] = reason.New("trusted-other", "site", site, "offered", offered)
	}
	if before.Identity != "" && before.Identity != identity {
		var compared any
		if !before.Compared.IsZero() {
			compared = before.Compared
		}
		says = append(says, reason.New("trusted-before", "site", site, "before", before.Identity,
			"compared", compared))
	}
	return done(says...), nil
}

func (a *Agent) block(ctx context.Context, in BlockRequest) (Done, error) {
	site, err := a.sender(in)
	if err != nil {
		return Done{}, err
	}
	isNew, err := a.inbox.Block(ctx, site)
	if err != nil || !isNew {
		return done(reason.New("blocked-before", "site", site)), err
	}
	known, err := a.knownSites(ctx)
	if err != nil || slices.Contains(known, string(site)) {
		return done(reason.New("blocked", "site", site)), err
	}
	return done(reason.New("blocked", "site", site), reason.New("blocked-unknown", "site", site,
		"near", nearest.Names(string(site), known, maxKnown))), nil
}

func (a *Agent) unblock(ctx context.Context, in BlockRequest) (Done, error) {
	site, err := a.sender(in)
	if err != nil {
		return Done{}, err
	}
	isNew, err := a.inbox.Unblock(ctx, site)
	if err != nil || !isNew {
		return done(reason.New("not-blocked", "site", site)), err
	}
	return done(reason.New("unblocked", "site", site)), nil
}

// sender returns the site in a request. The agent must receive.
func (a *Agent) sender(in BlockRequest) (id.Site, error) {
	if a.inbox == nil {
		return "", reason.Err("blocks-nothing")
	}
	return id.ParseSite(in.Site)
}

func (a *Agent) receipts(ctx context.Context, in MessageRequest) (r Receipts, err error) {
	if a.outbox == nil {
		return r, reason.Err("no-receipts")
	}
	if r.Message, err = a.outbox.Message(ctx, in.Message); err != nil {
		return r, a.unknown(ctx, in.Message, err)
	}
	return r, a.ledger.View(ctx, func(tx *ledger.Tx) error {
		list, err := tx.Receipts(r.Message.UID)
		for _, x := range list {
			standing, err := a.standing(tx, x.Site)
			if err != nil {
				return err
			}
			r.Receipts = append(r.Receipts, Receipt{Site: x.Site, Envelope: x.Envelope,
				JWS: x.Recipient.Receipt, Verified: x.Believed, Doubt: x.Doubt, Time: x.Time,
				Standing: standing})
		}
		return err
	})
}

func (a *Agent) lookUp(ctx context.Context, in MessageRequest) (l Log, err error) {
	if a.outbox != nil {
		m, err := a.outbox.Message(ctx, in.Message)
		if err == nil {
			l.Sent = &m
		} else if !errors.Is(err, ledger.ErrNotFound) {
			return l, err
		}
	}
	if a.inbox != nil {
		if l.Received, err = a.inbox.Messages(ctx, id.Message(in.Message)); err != nil {
			return l, err
		}
	}
	if l.Sent == nil && len(l.Received) == 0 {
		return l, a.unknown(ctx, in.Message, ledger.ErrNotFound)
	}
	l.Standings, err = a.standings(ctx, l)
	return l, err
}

// standings returns the standings of the sites in a history.
func (a *Agent) standings(ctx context.Context, l Log) (map[id.Site]trust.Standing, error) {
	all := map[id.Site]trust.Standing{}
	if l.Sent != nil {
		for _, r := range l.Sent.Recipients {
			all[r.Site] = trust.Standing{}
		}
	}
	for _, m := range l.Received {
		all[m.Sender] = trust.Standing{}
	}
	return all, a.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		for site := range all {
			if all[site], err = a.standing(tx, site); err != nil {
				return err
			}
		}
		return nil
	})
}

// standing returns the standing of a site. It is zero without a pin.
func (a *Agent) standing(tx *ledger.Tx, site id.Site) (trust.Standing, error) {
	pin, err := tx.Pin(site)
	if errors.Is(err, ledger.ErrNotFound) {
		return trust.Standing{}, nil
	}
	return a.trust.Standing(pin), err
}

// unknown returns the error of a question about a message that the ledger does not have.
func (a *Agent) unknown(ctx context.Context, message string, err error) error {
	if !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	if _, _, first, last, err := id.ParseGroup(message); err == nil {
		return reason.Err("message-is-group", "folder", message,
			"first", fmt.Sprintf("%03d", first), "last", fmt.Sprintf("%03d", last))
	}
	at, err := a.history(ctx)
	if err != nil {
		return err
	}
	var since any
	if !at.IsZero() {
		since = at
	}
	return reason.Err("message-unknown", "site", a.site, "message", message, "since", since)
}
