package remote

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
)

// Joined is the result of joining.
type Joined struct {
	Name        id.Site   `json:"name"`
	Role        string    `json:"role"` // admin, operator or viewer
	Dir         string    `json:"dir"`
	Fingerprint id.Hash   `json:"fingerprint"` // of the admin's identity key
	Network     id.Hash   `json:"network"`
	Expires     time.Time `json:"expires"`         // of the certificate
	Again       bool      `json:"again,omitempty"` // the admin had joined before
}

// Join makes an admin's folder and key, and redeems an invitation for a certificate. It can be
// repeated after any failure, and after success: the key stays. It writes nothing before the hub
// has answered.
func Join(ctx context.Context, dir string, inv certs.Invitation, log *slog.Logger,
	o Options) (Joined, error) {
	j := Joined{Name: inv.Site, Role: inv.Role, Dir: dir, Network: inv.Network}
	if !certs.IsAdminRole(inv.Role) {
		return j, reason.Err("invitation-of-site", "site", inv.Site)
	}
	s := settings{Name: inv.Site, Hub: inv.Hub, Network: inv.Network}
	if err := s.mayUse(dir); err != nil {
		return j, err
	}
	stranger := open(s, new(certs.Identity), o)
	_, err := stranger.client.Hello(ctx)
	stranger.client.CloseIdle()
	if !errors.Is(err, api.ErrNoCert) {
		return j, stranger.notEnrolled(err)
	}
	identity, err := s.makeFolder(dir, log)
	if err != nil {
		return j, err
	}
	j.Again, j.Fingerprint = identity.HasChain(), identity.Key()
	if err := open(s, identity, o).enroll(ctx, inv); err != nil {
		return j, err
	}
	j.Expires = identity.NotAfter()
	return j, nil
}

// mayUse returns an error for a folder that has another use.
func (s settings) mayUse(dir string) error {
	if Is(dir) {
		old, err := read(dir)
		if err != nil {
			return err
		}
		isOther := old.Name != s.Name || old.Network != s.Network
		if isOther && exists(filepath.Join(dir, stateFolder, chainFile)) {
			return reason.Err("remote-folder-of-other", "dir", dir, "name", old.Name)
		}
		return nil
	}
	for _, name := range []string{stateFolder, "hub.toml", "agent.toml"} {
		if exists(filepath.Join(dir, name)) {
			return reason.Err("remote-folder-used", "dir", dir, "has", name)
		}
	}
	return nil
}

// makeFolder makes the folder with its settings and key, or brings old settings up to the new ones.
func (s settings) makeFolder(dir string, log *slog.Logger) (*certs.Identity, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := s.write(dir); err != nil {
		return nil, err
	}
	state := filepath.Join(dir, stateFolder)
	if err := secretfile.MkdirAll(state); err != nil {
		return nil, err
	}
	loose, err := secretfile.EnterAsAdmin(state)
	if err != nil {
		return nil, err
	}
	loose.Log(log)
	return openIdentity(dir)
}

// enroll redeems the invitation.
func (r *Remote) enroll(ctx context.Context, inv certs.Invitation) error {
	defer r.client.CloseIdle()
	csr, err := r.identity.CSR()
	if err != nil {
		return err
	}
	answer, err := r.client.Enroll(ctx, api.EnrollRequest{Site: inv.Site, Secret: inv.Secret,
		CSR: string(csr)})
	if errors.Is(err, api.ErrInvitation) && r.identity.HasChain() &&
		r.now().Before(r.identity.NotAfter()) {
		return nil // joined before, and the invitation is not needed any more
	}
	if err != nil {
		return r.notEnrolled(err)
	}
	err = r.identity.SetAdminChain([]byte(answer.Chain), r.Network, r.Name, r.now())
	if wrong := certs.CheckClock(answer.Time, r.now()); wrong != nil &&
		errors.Is(err, certs.ErrNotValidNow) {
		return reason.Err("certificate-not-here", "clock", reason.Of(wrong))
	}
	return err
}

// notEnrolled returns the error of a hub that did not enrol this admin, with the ways out.
func (r *Remote) notEnrolled(err error) error {
	_, isName := errors.AsType[*certs.NameError](err)
	_, answered := errors.AsType[*api.Error](err)
	switch {
	case err == nil: // without a certificate, no hub of ours answers so
		return reason.Err("join-not-the-hub", "hosts", r.Hub, "why", api.ErrAnswer)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, api.ErrInvitation):
		return reason.Err("invitation-refused", "site", r.Name, "why", err)
	case errors.Is(err, certs.ErrUntrusted) && !isName:
		return reason.Err("join-not-the-hub", "hosts", r.Hub, "why", err)
	case errors.Is(err, certs.ErrNotValidNow):
		return reason.Err("join-hub-not-now", "now", r.now(), "why", err)
	case answered:
		return reason.Err("remote-refused", "name", r.Name, "why", err)
	}
	return reason.Err("join-hub-not-reached", "hosts", r.Hub, "why", err)
}
