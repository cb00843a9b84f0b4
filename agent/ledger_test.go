package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/agent"
)

// loseLedger stops the site, removes its ledger, and starts it again.
func (s *site) loseLedger() {
	s.w.t.Helper()
	if s.Running() {
		s.stop()
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "state", "ledger.db*"))
	must(s.w.t, err)
	for _, f := range files {
		must(s.w.t, os.Remove(f))
	}
	s.start()
}

func TestALostLedgerGivesNoNumberAgain(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	today := time.Now().UTC().Format("20060102")
	lab.drop("first", []byte("first"))
	eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	first := lab.status().Outbox.Latest[0].ID
	lab.stop()
	// as a user does to make room
	must(t, os.RemoveAll(filepath.Join(lab.dir, "delivered", string(first))))
	lab.loseLedger()
	lab.drop("second", []byte("second"))
	centre.expect("FL-LAB", "second", []byte("second"))
	second := lab.status().Outbox.Latest[0].ID
	sameDay := time.Now().UTC().Format("20060102") == today // or they are numbered anew
	if second == first || sameDay && second[:len(second)-3] != first[:len(first)-3] {
		t.Errorf("after %s comes %s", first, second)
	}
}

func TestALostLedgerKeepsADirectAddress(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	other := w.join("SF-RC", "receive")
	w.stopHub()
	lab.stop()
	lab.start() // it seals nothing before it knows the hub
	must(t, os.Mkdir(filepath.Join(lab.dir, "outbox", "@SF-RC"), 0o755))
	lab.drop("@SF-RC/only you", []byte("you"))
	lab.drop("everybody", []byte("all"))
	eventually(t, "both are taken", func() bool { return lab.status().Outbox.Counts["taken"] == 2 })
	lab.stop()
	sending := filepath.Join(lab.dir, "sending")
	must(t, os.MkdirAll(filepath.Join(sending, "my own", "things"), 0o755))
	// made, and not moved into
	must(t, os.Mkdir(filepath.Join(sending, "FL-LAB_DAT_20200101_001"), 0o755))
	lab.loseLedger()
	eventually(t, "both are told of", func() bool {
		return len(lab.status().Outbox.Explained) == 2
	})
	eventually(t, "what is strange is told of", func() bool {
		return lab.status().Outbox.NotTaken[filepath.Join("sending",
			"my own")].Code == "strange-sending"
	})
	w.startHub()
	must(t, lab.call(agent.PathApprove, agent.ApproveRequest{Route: "@SF-RC",
		Sites: []string{"SF-RC"}}, nil))
	other.expect("FL-LAB", "only you", []byte("you"))
	centre.expect("FL-LAB", "everybody", []byte("all"))
	eventually(t, "both are delivered", func() bool {
		return slices.Equal(slices.Sorted(slices.Values(lab.tray("delivered"))),
			[]string{"everybody", "only you"})
	})
	if got := append(centre.inInbox(), other.inInbox()...); len(got) != 2 {
		t.Errorf("in the inboxes: %v", got)
	}
	left, err := os.ReadDir(sending)
	if err != nil || len(left) != 1 || left[0].Name() != "my own" {
		t.Errorf("left in sending: %v, %v", left, err)
	}
}

// restore puts an earlier copy of files in the state folder back while the site is stopped.
func (s *site) restore(from, pattern string) {
	s.w.t.Helper()
	now, err := filepath.Glob(filepath.Join(s.dir, "state", pattern))
	must(s.w.t, err)
	for _, f := range now {
		must(s.w.t, os.Remove(f))
	}
	before, err := filepath.Glob(filepath.Join(from, pattern))
	must(s.w.t, err)
	for _, f := range before {
		content, err := os.ReadFile(f)
		must(s.w.t, errors.Join(err, os.WriteFile(filepath.Join(s.dir, "state",
			filepath.Base(f)), content, 0o600)))
	}
}

// A file that was left in outbox as a repeat is not sent again after the ledger is lost. An older
// copy of the ledger changes nothing. The status has the reason, and the file is sent once a user
// has renamed it.
func TestALostLedgerSendsNoRepeat(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(lab *site, copied string){
		"lost": func(lab *site, _ string) { lab.restore(lab.dir, "ledger.db*") },
		"older": func(lab *site, copied string) { // its files have left delivered
			lab.restore(copied, "ledger.db*")
			must(t, os.RemoveAll(filepath.Join(lab.dir, "delivered")))
		},
		"older with its other memories": func(lab *site, copied string) {
			lab.restore(copied, "[lnt]*.[dj]*") // ledger.db*, numbers.json and trust.json
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sendsNoRepeat(t, lose)
		})
	}
}

func sendsNoRepeat(t *testing.T, lose func(lab *site, copied string)) {
	_, lab, centre := labAndCentre(t)
	lab.stop()
	lab.set("repeat", `"leave"`)
	lab.start()
	lab.drop("known.csv", []byte("known"))
	eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	lab.stop()
	copied := t.TempDir()
	for _, f := range []string{"ledger.db", "numbers.json", "trust.json"} {
		content, err := os.ReadFile(filepath.Join(lab.dir, "state", f))
		must(t, errors.Join(err, os.WriteFile(filepath.Join(copied, f), content, 0o600)))
	}
	lab.start()
	lab.drop("a.csv", []byte("content"))
	eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 2 })
	lab.drop("a.csv", []byte("content"))
	says := func(code string) func() bool {
		return func() bool {
			return string(lab.status().Outbox.NotTaken["a.csv"].Code) == code
		}
	}
	eventually(t, "the repeat is left", says("left-repeat"))
	lab.stop()
	lose(lab, copied)
	lab.start()
	eventually(t, "the status tells the loss", says("left-after-loss"))
	eventually(t, "STATUS.txt says that the file is safe", func() bool {
		return strings.Contains(lab.statusFile(), "nothing is sent from there now") &&
			!strings.Contains(lab.statusFile(), "has not been sent")
	})
	lab.drop("b.csv", []byte("another"))
	centre.expect("FL-LAB", "b.csv", []byte("another"))
	lab.stop()
	lab.drop("fresh.csv", []byte("fresh")) // of after the loss, though of before the next start
	lab.start()
	centre.expect("FL-LAB", "fresh.csv", []byte("fresh"))
	if got := centre.inInbox(); len(got) != 4 {
		t.Errorf("in the inbox: %v", got)
	}
	must(t, os.Rename(filepath.Join(lab.dir, "outbox", "a.csv"),
		filepath.Join(lab.dir, "outbox", "c.csv")))
	centre.expect("FL-LAB", "c.csv", []byte("content"))
}
