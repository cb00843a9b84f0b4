package trust

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// distrustedKey is the kept setting with the keys that this site's admin distrusts, as JSON.
const distrustedKey = "distrusted"

// maxDistrusted limits the distrusted keys: each change writes them all.
const maxDistrusted = 1000

// DistrustedKey is the identity of another site that this site's admin distrusts.
type DistrustedKey struct {
	Site     id.Site   `json:"site"`
	Identity id.Hash   `json:"fingerprint"`
	Since    time.Time `json:"since"`
}

// Fingerprint returns the fingerprint in a sentence, in digits and in words.
func (k DistrustedKey) Fingerprint() reason.Reason { return Fingerprint(k.Site, k.Identity) }

// Distrust distrusts the pinned identity of a site, whatever the hub, a comparison or a roster says
// of it. It returns the key, and whether that is new. Accept of another identity ends it for the
// site, and Undistrust for its keys.
func (t *Trust) Distrust(ctx context.Context,
	site id.Site) (key DistrustedKey, isNew bool, err error) {
	pin, err := t.pin(ctx, site)
	if errors.Is(err, ledger.ErrNotFound) {
		return key, false, reason.Err("distrusts-unmet", "site", site)
	}
	if err != nil {
		return key, false, err
	}
	key = DistrustedKey{Site: site, Identity: pin.Identity, Since: t.Now().UTC()}
	isNew, err = t.changeDistrusted(ctx, func(list []DistrustedKey) []DistrustedKey {
		for _, k := range list {
			if k.Identity == key.Identity {
				key = k
				return list
			}
		}
		return append(list, key)
	})
	if isNew {
		t.Log.Warn("distrusted", "peer", site, "fingerprint", key.Identity, "by", "a user")
	}
	return key, isNew, err
}

// Undistrust ends the distrust of all keys of a site, and returns whether there was one.
func (t *Trust) Undistrust(ctx context.Context, site id.Site) (isNew bool, err error) {
	isNew, err = t.changeDistrusted(ctx, func(list []DistrustedKey) []DistrustedKey {
		return slices.DeleteFunc(list, func(k DistrustedKey) bool { return k.Site == site })
	})
	if isNew {
		t.Log.Warn("not distrusted any more", "peer", site, "by", "a user")
	}
	return isNew, err
}

// changeDistrusted changes the distrusted keys, in the ledger first.
func (t *Trust) changeDistrusted(ctx context.Context,
	change func([]DistrustedKey) []DistrustedKey) (isNew bool, err error) {
	t.distrustChange.Lock()
	defer t.distrustChange.Unlock()
	before := t.Distrusted()
	next := change(slices.Clone(before))
	if slices.Equal(before, next) {
		return false, nil
	}
	if len(next) > maxDistrusted {
		return false, reason.Err("too-many-distrusted", "most", maxDistrusted)
	}
	slices.SortFunc(next, func(a, b DistrustedKey) int {
		return strings.Compare(string(a.Site)+" "+string(a.Identity),
			string(b.Site)+" "+string(b.Identity))
	})
	text, err := json.Marshal(next)
	if err != nil {
		return false, err
	}
	err = t.Ledger.Update(ctx, func(tx *ledger.Tx) error {
		return tx.Keep(distrustedKey, string(text))
	})
	if err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.distrusted = next
	return true, nil
}

// loadDistrusted reads the distrusted keys from the ledger, at the start.
func (t *Trust) loadDistrusted(ctx context.Context) error {
	var text string
	err := t.Ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		text, err = tx.Kept(distrustedKey)
		return err
	})
	if err != nil || text == "" {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.distrusted = nil
	return json.Unmarshal([]byte(text), &t.distrusted)
}

// Distrusted lists the keys that this site's admin distrusts, by site.
func (t *Trust) Distrusted() []DistrustedKey {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.distrusted)
}

// distrusts returns since when the admin distrusts a key, under any name; zero: not.
func (t *Trust) distrusts(identity id.Hash) (since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.distrusted {
		if k.Identity == identity {
			return k.Since
		}
	}
	return since
}

// DistrustedSites lists the sites with a distrusted key as their pin, in order. It leaves out a
// site to which a roster gives another key: that one takes the place of the pin when it is shown.
func (t *Trust) DistrustedSites(ctx context.Context) (sites []id.Site, err error) {
	list := t.Distrusted()
	if len(list) == 0 {
		return nil, nil
	}
	r, _ := t.currentRoster()
	err = t.Ledger.View(ctx, func(tx *ledger.Tx) error {
		pins, err := tx.Pins()
		for _, p := range pins {
			if t.distrusts(p.Identity).IsZero() {
				continue
			}
			if r != nil {
				on, isNamed := r.Find(p.Site)
				if isNamed && on.Identity != p.Identity && t.succeeds(p, on.Identity) {
					continue
				}
			}
			sites = append(sites, p.Site)
		}
		return err
	})
	return sites, err
}
