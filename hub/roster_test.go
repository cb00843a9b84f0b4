package hub

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// root is the root of a hub under test.
func (q *headquarters) root() *certs.Root {
	q.t.Helper()
	root, err := certs.OpenRoot(q.dir + "-root")
	if err != nil {
		q.t.Fatal(err)
	}
	return root
}

// roster signs a roster of these stations, after a change.
func (q *headquarters) roster(number int64, change func(*statement.Roster),
	on ...*station) string {
	q.t.Helper()
	now := q.clock.now().UTC().Truncate(time.Second)
	r := statement.Roster{V: 1, Network: q.network(), Number: number, Signed: now,
		Ends: now.AddDate(0, 0, 30)}
	for _, s := range on {
		r.Sites = append(r.Sites, statement.RosterSite{Site: s.site, Identity: s.identity.Key(),
			Role: q.hub.dir.view().sites[s.site].Role})
	}
	if change != nil {
		change(&r)
	}
	jws, err := statement.SignRoster(q.root(), r)
	if err != nil {
		q.t.Fatal(err)
	}
	return jws
}

// distrusting returns a change that distrusts the key of a station.
func distrusting(s *station, since time.Time) func(*statement.Roster) {
	return func(r *statement.Roster) {
		r.Distrusted = []statement.DistrustedKey{{Identity: s.identity.Key(), Site: s.site,
			Since: since.UTC().Truncate(time.Second)}}
	}
}

// The hub keeps a roster over a restart, tells sites its number, and gives it to them.
func TestARosterIsHandedOut(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	if hello, err := lab.Hello(t.Context()); err != nil || hello.Roster != 0 {
		t.Fatalf("without a roster: %+v, %v", hello, err)
	}
	if got := ask[RosterState](q, ControlRoster, Nothing{}); got.Number != 0 {
		t.Errorf("without a roster: %+v", got)
	}
	jws := q.roster(7, nil, lab)
	got := ask[RosterState](q, ControlSetRoster, RosterRequest{jws + "\n"})
	if !got.New || got.Number != 7 || !slices.Equal(got.Missing, []id.Site{"CA-RC"}) {
		t.Errorf("taken as %+v", got)
	}
	if repeat := ask[RosterState](q, ControlSetRoster, RosterRequest{jws}); repeat.New {
		t.Errorf("taken again as %+v", repeat)
	}
	for range 2 {
		for _, s := range []*station{lab, centre} {
			hello, err := s.Hello(t.Context())
			if err != nil || hello.Roster != 7 {
				t.Errorf("%s is told of roster %d: %v", s.site, hello.Roster, err)
			}
			if text, err := s.Roster(t.Context()); err != nil || text != jws {
				t.Errorf("%s gets %q, %v", s.site, text, err)
			}
		}
		q.stop()
		q.start()
	}
	sites := ask[SitesAnswer](q, ControlSites, Nothing{})
	if sites.Sites[0].Roster != OffRoster || sites.Sites[1].Roster != OnRoster ||
		sites.Roster.Number != 7 || ask[Status](q, ControlStatus, Nothing{}).Roster.Number != 7 {
		t.Errorf("the sites are %+v, the roster %+v", sites.Sites, sites.Roster)
	}
}

// A roster that the hub refuses leaves the one that it has.
func TestRostersThatAreRefused(t *testing.T) {
	q, other := openHeadquarters(t), openHeadquarters(t)
	lab := q.lab("FL-LAB")
	good := q.roster(7, nil, lab)
	ask[RosterState](q, ControlSetRoster, RosterRequest{good})
	payload := strings.Split(good, ".")
	for name, c := range map[string]struct{ jws, says string }{
		"older":            {q.roster(6, nil, lab), "number 7 is known already"},
		"another number 7": {q.roster(7, nil), "two different rosters"},
		"ended": {q.roster(8, func(r *statement.Roster) {
			r.Signed, r.Ends = r.Signed.AddDate(0, 0, -40), r.Ends.AddDate(0, 0, -40)
		}), "has ended"},
		"of the future": {q.roster(8, func(r *statement.Roster) {
			r.Signed, r.Ends = r.Signed.AddDate(0, 0, 2), r.Ends.AddDate(0, 0, 2)
		}), "one of the two clocks is wrong"},
		"of another network": {other.roster(8, nil), "of the network"},
		"cut":                {good[:len(good)-9], "malformed"},
		"forged": {payload[0] + "." + payload[1] + "." + strings.Repeat("A", 86),
			"does not fit"},
		"another statement": {sign(lab, lab.keyStatement()), "malformed"},
		"nothing":           {"", "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tryAsk[RosterState](q, ControlSetRoster, RosterRequest{c.jws})
			if reason.Of(err).Code != "hub-roster-refused" ||
				!strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if text, err := lab.Roster(t.Context()); err != nil || text != good {
				t.Errorf("the roster is %q, %v", text, err)
			}
		})
	}
}

