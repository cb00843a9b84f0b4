package agent_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/internal/testkit"
)

// statusIn returns the text of the STATUS.txt in a folder, "" before it is written.
func statusIn(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "STATUS.txt"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

// An inbox gets another place in the configuration. The file beside the old one names the new
// place, and so does the one in the site's folder.
func TestTheStatusOfAnInboxThatIsMoved(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	centre.stop()
	old, now := t.TempDir(), t.TempDir()
	centre.set("dir", `"`+filepath.ToSlash(filepath.Join(old, "inbox"))+`"`)
	centre.start()
	lab.drop("before.csv", []byte("1;2"))
	for _, dir := range []string{old, centre.dir} {
		eventually(t, "the file in "+dir+" tells of it", func() bool {
			return strings.Contains(statusIn(t, dir), `"FL-LAB/before.csv" from FL-LAB`)
		})
	}
	centre.stop()
	if text := statusIn(t, old); !strings.Contains(text, "STOPPED") {
		t.Errorf("after the end it says:\n%s", text)
	}
	must(t, os.Rename(filepath.Join(old, "inbox"), filepath.Join(now, "inbox")))
	centre.set("dir", `"`+filepath.ToSlash(filepath.Join(now, "inbox"))+`"`)
	centre.start()
	eventually(t, "the old file says where the inbox is", func() bool {
		text := statusIn(t, old)
		return strings.Contains(text, "The inbox of the site is "+filepath.Join(now, "inbox")) &&
			!strings.Contains(text, "STOPPED")
	})
	eventually(t, "the new file is written", func() bool {
		return strings.Contains(statusIn(t, now), "CONNECTED to the hub")
	})
	eventually(t, "the page has moved", func() bool {
		_, before := os.Stat(filepath.Join(old, "STATUS.html"))
		page, after := os.ReadFile(filepath.Join(now, "STATUS.html"))
		return os.IsNotExist(before) && after == nil && strings.Contains(string(page),
			"CONNECTED to the hub")
	})
	centre.stop()
	centre.start() // finished work is not repeated
	must(t, os.Remove(filepath.Join(old, "STATUS.txt")))
	lab.drop("after.csv", []byte("3;4"))
	eventually(t, "the new file tells of it",
		func() bool { return strings.Contains(statusIn(t, now), "after.csv") })
	if text := statusIn(t, old); text != "" {
		t.Errorf("in the old folder is written again:\n%s", text)
	}
}

// A centre is closed: the lab's status names the file that waits and the centre, and no other.
func TestTheStatusOfAClosedCentre(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	open, closed := w.join("CA-RC", "receive"), w.join("SF-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.#")
	w.bind("sf_rc_queue", "fl-lab.#")
	lab := w.join("FL-LAB", "send", "CA-RC", "SF-RC")
	closed.stop()
	lab.drop("waits.csv", []byte("1;2"))
	open.expect("FL-LAB", "waits.csv", []byte("1;2"))
	eventually(t, "the file says who has it and who has not", func() bool {
		text := lab.statusFile()
		_, line, _ := strings.Cut(text, `"waits.csv" [FL-LAB_DAT_`)
		line, _, _ = strings.Cut(line, "\r\n")
		return strings.Contains(line, " waits at the hub for SF-RC since 2") &&
			strings.HasSuffix(line, "; CA-RC has it")
	})
	if waiting := lab.status().Outbox.Waiting; len(waiting) != 1 || waiting[0].Name != "waits.csv" {
		t.Errorf("waiting: %+v", waiting)
	}
	closed.start()
	closed.expect("FL-LAB", "waits.csv", []byte("1;2"))
	eventually(t, "nothing waits", func() bool { return len(lab.status().Outbox.Waiting) == 0 })
}

// The hub comes back after a while: once a file is delivered, the status says connected, and so
// does STATUS.txt.
func TestConnectedAfterADelivery(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	eventually(t, "both are connected", func() bool {
		return lab.status().Link.Connected &&
			centre.status().Link.Connected
	})
	w.stopHub()
	lab.drop("data.csv", []byte("1;2"))
	for _, s := range []*site{lab, centre} {
		eventually(t, string(s.name)+" says that the hub is gone",
			func() bool { return strings.Contains(s.statusFile(), "NOT CONNECTED") })
	}
	w.startHub()
	lab.delivers("data.csv")
	for _, s := range []*site{lab, centre} {
		if l := s.status().Link; !l.Connected {
			t.Errorf("%s after the delivery: %+v", s.name, l)
		}
	}
}

// A firewall drops the large first message of TLS. The status says so, with the remedy.
func TestTheStatusNamesALargeHelloThatIsDropped(t *testing.T) {
	w := newWorld(t)
	lab := w.join("FL-LAB", "send")
	lab.stop()
	hub := testkit.Firewall(t, w.addr, func(c net.Conn) { c.Close() })
	inv := w.invite("PA-LAB", "send")
	inv.Hub = []string{hub}
	join := agent.JoinOptions{Invitation: inv, Dir: t.TempDir(), Log: w.log("PA-LAB")}
	if _, err := agent.Join(t.Context(), join); err == nil ||
		!strings.Contains(err.Error(), "with --small-hello") {
		t.Errorf("join says %v", err)
	}
	join.SmallHello = true
	if _, err := agent.Join(t.Context(), join); err != nil {
		t.Errorf("join with a small one: %v", err)
	}
	lab.set("hub", fmt.Sprintf("[%q]", hub))
	lab.start()
	eventually(t, "the trouble is named", func() bool {
		l := lab.status().Link
		return !l.Connected && strings.Contains(l.Trouble.String(), "larger than 1,300 bytes") &&
			strings.Contains(l.Trouble.String(), "set small_hello = true")
	})
	lab.stop()
	lab.set("small_hello", "true")
	lab.start()
	eventually(t, "with a small one it is connected",
		func() bool { return lab.status().Link.Connected })
}
