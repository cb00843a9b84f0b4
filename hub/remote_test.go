package hub

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/hub/remote"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// adminInvitation returns the invitation file of an admin.
func (q *headquarters) adminInvitation(name id.Site, role string) certs.Invitation {
	q.t.Helper()
	return ask[Invited](q, ControlInviteAdmin, InviteAdminRequest{Name: name, Role: role}).File()
}

func (q *headquarters) joinRemote(dir string, inv certs.Invitation) (remote.Joined, error) {
	return remote.Join(q.t.Context(), dir, inv, q.hub.log, q.remoteOptions())
}

func (q *headquarters) remoteOptions() remote.Options {
	return remote.Options{Version: "test", Now: q.clock.now}
}

// statusOf asks for the hub's status from an admin's folder.
func (q *headquarters) statusOf(dir string) (s Status, err error) {
	q.t.Helper()
	r, err := remote.Open(dir, q.remoteOptions())
	if err == nil {
		err = r.Call(q.t.Context(), ControlStatus, Nothing{}, &s)
	}
	return s, err
}

func wantReason(t *testing.T, err error, code string) {
	t.Helper()
	why := reason.Of(err)
	if why.Code != reason.Code(code) && !strings.Contains(why.Args, `"code":"`+code+`"`) {
		t.Errorf("it says %v (%s), want %s", err, why.Code, code)
	}
}

// An admin's folder works for as long as it is used, survives the hub, and ends with the admin.
func TestAnAdminsFolder(t *testing.T) {
	const day = 24 * time.Hour
	q := openHeadquarters(t)
	dir := filepath.Join(t.TempDir(), "hq")
	inv := q.adminInvitation("ANNA", "viewer")
	first, err := q.joinRemote(dir, inv)
	if err != nil || first.Name != "ANNA" || first.Role != "viewer" || first.Again {
		t.Fatalf("joined %+v, %v", first, err)
	}
	if repeated, err := q.joinRemote(dir, inv); err != nil || !repeated.Again ||
		repeated.Fingerprint != first.Fingerprint {
		t.Errorf("joined %+v, %v", repeated, err)
	}
	info, err := os.Stat(filepath.Join(dir, "state"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the state folder: %v, %v", info, err)
	}
	if s, err := q.statusOf(dir); err != nil || s.Hub != "DC-HQ" {
		t.Errorf("the status is %+v, %v", s, err)
	}
	ended := func() time.Time {
		identity, err := certs.OpenIdentity(filepath.Join(dir, "state", "identity.key"),
			filepath.Join(dir, "state", "chain.pem"))
		if err != nil {
			t.Fatal(err)
		}
		return identity.NotAfter()
	}
	q.clock.forward(61 * day)
	if _, err := q.statusOf(dir); err != nil || !ended().After(q.clock.now().Add(89*day)) {
		t.Errorf("not renewed: until %s, %v", ended(), err)
	}
	q.clock.forward(100 * day)
	_, err = q.statusOf(dir)
	wantReason(t, err, "remote-refused")
	if !strings.Contains(err.Error(), "sealpost hub invite ANNA") {
		t.Errorf("it does not say the way back: %v", err)
	}
	if _, err := q.joinRemote(dir, q.adminInvitation("ANNA", "")); err != nil {
		t.Error(err)
	}
	q.stop()
	_, err = q.statusOf(dir)
	wantReason(t, err, "remote-not-reached")
	if !errors.Is(err, remote.ErrUnreached) {
		t.Errorf("a hub that does not run: %v", err)
	}
	q.start()
	if _, err := q.statusOf(dir); err != nil {
		t.Error(err)
	}
	ask[Removed](q, ControlRemoveAdmin, RemoveAdminRequest{Name: "ANNA"})
	_, err = q.statusOf(dir)
	wantReason(t, err, "remote-refused")
	_, err = q.joinRemote(dir, inv)
	if err == nil { // its certificate is good, and no invitation is needed to see that
		_, err = q.statusOf(dir)
	}
	wantReason(t, err, "remote-refused")
}

// A join that fails leaves the folder as it was.
func TestAJoinOfAnAdminThatFails(t *testing.T) {
	q := openHeadquarters(t)
	inv := q.adminInvitation("ANNA", "admin")
	used := t.TempDir()
	if err := os.Mkdir(filepath.Join(used, "state"), 0o755); err != nil {
		t.Fatal(err)
	}
	veras := filepath.Join(t.TempDir(), "vera")
	if _, err := q.joinRemote(veras, q.adminInvitation("VERA", "viewer")); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]struct {
		dir, code string
		spoil     func(*certs.Invitation)
	}{
		"a site's": {none, "invitation-of-site",
			func(i *certs.Invitation) { i.Role = "send" }},
		"a used folder": {used, "remote-folder-used", func(*certs.Invitation) {}},
		"another's":     {veras, "remote-folder-of-other", func(*certs.Invitation) {}},
		"another network": {none, "join-not-the-hub", func(i *certs.Invitation) {
			i.Network = id.Hash(strings.Repeat("ab", 32))
		}},
		"no hub": {none, "join-hub-not-reached",
			func(i *certs.Invitation) { i.Hub = []string{freeAddress(t)} }},
	} {
		bad := inv
		c.spoil(&bad)
		_, err := q.joinRemote(c.dir, bad)
		wantReason(t, err, c.code)
		if _, missing := os.Stat(none); missing == nil {
			t.Errorf("%s: a folder is left yearAgo", name)
		}
	}
	if info, err := os.Stat(filepath.Join(used, "state")); err != nil ||
		info.Mode().Perm() != 0o755 {
		t.Errorf("a folder of another use was changed: %v, %v", info, err)
	}
	// a wrong secret leaves a key, which another invitation may use
	bad := q.adminInvitation("BERT", "admin")
	bad.Secret = certs.NewSecret()
	_, err := q.joinRemote(none, bad)
	wantReason(t, err, "invitation-refused")
	if _, err := q.statusOf(none); reason.Of(err).Code != "remote-not-joined" {
		t.Errorf("without a certificate: %v", err)
	}
	if _, err := q.joinRemote(none, q.adminInvitation("CARL", "admin")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(none, "remote.toml"), []byte("hub = 1\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	_, err = q.statusOf(none)
	wantReason(t, err, "remote-settings")
	// an interrupt is no fault of the hub
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := remote.Open(veras, q.remoteOptions())
	if err == nil {
		err = r.Call(ctx, ControlStatus, Nothing{}, nil)
	}
	if !errors.Is(err, context.Canceled) || errors.Is(err, remote.ErrUnreached) {
		t.Errorf("interrupted: %v", err)
	}
	// an older hub does not know a call
	if r, err = remote.Open(veras, q.remoteOptions()); err == nil {
		err = r.Call(t.Context(), "/later", Nothing{}, nil)
	}
	wantReason(t, err, "daemon-older")
	q.clock.forward(365 * 24 * time.Hour)
	yearAgo := remote.Options{Now: func() time.Time {
		return q.clock.now().Add(-365 * 24 * time.Hour)
	}}
	_, err = remote.Join(t.Context(), filepath.Join(used, "new"), inv, q.hub.log, yearAgo)
	wantReason(t, err, "join-hub-not-now")
}
