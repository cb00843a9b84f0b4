package demo

import (
	"context"
	"fmt"
	"os"
	"time"

	"sealpost/internal/id"
)

// fire is the destruction of the hub in mid-traffic.
type fire struct {
	Time time.Time `json:"time"`
	// Again is the number of files that the labs published to the old hub and to the new one.
	Again int `json:"published_again"`

	waited map[id.UID]id.Envelope // the envelopes that the old hub held
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

// destroyHub destroys the hub once all centres but one have their files, and sets up a new one.
// The old hub then holds the files of that one centre. The new hub has the same root, and knows no
// site and no message.
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
	n.say("%s is DESTROYED: its process killed, its folder deleted, with %d files that wait for %s",
		hubName, len(n.fire.waited), resting.site)
	if err := n.startHub(ctx); err != nil {
		return err
	}
	return n.startSites(ctx)
}

// midway reports whether every centre has its files, except the resting one. Its files wait at the
// hub.
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

// check adds a problem for each file that the old hub held and no lab published to the new one.
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

// sumOfFire returns a sentence about the hub that was destroyed.
func (r result) sumOfFire() string {
	text := fmt.Sprintf("The hub was destroyed at %s, and a new one set up; "+
		"%d files were published again", clock(r.Destroyed.Time), r.Destroyed.Again)
	if r.OK {
		text += "; every one arrived once"
	}
	return text + "."
}
