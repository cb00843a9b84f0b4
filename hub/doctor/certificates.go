package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"sealpost/certs"
	"sealpost/hub"
	"sealpost/internal/finding"
	"sealpost/internal/reason"
)

// issuingWarning is how long before its end the issuing authority needs a successor.
const issuingWarning = 365 * 24 * time.Hour

// authority checks the issuing authority, its key and its end. No certificate outlives it.
func authority(_ context.Context, p *subject, found func(finding.Finding)) {
	check := reason.New("check-authority")
	a, err := hub.Passphrases(p.Config, certs.Passphrases{}).OpenAuthority(p.Config.State)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found(finding.Failure(check, reason.Of(err), reason.New("hub-init-first")))
		return
	case errors.Is(err, certs.ErrEncrypted):
		if a, err = certs.ReadAuthority(p.Config.State); err == nil {
			key := reason.New("check-issuing-key")
			if p.absence == nil {
				found(finding.Good(key, reason.New("hub-issuing-opened")))
			} else {
				found(finding.Warning(key, reason.New("hub-issuing-encrypted"),
					reason.New("hub-give-passphrase", "credential", hub.Credential)))
			}
		}
	case errors.Is(err, certs.ErrPassphrase), errors.Is(err, certs.ErrPassphraseFile):
		found(finding.Failure(check, reason.Of(err), reason.New("hub-right-passphrase")))
		return
	}
	if err != nil {
		found(finding.Failure(check, reason.Of(err), reason.New("hub-restore-keys")))
		return
	}
	lifetime(check, a.Issuing(), time.Now(), issuingWarning, reason.New("hub-new-authority"), found)
}

// certificate checks the hub's own certificate, and the key that belongs to it.
func certificate(_ context.Context, p *subject, found func(finding.Finding)) {
	check := reason.New("check-certificate")
	identity, err := hub.ReadIdentity(p.Config.State)
	if err != nil {
		found(finding.Failure(check, reason.Of(err), reason.New("hub-restore-keys")))
		return
	}
	if !identity.HasChain() {
		found(finding.Warning(check, reason.New("hub-no-certificate"),
			reason.New("hub-start-issues")))
		return
	}
	leaf := identity.Chain()[0]
	lifetime(check, leaf, time.Now(), leaf.NotAfter.Sub(certs.RenewAt(leaf))-7*24*time.Hour,
		reason.New("hub-start-issues"), found)
}

// lifetime checks the time of a certificate: expired, not valid yet, or with less than some time
// left.
func lifetime(check reason.Reason, c *x509.Certificate, now time.Time, warning time.Duration,
	do reason.Reason, found func(finding.Finding)) {
	days := int(c.NotAfter.Sub(now).Hours() / 24)
	switch {
	case now.After(c.NotAfter):
		found(finding.Failure(check, reason.New("certificate-expired", "until", c.NotAfter), do))
	case now.Before(c.NotBefore):
		found(finding.Failure(check, reason.New("certificate-not-yet", "now", now),
			reason.New("set-clock")))
	case c.NotAfter.Sub(now) < warning:
		found(finding.Warning(check,
			reason.New("certificate-late", "days", days, "until", c.NotAfter), do))
	default:
		found(finding.Good(check,
			reason.New("certificate-good", "days", days, "until", c.NotAfter)))
	}
}

// suite checks that hub.toml has the suite with which the network was made.
func suite(_ context.Context, p *subject, found func(finding.Finding)) {
	check := reason.New("check-suite")
	if err := hub.CheckSuite(p.Config.State, p.Config.Suite); err != nil {
		found(finding.Failure(check, reason.Of(err), reason.New("do-as-said")))
		return
	}
	found(finding.Good(check, reason.New("hub-suite-good", "suite", p.Config.Suite)))
}

// names compares the hosts of hub.toml with those of the present certificate.
func names(_ context.Context, p *subject, found func(finding.Finding)) {
	identity, err := hub.ReadIdentity(p.Config.State)
	if err != nil || !identity.HasChain() {
		return // a finding of certificate
	}
	check := reason.New("check-hosts")
	dropped, added := hub.ChangedHosts(identity.Chain()[0], p.Config.Hosts)
	switch {
	case len(dropped) > 0:
		found(finding.Warning(check, reason.New("hub-hosts-gone", "hosts", dropped),
			reason.New("hub-keep-hosts")))
	case len(added) > 0:
		found(finding.Good(check, reason.New("hub-hosts-added", "hosts", added)))
	default:
		found(finding.Good(check, reason.New("hub-hosts-good", "hosts",
			slices.Clone(p.Config.Hosts))))
	}
}

// rootKey warns of a root's key that lies on this computer.
func rootKey(_ context.Context, p *subject, found func(finding.Finding)) {
	check := reason.New("check-root")
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return
	}
	if key := hub.FindRootKey(p.Config.State, dir); key != nil {
		found(finding.Warning(check, key.Here(), reason.New("hub-take-root-away")))
		return
	}
	found(finding.Good(check, reason.New("hub-root-away")))
}
