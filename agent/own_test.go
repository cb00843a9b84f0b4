package agent_test

import (
	"strings"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/certs"
	"sealpost/config"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// A thief of a centre's identity states a recipient key, and a roster names another identity. The
// centre says so at its next hello, in its status and its status file.
func TestAThiefStatesARecipientKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.join("CA-RC", "receive")
	retry := func() { must(t, centre.call(agent.PathRetry, agent.Nothing{}, nil)) }
	eventually(t, "the hub has its key", func() bool { return centre.status().Link.Connected })
	retry()
	if got := centre.status().OwnDiffers; !got.IsZero() {
		t.Fatalf("an alarm without a thief: %v", got)
	}
	shows := func(event string, code reason.Code) {
		t.Helper()
		retry()
		eventually(t, event, func() bool { return centre.status().OwnDiffers.Code == code })
	}
	centre.takesRoster(w.roster(1, func(r *statement.Roster) {
		r.Sites[0].Identity = statement.RecipientKeyHash("another one")
	}, centre))
	shows("a roster names another identity", "own-identity-of-other")
	centre.takesRoster(w.roster(2, nil, centre))
	shows("the next roster names its own", "")

	cfg, err := config.LoadAgent(config.AgentFile(centre.dir))
	must(t, err)
	stolen, err := envelope.OpenKeys(t.TempDir()+"/recipient.key", cfg.Suite)
	must(t, err)
	jws, err := statement.Sign(centre.Identity(), statement.RecipientKey{V: 1,
		Network: id.Hash(cfg.Network), Site: "CA-RC", Recipient: stolen.Recipient(), Version: 7,
		Prev:    statement.RecipientKeyHash("the stated one"),
		Created: time.Now().UTC().Truncate(time.Second)})
	must(t, err)
	thief := api.NewClient(api.ClientOptions{Hubs: cfg.Hub, Site: "CA-RC",
		TLS: certs.ClientTLS(centre.Identity(), id.Hash(cfg.Network), "127.0.0.1")})
	defer thief.CloseIdle()
	must(t, thief.PutKey(t.Context(), jws))
	shows("the centre says so", "own-key-of-other")
	hash := string(statement.RecipientKeyHash(stolen.Recipient()))
	eventually(t, "STATUS.txt says so", func() bool {
		return strings.Contains(centre.statusFile(), "ANOTHER KEY") &&
			strings.Contains(centre.statusFile(), hash)
	})
}
