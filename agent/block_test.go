package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/internal/id"
)

// A centre takes nothing from a sender that it has blocked, also after a restart. The lab reads it,
// others are not held up, and the file comes once the block ends.
func TestABlockedSender(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	w.bind("ca_rc_queue", "fl-lab.*", "pa-lab.*")
	other := w.join("PA-LAB", "send", "CA-RC")
	lab.drop("before", []byte("before"))
	centre.expect("FL-LAB", "before", []byte("before"))
	block := agent.BlockRequest{Site: "FL-LAB"}
	must(t, centre.call(agent.PathBlock, block, nil))
	must(t, centre.call(agent.PathBlock, block, nil)) // again
	if err := lab.call(agent.PathBlock, block, nil); err == nil {
		t.Error("a site that receives nothing blocks")
	}
	for _, n := range []string{"1", "2"} { // before and after a restart
		lab.drop("data"+n, []byte(n))
		eventually(t, "the hub has it",
			func() bool { return lab.status().Outbox.Counts["published"] > 0 })
		other.drop("other"+n, []byte(n))
		centre.expect("PA-LAB", "other"+n, []byte(n))
		if got := centre.status(); !slices.Equal(got.Blocked, []id.Site{"FL-LAB"}) ||
			slices.Contains(centre.inInbox(), "FL-LAB/data"+n) || len(got.Inbox.Released) > 0 {
			t.Fatalf("blocked are %v, and received %v", got.Blocked, centre.inInbox())
		}
		eventually(t, "the lab reads it", func() bool {
			text, _ := os.ReadFile(filepath.Join(lab.dir, "STATUS.txt"))
			return slices.Equal(lab.status().Link.BlockedBy, []id.Site{"CA-RC"}) &&
				strings.Contains(string(text), "BLOCKED BY A SITE")
		})
		centre.stop()
		centre.start()
	}
	must(t, centre.call(agent.PathUnblock, block, nil))
	must(t, centre.call(agent.PathUnblock, block, nil)) // again
	centre.expect("FL-LAB", "data1", []byte("1"))
	centre.expect("FL-LAB", "data2", []byte("2"))
}

// A centre that accepts compared senders only takes nothing from others. Both sides read why, and
// the file comes after the comparison.
func TestACentreTakesFromComparedSenders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.site(w.Join("CA-RC", "receive"))
	centre.set("accept", `"compared"`)
	centre.start()
	w.bind("ca_rc_queue", "fl-lab.*", "pa-lab.*")
	other := w.join("PA-LAB", "send", "CA-RC")
	centre.trust("PA-LAB", other.status().Fingerprint)
	lab, stranger := w.join("FL-LAB", "send", "CA-RC"), w.join("NY-LAB", "send")
	lab.drop("data", []byte("1"))
	eventually(t, "the hub has it",
		func() bool { return lab.status().Outbox.Counts["published"] > 0 })
	other.drop("other", []byte("2"))
	centre.expect("PA-LAB", "other", []byte("2"))
	own := lab.status()
	eventually(t, "the lab reads it", func() bool {
		return strings.Contains(lab.statusFile(), "'sealpost agent trust FL-LAB'") &&
			strings.Contains(lab.statusFile(), own.Words)
	})
	eventually(t, "the centre reads it", func() bool {
		return strings.Contains(centre.statusFile(), "NOT COMPARED") &&
			strings.Contains(centre.statusFile(), own.Words)
	})
	if got := stranger.status().Link.Withheld; len(got) > 0 {
		t.Errorf("a site that sends there nothing reads %v", got)
	}
	if got := centre.inInbox(); !slices.Equal(got, []string{"PA-LAB/other"}) ||
		centre.pinOf("FL-LAB").Ground != "" {
		t.Errorf("received before the comparison: %v", got)
	}
	both, err := centre.identify("FL-LAB")
	if err != nil || both.Other.Fingerprint != own.Fingerprint {
		t.Fatalf("to compare: %+v, %v", both, err)
	}
	centre.trust("FL-LAB", both.Other.Fingerprint)
	centre.expect("FL-LAB", "data", []byte("1"))
	eventually(t, "neither reads it any more", func() bool {
		return len(lab.status().Link.Withheld)+len(centre.status().Link.Uncompared) == 0
	})
}

