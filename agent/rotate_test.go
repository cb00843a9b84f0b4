package agent_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/agent/ledger"
	"sealpost/config"
	"sealpost/envelope"
	"sealpost/hub"
)

// rotate changes the recipient key of a centre.
func (s *site) rotate(in agent.RotateRequest) (done agent.Done, err error) {
	return done, s.call(agent.PathRotate, in, &done)
}

func (s *site) keyFile() string { return filepath.Join(s.dir, "state", "recipient.key") }

// hasKeys checks the number of private keys in the centre's file.
func (s *site) hasKeys(want int) {
	s.T.Helper()
	text, err := os.ReadFile(s.keyFile())
	must(s.T, err)
	if got := bytes.Count(text, []byte("AGE-SECRET-KEY-")); got != want {
		s.T.Fatalf("%s has %d keys, want %d", s.keyFile(), got, want)
	}
}

// keyWaits waits until the change of the key waits for an event; "" means that it is complete.
func (s *site) keyWaits(code string) {
	s.T.Helper()
	eventually(s.T, "the change of the key waits for "+code, func() bool {
		must(s.T, s.call(agent.PathRetry, agent.Nothing{}, nil))
		r := s.status().Rotation
		return r == nil && code == "" || r != nil && string(r.Waits.Code) == code
	})
}

// A centre changes its key while files are under way. It opens with both until the overlap is over
// and nothing waits at the hub from before, and then destroys the former one. Nothing is lost, and
// no user of the lab does anything. After that an older state folder is put back: nothing is
// refused before the admin has made a third key.
func TestARecipientKeyIsRotated(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := &clock{}
	w := newWorldAt(t, c.now)
	centre := w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	arrives := func(name string) {
		t.Helper()
		lab.drop(name, []byte(name))
		centre.expect("FL-LAB", name, []byte(name))
	}
	arrives("before.csv")
	if done, err := lab.rotate(agent.RotateRequest{}); err == nil ||
		!strings.Contains(err.Error(), "FL-LAB only sends") {
		t.Errorf("a lab changes its key: %v, %v", done, err)
	}
	if done, err := centre.rotate(agent.RotateRequest{Destroy: true}); err != nil ||
		done.Says[0].Code != "no-former-key" {
		t.Errorf("destroyed before: %v, %v", done, err)
	}
	centre.stop()
	lab.drop("held.csv", []byte("held.csv"))
	eventually(t, "it is at the hub", func() bool {
		latest := lab.status().Outbox.Latest[0]
		return latest.Name == "held.csv" && latest.State == ledger.Published
	})
	held := hub.LetterRequest{Message: lab.status().Outbox.Latest[0].ID}
	var letters hub.LettersAnswer
	w.admin(hub.ControlHoldOne, hub.HoldOneRequest{LetterRequest: held}, &letters)
	statement := filepath.Join(centre.dir, "state", "recipient.json")
	oldKey, err := os.ReadFile(centre.keyFile())
	must(t, err)
	oldStatement, err := os.ReadFile(statement)
	must(t, err)
	centre.start()
	eventually(t, "it is connected", func() bool { return centre.status().Link.Connected })

	done, err := centre.rotate(agent.RotateRequest{})
	if err != nil || len(done.Says) != 1 || done.Says[0].Code != "rotated" {
		t.Fatalf("rotated: %v, %v", done, err)
	}
	centre.hasKeys(2)
	centre.keyWaits("rotation-overlaps")
	if _, err := centre.rotate(agent.RotateRequest{}); err == nil ||
		!strings.Contains(err.Error(), "the former key still opens") {
		t.Errorf("rotated again: %v", err)
	}
	arrives("in the hold.csv")
	if p := lab.pinOf("CA-RC"); p.Version != 1 || p.Held.IsZero() {
		t.Errorf("in the hold: %+v", p)
	}
	c.forward(2 * day)
	arrives("after the hold.csv")
	if p := lab.pinOf("CA-RC"); p.Version != 2 || !p.Held.IsZero() {
		t.Errorf("after the hold: %+v", p)
	}
	c.forward(13 * day)
	centre.keyWaits("rotation-waits")
	centre.hasKeys(2)
	w.admin(hub.ControlUnholdOne, held, &letters)
	centre.expect("FL-LAB", "held.csv", []byte("held.csv"))
	centre.keyWaits("")
	centre.hasKeys(1)
	centre.stop()
	centre.start()
	arrives("with the new one.csv")
	if own := centre.status().OwnDiffers; !own.IsZero() {
		t.Errorf("a key of its own is an alarm: %v", own)
	}
	eventually(t, "all are delivered", func() bool { return len(lab.tray("delivered")) == 5 })

	centre.stop()
	must(t, os.WriteFile(centre.keyFile(), oldKey, 0o600))
	must(t, os.WriteFile(statement, oldStatement, 0o600))
	centre.start()
	eventually(t, "it says that the hub has a later key", func() bool {
		return centre.status().Link.Trouble.Code == "key-of-older-state"
	})
	lab.drop("for the lost one.csv", []byte("1"))
	eventually(t, "it is handed back", func() bool {
		for _, why := range centre.status().Inbox.Released {
			if why.Code == "sealed-for-newer-key" {
				return true
			}
		}
		return false
	})
	done, err = centre.rotate(agent.RotateRequest{})
	if err != nil || done.Says[0].Code != "rotated-past" {
		t.Fatalf("rotated past the lost one: %v, %v", done, err)
	}
	eventually(t, "it is connected", func() bool { return centre.status().Link.Connected })
	must(t, centre.call(agent.PathRetry, agent.Nothing{}, nil))
	eventually(t, "the lab reads the refusal", func() bool {
		return slices.Contains(lab.tray("failed"), "for the lost one.csv")
	})
	lab.trust("CA-RC", centre.status().Fingerprint)
	arrives("at last.csv")
	if p := lab.pinOf("CA-RC"); p.Version != 4 {
		t.Errorf("at last: %+v", p)
	}
	if _, err := centre.rotate(agent.RotateRequest{Destroy: true}); err != nil {
		t.Errorf("destroyed: %v", err)
	}
	centre.hasKeys(1)
	arrives("with one key.csv")
}

// A crash has left a key that is not stated. The next start states it, as a planned change.
func TestAKeyThatIsNotStated(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	lab.drop("before.csv", []byte("1"))
	centre.expect("FL-LAB", "before.csv", []byte("1"))
	centre.stop()
	cfg, err := config.LoadAgent(config.AgentFile(centre.dir))
	must(t, err)
	keys, err := envelope.OpenKeys(centre.keyFile(), cfg.Suite)
	must(t, err)
	must(t, keys.Add(centre.keyFile()))
	// and the former content is not overwritten yet
	must(t, os.WriteFile(centre.keyFile()+".former", []byte("secret"), 0o600))
	lab.drop("meanwhile.csv", []byte("2"))
	eventually(t, "it is at the hub", func() bool {
		return lab.status().Outbox.Counts[ledger.Published] == 1
	})
	centre.start()
	centre.expect("FL-LAB", "meanwhile.csv", []byte("2"))
	centre.keyWaits("rotation-overlaps")
	if r := centre.status().Rotation; r.Version != 2 || r.Opens.Sub(r.Since) != 14*day {
		t.Errorf("stated: %+v", r)
	}
	if _, err := os.Lstat(centre.keyFile() + ".former"); err == nil {
		t.Error("the former content is still there")
	}
	lab.drop("after.csv", []byte("3"))
	centre.expect("FL-LAB", "after.csv", []byte("3"))
}
