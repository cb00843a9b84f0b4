package agent_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/agent/ledger"
	"sealpost/internal/id"
)

// Old content is removed from delivered, and its receipts stay. It is kept if a recipient has
// another pin than its receipt.
func TestDeliveredContentIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, func() time.Time { return time.Now().AddDate(0, 2, 0) })
	centre := w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	sent := func(name string) agent.SentMessage {
		var f agent.Found
		must(t, lab.call(agent.PathFind, agent.FindRequest{Name: name}, &f))
		if len(f.Sent) != 1 {
			t.Fatalf("%s is sent %d times", name, len(f.Sent))
		}
		return f.Sent[0]
	}
	deliver := func(name string) {
		lab.drop(name, []byte(name))
		centre.expect("FL-LAB", name, []byte(name))
		eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 1 })
		lab.stop()
	}
	deliver("proven.csv")
	lab.set("keep_delivered", `"24h"`)
	lab.start()
	eventually(t, "it is removed", func() bool { return !sent("proven.csv").Removed.IsZero() })
	if m := sent("proven.csv"); len(lab.tray("delivered")) > 0 || m.Folder != "" ||
		!m.Recipients[0].Verified {
		t.Errorf("it lies in %q, delivered has %v: %+v", m.Folder, lab.tray("delivered"), m)
	}
	deliver("doubted.csv")
	l, err := ledger.Open(filepath.Join(lab.dir, "state", "ledger.db"))
	must(t, err)
	must(t, errors.Join(l.Update(t.Context(), func(tx *ledger.Tx) error {
		pin, err := tx.Pin("CA-RC")
		pin.Identity = id.Hash(strings.Repeat("0", 64))
		return errors.Join(err, tx.SetPin(pin))
	}), l.Close()))
	lab.start()
	eventually(t, "it is kept", func() bool {
		return sent("doubted.csv").Reason.Code == "kept-unproven"
	})
	if len(lab.tray("delivered")) != 1 {
		t.Error("it is removed")
	}
}

// Long after its delivery, a message is deleted from both ledgers. Then its sender loses its ledger
// and sends it again, from an old copy of its tray: it is not placed a second time.
func TestAForgottenMessageIsNotPlacedTwice(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, func() time.Time { return time.Now().AddDate(0, 2, 0) })
	centre := w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	for n, name := range []string{"once.csv", "last.csv"} { // the newest row of a centre stays
		lab.drop(name, []byte("once"))
		centre.expect("FL-LAB", name, []byte("once"))
		eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == n+1 })
	}
	message := string(lab.status().Outbox.Latest[1].ID)
	for _, s := range []*site{centre, lab} {
		s.stop()
		s.set("keep_history", `"720h"`)
		if s == lab { // its messages have ended by the hub's clock
			l, err := ledger.Open(filepath.Join(s.dir, "state", "ledger.db"))
			must(t, err)
			_, err = l.Forget(t.Context(), time.Now().AddDate(0, 3, 0),
				func(time.Duration) error { return nil })
			must(t, errors.Join(err, l.Close()))
		}
		s.start()
		var f agent.Found
		eventually(t, "the history is deleted", func() bool {
			f = agent.Found{}
			must(t, s.call(agent.PathFind, agent.FindRequest{Name: "once"}, &f))
			return len(f.Sent)+len(f.Received) == 0
		})
		if f.Since.IsZero() {
			t.Errorf("%s tells no time from which on it has all", s.name)
		}
	}
	err := lab.call(agent.PathReceipts, agent.MessageRequest{Message: message}, nil)
	if err == nil || !strings.Contains(err.Error(), "keep_history") {
		t.Errorf("the receipts of a deleted message: %v", err)
	}

	lab.stop()
	must(t, os.Rename(filepath.Join(lab.dir, "delivered", message),
		filepath.Join(lab.dir, "sending", message)))
	lab.start()
	eventually(t, "it is told of", func() bool {
		return lab.status().Outbox.NotTaken[filepath.Join("sending",
			message)].Code == "strange-sending"
	})
	lab.loseLedger()
	// without its record, the centre knows it by its ledger only
	must(t, os.RemoveAll(filepath.Join(centre.dir, "inbox", ".sealpost", "FL-LAB")))
	eventually(t, "it is delivered again", func() bool {
		return len(lab.tray("sending")) == 0 && len(lab.tray("delivered")) == 2
	})
	if files := centre.inInbox(); len(files) != 2 {
		t.Errorf("the inbox has %v", files)
	}
}
