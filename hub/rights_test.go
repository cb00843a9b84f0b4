package hub

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// joinAdmin invites an admin or viewer and lets it in.
func (q *headquarters) joinAdmin(name id.Site, role string) *station {
	q.t.Helper()
	s := q.stranger(name)
	if err := s.enrollAdmin(ask[Invited](q, ControlInviteAdmin,
		InviteAdminRequest{Name: name, Role: role}).Secret); err != nil {
		q.t.Fatal(err)
	}
	return s
}

// enrollAdmin redeems the secret of an admin's invitation.
func (s *station) enrollAdmin(secret string) error {
	got, err := s.Enroll(s.q.t.Context(), api.EnrollRequest{Site: s.site, Secret: secret,
		CSR: s.csr()})
	if err != nil {
		return err
	}
	defer s.CloseIdle()
	return s.identity.SetAdminChain([]byte(got.Chain), s.q.network(), s.site, s.q.clock.now())
}

// adoptKey gives a station the identity key of another one, and no certificate.
func (q *headquarters) adoptKey(s, of *station) {
	q.t.Helper()
	key, err := os.ReadFile(filepath.Join(of.dir, "identity.key"))
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, "identity.key"), key, 0o600)
	}
	if err != nil {
		q.t.Fatal(err)
	}
	s.open()
}

// certifyAdmin gives a station an admin's certificate without asking the hub.
func certifyAdmin(s *station, a *certs.Authority, at time.Time) {
	s.q.t.Helper()
	chain, err := a.IssueAdmin([]byte(s.csr()), s.site, at)
	if err == nil {
		err = s.identity.SetAdminChain(chain, a.Network(), s.site, at)
	}
	if err != nil {
		s.q.t.Fatal(err)
	}
}

// remoteAsk makes an admin's call from another computer.
func remoteAsk[Out any](s *station, path string, in any) (Out, error) {
	var out Out
	err := s.Administrate(s.q.t.Context(), path, in, &out)
	return out, err
}

// rights are the callers of each call, once more: a change of the table is a decision.
var rights = map[access][]string{
	viewer: {"/admins", "/audit", "/dead", "/flow", "/history", "/holds", "/invitations",
		"/last-export", "/message", "/messages", "/preview", "/queues", "/roster", "/sites",
		"/status", "/usage"},
	operator: {"/acknowledge", "/discard", "/hold", "/hold-one", "/requeue", "/unhold",
		"/unhold-one"},
	admin: {"/admit", "/bind", "/export", "/invite", "/quota", "/reload", "/remove", "/revoke",
		"/set-roster", "/unbind"},
	local: {"/console", "/invite-admin", "/profile", "/remove-admin"},
}

// Every call is made by every kind of caller, on the hub's port and on its control socket.
func TestWhoMayAdministrate(t *testing.T) {
	q := openHeadquarters(t)
	callers := newCallers(t, q).all()
	inTable := map[access][]string{local: {"/profile"}}
	requests := map[string]any{"/profile": Nothing{}}
	for _, a := range adminCalls() {
		inTable[a.who] = append(inTable[a.who], a.path)
		requests[a.path] = a.in
	}
	for who, paths := range rights {
		slices.Sort(inTable[who])
		if !slices.Equal(inTable[who], paths) {
			t.Errorf("class %d has %v, want %v", who, inTable[who], paths)
		}
		for _, path := range paths {
			t.Run(path, func(t *testing.T) {
				for kind, caller := range callers {
					resp := caller.raw(http.MethodPost, api.PathAdmin+path, body(t, requests[path]))
					got := codeOfResponse(t, resp)
					if pattern := q.patternOf(http.MethodPost, api.PathAdmin+path); who != local {
						documented(t, pattern, resp, got)
					}
					want := wireRequest{sends: api.CodeNotAllowed, receives: api.CodeNotAllowed,
						owner: api.CodeNotAllowed}.expected(kind)
					if path == "/profile" && want == api.CodeNotAllowed &&
						slices.Contains([]string{"admin", "operator", "viewer"}, kind) {
						want = api.CodeNotFound
					}
					mayCall := kind == "admin" && who != local ||
						kind == "operator" && (who == viewer || who == operator) ||
						kind == "viewer" && who == viewer
					wasCalled := got == "" || got == api.CodeRefused
					if mayCall != wasCalled || !mayCall && got != want {
						t.Errorf("%s gets %d %q, want a call: %v", kind, resp.StatusCode, got,
							mayCall)
					}
				}
				if _, err := tryAsk[struct{}](q, path, requests[path]); err != nil &&
					reason.Of(err).Code == "daemon-older" {
					t.Errorf("the control socket answers %v", err)
				}
			})
		}
	}
	want := len(inTable[viewer]) + len(inTable[operator]) + len(inTable[admin]) + 17
	if len(endpoints()) != want {
		t.Errorf("there are %d endpoints, want %d", len(endpoints()), want)
	}
}

