package hub

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
)

func (q *headquarters) knocking() []Knock {
	q.t.Helper()
	return ask[SitesAnswer](q, ControlSites, Nothing{}).Knocking
}

// Each caller with a good certificate is shown, with the command that admits it, until it is
// admitted.
func TestSitesThatKnock(t *testing.T) {
	q := openHeadquarters(t)
	removed, joined := q.join("IL-LAB", "both"), q.lab("FL-LAB")
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "IL-LAB"})
	unknown, other := q.stranger("UN-LAB"), q.stranger("FL-LAB")
	certify(unknown, q.hub.authority, q.clock.now())
	certify(other, q.hub.authority, q.clock.now())
	callers := []*station{other, removed, unknown} // by name
	for range 3 {
		for _, s := range callers {
			if _, err := s.Hello(t.Context()); err == nil {
				t.Errorf("%s is let in", s.site)
			}
		}
	}
	q.stranger("XX-LAB").Hello(t.Context()) // without a certificate
	if _, err := joined.Hello(t.Context()); err != nil {
		t.Error(err)
	}
	got := q.knocking()
	if len(got) != len(callers) {
		t.Fatalf("knocking: %+v", got)
	}
	for i, want := range []struct{ code, admit string }{
		{"hub-knock-other-key", "sealpost hub remove FL-LAB && sealpost hub admit FL-LAB"},
		{"hub-knock-removed", "sealpost hub admit IL-LAB --fingerprint " +
			string(removed.identity.Key()) + " --role both"},
		{"hub-knock-not-admitted", "--role ROLE"},
	} {
		k := got[i]
		if k.Site != callers[i].site || k.Fingerprint != callers[i].identity.Key() ||
			k.Count != 3 || k.From != "127.0.0.1" || k.Last.Before(k.First) || k.First.IsZero() ||
			string(k.Reason.Code) != want.code || !strings.Contains(k.Admit, want.admit) {
			t.Errorf("%s knocks: %+v", callers[i].site, k)
		}
	}
	for _, s := range []*station{removed, unknown} {
		ask[Changed](q, ControlAdmit, AdmitRequest{Site: s.site, Fingerprint: s.identity.Key(),
			Role: "send"})
	}
	if got := q.knocking(); len(got) != 1 || got[0].Site != "FL-LAB" {
		t.Errorf("after two are admitted: %+v", got)
	}
	q.restart()
	if got := q.knocking(); len(got) != 0 {
		t.Errorf("after a restart: %+v", got)
	}
	other.Hello(t.Context())
	if got := q.knocking(); len(got) != 1 {
		t.Errorf("it knocks again after a restart: %+v", got)
	}
}

// A computer whose invitation another one has used is admitted by its fingerprint. After that it
// joins with the same invitation.
func TestAUsedInvitationKnocks(t *testing.T) {
	q := openHeadquarters(t)
	invited := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send"})
	thief, lab := q.stranger("FL-LAB"), q.stranger("FL-LAB")
	if err := thief.enroll(invited.Secret); err != nil {
		t.Fatal(err)
	}
	err := lab.enroll(invited.Secret)
	wantCode(t, err, api.CodeInvitation)
	if !strings.Contains(err.Error(), "this computer's ("+string(lab.identity.Key())) {
		t.Errorf("it is not told its fingerprint: %v", err)
	}
	wantCode(t, lab.enroll("guess"), api.CodeInvitation)
	got := q.knocking()
	if len(got) != 1 || got[0].Fingerprint != lab.identity.Key() || got[0].Count != 1 ||
		got[0].Reason.Code != "hub-knock-invitation" {
		t.Fatalf("knocking: %+v", got)
	}
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "FL-LAB"})
	ask[Changed](q, ControlAdmit, AdmitRequest{Site: "FL-LAB", Fingerprint: lab.identity.Key(),
		Role: "send"})
	q.restart()
	wantCode(t, thief.enroll(invited.Secret), api.CodeInvitation)
	wantCode(t, q.stranger("FL-LAB").enroll(""), api.CodeInvitation)
	if err := lab.enroll(invited.Secret); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Hello(t.Context()); err != nil {
		t.Error(err)
	}
	if got := q.knocking(); len(got) != 0 {
		t.Errorf("after it has joined: %+v", got)
	}
}

// An admitted key needs no secret for some days, and one after that.
func TestAnAdmissionWithoutACertificateExpires(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.stranger("FL-LAB")
	ask[Changed](q, ControlAdmit, AdmitRequest{Site: "FL-LAB", Fingerprint: lab.identity.Key(),
		Role: "send"})
	if err := lab.enroll(""); err != nil {
		t.Fatal(err)
	}
	q.clock.forward(invitationTime)
	wantCode(t, lab.enroll(""), api.CodeInvitation)
}

// Neither many names nor many keys of one name take more memory, and no name displaces another's.
func TestKnocksAreBounded(t *testing.T) {
	n := newKnocks()
	now := time.Now()
	why := whyRefused(api.CodeNotAdmitted)
	n.note("FL-LAB", "a", address(1), why, now)
	for i := range 1000 {
		n.note("PA-LAB", id.Hash(fmt.Sprint(i)), address(1), why, now.Add(time.Second))
	}
	if list := n.list(newTable()); len(list) != 1+maxKnocksOfSite || list[0].Site != "FL-LAB" {
		t.Errorf("many keys of one name: %d are kept", len(list))
	}
	for i := range 1000 {
		n.note(id.Site(fmt.Sprint("LAB-", i)), "a", address(1), why, now.Add(time.Minute))
	}
	if list := n.list(newTable()); len(list) != maxKnocks {
		t.Errorf("many names: %d are kept", len(list))
	}
}
