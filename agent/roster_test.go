package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/testnet"
	"sealpost/statement"
)

// roster signs a roster of these sites as the root, after a change. It is valid for 30 days.
func (w *world) roster(number int64, change func(*statement.Roster), on ...*site) string {
	w.t.Helper()
	root, err := certs.OpenRoot(w.Root())
	must(w.t, err)
	now := time.Now().UTC()
	if w.now != nil {
		now = w.now().UTC()
	}
	now = now.Truncate(time.Second)
	r := statement.Roster{V: 1, Network: root.Network(), Number: number, Signed: now,
		Ends: now.AddDate(0, 0, 30)}
	for _, s := range on {
		r.Sites = append(r.Sites, statement.RosterSite{Site: s.name, Identity: s.Fingerprint,
			Role: s.Role})
	}
	slices.SortFunc(r.Sites, func(a, b statement.RosterSite) int {
		return strings.Compare(string(a.Site), string(b.Site))
	})
	if change != nil {
		change(&r)
	}
	jws, err := statement.SignRoster(root, r)
	must(w.t, err)
	return jws
}

func required(r *statement.Roster) { r.Required = true }

func distrusting(s *site) func(*statement.Roster) {
	return func(r *statement.Roster) {
		r.Required, r.Distrusted = true, []statement.DistrustedKey{{Identity: s.Fingerprint,
			Site: s.name, Since: r.Signed}}
	}
}

// takesRoster gives a site a roster by file.
func (s *site) takesRoster(jws string) (out agent.RosterState) {
	s.T.Helper()
	must(s.T, s.call(agent.PathRoster, agent.RosterRequest{Roster: jws}, &out))
	return out
}

// waitsFor waits until nothing is sent for a reason of this code.
func (s *site) waitsFor(code reason.Code) {
	s.T.Helper()
	eventually(s.T, "nothing is sent, for "+string(code), func() bool {
		return s.status().Outbox.Blocked["fl-lab.dat"].Code == code
	})
}

// The owner of the hub sets up two hubs under one root, and stands between a lab and a centre. Two
// sites with their names read and change content, and the lab shows a verified receipt. With a
// roster from a file both stop, although they have pinned the owner's sites. They go on with the
// real ones.
func TestTheHubsOwnerStandsBetween(t *testing.T) {
	t.Parallel()
	w := newWorld(t) // the lab's hub
	other := testnet.New(t, testnet.Options{Root: w.Root()})
	v := &world{Network: other, t: t, dir: other.Dir, addr: other.Addr} // the centre's hub
	lab, centre := w.join("FL-LAB", "send", "CA-RC"), v.join("CA-RC", "receive")
	falseLab, falseCentre := v.join("FL-LAB", "send", "CA-RC"), w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	v.bind("ca_rc_queue", "fl-lab.*")

	lab.drop("data.csv", []byte("true"))
	falseCentre.expect("FL-LAB", "data.csv", []byte("true"))
	falseLab.drop("data.csv", []byte("false"))
	centre.expect("FL-LAB", "data.csv", []byte("false"))
	lab.delivers("data.csv")

	jws := w.roster(1, required, lab, centre)
	for _, s := range []*site{lab, centre} {
		if got := s.takesRoster(jws); !got.New || got.Number != 1 || !got.Required {
			t.Fatalf("%s takes it as %+v", s.name, got)
		}
	}
	lab.drop("more.csv", []byte("true"))
	lab.waitsFor("roster-other-key")
	falseLab.drop("more.csv", []byte("false"))
	eventually(t, "the centre hands it back", func() bool {
		for _, why := range centre.status().Inbox.Released {
			return strings.Contains(why.String(), "roster 1 names")
		}
		return false
	})
	if got := slices.Concat(falseCentre.inInbox(), centre.inInbox()); len(got) != 2 {
		t.Errorf("received: %v", got)
	}

	// The real centre comes to the lab's hub, in the place of the false one.
	w.admin(hub.ControlRemove, hub.RemoveRequest{Site: "CA-RC"}, nil)
	w.admit("CA-RC", "receive", centre.Fingerprint)
	centre.stop()
	centre.set("hub", `["`+w.addr+`"]`)
	centre.start()
	w.bind("ca_rc_queue", "fl-lab.*")
	centre.expect("FL-LAB", "more.csv", []byte("true"))
	lab.delivers("more.csv")
	if pin := lab.status().Pins[0]; pin.Identity != centre.Fingerprint ||
		pin.Ground != trust.Rostered {
		t.Errorf("the lab knows %+v", pin)
	}
}