// An admin has the same answers and errors from another computer as on the socket.
func TestAnAdminOnAnotherComputer(t *testing.T) {
	q := openHeadquarters(t)
	anna, vera := q.joinAdmin("ANNA", certs.RoleAdmin), q.joinAdmin("VERA", certs.RoleViewer)
	invited, err := remoteAsk[Invited](anna, ControlInvite,
		InviteRequest{Site: "FL-LAB", Role: "send", Valid: time.Hour})
	if err != nil || invited.Secret == "" {
		t.Fatalf("invited %+v, %v", invited, err)
	}
	if err := q.stranger("FL-LAB").enroll(invited.Secret); err != nil {
		t.Fatal(err)
	}
	q.centre("CA-RC")
	if bound, err := remoteAsk[Bound](anna, ControlBind, BindRequest{Queue: "ca_rc_queue",
		Keys: []string{"fl-lab.*"}}); err != nil || !bound.Changed {
		t.Errorf("bound %+v, %v", bound, err)
	}
	for _, in := range []RevokeRequest{{Site: "XX-LAB"}, {Site: "ANNA"}} {
		_, local := tryAsk[Changed](q, ControlRevoke, in)
		_, remote := remoteAsk[Changed](anna, ControlRevoke, in)
		wantCode(t, remote, api.CodeRefused)
		if told, ok := errors.AsType[*api.Error](remote); !ok ||
			told.Reason != reason.Of(local) {
			t.Errorf("from afar it says %v, on the socket %v", remote, local)
		}
	}
	open := ask[Invited](q, ControlInvite, InviteRequest{Site: "PA-LAB", Role: "send"})
	list, err := remoteAsk[InvitationsAnswer](vera, ControlInvitations, Nothing{})
	if err != nil || len(list.Invitations) != 1 || list.Invitations[0].Site != open.Site {
		t.Errorf("a viewer is shown %+v, %v", list, err)
	}
	for _, path := range []string{ControlSites, ControlQueues, ControlUsage, ControlInvitations,
		ControlLastExport, ControlMessages} {
		var in any = Nothing{}
		if path == ControlMessages {
			in = MessagesRequest{Sender: "FL-LAB"}
		}
		near, bad := tryAsk[any](q, path, in)
		far, err := remoteAsk[any](vera, path, in)
		if bad != nil || err != nil || !reflect.DeepEqual(near, far) {
			t.Errorf("%s: on the socket %v, %v; from afar %v, %v", path, near, bad, far, err)
		}
	}
	admins, err := remoteAsk[AdminsAnswer](vera, ControlAdmins, Nothing{})
	if err != nil || len(admins.Admins) != 2 || admins.Admins[0].Name != "ANNA" ||
		admins.Admins[0].Fingerprint != anna.identity.Key() ||
		admins.Admins[0].LastSeen.IsZero() || admins.Admins[0].Version != "test" ||
		admins.Admins[1].Role != certs.RoleViewer || admins.Admins[1].Connections == 0 {
		t.Errorf("the admins are %+v, %v", admins, err)
	}
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"msg=administration call=/invite admin=ANNA key=" + string(anna.identity.Key()) +
			" from=127.0.0.1\n",
		`msg=administration call=/revoke admin=ANNA key=` + string(anna.identity.Key()) +
			` from=127.0.0.1 error="there is no site \"XX-LAB\"`,
		"msg=administration call=/invite account=" + account.Username + "\n",
	} {
		if !strings.Contains(q.log.String(), line) {
			t.Errorf("the log does not have %s", line)
		}
	}
	// admins stand in no list of sites, and restarts change nothing
	q.restart()
	sites, err := remoteAsk[SitesAnswer](vera, ControlSites, Nothing{})
	if err != nil || len(sites.Sites) != 3 || len(sites.Knocking) != 0 {
		t.Errorf("the sites are %+v, %v", sites, err)
	}
}

