package agent_test

import (
	"strings"
	"testing"

	"sealpost/hub"
)

// saysOfTheHub waits until status and STATUS.txt say all of this of the connection, and checks that they say nothing of the rest.
func (s *site) saysOfTheHub(refusal string, says []string, never ...string) {
	s.w.t.Helper()
	eventually(s.w.t, string(s.name)+" says "+says[0], func() bool {
		link, text := s.status().Link, s.statusFile()
		for _, part := range says {
			if !strings.Contains(link.Trouble, part) || !strings.Contains(text, part) {
				return false
			}
		}
		return link.Refusal == refusal
	})
	for _, part := range append(never, "cannot be reached") {
		if trouble := s.status().Link.Trouble; strings.Contains(trouble, part) {
			s.w.t.Errorf("it also says %q: %s", part, trouble)
		}
		if text := s.statusFile(); strings.Contains(text, part) {
			s.w.t.Errorf("the status file also says %q:\n%s", part, text)
		}
	}
}

// A site that was removed is told so, and not that it was never admitted; it goes on once it is let in again.
func TestARemovedSiteIsToldThatItWasRemoved(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	w.admin(hub.ControlRemove, hub.RemoveRequest{Site: "FL-LAB"}, nil)
	lab.saysOfTheHub("removed", []string{"has removed this site", "sealpost hub admit FL-LAB --fingerprint"}, "not admitted", "yet")
	w.admit("FL-LAB", "send", lab.status().Fingerprint)
	lab.drop("data.csv", []byte("1;2"))
	centre.expect("FL-LAB", "data.csv", []byte("1;2"))
}

// A computer with an old copy of a site's keys is told that another one has joined since under its name.
func TestAComputerWhoseNameAnotherHasIsToldSo(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	w.admin(hub.ControlRemove, hub.RemoveRequest{Site: "FL-LAB"}, nil)
	w.admit("FL-LAB", "send", id64)
	lab.saysOfTheHub("other-key", []string{"by another key than this computer's"}, "not admitted", "removed this site from")
}

const id64 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