// The hub hands a roster out by itself, and holds the next one back, which distrusts the centre's
// key. That is found at once where the roster comes by file, and everywhere at the end of the older
// one: nothing is sent or taken from then on.
func TestTheHubHidesARevocation(t *testing.T) {
	t.Parallel()
	var clock wrongClock
	w := newWorldAt(t, clock.now)
	centre, pa := w.join("CA-RC", "receive"), w.join("PA-LAB", "send", "CA-RC")
	w.bind("ca_rc_queue", "fl-lab.*", "pa-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	first := w.roster(1, required, lab, centre, pa)
	w.admin(hub.ControlSetRoster, hub.RosterRequest{Roster: first}, nil)
	for _, s := range []*site{lab, centre, pa} {
		s.stop() // its next hello would take a quarter of a minute
		s.start()
		eventually(t, "the hub's roster is taken", func() bool {
			return s.status().Roster.Number == 1
		})
	}
	lab.drop("before.csv", []byte("1"))
	centre.expect("FL-LAB", "before.csv", []byte("1"))
	lab.delivers("before.csv")

	// A split view: one lab has the next roster by file, and the hub shows the older one.
	if got := pa.takesRoster(w.roster(2, distrusting(centre), lab, pa)); got.Hub != 0 {
		t.Errorf("the hub is accused before it was asked again: %+v", got)
	}
	pa.drop("x.csv", []byte("1"))
	eventually(t, "it is not sent", func() bool {
		return pa.status().Outbox.Blocked["pa-lab.dat"].Code == "roster-distrusts"
	})
	pa.stop()
	ledgers, err := filepath.Glob(filepath.Join(pa.dir, "state", "ledger.db*"))
	must(t, err)
	for _, f := range ledgers {
		must(t, os.Remove(f))
	}
	pa.start() // the number outlives the ledger
	eventually(t, "the hub is behind", func() bool {
		s := pa.status().Roster
		return s.Number == 2 && s.Hub == 1
	})
	if err := pa.call(agent.PathRoster, agent.RosterRequest{Roster: first}, nil); err == nil {
		t.Error("an older roster is taken")
	}
	lab.drop("hidden.csv", []byte("2")) // the hub's owner has the centre's key
	centre.expect("FL-LAB", "hidden.csv", []byte("2"))

	clock.set(31 * 24 * time.Hour)
	w.stopHub()
	w.startHub()
	for _, s := range []*site{lab, centre} {
		s.stop()
		s.start()
		eventually(t, "its roster has ended", func() bool {
			return s.status().Roster.Stops.Code == "roster-too-old" &&
				strings.Contains(s.statusFile(), "NO VALID ROSTER")
		})
	}
	lab.drop("late.csv", []byte("3"))
	lab.waitsFor("roster-too-old")

	anew := w.roster(3, required, lab, centre, pa) // it was a mistake
	w.admin(hub.ControlSetRoster, hub.RosterRequest{Roster: anew}, nil)
	for _, s := range []*site{lab, centre, pa} {
		s.takesRoster(anew)
	}
	centre.expect("FL-LAB", "late.csv", []byte("3"))
	centre.expect("PA-LAB", "x.csv", []byte("1"))
}

// A stolen key: the roster shuts its holder out, and the centre comes back with a new one. Labs ask
// no user.
func TestAStolenKeyIsReplaced(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.drop("1.csv", []byte("1"))
	centre.expect("FL-LAB", "1.csv", []byte("1"))
	lab.delivers("1.csv")
	w.admin(hub.ControlHold, hub.HoldRequest{Site: "CA-RC"}, nil)
	lab.drop("waits.csv", []byte("w"))
	eventually(t, "it is at the hub", func() bool {
		return lab.status().Outbox.Counts["published"] == 1
	})
	// An envelope that is sealed for the stolen key, and not published yet, is not published.
	w.admin(hub.ControlHold, hub.HoldRequest{Site: "FL-LAB"}, nil)
	lab.drop("0.csv", []byte("0"))
	eventually(t, "it is sealed", func() bool {
		return lab.status().Outbox.Counts["sealed"] > 0
	})
	jws := w.roster(1, distrusting(centre), lab)
	var taken hub.RosterState
	w.admin(hub.ControlSetRoster, hub.RosterRequest{Roster: jws}, &taken)
	lab.takesRoster(jws)
	if taken.Cut == 0 || taken.Distrusted != 1 {
		t.Errorf("taken as %+v", taken)
	}
	now := lab.status()
	if got := now.Routes[0].Sites[0]; got.Ground != trust.Distrusted || got.Roster != 1 {
		t.Errorf("the lab knows %+v", got)
	}
	if got := now.Outbox.Waiting[0].WaitsFor().String(); !strings.Contains(got,
		"CA-RC (DISTRUSTED by roster 1)") {
		t.Errorf("the file %s", got)
	}
	w.admin(hub.ControlUnhold, hub.HoldRequest{Site: "CA-RC"}, nil)
	w.admin(hub.ControlUnhold, hub.HoldRequest{Site: "FL-LAB"}, nil)
	must(t, lab.call(agent.PathRetry, agent.Nothing{}, nil))
	lab.drop("2.csv", []byte("2"))
	lab.waitsFor("roster-distrusts")
	eventually(t, "the sealed one waits too", func() bool {
		return lab.status().Outbox.Queued["fl-lab.dat"] == 2
	})
	if got := lab.status().Outbox.Counts["published"]; got != 1 {
		t.Errorf("%d are published, want the one of before", got)
	}
	eventually(t, "the thief, and the centre, are told", func() bool {
		return centre.status().Link.Refusal == "distrusted"
	})
	centre.stop()
	w.admin(hub.ControlRemove, hub.RemoveRequest{Site: "CA-RC"}, nil)
	must(t, os.Rename(centre.dir, centre.dir+"-stolen"))
	anew := w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab.waitsFor("roster-without")
	jws = w.roster(2, func(r *statement.Roster) {
		r.Distrusted = []statement.DistrustedKey{{Identity: id.Hash(centre.Fingerprint),
			Site: "CA-RC", Since: r.Signed}}
	}, lab, anew)
	w.admin(hub.ControlSetRoster, hub.RosterRequest{Roster: jws}, nil)
	lab.takesRoster(jws)
	anew.expect("FL-LAB", "0.csv", []byte("0"))
	anew.expect("FL-LAB", "2.csv", []byte("2"))
	lab.delivers("2.csv")
}

// The hub was set up with a required roster: sites send and take nothing before they have one. An
// edited agent.toml does not lower the requirement of the roster itself.
func TestARosterIsRequiredFromTheStart(t *testing.T) {
	t.Parallel()
	n := testnet.New(t, testnet.Options{Roster: "required"})
	w := &world{Network: n, t: t, dir: n.Dir, addr: n.Addr}
	centre := w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	lab.drop("data.csv", []byte("1"))
	lab.waitsFor("roster-missing")
	for _, s := range []*site{lab, centre} {
		if got := s.status().Roster; got.Stops.Code != "roster-missing" || !got.Required {
			t.Errorf("%s without a roster: %+v", s.name, got)
		}
	}
	jws := w.roster(1, required, lab, centre)
	w.admin(hub.ControlSetRoster, hub.RosterRequest{Roster: jws}, nil)
	for _, s := range []*site{lab, centre} {
		s.stop()
		s.set("roster", `"optional"`)
		s.start()
		eventually(t, "it has the roster", func() bool {
			got := s.status().Roster
			return got.Number == 1 && got.Required && got.Stops.IsZero()
		})
	}
	centre.expect("FL-LAB", "data.csv", []byte("1"))
	lab.delivers("data.csv")
}
