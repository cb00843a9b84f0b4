package hub

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/reason"
)

func TestAnInvitationIsForOneKey(t *testing.T) {
	q := openHeadquarters(t)
	invited := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send"})
	if !invited.New || invited.Joined || len(invited.Hub) != 1 ||
		invited.Hub[0] != q.config.Listen || invited.Network != q.network() {
		t.Errorf("the invitation is %+v", invited)
	}
	lab := q.stranger("FL-LAB")
	for range 2 { // the answer was lost
		if err := lab.enroll(invited.Secret); err != nil {
			t.Fatal(err)
		}
	}
	q.restart()
	wantCode(t, q.stranger("FL-LAB").enroll(invited.Secret), api.CodeInvitation)
	if err := lab.enroll(invited.Secret); err != nil {
		t.Errorf("after a restart the same key gets no certificate: %v", err)
	}
	q.clock.forward(100 * 24 * time.Hour) // long after the invitation's end
	if err := lab.enroll(invited.Secret); err != nil {
		t.Errorf("the key that has joined cannot come back: %v", err)
	}
	if log := q.log.String(); strings.Contains(log, invited.Secret) ||
		!strings.Contains(log, "enrolment refused") {
		t.Error("the log holds the secret, or not the refusal")
	}
}

func TestInvitationsThatDoNotCount(t *testing.T) {
	q := openHeadquarters(t)
	first := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send",
		Valid: time.Hour})
	second := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send",
		Valid: time.Hour})
	if first.Secret == second.Secret || second.New {
		t.Errorf("invited again: %+v", second)
	}
	lab := q.stranger("FL-LAB")
	wantCode(t, lab.enroll(first.Secret), api.CodeInvitation) // replaced
	wantCode(t, lab.enroll(certs.NewSecret()), api.CodeInvitation)
	wantCode(t, lab.enroll(""), api.CodeInvitation)
	wantCode(t, q.stranger("PA-LAB").enroll(second.Secret), api.CodeInvitation) // another site's
	_, err := lab.Enroll(t.Context(), api.EnrollRequest{Site: "FL-LAB", Secret: second.Secret,
		CSR: "no request"})
	wantCode(t, err, api.CodeInvalid)
	_, err = lab.Enroll(t.Context(), api.EnrollRequest{Site: "../etc", Secret: second.Secret,
		CSR: lab.csr()})
	wantCode(t, err, api.CodeInvalid)
	q.clock.forward(time.Hour)
	wantCode(t, lab.enroll(second.Secret), api.CodeInvitation) // expired
	third := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB"})
	if err := lab.enroll(third.Secret); err != nil {
		t.Error(err)
	}
}

// TestInvitationOfAdmittedSite names the admitted key, and not an earlier use of the invitation.
func TestInvitationOfAdmittedSite(t *testing.T) {
	q := openHeadquarters(t)
	lab, other := q.stranger("FL-LAB"), q.stranger("FL-LAB")
	admit := AdmitRequest{Site: "FL-LAB", Fingerprint: other.identity.Key(), Role: "send"}
	ask[Changed](q, ControlAdmit, admit)
	invited := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB"})
	for range 10 { // whoever has the secret does not guess
		err := lab.enroll(invited.Secret)
		wantCode(t, err, api.CodeOtherKey)
		if !strings.Contains(err.Error(), "FL-LAB is admitted with another key") {
			t.Fatal(err)
		}
	}
	knocks := ask[SitesAnswer](q, ControlSites, Nothing{}).Knocking
	if len(knocks) != 1 || knocks[0].Reason.Code != "hub-knock-other-key" {
		t.Errorf("the admin is shown %+v", knocks)
	}
	if err := other.enroll(invited.Secret); err != nil {
		t.Errorf("the admitted one: %v", err)
	}
}

// A caller without the secret cannot tell an invited site from another.
func TestEnrolmentShowsNobodyWhoIsInvited(t *testing.T) {
	q := openHeadquarters(t)
	ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send"})
	invited, unknown := q.stranger("FL-LAB").enroll("guess"), q.stranger("XX-LAB").enroll("guess")
	a, b := strings.ReplaceAll(invited.Error(), "FL-LAB", "SITE"),
		strings.ReplaceAll(unknown.Error(), "XX-LAB", "SITE")
	if a != b {
		t.Errorf("the answers differ:\n%s\n%s", a, b)
	}
}

