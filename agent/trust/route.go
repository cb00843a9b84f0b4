package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/certs"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/statement"
)

// Decide compares the hub's proposal for the address it was asked for with what this site has approved and pinned, and
// returns the recipients to seal for, sorted by site. A *Waiting says why nothing may be sent for now. Whatever the hub
// says, the answer is exactly the approved sites, each with its pinned key, or nothing.
func (t *Trust) Decide(ctx context.Context, asked id.Address, route api.Route) ([]envelope.Recipient, error) {
	if route.Address.String() != asked.String() {
		return nil, waitingf("the hub was asked for %s and proposes recipients for %.80q: ask the admin of the hub", asked, route.Address.String())
	}
	proposed := make([]id.Site, len(route.Recipients))
	for i, r := range route.Recipients {
		if i > 0 && proposed[i-1] >= r.Site {
			return nil, waitingf("the hub's proposal for %s is out of order or names %s twice: ask the admin of the hub", route.Address, r.Site)
		}
		proposed[i] = r.Site
	}
	if len(proposed) == 0 {
		return nil, waitingf("nobody receives %s yet: ask the admin of the hub to bind a queue to it", route.Address)
	}
	if route.Version != api.RouteVersion(t.Network, route.Address, route.Recipients) {
		return nil, waitingf("the hub's proposal for %s contradicts itself: ask the admin of the hub", route.Address)
	}
	if err := t.approved(ctx, route, proposed); err != nil {
		return nil, err
	}
	recipients := make([]envelope.Recipient, len(route.Recipients))
	for i, r := range route.Recipients {
		var err error
		if recipients[i], err = t.recipient(ctx, r); err != nil {
			return nil, err
		}
	}
	return recipients, nil
}

// approved checks the proposed names against the approved set, in both directions, and that all of them have joined.
func (t *Trust) approved(ctx context.Context, route api.Route, proposed []id.Site) error {
	address := route.Address.String()
	var approved []id.Site
	var first bool
	err := t.Ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		approved, first, err = tx.Approval(address)
		return err
	})
	switch {
	case errors.Is(err, ledger.ErrNotFound) && route.Address.RoutingKey == "":
		approved = route.Address.To // a direct address names its recipients itself
	case errors.Is(err, ledger.ErrNotFound):
		return waitingf("%s needs approval of %s: run '%s'", address, join(proposed), approval(address, proposed))
	case err != nil:
		return err
	}
	if !first && !slices.Equal(approved, proposed) {
		return waitingf("%s", difference(address, approved, proposed))
	}
	var missing []id.Site
	for _, r := range route.Recipients {
		if r.Statement == "" {
			missing = append(missing, r.Site)
		}
	}
	if len(missing) > 0 {
		return waitingf("waiting for %s to join", join(missing))
	}
	if first {
		t.Log.Info("approved", "address", address, "sites", join(proposed), "by", "first proposal")
		return t.Ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.Approve(address, proposed) })
	}
	return nil
}

func difference(address string, approved, proposed []id.Site) string {
	var added, gone []id.Site
	for _, s := range proposed {
		if !slices.Contains(approved, s) {
			added = append(added, s)
		}
	}
	for _, s := range approved {
		if !slices.Contains(proposed, s) {
			gone = append(gone, s)
		}
	}
	var says []string
	if len(added) > 0 {
		says = append(says, "now also leads to "+join(added)+", which is not approved")
	}
	if len(gone) > 0 {
		says = append(says, "no longer leads to "+join(gone)+", which is approved")
	}
	return fmt.Sprintf("%s %s: needs approval; if this is right run '%s'", address, strings.Join(says, " and "), approval(address, proposed))
}

// approval is the command that approves a proposal.
func approval(address string, proposed []id.Site) string {
	return "sealpost agent approve " + strings.ReplaceAll(join(proposed), ", ", ",") + " --route " + address
}

