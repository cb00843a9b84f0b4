package agent

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/envelope"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// ErrNotJoined says that the site has no certificate yet.
var ErrNotJoined = reason.Err("site-not-joined")

// CheckStart returns the error that the start of a stopped agent would return for its state folder.
// It changes nothing, and returns nil if this account may not look.
func CheckStart(cfg config.Agent) error {
	if err := checkState(cfg); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil // the agent's own account may start it
}

func checkState(cfg config.Agent) error {
	if _, err := siteIdentity(cfg); err != nil {
		return err
	}
	if exists(recipientKeyFile(cfg)) || exists(statementFile(cfg)) { // otherwise it is made
		if _, err := openKeys(cfg); err != nil {
			return err
		}
	}
	if err := unusable(ledgerFile(cfg), ledger.Check(ledgerFile(cfg))); err != nil {
		return err
	}
	if !cfg.Sends() {
		return nil
	}
	return outbox.CheckSecret(cfg.State)
}

// mustHoldKeys returns an error for a state folder that is missing or has no keys. Its disk may not
// be mounted.
func mustHoldKeys(state string) error {
	isMissing := func(name string) bool {
		_, err := os.Lstat(filepath.Join(state, name))
		return errors.Is(err, fs.ErrNotExist)
	}
	switch {
	case isMissing(""):
		return reason.Err("state-missing", "state", state)
	case isMissing("identity.key") && isMissing("chain.pem"):
		return reason.Err("state-without-keys", "state", state)
	}
	return nil
}

// siteIdentity returns the identity of a site that has joined. It is the one that agent.toml names.
func siteIdentity(cfg config.Agent) (*certs.Identity, error) {
	if err := mustHoldKeys(cfg.State); err != nil {
		return nil, err
	}
	if !hasJoined(cfg) && exists(ledgerFile(cfg)) { // an agent has run here
		return nil, reason.Err("certificate-gone", "path", filepath.Join(cfg.State, "chain.pem"))
	}
	if !hasJoined(cfg) {
		return nil, ErrNotJoined
	}
	identity, err := openIdentity(cfg.State)
	if err != nil {
		return nil, err
	}
	if identity.Site() != id.Site(cfg.Site) {
		return nil, reason.Err("state-of-other-site", "state", cfg.State,
			"site", identity.Site(), "configured", cfg.Site)
	}
	if certs.Fingerprint(identity.Chain()[2].PublicKey) != id.Hash(cfg.Network) {
		return nil, reason.Err("state-of-other-network", "state", cfg.State)
	}
	return identity, nil
}

func ledgerFile(cfg config.Agent) string { return filepath.Join(cfg.State, "ledger.db") }

// openLedger opens the ledger and logs the parts that it has set aside.
func openLedger(path string, log *slog.Logger) (*ledger.Ledger, error) {
	l, err := ledger.Open(path)
	if err != nil {
		return nil, unusable(path, err)
	}
	switch damaged := l.Aside(); len(damaged) {
	case 0:
	case 1:
		log.Warn("ledger divided", "reason", reason.New("ledger-mixed"), "kept", damaged)
	default:
		log.Warn("ledger damaged", "reason", reason.New("ledger-torn"), "kept", damaged)
	}
	if err := l.NotCompact(); err != nil {
		log.Warn("free space in the ledger not given back", "error", err)
	}
	if n := l.Recalled(); n > 0 {
		log.Warn("the ledger was lost or is older: pins and approvals are put back", "count", n,
			"from", ledger.TrustFile)
	}
	return l, nil
}

// unusable returns the error of a ledger that cannot be opened.
func unusable(path string, err error) error {
	if err == nil || isFull(err) || errors.Is(err, ledger.ErrNewer) {
		return err
	}
	return reason.Err("ledger-unusable", "path", path, "why", err)
}

// exists reports whether a file exists, or its folder cannot be looked into.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func openIdentity(state string) (*certs.Identity, error) {
	return certs.OpenIdentity(filepath.Join(state, "identity.key"),
		filepath.Join(state, "chain.pem"))
}

// openKeys returns the site's recipient keys, and makes the first one. A site that has lost a key
// that it stated, or has another one in its place, gets no other in silence: envelopes on their way
// are sealed for the old one.
func openKeys(cfg config.Agent) (*envelope.Keys, error) {
	path := recipientKeyFile(cfg)
	if !exists(path) && exists(statementFile(cfg)) {
		return nil, reason.Err("recipient-gone", "path", path)
	}
	keys, err := envelope.OpenKeys(path, cfg.Suite)
	if err != nil {
		return nil, err
	}
	last, err := lastStatement(cfg)
	if err == nil && last.Version > 0 && !keys.Has(last.Recipient) {
		err = reason.Err("recipient-replaced", "path", path)
	}
	return keys, err
}