// Of many keys that use one invitation at the same time, exactly one joins.
func TestOneKeyWinsARace(t *testing.T) {
	q := openHeadquarters(t)
	invited := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send"})
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		s := q.stranger("FL-LAB")
		wg.Go(func() {
			if err := s.enroll(invited.Secret); err == nil {
				won.Add(1)
				if _, err := s.Hello(t.Context()); err != nil {
					t.Errorf("the winner is not let in: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d keys have joined", won.Load())
	}
}

func TestGuessingIsSlowed(t *testing.T) {
	q := openHeadquarters(t)
	invited := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send"})
	lab := q.stranger("FL-LAB")
	q.clock.stop() // a slow machine would be given one more guess
	for range wrongAtOnce {
		wantCode(t, lab.enroll("guess"), api.CodeInvitation)
	}
	wantCode(t, lab.enroll("guess"), api.CodeBusy)
	// even the right one: whether it is right must not show
	wantCode(t, lab.enroll(invited.Secret), api.CodeBusy)
	q.clock.forward(wrongInterval)
	if err := lab.enroll(invited.Secret); err != nil {
		t.Error(err)
	}
	for range 2 * wrongAtOnce {
		if err := lab.enroll(invited.Secret); err != nil {
			t.Fatalf("who is right is slowed down: %v", err)
		}
	}
}

func TestRenewalKeepsTheKey(t *testing.T) {
	q := openHeadquarters(t)
	lab, other := q.lab("FL-LAB"), q.stranger("FL-LAB")
	_, err := lab.Renew(t.Context(), api.RenewRequest{CSR: other.csr()})
	wantCode(t, err, api.CodeNotAllowed)
	_, err = lab.Renew(t.Context(), api.RenewRequest{CSR: "no request"})
	wantCode(t, err, api.CodeInvalid)
	before := lab.identity.NotAfter()
	q.clock.forward(60 * 24 * time.Hour)
	renewed, err := lab.Renew(t.Context(), api.RenewRequest{CSR: lab.csr()})
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.identity.SetChain([]byte(renewed.Chain), q.network(), q.clock.now()); err != nil {
		t.Fatal(err)
	}
	if !lab.identity.NotAfter().After(before) {
		t.Error("the new certificate lives no longer than the old one")
	}
	lab.CloseIdle()
	q.clock.forward(50 * 24 * time.Hour) // the old one has expired
	if _, err := lab.Hello(t.Context()); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
}

// A connection outlives its certificate no longer than to the next request, whose answer ends it.
func TestACertificateExpiresOnAnOpenConnection(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	c := lab.dial()
	defer c.Close()
	answers := bufio.NewReader(c)
	for _, want := range []int{http.StatusOK, http.StatusOK, http.StatusUnauthorized} {
		if want == http.StatusUnauthorized {
			q.clock.forward(91 * 24 * time.Hour)
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: hub\r\n\r\n", api.PathHello)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if code := codeOfResponse(t, resp); resp.StatusCode != want ||
			want == http.StatusUnauthorized && (code != api.CodeExpired || !resp.Close) {
			t.Errorf("got %d %s, want %d; the connection ends: %v", resp.StatusCode, code, want,
				resp.Close)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
	}
}

func TestAnExpiredCertificateGetsAReadableAnswer(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.clock.forward(91 * 24 * time.Hour)
	for _, call := range []func() error{
		func() error { _, err := lab.Hello(t.Context()); return err },
		func() error {
			_, err := lab.Renew(t.Context(), api.RenewRequest{CSR: lab.csr()})
			return err
		},
	} {
		err := call()
		wantCode(t, err, api.CodeExpired)
		if !strings.Contains(err.Error(), "the certificate of FL-LAB is valid from") {
			t.Errorf("it says %v", err)
		}
	}
	back := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB"})
	if !back.Joined {
		t.Errorf("invited again: %+v", back)
	}
	// it is for the key that the site has
	wantCode(t, q.stranger("FL-LAB").enroll(back.Secret), api.CodeOtherKey)
	if err := lab.enroll(back.Secret); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Hello(t.Context()); err != nil {
		t.Error(err)
	}
}

// A new hub under the same root knows no site. Its answer names the command that admits the site,
// and after that the site works without a change.
func TestAdmit(t *testing.T) {
	q := openHeadquarters(t)
	invited := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send"})
	lab := q.stranger("FL-LAB")
	if err := lab.enroll(invited.Secret); err != nil {
		t.Fatal(err)
	}
	other := newHeadquarters(t)
	root := q.dir + "-root"
	dir := t.TempDir()
	if _, err := Init(InitOptions{Dir: dir, Name: "DC-HQ", Hosts: []string{"127.0.0.1"},
		Listen: q.config.Listen, RootDir: root}); err != nil {
		t.Fatal(err)
	}
	other.config.State, other.config.Listen = dir+"/state", q.config.Listen
	q.stop()
	other.start()
	t.Cleanup(other.stop)

	lab.CloseIdle()
	_, err := lab.Hello(t.Context())
	wantCode(t, err, api.CodeNotAdmitted)
	if !strings.Contains(err.Error(), "sealpost hub admit FL-LAB --fingerprint "+
		string(lab.identity.Key())) {
		t.Errorf("it says %v", err)
	}
	if after := api.RetryAfter(err); after < time.Second || after > 5*time.Second {
		t.Errorf("it is to ask again after %s: a rebuilt network waits for that", after)
	}
	request := AdmitRequest{Site: "FL-LAB", Fingerprint: lab.identity.Key(), Role: "both"}
	if got := ask[Changed](other, ControlAdmit, request); !got.Changed ||
		got.Queue != "fl_lab_queue" {
		t.Errorf("admitted: %+v", got)
	}
	if got := ask[Changed](other, ControlAdmit, request); got.Changed {
		t.Errorf("admitted again: %+v", got)
	}
	if hello, err := lab.Hello(t.Context()); err != nil || !hello.MayReceive {
		t.Errorf("after it: %+v, %v", hello, err)
	}
	for _, bad := range []AdmitRequest{
		{Site: "FL-LAB", Fingerprint: other.stranger("FL-LAB").identity.Key(), Role: "send"},
		{Site: "fl-lab", Fingerprint: lab.identity.Key(), Role: "send"},
		{Site: "FL-LAB", Fingerprint: "abc", Role: "send"},
		{Site: "FL-LAB", Fingerprint: lab.identity.Key(), Role: "admin"},
		{Site: "PA-LAB", Fingerprint: lab.identity.Key()},
		{Site: "PA-LAB", Fingerprint: lab.identity.Key(), Role: "send"}, // FL-LAB has this key
		{Site: "FL-LAB", Fingerprint: lab.identity.Key(), Role: "send", MaySend: []string{"a..b"}},
	} {
		if got, err := tryAsk[Changed](other, ControlAdmit, bad); err == nil {
			t.Errorf("admit %+v: %+v", bad, got)
		}
	}
}

// A site cannot have the name of its hub.
func TestASiteHasAnotherNameThanItsHub(t *testing.T) {
	q := openHeadquarters(t)
	_, err := tryAsk[Invited](q, ControlInvite, InviteRequest{Site: "DC-HQ", Role: "send"})
	if reason.Of(err).Code != "hub-name-of-hub" {
		t.Errorf("the hub's own name: %v", err)
	}
}

func TestKeyUpload(t *testing.T) {
	q := openHeadquarters(t)
	centre, other := q.join("CA-RC", "receive"), q.join("SF-RC", "receive")
	first := centre.keyStatement()
	signed := sign(centre, first)
	put := func(jws string) error { return centre.PutKey(t.Context(), jws) }
	for range 2 {
		if err := put(signed); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(sign(centre, first)); err != nil { // the same, signed again
		t.Error(err)
	}
	wantCode(t, other.PutKey(t.Context(), signed), api.CodeNotAllowed)
	wantCode(t, put("rubbish"), api.CodeInvalid)
	wantCode(t, put(signed[:len(signed)-4]+"AAAA"), api.CodeNotAllowed)

	thief := q.stranger("CA-RC") // a certificate of that name, and another key
	certify(thief, q.hub.authority, q.clock.now())
	wantCode(t, put(sign(thief, first)), api.CodeNotAllowed)

	centre.version, centre.prev = 1, first.Hash()
	second := centre.keyStatement()
	foreign := second
	foreign.Recipient = "age1" + strings.TrimPrefix(second.Recipient, "age1pq1")
	wantCode(t, put(sign(centre, foreign)), api.CodeInvalid) // X25519 in a hybrid network
	unchained := second
	unchained.Prev = q.network()
	wantCode(t, put(sign(centre, unchained)), api.CodeConflict)
	another := second
	another.Version, another.Prev = 1, ""
	wantCode(t, put(sign(centre, another)), api.CodeConflict) // another first version
	if err := put(sign(centre, second)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, put(signed), api.CodeConflict) // rolled back

	q.restart()
	wantCode(t, put(signed), api.CodeConflict)
	centre.version, centre.prev = 2, second.Hash()
	centre.uploadKey()
	if hello, err := centre.Hello(t.Context()); err != nil || hello.KeyHash == "" {
		t.Errorf("after a restart: %+v, %v", hello, err)
	}
}
