package trust

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// Decision has the recipients of an address, sorted by site.
type Decision struct {
	Recipients []envelope.Recipient
	// when to decide again, as a held key is used from then on; zero: when the route changes
	Until time.Time
}

// Decide compares the hub's proposal for the asked address with this site's approvals and pins. It
// returns the recipients to seal for. For any proposal, these are exactly the approved sites, each
// with its pinned key. Otherwise it returns no recipients, and a *Waiting with the reason.
func (t *Trust) Decide(ctx context.Context, asked id.Address,
	route api.Route) (d Decision, err error) {
	proposed, err := t.check(asked, route)
	if err != nil {
		return d, err
	}
	shown := t.propose(route.Address.String(), route.Recipients)
	if err := t.checkApproval(ctx, route, proposed, shown); err != nil {
		return d, err
	}
	recipients := make([]envelope.Recipient, len(route.Recipients))
	for i, r := range route.Recipients {
		var until time.Time
		if recipients[i], until, err = t.recipient(ctx, r); err != nil {
			return d, err
		}
		if !until.IsZero() && (d.Until.IsZero() || until.Before(d.Until)) {
			d.Until = until
		}
	}
	if err := t.checkStandings(ctx, proposed); err != nil {
		return d, err
	}
	d.Recipients = recipients
	return d, nil
}

// check checks that a proposal is for the asked address and consistent. It returns the proposed
// sites.
func (t *Trust) check(asked id.Address, route api.Route) ([]id.Site, error) {
	if route.Address.String() != asked.String() {
		return nil, &Waiting{reason.New("other-proposal",
			"asked", asked.String(), "answered", clip(route.Address.String()))}
	}
	proposed := make([]id.Site, len(route.Recipients))
	for i, r := range route.Recipients {
		if i > 0 && proposed[i-1] >= r.Site {
			return nil, &Waiting{reason.New("disordered-proposal",
				"address", route.Address.String(), "site", r.Site)}
		}
		proposed[i] = r.Site
	}
	if len(proposed) == 0 {
		return nil, &Waiting{NotReceived(route.Address)}
	}
	if route.Version != api.RouteVersion(t.Network, route.Address, route.Recipients) {
		return nil, &Waiting{reason.New("inconsistent-proposal",
			"address", route.Address.String())}
	}
	return proposed, nil
}

// checkApproval checks that the proposed sites are exactly the approved ones, and that all have
// joined.
func (t *Trust) checkApproval(ctx context.Context, route api.Route, proposed []id.Site,
	shown []Proposed) error {
	address := route.Address.String()
	var approved []id.Site
	var first bool
	err := t.Ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		approved, first, err = tx.Approval(address)
		if errors.Is(err, ledger.ErrNotFound) {
			var itself bool
			if itself, err = t.ApprovesItself(tx, route.Address); err == nil && !itself {
				err = ledger.ErrNotFound
			}
			approved = route.Address.To
		}
		return err
	})
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return &Waiting{reason.New("needs-approval", "address", address, "sites", proposed,
			"command", approval(route.Address, proposed), "shown", fingerprints(shown, proposed))}
	case err != nil:
		return err
	}
	if !first && !slices.Equal(approved, proposed) {
		return t.difference(ctx, route.Address, approved, proposed, shown)
	}
	var missing, keyless []id.Site
	for _, r := range route.Recipients {
		switch {
		case r.Statement != "":
		case r.Joined:
			keyless = append(keyless, r.Site)
		default:
			missing = append(missing, r.Site)
		}
	}
	if len(keyless) > 0 {
		return &Waiting{reason.New("no-key-yet", "sites", keyless)}
	}
	if len(missing) > 0 {
		return &Waiting{reason.New("not-joined", "sites", missing)}
	}
	if first {
		return t.approveFirst(ctx, route.Address, proposed, shown)
	}
	return nil
}

// ApprovesItself reports whether an address needs no approval of its own. That is a direct one to
// sites that are approved for other addresses.
func (t *Trust) ApprovesItself(tx *ledger.Tx, address id.Address) (bool, error) {
	if address.RoutingKey != "" || t.DirectToAny {
		return address.RoutingKey == "", nil
	}
	all, err := tx.ApprovedSites()
	return !slices.ContainsFunc(address.To,
		func(s id.Site) bool { return !slices.Contains(all, s) }), err
}

