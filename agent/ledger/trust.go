package ledger

import (
	"database/sql"
	"encoding/json"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Pin is the trusted identity and recipient key of one other site.
type Pin struct {
	Site         id.Site
	Identity     id.Hash // SHA-256 of its identity public key
	RecipientKey string  // empty until its statement is seen
	Version      int
	Statement    id.Hash // hash of its payload, for the successor's prev
	Seen         time.Time
	Compared     time.Time     // when a user compared its fingerprint; zero: only seen
	Trouble      reason.Reason // the difference from the pin
	Offered      id.Hash       // the offered identity
}

const pinColumns = "site, identity, recipient_key, version, statement, seen, trouble, offered"

func (tx *Tx) pins(condition string, args ...any) ([]Pin, error) {
	var list []Pin
	err := tx.rows("SELECT "+pinColumns+", COALESCE(compared, 0) FROM pin "+
		"LEFT JOIN comparison USING (site, identity) WHERE "+condition, args,
		func(rows *sql.Rows) error {
			var p Pin
			var seen, compared int64
			err := rows.Scan(&p.Site, &p.Identity, &p.RecipientKey, &p.Version, &p.Statement, &seen,
				(*column)(&p.Trouble), &p.Offered, &compared)
			p.Seen, p.Compared = fromMillis(seen), fromMillis(compared)
			list = append(list, p)
			return err
		})
	return list, err
}

// Pins lists all pins by site.
func (tx *Tx) Pins() ([]Pin, error) { return tx.pins("TRUE ORDER BY site") }

// Pin returns a site's pin.
func (tx *Tx) Pin(site id.Site) (Pin, error) {
	list, err := tx.pins("site = ?", site)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Pin{}, err
	}
	return list[0], nil
}

// PinnedTo returns the site with a recipient key, if it is not other.
func (tx *Tx) PinnedTo(recipientKey string, other id.Site) (id.Site, error) {
	list, err := tx.pins("recipient_key = ? AND site <> ?", recipientKey, other)
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[0].Site, nil
}

// IdentityOf returns the site that is pinned to an identity, if it is not other.
func (tx *Tx) IdentityOf(identity id.Hash, other id.Site) (id.Site, error) {
	list, err := tx.pins("identity = ? AND site <> ?", identity, other)
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[0].Site, nil
}

// SetPin writes a site's whole pin.
func (tx *Tx) SetPin(p Pin) error {
	tx.trust.changed = true
	err := tx.exec("INSERT OR REPLACE INTO pin ("+pinColumns+") VALUES (?,?,?,?,?,?,?,?)",
		p.Site, p.Identity, p.RecipientKey, p.Version, p.Statement, millis(p.Seen),
		stored(p.Trouble), p.Offered)
	if err != nil {
		return err
	}
	return tx.exec("INSERT OR REPLACE INTO comparison (site, identity, compared) VALUES (?,?,?)",
		p.Site, p.Identity, millis(p.Compared))
}

// Rekeyed returns the hash and the first sight of the newest statement that has changed a site's
// recipient key. It is empty for a site with its first key.
func (tx *Tx) Rekeyed(site id.Site) (statement id.Hash, shown time.Time, err error) {
	var ms int64
	err = tx.row("SELECT statement, shown FROM rekeyed WHERE site = ?", []any{site}, &statement,
		&ms)
	if err == ErrNotFound {
		err = nil
	}
	return statement, fromMillis(ms), err
}

// SetRekeyed records that the hub shows a changed recipient key.
func (tx *Tx) SetRekeyed(site id.Site, statement id.Hash, shown time.Time) error {
	return tx.exec("INSERT OR REPLACE INTO rekeyed (site, statement, shown) VALUES (?,?,?)", site,
		statement, millis(shown))
}

// Overlap returns the former key of a site, and until when envelopes for it may be published. It is
// empty for a site whose present key was not held.
func (tx *Tx) Overlap(site id.Site) (key id.Hash, until time.Time, err error) {
	var ms int64
	err = tx.row("SELECT key, until FROM overlap WHERE site = ?", []any{site}, &key, &ms)
	if err == ErrNotFound {
		err = nil
	}
	return key, fromMillis(ms), err
}

// SetOverlap records that this site seals for the key before the present one of a site.
func (tx *Tx) SetOverlap(site id.Site, key id.Hash, until time.Time) error {
	return tx.exec("INSERT OR REPLACE INTO overlap (site, key, until) VALUES (?,?,?)", site, key,
		millis(until))
}

// ApproveRoute as the sites of an approval accepts the hub's first complete proposal.
const ApproveRoute = "route"

// Approval returns the approved sites of an address, sorted. If first is true, the hub's first
// complete proposal is approved.
func (tx *Tx) Approval(address string) (sites []id.Site, first bool, err error) {
	var stored string
	if err := tx.row("SELECT sites FROM approval WHERE address = ?", []any{address},
		&stored); err != nil {
		return nil, false, err
	}
	if stored == ApproveRoute {
		return nil, true, nil
	}
	return sites, false, json.Unmarshal([]byte(stored), &sites)
}

// ApprovedSites lists the approved sites of all addresses, once for each address.
func (tx *Tx) ApprovedSites() ([]id.Site, error) {
	var all []id.Site
	err := tx.rows("SELECT sites FROM approval WHERE sites <> ?", []any{ApproveRoute},
		func(rows *sql.Rows) error {
			var stored string
			var sites []id.Site
			if err := rows.Scan(&stored); err != nil {
				return err
			}
			err := json.Unmarshal([]byte(stored), &sites)
			all = append(all, sites...)
			return err
		})
	return all, err
}

// Approvals returns the approved sites of each address, sorted. None means the first complete
// proposal.
func (tx *Tx) Approvals() (map[string][]id.Site, error) {
	all := map[string][]id.Site{}
	err := tx.rows("SELECT address, sites FROM approval", nil, func(rows *sql.Rows) error {
		var address, stored string
		var sites []id.Site
		err := rows.Scan(&address, &stored)
		if err == nil && stored != ApproveRoute {
			err = json.Unmarshal([]byte(stored), &sites)
		}
		all[address] = sites
		return err
	})
	return all, err
}

// Approve sets the approved sites of an address, sorted by the caller; nil means the first complete
// proposal.
func (tx *Tx) Approve(address string, sites []id.Site) error {
	tx.trust.changed = true
	stored := ApproveRoute
	if sites != nil {
		b, err := json.Marshal(sites)
		if err != nil {
			return err
		}
		stored = string(b)
	}
	return tx.exec("INSERT OR REPLACE INTO approval (address, sites) VALUES (?,?)", address, stored)
}

// ApproveFirst approves the sites of the first complete proposal for an address. It returns the
// approved sites: others, if an approval came in between.
func (tx *Tx) ApproveFirst(address string, sites []id.Site) ([]id.Site, error) {
	approved, first, err := tx.Approval(address)
	if err != nil || !first {
		return approved, err
	}
	return sites, tx.Approve(address, sites)
}

// Setting returns a stored value, or the empty string.
func (tx *Tx) Setting(key string) (string, error) {
	var v string
	err := tx.row("SELECT value FROM setting WHERE key = ?", []any{key}, &v)
	if err == ErrNotFound {
		return "", nil
	}
	return v, err
}

// Set stores a value.
func (tx *Tx) Set(key, value string) error {
	return tx.exec("INSERT OR REPLACE INTO setting (key, value) VALUES (?,?)", key, value)
}
