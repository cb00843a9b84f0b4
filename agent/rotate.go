package agent

import (
	"context"
	"errors"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/fault"
	"sealpost/internal/reason"
)

// RotateRequest changes the recipient key of the site.
type RotateRequest struct {
	// Destroy destroys the former key at once, and makes none.
	Destroy bool `json:"destroy,omitempty"`
}

// Rotation is a change of the recipient key that is not complete: the site opens with both keys.
type Rotation struct {
	Version int       `json:"version"` // of the new key
	Since   time.Time `json:"since"`
	// the former key opens until then at least; none: an admin has put it there
	Opens time.Time `json:"opens_until,omitzero"`
	// the next event; the former key is destroyed after the last one
	Waits reason.Reason `json:"waits"`
}

// RotationWaits is the code of a rotation that only deliveries at the hub hold up.
const RotationWaits reason.Code = "rotation-waits"

// Reason returns the state of the rotation for a user.
func (r Rotation) Reason() reason.Reason {
	return reason.New("rotation-stands", "version", r.Version, "since", r.Since, "waits", r.Waits)
}

// rotation is the agent's knowledge of the hub, for the end of the overlap.
type rotation struct {
	hubVersion int          // of the key that the hub has
	stated     time.Time    // the hub's, at the first hello of this start with the newest key
	queue      *api.Backlog // nil: not known
}

// maxAhead limits the version that is believed of the hub. Versions of a site never run out.
const maxAhead = 1000

// rotate makes another recipient key, and states it. The former one opens until followRotation
// destroys it. A site whose key at the hub is later than its own ends that state.
func (a *Agent) rotate(ctx context.Context, in RotateRequest) (Done, error) {
	if a.inbox == nil {
		return Done{}, reason.Err("rotates-nothing", "site", a.site)
	}
	if in.Destroy {
		return a.destroyFormer()
	}
	a.mu.Lock()
	link, hubVersion := a.link, a.rotation.hubVersion
	a.mu.Unlock()
	lacks := a.lacksKey.Load()
	if state, err := a.rotationState(); err != nil || state != nil && !lacks {
		return Done{}, errors.Join(err, rotationUnderWay(state))
	}
	if !link.Connected && !lacks {
		return Done{}, reason.Err("rotate-apart", "why", link.Trouble)
	}
	version, err := a.makeKey(hubVersion)
	if err == nil {
		err = a.rememberOwnKey(ctx)
	}
	if err != nil {
		return Done{}, err
	}
	a.log.Info("recipient key made", "version", version, "key_hash", a.keyHash())
	says := []reason.Reason{reason.New("rotated", "version", version, "until",
		a.now().Add(overlap), "path", recipientKeyFile(a.cfg))}
	if lacks {
		says[0] = reason.New("rotated-past", "version", version)
	}
	if err := a.uploadKey(ctx); err != nil {
		says = append(says, reason.New("rotated-apart", "why", err))
	} else {
		fault.Point("agent-key-published")
	}
	select {
	case a.changed <- struct{}{}: // the next hello shows it
	default:
	}
	return done(says...), nil
}

func rotationUnderWay(state *Rotation) error {
	if state == nil {
		return nil
	}
	return reason.Err("rotation-under-way", "stands", state.Reason())
}

// makeKey adds a recipient key, and writes its statement. After a crash in between the next start
// writes the statement.
func (a *Agent) makeKey(hubVersion int) (version int, err error) {
	a.keyChange.Lock()
	defer a.keyChange.Unlock()
	last, err := lastStatement(a.cfg)
	if err != nil {
		return 0, err
	}
	atLeast := 0
	if hubVersion > last.Version { // its successor would have to name it: one is left out
		atLeast = min(hubVersion, last.Version+maxAhead) + 2
	}
	if err := a.keys.Add(recipientKeyFile(a.cfg)); err != nil {
		return 0, err
	}
	fault.Point("agent-key-added")
	key, err := recipientKey(a.cfg, a.keys, a.now(), atLeast)
	fault.Point("agent-key-stated")
	return key.Version, err
}