// recipient checks one proposed recipient's statement against its pin, which it makes when the site is first seen, and
// returns the recipient to seal for.
func (t *Trust) recipient(ctx context.Context, r api.RouteRecipient) (envelope.Recipient, error) {
	none := envelope.Recipient{}
	signed, err := statement.Open[statement.RecipientKey](r.Statement, t.Verifier, t.Now())
	switch {
	case errors.Is(err, certs.ErrNotValidNow):
		return none, waitingf("the certificate of %s is not valid now: check this computer's clock, and that %s is running", r.Site, r.Site)
	case err != nil:
		return none, waitingf("the key that the hub offers for %s is not properly signed (%v): ask the admin of the hub", r.Site, err)
	}
	key := signed.Payload
	if key.Site != r.Site || key.Network != t.Network || statement.RecipientKeyHash(key.Recipient) != r.KeyHash {
		return none, waitingf("the key that the hub offers for %s is not its own: ask the admin of the hub", r.Site)
	}
	if !suits(t.Suite, key.Recipient) {
		return none, waitingf("the key of %s is not of this network's suite %s: ask its admin", r.Site, t.Suite)
	}
	recipient, err := envelope.Recipient{Site: r.Site, Key: key.Recipient}.Prepare()
	if err != nil {
		return none, waitingf("the key of %s is malformed: ask its admin", r.Site)
	}
	err = t.update(ctx, func(tx *ledger.Tx) (bool, error) { return t.key(tx, signed) })
	if errors.Is(err, ErrPin) {
		pin, perr := t.pin(ctx, r.Site)
		if perr != nil {
			return none, perr
		}
		return none, waitingf("%s is not what it was: %s. Nothing is sent to it. %s", r.Site, pin.Trouble, Advice(pin))
	}
	return recipient, err
}

func suits(suite, recipient string) bool {
	return strings.HasPrefix(recipient, "age1pq1") == (suite == "hybrid")
}

// key compares a verified recipient-key statement with the pin, follows a successor, or pins what is new. It reports
// whether there was trouble.
func (t *Trust) key(tx *ledger.Tx, signed statement.Signed[statement.RecipientKey]) (bool, error) {
	k := signed.Payload
	trouble, err := t.identity(tx, k.Site, signed.Key)
	if trouble || err != nil {
		return trouble, err
	}
	pin, err := tx.Pin(k.Site)
	if err != nil {
		return false, err
	}
	if pin.RecipientKey == k.Recipient && pin.Version == k.Version {
		if pin.Trouble == "" {
			return false, nil
		}
		pin.Trouble, pin.Offered = "", ""
		return false, tx.SetPin(pin)
	}
	switch other, err := tx.PinnedTo(k.Recipient, k.Site); {
	case err != nil:
		return false, err
	case other != "":
		return true, t.trouble(tx, pin, signed.Key, sharedKey+string(other))
	case pin.Version == 0: // the identity was pinned before any statement was seen
	case k.Version < pin.Version:
		return true, t.trouble(tx, pin, signed.Key, fmt.Sprintf("it offers version %d of its recipient key, and version %d was seen before", k.Version, pin.Version))
	case k.Version == pin.Version:
		return true, t.trouble(tx, pin, signed.Key, fmt.Sprintf("it offers another recipient key under the same version %d", k.Version))
	case k.Version == pin.Version+1 && k.Prev != pin.Statement:
		return true, t.trouble(tx, pin, signed.Key, fmt.Sprintf("version %d of its recipient key does not follow the one that was seen before", k.Version))
	}
	t.Log.Info("pinned", "peer", k.Site, "fingerprint", signed.Key, "recipient_key", statement.RecipientKeyHash(k.Recipient), "version", k.Version)
	return false, tx.SetPin(ledger.Pin{Site: k.Site, Identity: pin.Identity, RecipientKey: k.Recipient, Version: k.Version, Statement: k.Hash(), Seen: pin.Seen})
}
