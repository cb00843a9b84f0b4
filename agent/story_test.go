package agent_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/agent"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// labAndCentre is the smallest network: one lab, one hub, one centre.
func labAndCentre(t *testing.T) (*world, *site, *site) {
	w := newWorld(t)
	centre := w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	return w, w.join("FL-LAB", "send", "CA-RC"), centre
}

func TestAFileArrivesAndItsReceiptBringsItToDelivered(t *testing.T) {
	_, lab, centre := labAndCentre(t)
	content := random(10_000)
	lab.drop("data.csv", content)
	centre.expect("FL-LAB", "data.csv", content)
	eventually(t, "it lies in delivered", func() bool { return slices.Equal(lab.tray("delivered"), []string{"data.csv"}) })
	if left := append(lab.tray("sending"), lab.tray("failed")...); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	m := lab.status().Outbox.Latest[0]
	if len(m.Recipients) != 1 || !m.Recipients[0].Verified || m.Recipients[0].Outcome != "delivered" {
		t.Errorf("got %+v", m)
	}
	var receipts agent.Receipts
	must(t, lab.call(agent.PathReceipts, agent.MessageRequest{Message: string(m.ID)}, &receipts))
	if len(receipts.Receipts) != 1 || strings.Count(receipts.Receipts[0].JWS, ".") != 2 {
		t.Errorf("got %+v", receipts)
	}
}

func TestSizesAndNames(t *testing.T) {
	_, lab, centre := labAndCentre(t)
	files := map[string][]byte{
		"empty": nil, "one byte": random(1), ".leading dot": random(10), "emoji 🧬.txt": random(100), "it's.csv": random(1000),
		"64 KiB": random(64 << 10), "small": random(smallest), "just large": random(smallest + 1), "1 MiB": random(1 << 20), "40 MiB": random(40 << 20),
	}
	for name, content := range files {
		lab.drop(name, content)
	}
	lab.drop(`a "quoted" name`, []byte("q"))
	for name, content := range files {
		centre.expect("FL-LAB", name, content)
	}
	centre.expect("FL-LAB", "a %22quoted%22 name", []byte("q"))
	eventually(t, "all lie in delivered", func() bool { return len(lab.tray("delivered")) == len(files)+1 })
	if got := len(centre.inInbox()); got != len(files)+1 {
		t.Errorf("%d files in the inbox", got)
	}
}

const smallest = 768 << 10 // the largest file that is sealed in memory

func TestTheSameNameTwiceIsTwoFiles(t *testing.T) {
	_, lab, centre := labAndCentre(t)
	lab.drop("data.csv", []byte("first"))
	eventually(t, "the first is taken", func() bool { return len(lab.status().Outbox.Latest) == 1 })
	centre.expect("FL-LAB", "data.csv", []byte("first"))
	lab.drop("data.csv", []byte("second"))
	eventually(t, "two files", func() bool { return len(centre.inInbox()) == 2 })
	second := string(lab.status().Outbox.Latest[0].ID)
	centre.expect("FL-LAB", fmt.Sprintf("data (%s).csv", second), []byte("second"))
	centre.expect("FL-LAB", "data.csv", []byte("first"))
}