// A distrusted key is cut off at once, and neither its holder nor an admin brings it back. The site
// joins again with another key.
func TestADistrustedKeyIsShutOut(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	anna := q.joinAdmin("ANNA", certs.RoleAdmin)
	if _, err := centre.Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	invited := ask[Invited](q, ControlInvite, InviteRequest{Site: "CA-RC"})
	got, err := remoteAsk[RosterState](anna, ControlSetRoster,
		RosterRequest{q.roster(1, distrusting(centre, q.clock.now()), lab)})
	if err != nil || got.Cut == 0 || got.Distrusted != 1 {
		t.Fatalf("taken as %+v, %v", got, err)
	}
	for range 2 {
		_, err := centre.Hello(t.Context())
		wantCode(t, err, api.CodeDistrusted)
		_, err = centre.Renew(t.Context(), api.RenewRequest{CSR: centre.csr()})
		wantCode(t, err, api.CodeDistrusted)
		wantCode(t, centre.enroll(invited.Secret), api.CodeDistrusted)
		_, err = tryAsk[Changed](q, ControlAdmit, AdmitRequest{Site: "CA-RC", Role: "receive",
			Fingerprint: centre.identity.Key()})
		if reason.Of(err).Code != "hub-admit-distrusted" {
			t.Errorf("admitted: %v", err)
		}
		sites := ask[SitesAnswer](q, ControlSites, Nothing{})
		if sites.Sites[0].Roster != KeyDistrust || len(sites.Knocking) != 0 ||
			!slices.Equal(sites.Roster.Stolen, []id.Site{"CA-RC"}) ||
			len(sites.Roster.Missing) != 0 {
			t.Errorf("the sites are %+v", sites)
		}
		q.stop()
		q.start()
	}
	if _, err := lab.Hello(t.Context()); err != nil {
		t.Errorf("the lab: %v", err)
	}
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "CA-RC"})
	anew := q.centre("CA-RC")
	if _, err := anew.Hello(t.Context()); err != nil {
		t.Errorf("the new key: %v", err)
	}
}

// An admin's stolen key is cut off as a site's is.
func TestADistrustedAdmin(t *testing.T) {
	q := openHeadquarters(t)
	anna := q.joinAdmin("ANNA", certs.RoleAdmin)
	ask[RosterState](q, ControlSetRoster,
		RosterRequest{q.roster(1, distrusting(anna, q.clock.now()))})
	_, err := remoteAsk[SitesAnswer](anna, ControlSites, Nothing{})
	wantCode(t, err, api.CodeDistrusted)
}

// A hub with a damaged roster does not start: it would let distrusted keys in.
func TestADamagedRoster(t *testing.T) {
	q := openHeadquarters(t)
	ask[RosterState](q, ControlSetRoster, RosterRequest{q.roster(1, nil)})
	q.stop()
	path := filepath.Join(q.config.State, rosterFile)
	good, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, good[:len(good)/2], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	store := q.openStore()
	_, err = New(Options{Config: q.config, Spool: store})
	if err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("it starts: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// A restored hub has the roster of the root's folder. Without it, the hub knows which one it lacks.
func TestARestoredHubKnowsOfTheRoster(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	jws := q.roster(7, func(r *statement.Roster) { r.Required = true }, lab)
	ask[RosterState](q, ControlSetRoster, RosterRequest{jws})
	file := q.exported()
	q.stop()
	kept := filepath.Join(q.dir+"-root", rosterFile)

	n := q.restored(file)
	n.start()
	if got := ask[RosterState](n, ControlRoster, Nothing{}); got.Lacks != 7 || !got.Required {
		t.Errorf("without its roster: %+v", got)
	}
	if got := n.hub.directoryNow().Roster; got == nil || *got != (rosterMark{7, true}) {
		t.Errorf("its next export has the roster %+v", got)
	}
	inv := ask[Invited](n, ControlInvite, InviteRequest{Site: "SF-RC", Role: "receive"})
	if inv.Roster != config.RosterRequired || n.config.Roster != config.RosterRequired {
		t.Errorf("an invitation has the roster %q, and hub.toml %q", inv.Roster, n.config.Roster)
	}
	older := q.roster(6, nil, lab)
	if got := ask[RosterState](n, ControlSetRoster, RosterRequest{older}); got.Lacks != 7 {
		t.Errorf("with an older one: %+v", got)
	}
	if got := ask[RosterState](n, ControlSetRoster, RosterRequest{jws}); got.Lacks != 0 {
		t.Errorf("with its roster: %+v", got)
	}
	n.stop()

	for name, text := range map[string]string{"good": jws + "\n", "damaged": jws[:len(jws)-9]} {
		if err := os.WriteFile(kept, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if name == "damaged" {
			o := InitOptions{Dir: filepath.Join(t.TempDir(), "hub"), Restore: file,
				RootDir: q.dir + "-root"}
			if _, err := Init(o); err == nil || exists(o.Dir) {
				t.Errorf("a damaged roster is taken: %v", err)
			}
			continue
		}
		n := q.restored(file)
		n.start()
		if got := ask[RosterState](n, ControlRoster, Nothing{}); got.Number != 7 ||
			got.Lacks != 0 {
			t.Errorf("with the roster of the root's folder: %+v", got)
		}
		n.stop()
	}
}
