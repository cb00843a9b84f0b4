package agent_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealpost/agent"
)

const day = 24 * time.Hour

// clock is the time of all sites, which a test can put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// Certificates are renewed after two thirds of their life, while files flow. Nothing is restarted,
// no connection is lost, and no site needs new trust.
func TestCertificatesAreRenewedInTime(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := &clock{}
	w := newWorldAt(t, c.now)
	centre := w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	var names []string
	send := func(name string) {
		t.Helper()
		names = append(names, name)
		lab.drop(name, []byte(name))
		centre.expect("FL-LAB", name, []byte(name))
	}
	send("at first")
	before := []agent.Status{lab.status(), centre.status()}
	if left := before[0].Expires.Sub(c.now()); left < 89*day || left > 90*day {
		t.Errorf("the certificate lives for %s", left)
	}
	c.forward(59 * day)
	send("before its time")
	if got := lab.status().Expires; !got.Equal(before[0].Expires) {
		t.Errorf("renewed too early, until %s", got)
	}
	c.forward(2 * day)
	renewed := func() bool {
		return lab.status().Expires.After(before[0].Expires) &&
			centre.status().Expires.After(before[1].Expires)
	}
	for n := 0; !renewed(); n++ {
		if n > 1000 {
			t.Fatal("not renewed")
		}
		send(fmt.Sprint("meanwhile ", n))
		time.Sleep(50 * time.Millisecond)
	}
	c.forward(45 * day) // the first certificates have expired, without any effect
	send("afterwards")
	for i, s := range []*site{lab, centre} {
		now := s.status()
		if !now.Link.Connected || !now.Link.Since.Equal(before[i].Link.Since) ||
			now.Fingerprint != before[i].Fingerprint {
			t.Errorf("%s: the link was %+v and is %+v", s.name, before[i].Link, now.Link)
		}
		for _, p := range now.Pins {
			if !p.Trouble.IsZero() {
				t.Errorf("%s does not trust %s any more: %s", s.name, p.Site, p.Trouble)
			}
		}
	}
	eventually(t, "all are delivered", func() bool {
		return len(lab.tray("delivered")) == len(names)
	})
}

// After a certificate has expired the agent reports it, and a new invitation with the same key
// restores the site. Files under way go on, and no site needs new trust. The hub itself, which was
// off as long, renews when it starts.
func TestTheWayBackAfterExpiry(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := &clock{}
	w := newWorldAt(t, c.now)
	centre := w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	lab.drop("before", []byte("before"))
	centre.expect("FL-LAB", "before", []byte("before"))
	eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	print := lab.status().Fingerprint
	lab.stop()
	centre.stop()
	w.stopHub()
	c.forward(91 * day)
	w.startHub()
	lab.start()
	centre.start()
	lab.drop("after", []byte("after"))
	// the centre first: a lab that finds its certificate expired asks again after a minute
	for _, s := range []*site{centre, lab} {
		eventually(t, "it says that its certificate has expired", func() bool {
			why := s.status().Link.Trouble.String()
			return strings.Contains(why, "certificate has expired") && strings.Contains(why,
				"ask the admin of the hub for a new invitation and run 'sealpost agent join' again")
		})
		s.stop()
		joined, err := agent.Join(context.Background(),
			agent.JoinOptions{Invitation: w.invite(string(s.name), s.Role), Dir: s.dir,
				Version: "test", Log: w.log(string(s.name)), Now: w.now})
		if err != nil || !joined.Again {
			t.Fatalf("join again: %+v, %v", joined, err)
		}
		s.start()
	}
	centre.expect("FL-LAB", "after", []byte("after"))
	eventually(t, "delivered", func() bool {
		return slices.Contains(lab.tray("delivered"), "after")
	})
	if st := lab.status(); st.Fingerprint != print || !st.Pins[0].Trouble.IsZero() {
		t.Errorf("the lab says %+v", st)
	}
}
