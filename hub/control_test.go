package hub

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

func TestWhatTheHubShows(t *testing.T) {
	q := openHeadquarters(t)
	lab, ca := q.lab("FL-LAB"), q.centre("CA-RC", "fl-lab.*")
	ask[Invited](q, ControlInvite, InviteRequest{Site: "SF-RC", Role: config.RoleReceive,
		Valid: time.Hour})
	q.join("NY-RC", config.RoleReceive)
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "NY-RC"})
	sent := lab.send(key("fl-lab.dat"), "x")
	ca.settle(ca.take())
	lab.send(key("fl-lab.rpt"), "y")

	sites := ask[SitesAnswer](q, ControlSites, Nothing{}).Sites
	states := map[id.Site]string{}
	for _, s := range sites {
		states[s.Site] = s.State
		if s.State == SiteInvited && !s.Expires.After(q.clock.now()) {
			t.Errorf("the invitation of %s expires at %s", s.Site, s.Expires)
		}
	}
	want := map[id.Site]string{"FL-LAB": SiteJoined, "CA-RC": SiteJoined, "SF-RC": SiteInvited,
		"NY-RC": SiteRemoved}
	for s, state := range want {
		if states[s] != state || len(sites) != len(want) {
			t.Errorf("the sites are %+v", sites)
		}
	}
	began := q.clock.now()
	if _, err := lab.Hello(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range ask[SitesAnswer](q, ControlSites, Nothing{}).Sites {
		wasSeen := s.Site == "FL-LAB"
		if wasSeen != (s.Version == "test") || wasSeen == s.LastSeen.Before(began) {
			t.Errorf("%s was seen at %s with the version %q", s.Site, s.LastSeen, s.Version)
		}
		if hasOne := s.Site == "CA-RC"; hasOne != (s.Waiting == 1) || hasOne == s.Oldest.IsZero() {
			t.Errorf("%s waits for %d deliveries since %s", s.Site, s.Waiting, s.Oldest)
		}
	}
	queues := ask[QueuesAnswer](q, ControlQueues, Nothing{}).Queues
	i := slices.IndexFunc(queues, func(q QueueStatus) bool { return q.Name == "ca_rc_queue" })
	if len(queues) != 3 || queues[i].Waiting != 1 || queues[i].Settled != 1 ||
		queues[i].Site != "CA-RC" || queues[i].Oldest.IsZero() {
		t.Errorf("the queues are %+v", queues)
	}
	found := ask[MessagesAnswer](q, ControlMessages, MessagesRequest{Sender: "FL-LAB"})
	if len(found.Messages) != 2 || found.Messages[1].Message != sent.Messages[0].ID ||
		found.Messages[1].State != "delivered" || found.Messages[0].State != "waiting" {
		t.Errorf("the messages are %+v", found)
	}
	page := ask[MessagesAnswer](q, ControlMessages, MessagesRequest{Recipient: "CA-RC", Max: 1})
	rest := ask[MessagesAnswer](q, ControlMessages,
		MessagesRequest{Recipient: "CA-RC", After: page.Next})
	if len(page.Messages) != 1 || page.Next == 0 || len(rest.Messages) != 1 ||
		rest.Messages[0].UID == page.Messages[0].UID {
		t.Errorf("by pages: %+v, then %+v", page, rest)
	}
	if _, err := tryAsk[MessagesAnswer](q, ControlMessages, MessagesRequest{}); err == nil {
		t.Error("everybody's messages are shown at once")
	}
	s := ask[Status](q, ControlStatus, Nothing{})
	if s.Hub != "DC-HQ" || s.Version != "test" || s.Sites != 2 || s.Waiting != 1 ||
		s.Settled != 1 || s.Network != q.network() ||
		s.Listen != q.config.Listen || s.Connections == 0 || s.CertExpires.IsZero() ||
		s.Spool.Incarnation == "" {
		t.Errorf("the status is %+v", s)
	}
}