// After the answer of a removal, no call of that admin has an effect, and its connections are cut.
func TestARemovedAdmin(t *testing.T) {
	q := openHeadquarters(t)
	anna := q.joinAdmin("ANNA", certs.RoleAdmin)
	q.centre("CA-RC")
	var wait sync.WaitGroup
	started := make(chan struct{}, 8)
	for i := range 8 {
		wait.Go(func() {
			keys := [2][]string{{string('a' + rune(i))}, {string('k' + rune(i))}}
			for n := 0; ; n++ {
				_, err := remoteAsk[Bound](anna, ControlBind,
					BindRequest{Queue: "ca_rc_queue", Keys: keys[n%2]})
				if err == nil {
					_, err = remoteAsk[Bound](anna, ControlUnbind,
						BindRequest{Queue: "ca_rc_queue", Keys: keys[n%2]})
				}
				if n == 0 {
					started <- struct{}{}
				}
				if err != nil && !api.Retry(err) || api.IsOfSite(err) {
					return
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	ask[Removed](q, ControlRemoveAdmin, RemoveAdminRequest{Name: "ANNA"})
	after := maps.Clone(q.hub.dir.view().queues)
	wait.Wait()
	if now := q.hub.dir.view().queues; !slices.Equal(now["ca_rc_queue"].Bindings,
		after["ca_rc_queue"].Bindings) {
		t.Errorf("after the removal the queue has %v, before %v", now, after)
	}
	testkit.Eventually(t, "no connection is open", func() bool {
		return q.hub.links.count("ANNA") == 0
	})
	_, err := remoteAsk[Status](anna, ControlStatus, Nothing{})
	wantCode(t, err, api.CodeNotAdmitted)
	_, err = anna.Renew(t.Context(), api.RenewRequest{CSR: anna.csr()})
	wantCode(t, err, api.CodeNotAdmitted)
	_, err = tryAsk[Removed](q, ControlRemoveAdmin, RemoveAdminRequest{Name: "ANNA"})
	if reason.Of(err).Code != "hub-no-admin" {
		t.Errorf("removed twice: %v", err)
	}
}

// A removal waits for a call that has begun, and none begins after it.
func TestARemovalWaitsForCalls(t *testing.T) {
	q := openHeadquarters(t)
	anna := q.joinAdmin("ANNA", certs.RoleAdmin)
	if _, err := remoteAsk[Status](anna, ControlStatus, Nothing{}); err != nil {
		t.Fatal(err)
	}
	c := &call{hub: q.hub, log: q.hub.log, r: httptest.NewRequest(http.MethodPost, "/", nil),
		caller: site{Name: "ANNA", Role: certs.RoleAdmin, Key: anna.identity.Key()}}
	end, err := c.administrate()
	if err != nil {
		t.Fatal(err)
	}
	removed := make(chan Removed)
	go func() {
		removed <- ask[Removed](q, ControlRemoveAdmin, RemoveAdminRequest{Name: "ANNA"})
	}()
	testkit.Eventually(t, "the removal waits", func() bool {
		free := q.hub.administration.TryRLock()
		if free {
			q.hub.administration.RUnlock()
		}
		return !free
	})
	if _, known := q.hub.dir.view().admins["ANNA"]; !known {
		t.Error("removed during a call")
	}
	end()
	if out := <-removed; out.Connections != 1 {
		t.Errorf("%d connections were cut", out.Connections)
	}
	_, err = c.administrate()
	wantCode(t, err, api.CodeNotAllowed)
}

// A name is a site's or an admin's, and an invitation ends with its admin.
func TestInvitationsOfAdmins(t *testing.T) {
	q := openHeadquarters(t)
	q.lab("FL-LAB")
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "FL-LAB"})
	first := ask[Invited](q, ControlInviteAdmin, InviteAdminRequest{Name: "ANNA", Role: "admin"})
	second := ask[Invited](q, ControlInviteAdmin, InviteAdminRequest{Name: "ANNA", Role: "viewer"})
	anna := q.stranger("ANNA")
	wantCode(t, anna.enrollAdmin(first.Secret), api.CodeInvitation)
	if err := anna.enrollAdmin(second.Secret); err != nil {
		t.Fatal(err)
	}
	wantCode(t, q.stranger("ANNA").enrollAdmin(second.Secret), api.CodeInvitation)
	if n := len(ask[SitesAnswer](q, ControlSites, Nothing{}).Knocking); n != 0 {
		t.Errorf("%d callers are to be admitted as sites", n)
	}
	for name, c := range map[string]struct {
		path, code string
		in         any
	}{
		"a site": {ControlInviteAdmin, "hub-name-of-site",
			InviteAdminRequest{"FL-LAB", "admin", 0}},
		"no role": {ControlInviteAdmin, "hub-no-admin-role", InviteAdminRequest{"BERT", "", 0}},
		"a site's role": {ControlInviteAdmin, "hub-no-admin-role",
			InviteAdminRequest{"BERT", "send", 0}},
		"another role": {ControlInviteAdmin, "hub-admin-other-role",
			InviteAdminRequest{"ANNA", "admin", 0}},
		"too long": {ControlInviteAdmin, "hub-invitation-too-long",
			InviteAdminRequest{"BERT", "admin", 2 * longestInvitation}},
		"an admin as a site": {ControlInvite, "hub-name-of-admin",
			InviteRequest{Site: "ANNA", Role: "send"}},
		"an admin admitted": {ControlAdmit, "hub-name-of-admin", AdmitRequest{Site: "ANNA",
			Fingerprint: anna.identity.Key(), Role: "send"}},
		"an admin removed as a site": {ControlRemove, "hub-name-of-admin",
			RemoveRequest{Site: "ANNA"}},
	} {
		if _, err := tryAsk[struct{}](q, c.path, c.in); string(reason.Of(err).Code) != c.code {
			t.Errorf("%s: it says %v, want %s", name, err, c.code)
		}
	}
	// its certificate expires, and an invitation for its key is the way back
	q.clock.forward(100 * 24 * time.Hour)
	_, err := remoteAsk[Status](anna, ControlStatus, Nothing{})
	wantCode(t, err, api.CodeExpired)
	third := ask[Invited](q, ControlInviteAdmin, InviteAdminRequest{Name: "ANNA"})
	wantCode(t, q.stranger("ANNA").enrollAdmin(third.Secret), api.CodeInvitation)
	if err := anna.enrollAdmin(third.Secret); err != nil || !third.Joined {
		t.Fatal(err)
	}
	if _, err := remoteAsk[Status](anna, ControlStatus, Nothing{}); err != nil {
		t.Error(err)
	}
	open := ask[Invited](q, ControlInviteAdmin, InviteAdminRequest{Name: "BERT", Role: "admin"})
	ask[Removed](q, ControlRemoveAdmin, RemoveAdminRequest{Name: "BERT"})
	wantCode(t, q.stranger("BERT").enrollAdmin(open.Secret), api.CodeInvitation)
}

// A hub that is made from an export has the admins of the lost one.
func TestAdminsAreRestored(t *testing.T) {
	q := openHeadquarters(t)
	anna := q.joinAdmin("ANNA", certs.RoleAdmin)
	ask[Invited](q, ControlInviteAdmin, InviteAdminRequest{Name: "VERA", Role: "viewer"})
	exported, err := remoteAsk[Exported](anna, ControlExport, Nothing{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := openExport([]byte(exported.Text), q.hub.authority.Root())
	if err != nil || len(e.Admin) != 2 {
		t.Fatalf("exported %+v, %v", e.Admin, err)
	}
	ask[Removed](q, ControlRemoveAdmin, RemoveAdminRequest{Name: "ANNA"})
	ask[Removed](q, ControlRemoveAdmin, RemoveAdminRequest{Name: "VERA"})
	if err := q.hub.admitExported(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	q.restart()
	if _, err := remoteAsk[Status](anna, ControlStatus, Nothing{}); err != nil {
		t.Error(err)
	}
	admins := ask[AdminsAnswer](q, ControlAdmins, Nothing{}).Admins
	if len(admins) != 2 || admins[1].State != SiteInvited || admins[1].Role != "viewer" {
		t.Errorf("the admins are %+v", admins)
	}
	for name, spoil := range map[string]func(){
		"a site's role": func() { e.Admin[0].Role = "send" },
		"a bad key":     func() { e.Admin[0].Role, e.Admin[0].Fingerprint = "admin", "x" },
		"twice":         func() { e.Admin[0] = e.Admin[1] },
	} {
		if spoil(); e.check() == nil {
			t.Errorf("an export with %s is taken", name)
		}
	}
}

// The table of rights for admins has every call.
func TestTheRightsInTheDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/for-admins.md")
	testkit.Must(t, err)
	_, table, _ := strings.Cut(string(text),
		"| may | viewer | operator | admin | only at the hub |")
	rows := strings.SplitN(table, "\n", 7)
	words := map[string]string{"/usage": "`quota` (show)", "/quota": "`quota` (set)",
		"/roster": "`roster` (show)", "/set-roster": "`roster FILE`", "/hold-one": "`hold`",
		"/last-export": "`export` (its age)", "/unhold": "`release`", "/unhold-one": "`release`",
		"/invite-admin": "`invite` and `remove` of admins", "/remove": "`remove` of sites",
		"/remove-admin": "`invite` and `remove` of admins", "/message": "`messages`",
		"/preview": "the pages of the console", "/flow": "the pages of the console",
		"/history": "the pages of the console"}
	for _, a := range adminCalls() {
		word, has := words[a.path]
		if !has {
			word = "`" + strings.TrimPrefix(a.path, "/") + "`"
		}
		at := map[access]int{viewer: 2, operator: 3, admin: 4, local: 5}[a.who]
		if row := rows[at]; !strings.Contains(row, word) {
			t.Errorf("the row of %s has no %s: %s", a.path, word, row)
		}
	}
}