// approveFirst approves the first complete proposal, unless an operator has approved other sites
// meanwhile.
func (t *Trust) approveFirst(ctx context.Context, address id.Address, proposed []id.Site,
	shown []Proposed) error {
	var approved []id.Site
	err := t.Ledger.Update(ctx, func(tx *ledger.Tx) (err error) {
		approved, err = tx.ApproveFirst(address.String(), proposed)
		return err
	})
	if err != nil {
		return err
	}
	if !slices.Equal(approved, proposed) {
		return t.difference(ctx, address, approved, proposed, shown)
	}
	t.Log.Info("approved", "address", address.String(), "sites", proposed,
		"by", "first proposal")
	return nil
}

// NotReceived returns the reason of an address without recipients.
func NotReceived(address id.Address) reason.Reason {
	return reason.New("not-received", "address", address.String())
}

// clip returns the beginning of a text of the hub.
func clip(text string) string { return text[:min(80, len(text))] }

// approval returns the command that approves a proposal.
func approval(address id.Address, proposed []id.Site) string {
	names := make([]string, len(proposed))
	for i, site := range proposed {
		names[i] = string(site)
	}
	return "sealpost agent approve " + strings.Join(names, ",") + " --route " + address.String()
}

// difference returns the reason that a proposal differs from the approved sites. A site without a
// pin was approved in advance: the address may lead there later.
func (t *Trust) difference(ctx context.Context, address id.Address, approved, proposed []id.Site,
	shown []Proposed) error {
	var added, missing, expected []id.Site
	for _, s := range proposed {
		if !slices.Contains(approved, s) {
			added = append(added, s)
		}
	}
	for _, s := range approved {
		_, err := t.pin(ctx, s)
		switch {
		case slices.Contains(proposed, s):
		case errors.Is(err, ledger.ErrNotFound) && address.RoutingKey != "":
			expected = append(expected, s)
		case err != nil && !errors.Is(err, ledger.ErrNotFound):
			return err
		default:
			missing = append(missing, s)
		}
	}
	if len(added) == 0 && len(missing) == 0 {
		return &Waiting{reason.New("leads-not-yet", "address", address.String(), "sites", expected,
			"command", approval(address, proposed)+" --replace")}
	}
	command := approval(address, proposed)
	switch {
	case len(missing) > 0 && len(expected) > 0:
		all := slices.Concat(proposed, expected)
		slices.Sort(all)
		command = approval(address, all) + " --replace --in-advance"
	case len(missing) > 0:
		command += " --replace"
	case len(expected) > 0:
		command = approval(address, added) + " --add"
	}
	return &Waiting{reason.New("route-differs", "address", address.String(), "added", added,
		"gone", missing, "command", command, "shown", fingerprints(shown, added))}
}

// recipient checks a proposed recipient's statement against its pin, and returns the recipient to
// seal for. It pins a new site. If it returns a time, the recipient has its key before until then.
func (t *Trust) recipient(ctx context.Context, r api.RouteRecipient) (to envelope.Recipient,
	until time.Time, err error) {
	signed, err := statement.Open[statement.RecipientKey](r.Statement, t.Verifier, t.Now())
	switch {
	case errors.Is(err, certs.ErrNotValidNow):
		return to, until, &Waiting{reason.New("site-certificate-not-now", "site", r.Site)}
	case err != nil:
		return to, until, &Waiting{reason.New("key-not-signed", "site", r.Site, "why", err)}
	}
	key := signed.Payload
	if key.Site != r.Site || key.Network != t.Network ||
		statement.RecipientKeyHash(key.Recipient) != r.KeyHash {
		return to, until, &Waiting{reason.New("key-of-other", "site", r.Site)}
	}
	if !suits(t.Suite, key.Recipient) {
		return to, until, &Waiting{reason.New("key-of-other-suite",
			"site", r.Site, "suite", t.Suite)}
	}
	if to, err = (envelope.Recipient{Site: r.Site, Key: key.Recipient}).Prepare(); err != nil {
		return to, until, &Waiting{reason.New("key-malformed", "site", r.Site)}
	}
	off, err := t.checkRoster(ctx, r.Site, signed.Key, asRecipient)
	if err != nil {
		return to, until, err
	}
	if !off.IsZero() {
		return to, until, &Waiting{off}
	}
	var h held
	err = t.update(ctx, func(tx *ledger.Tx) (trouble bool, err error) {
		h, trouble, err = t.key(tx, signed)
		return trouble, err
	})
	if err == nil && !h.until.IsZero() {
		if h.meanwhile == "" {
			return to, until, &Waiting{t.heldKey(r.Site, h.until, signed.Key)}
		}
		to, err = envelope.Recipient{Site: r.Site, Key: h.meanwhile}.Prepare()
	}
	if errors.Is(err, ErrPin) {
		pin, perr := t.pin(ctx, r.Site)
		if perr != nil {
			return to, until, perr
		}
		return to, until, &Waiting{reason.New("not-as-before",
			"site", r.Site, "trouble", pin.Trouble, "advice", Advice(pin))}
	}
	return to, h.until, err
}

