package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// ownKeysKey is the kept setting with the hashes of this site's recipient keys, the newest last.
const ownKeysKey = "own-keys"

// maxOwnKeys bounds the remembered recipient keys of this site.
const maxOwnKeys = 100

// rememberOwnKey reads the recipient keys that this site has had, and adds the present one.
func (a *Agent) rememberOwnKey(ctx context.Context) error {
	var had []id.Hash
	err := a.ledger.Update(ctx, func(tx *ledger.Tx) error {
		text, err := tx.Kept(ownKeysKey)
		if err == nil && text != "" {
			err = json.Unmarshal([]byte(text), &had)
		}
		if err != nil || slices.Contains(had, a.keyHash()) {
			return err
		}
		had = append(had, a.keyHash())
		had = had[max(0, len(had)-maxOwnKeys):]
		list, err := json.Marshal(had)
		if err != nil {
			return err
		}
		return tx.Keep(ownKeysKey, string(list))
	})
	if err != nil {
		return fmt.Errorf("remember the recipient key: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ownKeys = had
	return nil
}

// lookAtOwn stores how the hub shows another key for this site than those that it has made. It logs
// each difference once.
func (a *Agent) lookAtOwn(hello api.Hello) {
	var found reason.Reason
	a.mu.Lock()
	isOwn := hello.KeyHash == "" || slices.Contains(a.ownKeys, hello.KeyHash)
	a.mu.Unlock()
	switch named := a.trust.RosterIdentity(a.site); {
	case !isOwn:
		found = reason.New("own-key-of-other", "shown", hello.KeyHash, "own", a.keyHash())
	case named != "" && named != a.identity.Key():
		found = reason.New("own-identity-of-other", "shown", named, "own", a.identity.Key())
	}
	a.mu.Lock()
	before := a.ownShown
	if a.ownShown = found; found != before {
		a.linkChanges.Add(1)
	}
	a.mu.Unlock()
	if found != before && !found.IsZero() {
		a.log.Error("another key is shown for this site", "reason", found)
	}
	if found != before && found.IsZero() {
		a.log.Info("no other key is shown for this site any more")
	}
}

// ownDiffers returns how the hub shows another key for this site than its own; none: it does not.
func (a *Agent) ownDiffers() (shown reason.Reason) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ownShown
}
