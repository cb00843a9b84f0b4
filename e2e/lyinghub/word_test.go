package lyinghub

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/certs"
	"sealpost/hub/api"
)

// The hub may say that a delivery is dead, and no site can prove the contrary. The file is not
// lost, and it is said.
func TestTheHubSaysThatADeliveryIsDead(t *testing.T) {
	w, lab, centre, _ := network(t)
	published(t, w, lab, "data.csv")
	w.liar.told(api.Event{Kind: api.EventDead, Time: time.Now(), Envelope: lab.message().Envelope,
		Recipient: "CA-RC", Code: "recipient-removed"})
	if text := lab.why("data.csv"); !strings.Contains(text, "CA-RC") {
		t.Errorf("WHY.txt says %q", text)
	}
	lab.tray("failed", "data.csv")
	if r := lab.message().Recipients[0]; r.Outcome != "dead" || r.Verified {
		t.Errorf("the lab says %+v", r)
	}
	w.nothingWent(centre)
}

// A hub gives a new site a certificate with another name than the one on its invitation.
func TestTheHubGivesACertificateForAnotherName(t *testing.T) {
	w := newWorld(t)
	authority, err := certs.OpenAuthority(filepath.Join(w.Hub.Dir, "state"))
	must(t, err)
	w.liar.tell(api.PathEnroll, func(x *exchange) {
		var in api.EnrollRequest
		must(x.t, json.Unmarshal(x.In, &in))
		chain, err := authority.IssueSite([]byte(in.CSR), "SF-RC", time.Now())
		must(x.t, err)
		x.answer(api.Enrolled{Chain: string(chain), Time: time.Now()})
	})
	options := agent.JoinOptions{Invitation: w.invite("CA-RC", "receive"),
		Dir: filepath.Join(w.Dir, "CA-RC"), Version: "test", Log: slog.New(slog.DiscardHandler)}
	_, err = agent.Join(context.Background(), options)
	if err == nil || !strings.Contains(err.Error(), `a certificate for "SF-RC" and not for CA-RC`) {
		t.Errorf("join: %v", err)
	}
	w.liar.truth()
	if _, err := agent.Join(context.Background(), options); err != nil {
		t.Errorf("join again: %v", err)
	}
}

// A hub says that it is another network's, or of another suite, or takes the site for another.
func TestTheHubSaysThatItIsAnother(t *testing.T) {
	for name, c := range map[string]struct {
		lie  func(*api.Hello)
		says string
	}{
		"another suite": {func(h *api.Hello) { h.Suite = "x25519" },
			"the hub's network has the suite x25519"},
		"another site": {func(h *api.Hello) { h.Site = "EVE" }, `"EVE"`},
	} {
		t.Run(name, func(t *testing.T) {
			w, lab, centre, _ := network(t)
			lab.Stop()
			edit(w.liar, api.PathHello, func(x *exchange, h *api.Hello) {
				if x.Site == "FL-LAB" {
					c.lie(h)
				}
			})
			lab.Start()
			eventually(t, "it is said", func() bool {
				l := lab.Status().Link
				return !l.Connected && strings.Contains(l.Trouble.String(), c.says)
			})
			lab.drop("data.csv", "secret")
			lab.tray("sending", "data.csv")
			w.nothingWent(centre)
			w.liar.truth()
			centre.has("FL-LAB/data.csv: secret")
		})
	}
}