func suits(suite, recipient string) bool {
	return strings.HasPrefix(recipient, "age1pq1") == (suite == "hybrid")
}

// key compares a verified recipient-key statement with the pin. It pins a successor, or the first
// key. It returns the hold of a changed key, or true after it has recorded trouble.
func (t *Trust) key(tx *ledger.Tx,
	signed statement.Signed[statement.RecipientKey]) (h held, trouble bool, err error) {
	k := signed.Payload
	if trouble, err = t.identity(tx, k.Site, signed.Key); trouble || err != nil {
		return h, trouble, err
	}
	pin, err := tx.Pin(k.Site)
	if err != nil {
		return h, false, err
	}
	if trouble, err = t.differs(tx, pin, signed); trouble || err != nil {
		return h, trouble, err
	}
	if h, err = t.hold(tx, pin, k); err != nil || !h.until.IsZero() {
		return h, false, err
	}
	return h, false, t.pinKey(tx, pin, signed)
}

// differs compares a statement with the pinned one. It returns true after it has recorded trouble.
func (t *Trust) differs(tx *ledger.Tx, pin ledger.Pin,
	signed statement.Signed[statement.RecipientKey]) (bool, error) {
	k := signed.Payload
	if pin.RecipientKey == k.Recipient && pin.Version == k.Version {
		return false, nil
	}
	switch other, err := tx.PinnedTo(k.Recipient, k.Site); {
	case err != nil:
		return false, err
	case other != "":
		return true, t.record(tx, pin, signed.Key, reason.New(reason.SharedKey, "site", other))
	case pin.Version == 0: // the identity was pinned before its first statement
	case k.Version < pin.Version:
		return true, t.record(tx, pin, signed.Key, reason.New("older-key",
			"offered", k.Version, "seen", pin.Version))
	case k.Version == pin.Version:
		return true, t.record(tx, pin, signed.Key, reason.New("other-key", "version", k.Version))
	case k.Version == pin.Version+1 && k.Prev != pin.Statement:
		return true, t.record(tx, pin, signed.Key, reason.New("stray-key", "version", k.Version))
	}
	return false, nil
}

// pinKey pins a statement that follows the pinned one, and ends trouble.
func (t *Trust) pinKey(tx *ledger.Tx, pin ledger.Pin,
	signed statement.Signed[statement.RecipientKey]) error {
	k := signed.Payload
	if pin.RecipientKey == k.Recipient && pin.Version == k.Version {
		if pin.Trouble.IsZero() {
			return nil
		}
		pin.Trouble, pin.Offered = reason.Reason{}, ""
		return tx.SetPin(pin)
	}
	t.Log.Info("pinned", "peer", k.Site, "fingerprint", signed.Key,
		"recipient_key", statement.RecipientKeyHash(k.Recipient), "version", k.Version)
	return tx.SetPin(ledger.Pin{Site: k.Site, Identity: pin.Identity,
		RecipientKey: k.Recipient, Version: k.Version, Statement: k.Hash(), Seen: pin.Seen,
		Compared: pin.Compared})
}