func TestNothingIsSentToWhomNobodyApproved(t *testing.T) {
	w := newWorld(t)
	centre := w.join("CA-RC", "receive")
	other := w.join("SF-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	w.bind("sf_rc_queue", "#")
	lab.drop("data.csv", []byte("secret"))
	eventually(t, "it waits", func() bool { return len(lab.status().Outbox.Blocked) == 1 })
	why := lab.status().Outbox.Blocked["fl-lab.dat"]
	if !strings.Contains(why, "now also leads to SF-RC") || !strings.Contains(why, "sealpost agent approve fl-lab.dat CA-RC,SF-RC") {
		t.Errorf("it says %q", why)
	}
	if got := append(centre.inInbox(), other.inInbox()...); len(got) > 0 {
		t.Errorf("arrived all the same: %v", got)
	}
	must(t, lab.call(agent.PathApprove, agent.ApproveRequest{Sites: []string{"CA-RC", "SF-RC"}}, nil))
	centre.expect("FL-LAB", "data.csv", []byte("secret"))
	other.expect("FL-LAB", "data.csv", []byte("secret"))
}

func TestAFileWaitsForACentreThatHasNotJoined(t *testing.T) {
	w := newWorld(t)
	w.invite("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "route")
	lab.drop("data.csv", []byte("early"))
	eventually(t, "it waits", func() bool { return lab.status().Outbox.Blocked["fl-lab.dat"] == "waiting for CA-RC to join" })
	centre := w.join("CA-RC", "receive")
	centre.expect("FL-LAB", "data.csv", []byte("early"))
}

func TestEverybodyMayBeStoppedAndStartedAgain(t *testing.T) {
	w, lab, centre := labAndCentre(t)
	centre.stop()
	first := random(3 << 20)
	lab.drop("first", first)
	eventually(t, "the hub has it", func() bool { m := lab.status().Outbox.Latest; return len(m) == 1 && m[0].State == "published" })
	w.stopHub()
	lab.drop("second", []byte("second"))
	eventually(t, "the second is taken", func() bool { return len(lab.tray("sending")) == 2 })
	lab.stop()
	lab.drop("third", []byte("third"))
	w.startHub()
	lab.start()
	centre.start()
	centre.expect("FL-LAB", "first", first)
	centre.expect("FL-LAB", "second", []byte("second"))
	centre.expect("FL-LAB", "third", []byte("third"))
	eventually(t, "all lie in delivered", func() bool { return len(lab.tray("delivered")) == 3 })
	if got := centre.inInbox(); len(got) != 3 {
		t.Errorf("in the inbox: %v", got)
	}
}

func TestADestroyedHubLosesNothing(t *testing.T) {
	w, lab, centre := labAndCentre(t)
	lab.drop("before", []byte("before"))
	centre.expect("FL-LAB", "before", []byte("before"))
	eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	labKey, centreKey := lab.status().Fingerprint, centre.status().Fingerprint
	centre.stop()
	big := random(5 << 20)
	lab.drop("waiting", big)
	eventually(t, "the hub has it", func() bool { return lab.status().Outbox.Latest[0].State == "published" })
	w.stopHub()
	must(t, os.RemoveAll(w.hubDir()))
	w.initHub()
	w.startHub()
	w.admit("CA-RC", "receive", centreKey)
	w.admit("FL-LAB", "send", labKey)
	w.bind("ca_rc_queue", "fl-lab.*")
	centre.start()
	centre.expect("FL-LAB", "waiting", big)
	eventually(t, "all lie in delivered", func() bool { return len(lab.tray("delivered")) == 2 })
	if got := centre.inInbox(); len(got) != 2 {
		t.Errorf("in the inbox: %v", got)
	}
}

func TestThousandSmallFilesShareEnvelopes(t *testing.T) {
	_, lab, centre := labAndCentre(t)
	const n = 1000
	content := func(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 500) }
	for i := range n {
		lab.drop(fmt.Sprintf("file %04d", i), content(i))
	}
	eventually(t, "all lie in delivered", func() bool { return len(lab.tray("delivered")) == n })
	for i := range n {
		centre.expect("FL-LAB", fmt.Sprintf("file %04d", i), content(i))
	}
	if got := len(centre.inInbox()); got != n {
		t.Errorf("%d files in the inbox", got)
	}
	envelopes := map[string]bool{}
	for _, m := range lab.status().Outbox.Latest {
		envelopes[string(m.Envelope)] = true
	}
	if len(envelopes) > 50 {
		t.Errorf("100 messages went in %d envelopes", len(envelopes))
	}
}

func TestWhatIsNotAFileIsLeftAloneAndSaid(t *testing.T) {
	_, lab, centre := labAndCentre(t)
	must(t, os.Mkdir(filepath.Join(lab.dir, "outbox", "folder"), 0o755))
	must(t, os.Symlink("/etc/hostname", filepath.Join(lab.dir, "outbox", "link")))
	lab.drop("draft.tmp", []byte("x"))
	lab.drop("good", []byte("good"))
	centre.expect("FL-LAB", "good", []byte("good"))
	eventually(t, "three are explained", func() bool { return len(lab.status().Outbox.NotTaken) == 3 })
	if got := centre.inInbox(); !slices.Equal(got, []string{"FL-LAB/good"}) {
		t.Errorf("in the inbox: %v", got)
	}
}
