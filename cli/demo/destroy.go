package demo

import (
	"context"
	"fmt"
	"os"
	"time"

	"sealpost/internal/id"
)

// fire is what happened to the hub in mid-traffic.
type fire struct {
	Time  time.Time `json:"time"`
	Again int       `json:"published_again"` // files that the labs published to the old hub and to the new one

	waited map[id.UID]id.Envelope // what the old hub held
}

// resting is the centre that is away when the hub is destroyed, so that files wait there for it.
var resting = centres[len(centres)-1]

func (n *network) restCentre() error {
	if err := n.nursery.rest(agentDaemon(resting.site)); err != nil {
		return err
	}
	n.say("%s is stopped, so that files wait for it at the hub", resting.site)
	return nil
}

// destroyHub waits until all but one centre have what they are to have, destroys the hub with what it holds for that one,
// and sets a new hub up under the same root, which knows nobody and nothing.
func (n *network) destroyHub(ctx context.Context, w *watch, drops []drop) error {
	r, err := n.follow(ctx, w, drops, result.midway)
	if err != nil {
		return err
	}
	if !r.midway() {
		return fmt.Errorf("the hub could not be destroyed in mid-traffic: %w", r.err())
	}
	if err := n.nursery.kill(hubDaemon); err != nil {
		return err
	}
	if err := os.RemoveAll(n.site(hubName)); err != nil {
		return err
	}
	n.fire = newFire(r, w)
	n.say("%s is DESTROYED: its process killed, its folder deleted, with %d files that wait for %s", hubName, len(n.fire.waited), resting.site)
	if err := n.startHub(ctx); err != nil {
		return err
	}
	return n.startSites(ctx)
}

// midway tells whether every centre has what it is to have, but for the resting one, for which everything waits at the hub.
func (r result) midway() bool {
	for _, d := range r.Deliveries {
		waits := d.Recipient == resting.site && !d.Spooled.IsZero() && d.Acknowledged.IsZero()
		if !d.done() && !waits {
			return false
		}
	}
	return true
}

func newFire(r result, w *watch) *fire {
	f := &fire{Time: time.Now(), waited: map[id.UID]id.Envelope{}}
	waiting := map[id.Message]bool{}
	for _, d := range r.Deliveries {
		waiting[d.Message] = waiting[d.Message] || !d.done()
	}
	for uid, m := range w.outgoing {
		if waiting[m.id] {
			f.waited[uid] = m.envelope
		}
	}
	return f
}

// check wants every file that the old hub held to have been published to the new one.
func (f *fire) check(r *result, w *watch) {
	if f == nil {
		return
	}
	now := fire{Time: f.Time}
	for uid, old := range f.waited {
		if m := w.outgoing[uid]; m.published() && m.envelope != old {
			now.Again++
		} else {
			r.problem("%s waited at the hub that was destroyed, and was not published again", m.id)
		}
	}
	r.Destroyed = &now
}

func (f *fire) sum(ok bool) string {
	text := fmt.Sprintf("The hub was destroyed at %s, and a new one set up; %d files were published again", clock(f.Time), f.Again)
	if ok {
		text += "; every one arrived once"
	}
	return text + "."
}