func TestInviteAndBindRefuse(t *testing.T) {
	q := openHeadquarters(t)
	q.lab("FL-LAB")
	for name, in := range map[string]InviteRequest{
		"no site":      {Role: "send"},
		"a bad site":   {Site: "fl-lab", Role: "send"},
		"a device":     {Site: "CON", Role: "send"},
		"no role":      {Site: "PA-LAB"},
		"another role": {Site: "PA-LAB", Role: "admin"},
		"a bad key": {Site: "PA-LAB", Role: "send",
			MaySend: []string{"PA-LAB.*"}},
		"role of one that has joined": {Site: "FL-LAB", Role: "both"},
	} {
		if got, err := tryAsk[Invited](q, ControlInvite, in); err == nil {
			t.Errorf("invite with %s: %+v", name, got)
		}
	}
	for name, in := range map[string]BindRequest{
		"no queue":               {Queue: "xx_queue", Keys: []string{"#"}},
		"a bad key":              {Queue: "ca_rc_queue", Keys: []string{"a..b"}},
		"of one that only sends": {Queue: "fl_lab_queue", Keys: []string{"#"}},
	} {
		if got, err := tryAsk[Bound](q, ControlBind, in); err == nil {
			t.Errorf("bind with %s: %+v", name, got)
		}
	}
	q.centre("CA-RC", "b", "a")
	if got := ask[Bound](q, ControlBind,
		BindRequest{Queue: "ca_rc_queue", Keys: []string{"a"}}); got.Changed ||
		!slices.Equal(got.Bindings, []string{"a", "b"}) {
		t.Errorf("bound again: %+v", got)
	}
	if got := ask[Bound](q, ControlUnbind,
		BindRequest{Queue: "ca_rc_queue", Keys: []string{"c"}}); got.Changed {
		t.Errorf("unbound what was not bound: %+v", got)
	}
	var many []string
	for range maxBindings {
		many = append(many, id.Random128[string]())
	}
	if _, err := tryAsk[Bound](q, ControlBind,
		BindRequest{Queue: "ca_rc_queue", Keys: many}); err == nil {
		t.Error("bindings without end")
	}
}

// Until it has joined, an invitation may be corrected; the patterns default to the site's own name.
func TestRolesAndPatterns(t *testing.T) {
	q := openHeadquarters(t)
	one := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "receive"})
	two := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "both"})
	three := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send",
		MaySend: []string{"x.*", "a", "x.*"}})
	if one.MaySend != nil || one.Queue != "fl_lab_queue" ||
		!slices.Equal(two.MaySend, []string{"fl-lab.#"}) || two.Queue == "" ||
		!slices.Equal(three.MaySend, []string{"a", "x.*"}) || three.Queue != "" {
		t.Errorf("invited %+v\n%+v\n%+v", one, two, three)
	}
	lab := q.stranger("FL-LAB")
	if err := lab.enroll(three.Secret); err != nil {
		t.Fatal(err)
	}
	q.centre("CA-RC", "#")
	if _, err := lab.Resolve(t.Context(), key("x.y")); err != nil {
		t.Error(err)
	}
	_, err := lab.Resolve(t.Context(), key("fl-lab.dat"))
	wantCode(t, err, api.CodeNotAllowed)
	ask[Changed](q, ControlAdmit, AdmitRequest{Site: "FL-LAB", Fingerprint: lab.identity.Key(),
		Role: "receive"})
	_, err = lab.Resolve(t.Context(), key("x.y"))
	wantCode(t, err, api.CodeNotAllowed)
}

// Nothing that is secret, and no content, is in the log, whatever happens.
func TestTheLogKeepsSecrets(t *testing.T) {
	q := openHeadquarters(t)
	invited := ask[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send"})
	lab := q.stranger("FL-LAB")
	guess := certs.NewSecret()
	wantCode(t, lab.enroll(guess), api.CodeInvitation)
	if err := lab.enroll(invited.Secret); err != nil {
		t.Fatal(err)
	}
	ca := q.centre("CA-RC", "#")
	const content = "the ciphertext that nobody may see"
	lab.send(key("fl-lab.dat"), content)
	d := ca.take()
	receipt := sign(ca, ca.receipt(d))
	if _, err := ca.Settle(t.Context(),
		[]api.Settlement{{Delivery: d.DeliveryID, Receipt: receipt}}); err != nil {
		t.Fatal(err)
	}
	log := q.log.String()
	for _, want := range []string{"site invited", "site enrolled", "published", "leased", "settled",
		string(d.Messages[0].ID), string(d.Envelope)} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not tell %q", want)
		}
	}
	for name, secret := range map[string]string{"secret": invited.Secret, "guess": guess,
		"content": content, "token": string(d.Token), "receipt": receipt[:100]} {
		for form, text := range map[string]string{"raw": secret,
			"hex":    hex.EncodeToString([]byte(secret)),
			"base64": base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(log, text) {
				t.Errorf("the log holds the %s, %s", name, form)
			}
		}
	}
}
