package demo

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sealpost/agent"
	"sealpost/internal/control"
	"sealpost/internal/id"
)

// recent is the number of latest messages in a site's status.
const recent = 100

// watch polls the agents, and prints each step since the last poll.
type watch struct {
	n        *network
	outgoing map[id.UID]outgoing
	incoming map[place]incoming
	before   map[id.UID]bool // messages of an earlier demo in the same folder
}

// outgoing is the state of a message at the lab that sends it.
type outgoing struct {
	lab      id.Site
	claimed  time.Time
	uid      id.UID
	id       id.Message
	envelope id.Envelope
	name     string
	state    string
	reason   string
	filed    bool   // it lies in its final folder
	folder   string // of the message, in the lab's tray
	answers  map[id.Site]answer
}

// answer is one recipient's answer, as the lab has it.
type answer struct {
	outcome  string
	verified bool
	doubt    string
}

// place is one message at one centre.
type place struct {
	centre id.Site
	uid    id.UID
}

// incoming is the state of a message at a centre.
type incoming struct {
	id     id.Message
	sender id.Site
	file   string // absolute
	placed bool
}

// step is one thing that has happened.
type step struct {
	kind int
	text string
}

// The kinds of steps, in the order in which they happen to a file.
const (
	stepClaimed = iota
	stepPublished
	stepPlaced
	stepReceipt
	stepFinal
)

// newWatch returns a watch that prints no step from before its start.
func (n *network) newWatch(ctx context.Context) (*watch, error) {
	w := &watch{n: n, outgoing: map[id.UID]outgoing{}, incoming: map[place]incoming{},
		before: map[id.UID]bool{}}
	_, err := w.observe(ctx)
	for uid := range w.outgoing {
		w.before[uid] = true
	}
	return w, err
}

// look prints each step since the last call, and reports whether there was any.
func (w *watch) look(ctx context.Context) (bool, error) {
	steps, err := w.observe(ctx)
	if err != nil {
		return false, err
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.kind, b.kind) })
	for _, s := range steps {
		w.n.say("%s", s.text)
	}
	return len(steps) > 0, nil
}

// observe asks every site once.
func (w *watch) observe(ctx context.Context) ([]step, error) {
	var steps []step
	for _, l := range labs {
		s, err := w.status(ctx, l.site)
		if err != nil {
			return nil, err
		}
		if s.Outbox != nil {
			steps = append(steps, w.observeLab(l.site, s)...)
		}
	}
	for _, c := range centres {
		if !w.n.nursery.runs(agentDaemon(c.site)) {
			continue
		}
		s, err := w.status(ctx, c.site)
		if err != nil {
			return nil, err
		}
		if s.Inbox != nil {
			steps = append(steps, w.observeCentre(c.site, s)...)
		}
	}
	return steps, nil
}

func (w *watch) status(ctx context.Context, site id.Site) (agent.Status, error) {
	var s agent.Status
	err := control.Dial(filepath.Join(w.n.site(site), "state")).Call(ctx, agent.PathStatus,
		agent.StatusRequest{Latest: recent}, &s)
	if err != nil {
		if failed := w.n.nursery.failed(); failed != nil {
			return s, failed
		}
		return s, fmt.Errorf("ask %s how it is: %w", site, err)
	}
	return s, nil
}

func (w *watch) observeLab(site id.Site, s agent.Status) []step {
	var steps []step
	for _, m := range slices.Backward(s.Outbox.Latest) {
		now := outgoing{
			lab: site, claimed: m.Claimed, uid: m.UID, id: m.ID, envelope: m.Envelope, name: m.Name,
			state: string(m.State), reason: m.Reason.String(), filed: m.Filed, folder: m.Folder,
			answers: map[id.Site]answer{},
		}
		for _, r := range m.Recipients {
			now.answers[r.Site] = answer{r.Outcome, r.Verified, r.Doubt.String()}
		}
		steps = append(steps, now.since(w.outgoing[m.UID])...)
		w.outgoing[m.UID] = now
	}
	return steps
}

// since returns the steps of a message since the last poll; before is zero when it is new.
func (m outgoing) since(before outgoing) []step {
	var steps []step
	say := func(kind int, format string, args ...any) {
		steps = append(steps, step{kind, fmt.Sprintf(format, args...)})
	}
	if before.uid == "" {
		say(stepClaimed, "%s  claims %q as %s", m.lab, m.name, m.id)
	}
	if m.reason != "" && m.reason != before.reason {
		say(stepPublished, "%s  %s: %s", m.lab, m.id, m.reason)
	}
	if m.published() && !before.published() {
		say(stepPublished, "%s  %s is sealed, and published to the hub for %s", m.lab, m.id,
			strings.Join(m.recipients(), ", "))
	}
	for _, site := range m.recipients() {
		a, old := m.answers[id.Site(site)], before.answers[id.Site(site)]
		switch {
		case a.verified && !old.verified:
			say(stepReceipt, "%s  has verified the receipt of %s for %s", m.lab, site, m.id)
		case a.doubt != "" && a.doubt != old.doubt:
			say(stepReceipt, "%s  does NOT believe the receipt of %s for %s: %s", m.lab, site, m.id,
				a.doubt)
		case a.outcome != "" && a.outcome != old.outcome && !a.verified:
			say(stepReceipt, "%s  hears from %s that %s is %s", m.lab, site, m.id, a.outcome)
		}
	}
	if m.filed && !before.filed {
		say(stepFinal, "%s  moves %q to %s/", m.lab, m.name, m.folder)
	}
	return steps
}

// published reports whether the hub has the message. The later states imply it.
func (m outgoing) published() bool {
	return m.state == "published" || m.state == "delivered" ||
		(m.state == "failed" && len(m.answers) > 0)
}

// recipients lists them by name.
func (m outgoing) recipients() []string {
	var names []string
	for site := range m.answers {
		names = append(names, string(site))
	}
	slices.Sort(names)
	return names
}

func (w *watch) observeCentre(site id.Site, s agent.Status) []step {
	var steps []step
	for _, m := range slices.Backward(s.Inbox.Latest) {
		key := place{site, m.UID}
		now := incoming{id: m.ID, sender: m.Sender,
			file: filepath.Join(w.n.site(site), "inbox", m.Path), placed: m.Placed}
		if now.placed && !w.incoming[key].placed {
			steps = append(steps, step{stepPlaced,
				fmt.Sprintf("%s   has opened and verified %s, and placed it as inbox/%s", site,
					m.ID, filepath.ToSlash(m.Path))})
		}
		w.incoming[key] = now
	}
	return steps
}
