package lyinghub

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"sealpost/agent"
	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/statement"
)

// proposes makes the hub's proposals lie, without contradicting themselves.
func (l *liar) proposes(change func(*api.Route)) {
	edit(l, api.PathResolve, func(x *exchange, r *api.Route) {
		change(r)
		r.Version = api.RouteVersion(l.network, r.Address, r.Recipients)
	})
}

// keyOf is a joined site's true statement, as the hub has it.
func (s *site) keyOf() api.RouteRecipient {
	s.T.Helper()
	data, err := os.ReadFile(filepath.Join(s.Dir, "state", "recipient.json"))
	must(s.T, err)
	var key statement.RecipientKey
	must(s.T, json.Unmarshal(data, &key))
	return s.signs(s.Identity(), key)
}

func (s *site) signs(i *certs.Identity, key statement.RecipientKey) api.RouteRecipient {
	s.T.Helper()
	jws, err := statement.Sign(i, key)
	must(s.T, err)
	return api.RouteRecipient{Site: key.Site, Statement: jws,
		KeyHash: statement.RecipientKeyHash(key.Recipient)}
}

// ownKey is a recipient key whose secret the liar has.
func (l *liar) ownKey(site id.Site) statement.RecipientKey {
	l.t.Helper()
	secret, err := age.GenerateHybridIdentity()
	must(l.t, err)
	return statement.RecipientKey{V: 1, Network: l.network, Site: site,
		Recipient: secret.Recipient().String(), Version: 1,
		Created: time.Now().UTC().Truncate(time.Second)}
}

// nothingWent checks that the hub has got no envelope at all.
func (w *world) nothingWent(sites ...*site) {
	w.t.Helper()
	for _, s := range sites {
		if got := s.inbox(); len(got) > 0 {
			w.t.Errorf("%s has %q", s.Name, got)
		}
	}
}

func TestTheHubAddsARecipient(t *testing.T) {
	w, lab, centre, other := network(t)
	w.liar.proposes(func(r *api.Route) { r.Recipients = append(r.Recipients, other.keyOf()) })
	lab.drop("data.csv", "secret")
	lab.waits("now also leads to SF-RC, which is not approved")
	lab.tray("sending", "data.csv")
	w.nothingWent(centre, other)
	w.liar.truth()
	lab.reconsider("CA-RC")
	centre.has("FL-LAB/data.csv: secret")
	w.nothingWent(other)
}

func TestTheHubLeavesARecipientOut(t *testing.T) {
	w, lab, centre, other := network(t)
	w.Hub.Bind("sf_rc_queue", "fl-lab.*")
	lab.reconsider("CA-RC", "SF-RC")
	w.liar.proposes(func(r *api.Route) { r.Recipients = r.Recipients[:1] })
	lab.drop("data.csv", "for both")
	lab.waits("does not lead to SF-RC yet")
	w.nothingWent(centre, other)
	w.liar.truth()
	lab.reconsider("CA-RC", "SF-RC")
	centre.has("FL-LAB/data.csv: for both")
	other.has("FL-LAB/data.csv: for both")
}

func TestTheHubAnswersForAnAddressThatNobodyAskedFor(t *testing.T) {
	w, lab, centre, other := network(t)
	w.liar.proposes(func(r *api.Route) {
		r.Address = id.Address{To: []id.Site{"SF-RC"}}
		r.Recipients = []api.RouteRecipient{other.keyOf()}
	})
	lab.drop("data.csv", "secret")
	lab.waits("was asked for fl-lab.dat and proposes recipients for \"@SF-RC\"")
	w.nothingWent(centre, other)
	w.liar.truth()
	lab.reconsider("CA-RC")
	centre.has("FL-LAB/data.csv: secret")
}

func TestTheHubSwapsAKey(t *testing.T) {
	w, lab, centre, _ := network(t)
	lab.drop("first", "first") // pins CA-RC
	centre.has("FL-LAB/first: first")
	for name, c := range map[string]struct {
		offered api.RouteRecipient
		says    []string
	}{
		"signed by an identity of its own": {
			centre.signs(w.liar.forger("CA-RC"), w.liar.ownKey("CA-RC")),
			[]string{"CA-RC is not what it was: it shows another identity key",
				"sealpost agent trust CA-RC"}},
		"signed by nobody": {func() api.RouteRecipient {
			r := centre.keyOf()
			r.KeyHash = statement.RecipientKeyHash(w.liar.ownKey("CA-RC").Recipient)
			return r
		}(), []string{"the key that the hub offers for CA-RC is not its own"}},
		"that is another site's": {func() api.RouteRecipient {
			r := centre.signs(w.liar.forger("EVE"), w.liar.ownKey("EVE"))
			r.Site = "CA-RC"
			return r
		}(), []string{"the key that the hub offers for CA-RC is not its own"}},
	} {
		t.Run(name, func(t *testing.T) {
			w.liar.proposes(func(r *api.Route) { r.Recipients = []api.RouteRecipient{c.offered} })
			lab.reconsider("CA-RC")
			lab.drop(name, "secret")
			lab.waits(c.says...)
			if got := len(centre.inbox()); got != 1 {
				t.Errorf("%d files arrived", got)
			}
			w.liar.truth()
			lab.reconsider("CA-RC")
			eventually(t, "it arrives", func() bool { return len(centre.inbox()) == 2 })
			must(t, os.Remove(filepath.Join(centre.Dir, "inbox", "FL-LAB", name)))
		})
	}
}

func TestTheHubRollsAKeyBack(t *testing.T) {
	w, lab, centre, _ := network(t)
	old := centre.keyOf()
	lab.drop("first", "first")
	centre.has("FL-LAB/first: first")
	// The centre gets a new recipient key, which follows the old one. Its users are called, since
	// it was only seen.
	centre.Stop()
	must(t, os.Remove(filepath.Join(centre.Dir, "state", "recipient.key")))
	centre.newKey()
	centre.Start()
	eventually(t, "the hub has the new key", func() bool {
		return centre.Count("recipient key uploaded") == 2
	})
	lab.reconsider("CA-RC")
	lab.drop("second", "second")
	lab.waits("CA-RC has another recipient key", "nothing is sent to it before")
	lab.Call(agent.PathTrust, agent.TrustRequest{Site: "CA-RC",
		Fingerprint: string(centre.Fingerprint)}, nil)
	centre.has("FL-LAB/first: first", "FL-LAB/second: second")
	eventually(t, "version 2 is pinned", func() bool { return lab.pin("CA-RC").Version == 2 })
	w.liar.proposes(func(r *api.Route) { r.Recipients = []api.RouteRecipient{old} })
	lab.reconsider("CA-RC")
	lab.drop("third", "third")
	lab.waits("CA-RC is not what it was",
		"it offers version 1 of its recipient key, and version 2 was seen before")
	if p := lab.pin("CA-RC"); p.Trouble.IsZero() || p.Advice.IsZero() {
		t.Errorf("the pins do not tell: %+v", p)
	}
	w.liar.truth()
	lab.reconsider("CA-RC")
	centre.has("FL-LAB/first: first", "FL-LAB/second: second", "FL-LAB/third: third")
}

func (s *site) pin(site id.Site) agent.Pin {
	s.T.Helper()
	for _, p := range s.Status().Pins {
		if p.Site == site {
			return p
		}
	}
	return agent.Pin{}
}
