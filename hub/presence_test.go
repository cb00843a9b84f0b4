package hub

import (
	"strings"
	"testing"
	"time"

	"sealpost/internal/id"
)

// Two agents of one site are told of each other, and two that follow one another are not. Only the
// first of two is the older one.
func TestTwoAgentsOfOneSiteAreToldOfEachOther(t *testing.T) {
	old, new, ended := id.Random128[id.Session](), id.Random128[id.Session](),
		id.Random128[id.Session]() // it gets no answer
	type hello struct {
		of   id.Session
		at   time.Duration
		from string // where the other one is; empty: none
	}
	for name, asked := range map[string][]hello{
		"one": {{old, 0, ""}, {old, 15 * time.Second, ""}},
		"one after the other": {{old, 0, ""}, {new, time.Second, ""},
			{new, 16 * time.Second, ""}},
		"both": {{old, 0, ""}, {old, 1, ""}, {new, time.Second, ""}, {new, time.Second + 1, ""},
			{old, 15 * time.Second, "new"}, {new, 16 * time.Second, ""}},
		"both, and the older goes on": {{old, 0, ""}, {old, 1, ""}, {new, 2, ""}, {new, 3, ""},
			{old, 4, "new"}, {new, 5, ""}, {old, 6, "new"}, {new, 7, "old"}},
		"both, and then one": {{old, 0, ""}, {old, 1, ""}, {new, 2, ""}, {new, 3, ""},
			{old, 4, "new"}, {new, time.Hour, ""}},
		"both, and the newer has no answer yet": {{old, 0, ""}, {old, 1, ""}, {new, 2, ""},
			{old, 3, ""}, {new, 4, "old"}, {old, 5, "new"}, {new, 6, ""}},
		"late hellos of one that has ended": {{new, 0, ""}, {new, 1, ""}, {ended, 2, ""},
			{new, 3, ""}, {ended, 4, "new"}, {new, 5, ""}},
		"what is no agent": {{old, 0, ""}, {"", time.Second, ""},
			{old, 2 * time.Second, ""}},
		"both at a hub that just began": {{new, 0, ""}, {old, 1, ""}, {new, 2, ""},
			{old, 3, "new"}, {new, 4, "old"}, {old, 5, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			p, began := newPresence(), time.Now()
			names := map[id.Session]string{old: "old", new: "new"}
			said := map[id.Session]bool{}
			for i, h := range asked {
				other, _, isOlder := p.hello("FL-LAB", greeting{h.of, said[h.of], "send",
					names[h.of]}, began.Add(h.at))
				said[h.of] = h.of != ended
				if isOlder != (other != nil && h.of == asked[0].of) {
					t.Errorf("hello %d: older is %t", i, isOlder)
				}
				if got := other; (got == nil) != (h.from == "") || got != nil &&
					got.From != h.from {
					t.Errorf("hello %d is told %+v, want %q", i, got, h.from)
				}
			}
			last := asked[len(asked)-1]
			copies := p.copies("FL-LAB", began.Add(last.at))
			if (len(copies) == 2) != (last.from != "") {
				t.Errorf("the admin is told of %q", copies)
			}
			if other, _, _ := p.hello("SF-LAB", greeting{old, false, "send", "old"},
				began); other != nil {
				t.Error("another site is told of them")
			}
		})
	}
}

// A version that a table could not show is not kept.
func TestVersionsFromOutside(t *testing.T) {
	p := newPresence()
	for agent, want := range map[string]string{
		"sealpost/1.2.3-rc.1+a~b": "1.2.3-rc.1+a~b", "sealpost/1\x1b[2J": "", "curl/8": "",
		"": "", "sealpost/" + strings.Repeat("1", 65): "",
	} {
		p.seen("FL-LAB", agent, time.Now())
		if _, got := p.lastSeen("FL-LAB"); got != want {
			t.Errorf("%q gives %q, want %q", agent, got, want)
		}
	}
}

// TestCopiesAfterRestart counts no agent that has ended as one of two that run.
func TestCopiesAfterRestart(t *testing.T) {
	p, began := newPresence(), time.Now()
	ended, restarted, twin := id.Random128[id.Session](), id.Random128[id.Session](),
		id.Random128[id.Session]()
	for i, g := range []greeting{{session: ended}, {session: ended, isAnswered: true},
		{session: restarted}, {session: twin}, {session: restarted, isAnswered: true},
		{session: twin, isAnswered: true}, {session: restarted, isAnswered: true},
		{session: twin, isAnswered: true}, {session: restarted, isAnswered: true}} {
		p.hello("FL-LAB", g, began.Add(time.Duration(i)*time.Second))
	}
	if copies := p.copies("FL-LAB", began.Add(9*time.Second)); len(copies) != 2 {
		t.Errorf("%d agents are counted", len(copies))
	}
}

// TestAgentDroppedForNewerOnes says hello again after others have begun. It is older than they are.
func TestAgentDroppedForNewerOnes(t *testing.T) {
	p, now := newPresence(), time.Now()
	hello := func(g greeting) (isOlder bool) {
		now = now.Add(time.Second)
		_, _, isOlder = p.hello("FL-LAB", g, now)
		return isOlder
	}
	old, newest := id.Random128[id.Session](), id.Session("")
	hello(greeting{session: old})
	for range maxSessions {
		newest = id.Random128[id.Session]()
		hello(greeting{session: newest})
	}
	for round := range 3 { // at the first it begins anew, as far as the hub knows
		if hello(greeting{session: newest, isAnswered: true}) {
			t.Error("the newest agent has to stop")
		}
		if isOlder := hello(greeting{session: old, isAnswered: true}); isOlder != (round > 0) {
			t.Errorf("round %d: the older agent has to stop: %t", round, isOlder)
		}
	}
}
