package agent_test

import (
	"slices"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/internal/id"
	"sealpost/internal/spoken"
)

func (s *site) approve(in agent.ApproveRequest) (text string, err error) {
	s.w.t.Helper()
	var done agent.Done
	err = s.call(agent.PathApprove, in, &done)
	for _, line := range done.Says {
		text += line.String() + "\n"
	}
	return text, err
}

// refused checks that an approval is refused with these words, and changes nothing.
func (s *site) refused(in agent.ApproveRequest, says ...string) {
	s.w.t.Helper()
	before := s.approved()
	_, err := s.approve(in)
	for _, part := range says {
		if err == nil || !strings.Contains(err.Error(), part) {
			s.w.t.Errorf("of %v it says %v, want %q", in, err, part)
		}
	}
	if after := s.approved(); !slices.Equal(before, after) {
		s.w.t.Errorf("approved were %v and are %v", before, after)
	}
}

// approved are the sites to which fl-lab.dat may lead, as the status has them.
func (s *site) approved() (list []id.Site) {
	s.w.t.Helper()
	for _, r := range s.status().Routes {
		for _, of := range r.Sites {
			if r.Address == "fl-lab.dat" && of.Approved {
				list = append(list, of.Site)
			}
		}
	}
	return list
}

// A name that is no site is refused, with the most similar one. It can be approved in advance. An
// invited site that has not joined yet counts as a site.
func TestANameOfNoSiteIsNotApproved(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	w.join("SF-RC", "receive")
	w.invite("NY-RC", "receive")
	lab.drop("data.csv", []byte("1;2"))
	centre.expect("FL-LAB", "data.csv", []byte("1;2"))
	lab.refused(agent.ApproveRequest{Sites: []string{"CA-RC", "CA-RX"}},
		"no site of the name CA-RX receives in this network (did you mean CA-RC?)", "--in-advance")
	lab.refused(agent.ApproveRequest{Sites: []string{"CA-RC", "FL-LAB"}},
		"FL-LAB is this site itself")
	lab.refused(agent.ApproveRequest{Sites: []string{"nothing"}}, "nothing")
	for _, in := range []agent.ApproveRequest{
		{Sites: []string{"SF-RC"}, Change: agent.ApproveAdd},
		{Sites: []string{"NY-RC"}, Change: agent.ApproveAdd},
		{Sites: []string{"MA-RC"}, Change: agent.ApproveAdd, InAdvance: true},
	} {
		if _, err := lab.approve(in); err != nil {
			t.Errorf("%+v: %v", in, err)
		}
	}
	if got := lab.approved(); !slices.Equal(got, []id.Site{"CA-RC", "MA-RC", "NY-RC", "SF-RC"}) {
		t.Errorf("approved are %v", got)
	}
	w.stopHub()
	says, err := lab.approve(agent.ApproveRequest{Sites: []string{"UT-RC"},
		Change: agent.ApproveAdd})
	if err != nil || !strings.Contains(says, "could not be asked about UT-RC") {
		t.Errorf("without the hub it says %q, %v", says, err)
	}
}

// Nothing that is approved is dropped without a word for it.
func TestAnApprovalDropsNoneUnasked(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	w.join("SF-RC", "receive")
	lab.refused(agent.ApproveRequest{Sites: []string{"SF-RC"}},
		"An approval for fl-lab.dat exists (CA-RC), and this would leave out CA-RC", "--add",
		"--replace")
	lab.refused(agent.ApproveRequest{Sites: []string{"route"}}, "--replace")
	lab.refused(agent.ApproveRequest{Sites: []string{"route"}, Change: agent.ApproveAdd},
		"--replace only")
	for _, c := range []struct {
		in   agent.ApproveRequest
		want []id.Site
	}{
		{agent.ApproveRequest{Sites: []string{"SF-RC"}, Change: agent.ApproveAdd},
			[]id.Site{"CA-RC", "SF-RC"}},
		{agent.ApproveRequest{Sites: []string{"CA-RC", "SF-RC"}}, []id.Site{"CA-RC", "SF-RC"}},
		{agent.ApproveRequest{Sites: []string{"SF-RC"}, Change: agent.ApproveReplace},
			[]id.Site{"SF-RC"}},
		{agent.ApproveRequest{Sites: []string{"route"}, Change: agent.ApproveReplace}, nil},
		{agent.ApproveRequest{Sites: []string{"CA-RC"}}, []id.Site{"CA-RC"}},
	} {
		if _, err := lab.approve(c.in); err != nil || !slices.Equal(lab.approved(), c.want) {
			t.Errorf("after %+v approved are %v, %v", c.in, lab.approved(), err)
		}
	}
}

// The request for an approval shows the fingerprint of the site, and the approval pins that one.
func TestFingerprintBeforeApproval(t *testing.T) {
	t.Parallel()
	w, lab, _ := labAndCentre(t)
	centre := w.join("NEW-RC", "receive")
	w.bind("new_rc_queue", "fl-lab.*")
	lab.drop("data.csv", []byte("1;2"))
	print := centre.status().Fingerprint
	grouped := "NEW-RC has the fingerprint " + string(print[:8]) + " " + string(print[8:16])
	asked := func() string { return lab.status().Outbox.Blocked["fl-lab.dat"].String() }
	eventually(t, "the question shows it", func() bool {
		return strings.Contains(asked(), grouped)
	})
	if strings.Contains(asked(), "CA-RC has the fingerprint") {
		t.Error("what is approved is to be compared again")
	}
	shown := func() (of agent.RouteSite) {
		for _, r := range lab.status().Routes {
			if i := slices.IndexFunc(r.Sites,
				func(s agent.RouteSite) bool { return s.Site == "NEW-RC" }); i >= 0 {
				of = r.Sites[i]
			}
		}
		return of
	}
	if of := shown(); of != (agent.RouteSite{Site: "NEW-RC", Proposed: true, Fingerprint: print,
		Words: spoken.Words(print)}) {
		t.Errorf("the status shows %+v", of)
	}
	eventually(t, "STATUS.txt shows it", func() bool {
		return strings.Contains(lab.statusFile(), grouped)
	})
	says, err := lab.approve(agent.ApproveRequest{Sites: []string{"NEW-RC"},
		Change: agent.ApproveAdd})
	if err != nil || !strings.Contains(says, grouped) {
		t.Errorf("the approval says %q, %v", says, err)
	}
	if of := shown(); !of.Approved || !of.Pinned || of.Fingerprint != print {
		t.Errorf("approved, it is %+v", of)
	}
	centre.expect("FL-LAB", "data.csv", []byte("1;2"))
}
