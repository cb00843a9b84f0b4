package agent_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/config"
	"sealpost/envelope"
)

// A centre that has lost its stated key does not start with another one. It would refuse all that
// waits for it. When an admin makes another, senders learn which messages were lost with the old
// one, and go on with the new one.
func TestALostRecipientKey(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	lab.drop("before.csv", []byte("before"))
	centre.expect("FL-LAB", "before.csv", []byte("before"))
	eventually(t, "it is signed for", func() bool { return len(lab.tray("delivered")) == 1 })
	centre.stop()
	lab.drop("under way.csv", []byte("under way"))
	eventually(t, "the hub has it", func() bool {
		return lab.status().Outbox.Counts["published"] == 1
	})

	cfg, err := config.LoadAgent(config.AgentFile(centre.dir))
	must(t, err)
	key := filepath.Join(centre.dir, "state", "recipient.key")
	backup, err := os.ReadFile(key)
	must(t, err)
	if _, err := agent.NewKey(cfg); err == nil ||
		!strings.Contains(err.Error(), "no other is made") {
		t.Errorf("with a key it says %v", err)
	}
	other := filepath.Join(t.TempDir(), "recipient.key") // of another site
	_, err = envelope.OpenKeys(other, cfg.Suite)
	must(t, err)
	text, err := os.ReadFile(other)
	must(t, err)
	must(t, os.WriteFile(key, text, 0o600))
	if _, err := agent.New(agent.Options{Config: cfg,
		Log: slog.New(slog.DiscardHandler)}); err == nil ||
		!strings.Contains(err.Error(), "another key than the one that this site has stated") {
		t.Fatalf("with the key of another site it starts, or says %v", err)
	}
	must(t, os.Remove(key))
	if _, err := agent.New(agent.Options{Config: cfg,
		Log: slog.New(slog.DiscardHandler)}); err == nil ||
		!strings.Contains(err.Error(), "put it back from your backup") {
		t.Fatalf("without its key it starts, or says %v", err)
	}
	done, err := agent.NewKey(cfg)
	must(t, err)
	if made, err := os.ReadFile(key); err != nil || string(made) == string(backup) ||
		done.Code != "recipient-made" {
		t.Errorf("%q, %v", done, err)
	}
	centre.start()
	if _, err := agent.NewKey(cfg); err == nil {
		t.Error("a key is made while the agent runs")
	}
	eventually(t, "the lab learns what was lost",
		func() bool { return slices.Contains(lab.tray("failed"), "under way.csv") })
	lab.drop("after.csv", []byte("after"))
	eventually(t, "the lab holds the new key of a site that was never compared", func() bool {
		p := lab.pinOf("CA-RC")
		return lab.status().Outbox.Blocked["fl-lab.dat"].Code == "key-held" &&
			p.Held.Sub(p.Shown) == 24*time.Hour
	})
	lab.trust("CA-RC", centre.status().Fingerprint)
	centre.expect("FL-LAB", "after.csv", []byte("after"))
	if got := centre.inInbox(); len(got) != 2 {
		t.Errorf("in the inbox: %v", got)
	}

	// An older state folder is put back.
	centre.stop()
	must(t, os.WriteFile(key, backup, 0o600))
	must(t, os.Remove(filepath.Join(centre.dir, "state", "recipient.json")))
	centre.start()
	eventually(t, "it says that the hub has a later key", func() bool {
		l := centre.status().Link
		return !l.Connected && l.Trouble.Code == "key-of-older-state"
	})
	if own := centre.status().OwnDiffers; !own.IsZero() {
		t.Errorf("a key of its own is an alarm: %v", own)
	}
}
