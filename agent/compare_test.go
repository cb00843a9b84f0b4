package agent_test

import (
	"slices"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/internal/id"
	"sealpost/internal/spoken"
	"sealpost/internal/testnet"
)

// identify asks the agent for the fingerprints to compare with a site.
func (s *site) identify(other id.Site) (i agent.Identities, err error) {
	return i, s.call(agent.PathIdentity, agent.IdentityRequest{Site: string(other)}, &i)
}

// trust records that a user has compared a fingerprint.
func (s *site) trust(other id.Site, fingerprint id.Hash) {
	s.T.Helper()
	must(s.T, s.call(agent.PathTrust, agent.TrustRequest{Site: string(other),
		Fingerprint: string(fingerprint)}, nil))
}

// pinOf returns how a site knows another one.
func (s *site) pinOf(other id.Site) (pin agent.Pin) {
	for _, p := range s.status().Pins {
		if p.Site == other {
			pin = p
		}
	}
	return pin
}

// Two users compare before the first file and after it. Both sites show the same words.
func TestTwoUsersCompare(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	both, err := lab.identify("CA-RC")
	must(t, err)
	own := centre.status()
	if both.Own.Words != lab.status().Words || both.Other.Words != own.Words ||
		own.Words != spoken.Words(own.Fingerprint) || both.Ground != "" {
		t.Errorf("to compare: %+v, the centre shows %q", both, own.Words)
	}
	lab.drop("data.csv", []byte("1;2"))
	centre.expect("FL-LAB", "data.csv", []byte("1;2"))
	if p := lab.pinOf("CA-RC"); p.Ground != "seen" || p.Words != own.Words {
		t.Errorf("after the first file: %+v", p)
	}
	lab.trust("CA-RC", both.Other.Fingerprint)
	if p := lab.pinOf("CA-RC"); p.Ground != "compared" || p.Since.IsZero() {
		t.Errorf("compared: %+v", p)
	}
	accept := func(site, print string) (agent.Done, error) {
		var done agent.Done
		return done, lab.call(agent.PathTrust, agent.TrustRequest{Site: site, Fingerprint: print},
			&done)
	}
	for want, in := range map[string][2]string{
		"the fingerprint of FL-LAB, not of CA-RC": {"CA-RC", string(lab.status().Fingerprint)},
		"FL-LAB is this site":                     {"FL-LAB", string(own.Fingerprint)},
		"the fingerprint of CA-RC, not of SF-RC":  {"SF-RC", string(own.Fingerprint)},
	} {
		if _, err := accept(in[0], in[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("trust %v: %v, want %q", in, err, want)
		}
	}
	if _, err := lab.identify("FL-LAB"); err == nil ||
		!strings.Contains(err.Error(), "FL-LAB is this site") {
		t.Errorf("a comparison with the own site: %v", err)
	}
	done, err := accept("CA-RC", strings.Repeat("0", 64))
	if err != nil || len(done.Says) != 2 || done.Says[0].Code != "trusted-other" ||
		!strings.Contains(done.Says[1].String(), string(own.Fingerprint)+", which was compared") {
		t.Errorf("another fingerprint than the compared one: %v, %v", done.Says, err)
	}
	lab.trust("CA-RC", own.Fingerprint)
	if both, err = centre.identify("FL-LAB"); err != nil || both.Ground != "seen" {
		t.Errorf("the centre compares %+v, %v", both, err)
	}
	if _, err := lab.identify("NO-RC"); err == nil ||
		!strings.Contains(err.Error(), "--fingerprint") ||
		strings.Contains(err.Error(), "not allowed") {
		t.Errorf("a site that nothing is known of: %v", err)
	}
}

// The hub's owner runs two hubs under one root, and stands between a lab and a centre. A lab that
// requires a comparison sends nothing at the first contact, and such a centre takes nothing.
func TestTwoHubsUnderOneRoot(t *testing.T) {
	t.Parallel()
	real := newWorld(t)
	centre := real.site(real.Join("CA-RC", "receive"))
	centre.set("accept", `"compared"`)
	centre.start()
	n := testnet.New(t, testnet.Options{Root: real.Dir + "/root"})
	fork := &world{Network: n, t: t, dir: n.Dir, addr: n.Addr}
	impostor := fork.join("CA-RC", "receive")
	fork.bind("ca_rc_queue", "fl-lab.*")
	forged := real.join("FL-LAB", "send", "CA-RC") // of the owner, at the hub of the centre
	real.bind("ca_rc_queue", "fl-lab.*")
	lab := fork.site(fork.Join("FL-LAB", "send", "CA-RC"))
	lab.set("require_compared", "true")
	lab.start()
	lab.drop("secret.csv", []byte("1;2"))
	blocked := func() string { return lab.status().Outbox.Blocked["fl-lab.dat"].String() }
	eventually(t, "the file waits for a comparison", func() bool {
		return strings.Contains(blocked(), "sealpost agent trust CA-RC") &&
			strings.Contains(blocked(), impostor.status().Words)
	})
	eventually(t, "STATUS.txt shows the words", func() bool {
		return strings.Contains(lab.statusFile(), impostor.status().Words)
	})
	forged.drop("forged.csv", []byte("3;4"))
	eventually(t, "the forged file waits for a comparison", func() bool {
		return strings.Contains(centre.statusFile(), "NOT COMPARED")
	})
	lab.trust("CA-RC", centre.status().Fingerprint) // as its user has read it
	eventually(t, "the impostor is found out", func() bool {
		return strings.Contains(blocked(), "it shows another identity key")
	})
	both, err := lab.identify("CA-RC")
	if err != nil || both.Former == nil || both.Former.Words != centre.status().Words ||
		both.Other.Words != impostor.status().Words || both.Trouble.IsZero() {
		t.Errorf("to compare again: %+v, %v", both, err)
	}
	if got := impostor.inInbox(); len(got) > 0 {
		t.Errorf("the hub's owner has %v", got)
	}
	centre.trust("FL-LAB", lab.status().Fingerprint) // as its user has read it
	eventually(t, "the forged sender is found out", func() bool {
		return !centre.pinOf("FL-LAB").Trouble.IsZero()
	})
	if got := centre.inInbox(); len(got) > 0 {
		t.Errorf("the centre has %v", got)
	}
	if !slices.Contains(lab.tray("sending"), "secret.csv") {
		t.Errorf("sending has %v", lab.tray("sending"))
	}
}

// An invitation can have fingerprints, and an approval the one that a user has compared.
func TestAJoinWithFingerprints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre, second := w.join("CA-RC", "receive"), w.join("SF-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	w.bind("sf_rc_queue", "fl-lab.*")
	invitation := w.invite("FL-LAB", "send")
	first, last := centre.status().Fingerprint, second.status().Fingerprint
	invitation.Fingerprints = map[id.Site]id.Hash{"CA-RC": first, "SF-RC": last}
	grouped := strings.ToUpper(string(first[:8])) + " " + string(first[8:])
	lab := w.site(w.JoinWith(invitation, "CA-RC="+grouped, "SF-RC"))
	lab.set("sweep", `"500ms"`)
	lab.start()
	if p := lab.pinOf("CA-RC"); p.Identity != first || p.Ground != "compared" {
		t.Errorf("compared at the join: %+v", p)
	}
	if p := lab.pinOf("SF-RC"); p.Identity != last || p.Ground != "seen" {
		t.Errorf("of the invitation: %+v", p)
	}
	lab.drop("data.csv", []byte("1;2"))
	centre.expect("FL-LAB", "data.csv", []byte("1;2"))
	second.expect("FL-LAB", "data.csv", []byte("1;2"))
}
