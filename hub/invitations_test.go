package hub

import (
	"testing"
	"time"

	"sealpost/hub/api"
)

// Invitations are listed until they are used, expire or are revoked, and work as long.
func TestOpenInvitations(t *testing.T) {
	q := openHeadquarters(t)
	expect := func(when string, want ...string) {
		t.Helper()
		got := ask[InvitationsAnswer](q, ControlInvitations, Nothing{}).Invitations
		names := []string{}
		for _, i := range got {
			names = append(names, string(i.Site))
			if !i.Expires.After(q.clock.now()) || i.Role == "" {
				t.Errorf("%s: %+v", when, i)
			}
		}
		if len(names) != len(want) {
			t.Errorf("%s: %v, want %v", when, names, want)
			return
		}
		for i := range want {
			if names[i] != want[i] {
				t.Errorf("%s: %v, want %v", when, names, want)
			}
		}
	}
	expect("at first")
	fl := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send"})
	pa := ask[Invited](q, ControlInvite, InviteRequest{Site: "PA-LAB", Role: "send"})
	ask[Invited](q, ControlInvite, InviteRequest{Site: "XX-LAB", Role: "send", Valid: time.Hour})
	expect("invited", "FL-LAB", "PA-LAB", "XX-LAB")
	lab := q.stranger("FL-LAB")
	if err := lab.enroll(fl.Secret); err != nil {
		t.Fatal(err)
	}
	q.clock.forward(time.Hour)
	expect("one is used, and one has expired", "PA-LAB")
	if got := ask[Changed](q, ControlRevoke, RevokeRequest{Site: "PA-LAB"}); !got.Changed {
		t.Error("nothing was revoked")
	}
	q.restart()
	expect("revoked")
	wantCode(t, q.stranger("PA-LAB").enroll(pa.Secret), api.CodeInvitation)
	if _, err := tryAsk[Changed](q, ControlRevoke, RevokeRequest{Site: "NO-LAB"}); err == nil {
		t.Error("the invitation of no site is revoked")
	}
	second := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB"})
	expect("a site that has joined is invited again", "FL-LAB")
	ask[Changed](q, ControlRevoke, RevokeRequest{Site: "FL-LAB"})
	wantCode(t, lab.enroll(second.Secret), api.CodeInvitation)
	if _, err := lab.Hello(t.Context()); err != nil {
		t.Errorf("after the revocation the site is not let in: %v", err)
	}
	if _, err := tryAsk[Invited](q, ControlInvite, InviteRequest{Site: "NY-LAB", Role: "send",
		Valid: 2 * longestInvitation}); err == nil {
		t.Error("an invitation for two years is made")
	}
}