// destroyFormer destroys the former keys, for an admin.
func (a *Agent) destroyFormer() (Done, error) {
	state, err := a.rotationState()
	if err != nil {
		return Done{}, err
	}
	if state == nil {
		return done(reason.New("no-former-key")), nil
	}
	a.mu.Lock()
	isStated := !a.rotation.stated.IsZero()
	a.mu.Unlock()
	if !isStated {
		return Done{}, reason.Err("destroys-unstated")
	}
	if err := a.keepNewest("user"); err != nil {
		return Done{}, err
	}
	return done(reason.New("former-destroyed", "path", recipientKeyFile(a.cfg))), nil
}

func (a *Agent) keepNewest(by string) error {
	a.keyChange.Lock()
	defer a.keyChange.Unlock()
	key, err := lastStatement(a.cfg)
	if err != nil {
		return err
	}
	if err := a.keys.KeepNewest(recipientKeyFile(a.cfg)); err != nil {
		return err
	}
	fault.Point("agent-key-destroyed")
	a.log.Info("former recipient key destroyed", "by", by, "key_hash", key.Prev)
	return nil
}

// asksBacklog reports whether the next hello asks for the queue: the overlap is over.
func (a *Agent) asksBacklog() bool {
	if a.keys.Count() == 1 {
		return false
	}
	key, err := lastStatement(a.cfg)
	return err == nil && !key.PrevOpens.IsZero() && !a.now().Before(key.PrevOpens)
}

// followRotation destroys the former key after the overlap, once nothing waits at the hub that may
// be sealed for it. That is each delivery from before the end of the overlap, and from before the
// hub had the newest key. The agent does not store when that was: after a start it takes the later
// time of its first hello.
func (a *Agent) followRotation(hello api.Hello) {
	if a.keys.Count() == 1 {
		return
	}
	key, err := lastStatement(a.cfg)
	if err != nil {
		a.log.Error("statement of the recipient key not read", "error", err)
		return
	}
	a.mu.Lock()
	r := &a.rotation
	switch {
	case hello.KeyHash != a.keyHash():
		r.stated = time.Time{}
	case r.stated.IsZero():
		r.stated = hello.Time
	}
	r.queue = hello.Queue
	now := *r
	a.mu.Unlock()
	if !now.isDrained(key.PrevOpens, a.now()) {
		return
	}
	if err := a.keepNewest("overlap"); err != nil {
		a.log.Error("former recipient key not destroyed; trying again", "error", err)
	}
}

// isDrained reports whether nothing waits that may be sealed for a key that opens until a time.
func (r rotation) isDrained(opens, now time.Time) bool {
	if r.stated.IsZero() || r.queue == nil || opens.IsZero() || now.Before(opens) {
		return false
	}
	return r.queue.Oldest.IsZero() ||
		r.queue.Oldest.After(opens) && r.queue.Oldest.After(r.stated)
}

// rotationState returns the change of the recipient key that is not complete; nil: there is none.
func (a *Agent) rotationState() (*Rotation, error) {
	if a.keys.Count() == 1 {
		return nil, nil
	}
	key, err := lastStatement(a.cfg)
	if err != nil {
		return nil, err
	}
	state := &Rotation{Version: key.Version, Since: key.Created, Opens: key.PrevOpens}
	a.mu.Lock()
	now := a.rotation
	a.mu.Unlock()
	switch {
	case key.PrevOpens.IsZero():
		state.Waits = reason.New("rotation-by-hand")
	case now.stated.IsZero():
		state.Waits = reason.New("rotation-unstated")
	case a.now().Before(key.PrevOpens):
		state.Waits = reason.New("rotation-overlaps", "until", key.PrevOpens)
	case now.queue == nil:
		state.Waits = reason.New("rotation-asks")
	default:
		state.Waits = reason.New("rotation-waits", "n", now.queue.Waiting, "oldest",
			now.queue.Oldest)
	}
	return state, nil
}