// A centre takes so many bytes from each sender in a day, also after a restart. The sender reads
// it, and its files come on the next day.
func TestBytesOfADay(t *testing.T) {
	t.Parallel()
	var leap atomic.Int64
	w := newWorld(t)
	centre := w.site(w.Join("CA-RC", "receive"))
	centre.set("accept_per_day", `"10KiB"`)
	centre.Now = func() time.Time { return time.Now().Add(time.Duration(leap.Load())) }
	centre.start()
	w.bind("ca_rc_queue", "fl-lab.*", "pa-lab.*")
	lab, other := w.join("FL-LAB", "send", "CA-RC"), w.join("PA-LAB", "send", "CA-RC")
	large := random(20 << 10)
	lab.drop("large", large) // it crosses the limit, and is taken
	centre.expect("FL-LAB", "large", large)
	centre.stop()
	centre.start()
	lab.drop("small", []byte("1"))
	eventually(t, "the lab reads it", func() bool {
		return strings.Contains(lab.statusFile(), "takes no more bytes of this site today")
	})
	eventually(t, "the centre says it, too", func() bool {
		return slices.Equal(centre.status().Inbox.Limited.Senders, []id.Site{"FL-LAB"}) &&
			strings.Contains(centre.statusFile(), "FL-LAB has used the limit of today (10.0 KiB")
	})
	other.drop("other", []byte("2"))
	centre.expect("PA-LAB", "other", []byte("2"))
	if got := centre.inInbox(); slices.Contains(got, "FL-LAB/small") {
		t.Errorf("received on the same day: %v", got)
	}
	leap.Store(int64(24 * time.Hour))
	must(t, centre.call(agent.PathRetry, agent.Nothing{}, nil))
	centre.expect("FL-LAB", "small", []byte("1"))
	if got := centre.status().Inbox.Limited; !got.IsZero() {
		t.Errorf("on the next day: %+v", got)
	}
}

// Two sites distrust the keys of each other. Nothing goes either way, also after a restart, and the
// sender reads it as a block. An undo lets everything arrive.
func TestADistrustedSite(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	lab.drop("before", []byte("before"))
	centre.expect("FL-LAB", "before", []byte("before"))
	distrusts := func(s *site, other string, undo bool) {
		t.Helper()
		must(t, s.call(agent.PathDistrust, agent.DistrustRequest{Site: other, Undo: undo}, nil))
	}
	distrusts(centre, "FL-LAB", false)
	lab.drop("sealed", []byte("1"))
	eventually(t, "the lab reads it", func() bool {
		return slices.Equal(lab.status().Link.BlockedBy, []id.Site{"CA-RC"}) &&
			strings.Contains(lab.statusFile(), "BLOCKED BY A SITE")
	})
	eventually(t, "the hub has it",
		func() bool { return lab.status().Outbox.Counts["published"] > 0 })
	distrusts(lab, "CA-RC", false)
	lab.drop("waits", []byte("2"))
	centre.stop()
	centre.start()
	eventually(t, "the lab says why", func() bool {
		return strings.Contains(lab.statusFile(), "distrusts the key") &&
			strings.Contains(lab.statusFile(), "sealpost agent distrust CA-RC --undo")
	})
	both, err := lab.identify("CA-RC")
	if err != nil || both.Ground != "distrusted" || both.Former != nil {
		t.Errorf("to compare: %+v, %v", both, err)
	}
	if err := lab.call(agent.PathTrust, agent.TrustRequest{Site: "CA-RC",
		Fingerprint: string(both.Other.Fingerprint)}, nil); err == nil {
		t.Error("the distrusted key was trusted without an undo")
	}
	s := centre.status()
	if len(s.Distrusted) != 1 || centre.pinOf("FL-LAB").Ground != "distrusted" ||
		!slices.Equal(centre.inInbox(), []string{"FL-LAB/before"}) {
		t.Errorf("the centre distrusts %v, and has %v", s.Distrusted, centre.inInbox())
	}
	distrusts(lab, "CA-RC", true)
	distrusts(centre, "FL-LAB", true)
	centre.expect("FL-LAB", "sealed", []byte("1"))
	centre.expect("FL-LAB", "waits", []byte("2"))
	eventually(t, "the lab has the receipts",
		func() bool { return len(lab.tray("delivered")) == 3 })
}
