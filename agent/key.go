package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
	"sealpost/statement"
)

// overlap is how long a site opens with its former recipient key after a planned change.
const overlap = 14 * 24 * time.Hour

// recipientKey returns the statement of this site's recipient key, from state/recipient.json, which
// it makes when it is missing. The same key keeps its version and its time, so that sites that have
// pinned it see no change. Another key gets a version of at least the given one. If the former key
// is still there, the change was planned, and the statement has the end of the overlap.
func recipientKey(cfg config.Agent, keys *envelope.Keys, now time.Time,
	atLeast int) (statement.RecipientKey, error) {
	last, err := lastStatement(cfg)
	if err != nil || last.Recipient == keys.Recipient() {
		return last, err
	}
	next := statement.RecipientKey{
		V: 1, Network: id.Hash(cfg.Network), Site: id.Site(cfg.Site), Recipient: keys.Recipient(),
		Version: max(last.Version+1, atLeast), Created: now.UTC().Truncate(time.Second),
	}
	if last.Version > 0 {
		next.Prev = last.Hash()
	}
	if last.Version > 0 && keys.Has(last.Recipient) {
		next.PrevOpens = next.Created.Add(overlap)
	}
	data, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return next, err
	}
	return next, durable.WriteFile(statementFile(cfg), append(data, '\n'), 0o600)
}

// lastStatement returns the statement in state/recipient.json; none if it is missing.
func lastStatement(cfg config.Agent) (last statement.RecipientKey, err error) {
	path := statementFile(cfg)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return last, nil
	}
	if err != nil {
		return last, err
	}
	if err := json.Unmarshal(data, &last); err != nil {
		return last, reason.Err("file-damaged", "path", path, "why", err)
	}
	return last, nil
}

func recipientKeyFile(cfg config.Agent) string { return filepath.Join(cfg.State, "recipient.key") }

// statementFile holds the statement of the site's recipient key.
func statementFile(cfg config.Agent) string { return filepath.Join(cfg.State, "recipient.json") }

// NewKey makes another recipient key for a site that has lost its own, while its agent does not
// run. Envelopes that are sealed for the old one are refused from then on, and their senders learn
// that. Other sites follow to the new one, which the same identity states.
func NewKey(cfg config.Agent) (done reason.Reason, err error) {
	if _, err := secretfile.EnterAsAdmin(cfg.State); err != nil {
		return done, err
	}
	lock, err := lockState(cfg.State)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	path := recipientKeyFile(cfg)
	if exists(path) {
		return done, reason.Err("recipient-there", "path", path)
	}
	// The statement is first: a key that it does not name is refused at the start.
	made := path + ".new"
	keys, err := envelope.OpenKeys(made, cfg.Suite)
	if err == nil {
		_, err = recipientKey(cfg, keys, time.Now(), 0)
	}
	if err == nil {
		err = durable.RenameNoReplace(made, path)
	}
	if err == nil {
		err = durable.SyncDir(cfg.State)
	}
	return reason.New("recipient-made", "path", path), err
}

// signedKey signs the statement under the present certificate: a renewed one has to vouch for it
// anew.
func signedKey(cfg config.Agent, keys *envelope.Keys, identity *certs.Identity,
	now time.Time) (string, error) {
	key, err := recipientKey(cfg, keys, now, 0)
	if err != nil {
		return "", err
	}
	return statement.Sign(identity, key)
}

func (a *Agent) keyHash() id.Hash { return statement.RecipientKeyHash(a.keys.Recipient()) }

// keyOfOlderState is the reason of a recipient key that the hub knows to be replaced.
const keyOfOlderState reason.Code = "key-of-older-state"

// uploadKey gives the hub this site's recipient-key statement.
func (a *Agent) uploadKey(ctx context.Context) error {
	a.keyChange.Lock()
	signed, err := signedKey(a.cfg, a.keys, a.identity, a.now())
	a.keyChange.Unlock()
	if err != nil {
		return err
	}
	err = a.hub.PutKey(ctx, signed)
	a.lacksKey.Store(errors.Is(err, api.ErrConflict))
	if errors.Is(err, api.ErrConflict) {
		return reason.Err("key-of-older-state", "state", a.cfg.State, "why", err)
	} else if err != nil {
		return fmt.Errorf("upload the recipient key: %w", err)
	}
	a.log.Info("recipient key uploaded", "key_hash", a.keyHash())
	return nil
}
