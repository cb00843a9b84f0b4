package agent

import (
	"context"
	"errors"

	"sealpost/agent/trust"
	"sealpost/hub/api"
	"sealpost/internal/reason"
)

// RosterRequest gives the agent a roster; an empty one asks for its state.
type RosterRequest struct {
	Roster string `json:"roster,omitempty"` // a JWS
}

// RosterState is the roster of a site, and that of its hub.
type RosterState struct {
	trust.RosterState
	New bool `json:"new,omitempty"` // the call has replaced an older one
	// number of the hub's roster, if that is another one
	Hub int64 `json:"hub_number,omitempty"`
	// why nothing is sent or taken: the roster is required, and is missing or has ended
	Stops reason.Reason `json:"stops,omitzero"`
	// why the last roster that the hub offered was not taken
	Refused reason.Reason `json:"refused,omitzero"`
}

// rosterLink is the offer of the hub. Agent.mu guards it.
type rosterLink struct {
	offered int64 // the number that the hub has said
	held    int64 // the number of this site's roster when the hub was asked
	refused reason.Reason
}

// rosterState returns the state of the roster. An older one of the hub is reported once the hub has
// said it since this site took the newer one: until then it may have that one too.
func (a *Agent) rosterState() RosterState {
	s := RosterState{RosterState: a.trust.Roster(), Stops: a.trust.RosterAge()}
	a.mu.Lock()
	defer a.mu.Unlock()
	offered := a.roster.offered
	isBehind := offered < s.Number && a.roster.held == s.Number
	if s.Refused = a.roster.refused; a.link.Connected && (offered > s.Number || isBehind) {
		s.Hub = offered
	}
	return s
}

// followRoster fetches a roster that is newer than this site's. One that is not taken is reported
// until the hub offers another.
func (a *Agent) followRoster(ctx context.Context, offered int64) {
	held := a.trust.Roster().Number
	a.mu.Lock()
	before := a.roster
	a.roster.offered, a.roster.held = offered, a.rosterAsked
	a.mu.Unlock()
	if offered < a.rosterAsked && (offered != before.offered || a.rosterAsked != before.held) {
		a.log.Warn("the hub has an older roster", "number", offered, "held", held)
	}
	if offered <= held {
		a.noteRoster(nil)
		return
	}
	if offered == before.offered && !before.refused.IsZero() {
		return // it is offered again
	}
	jws, err := a.hub.Roster(ctx)
	if err == nil {
		_, err = a.takeRoster(ctx, jws)
	} else if _, isAnswer := errors.AsType[*api.Error](err); !isAnswer {
		return // the line is broken: the next hello tries again
	}
	a.noteRoster(err)
}

// noteRoster stores why the hub's roster was not taken; nil: it was.
func (a *Agent) noteRoster(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	why := reason.Of(err)
	if why == a.roster.refused {
		return
	}
	a.roster.refused = why
	a.linkChanges.Add(1)
	if err != nil {
		a.log.Error("the hub's roster is not taken", "reason", why)
	}
}

// takeRoster takes a newer roster, and decides anew about everything that waits.
func (a *Agent) takeRoster(ctx context.Context, jws string) (isNew bool, err error) {
	if isNew, err = a.trust.TakeRoster(ctx, jws); err != nil || !isNew {
		return false, err
	}
	a.linkChanges.Add(1)
	if a.outbox != nil {
		sites, err := a.trust.Outdated(ctx)
		if err != nil {
			return true, err
		}
		for _, site := range sites {
			if err := a.outbox.Recheck(ctx, site); err != nil {
				return true, err
			}
		}
	}
	a.reconsider()
	return true, nil
}

// reconsider makes outbox and inbox decide anew.
func (a *Agent) reconsider() {
	if a.outbox != nil {
		a.outbox.Reconsider()
	}
	if a.inbox != nil {
		a.inbox.Reconsider()
	}
}

// watchRoster notices the end of a required roster. It belongs to the goroutine of keepLink.
func (a *Agent) watchRoster() {
	why := a.trust.RosterAge()
	if why == a.rosterAge {
		return
	}
	a.rosterAge = why
	a.linkChanges.Add(1)
	if !why.IsZero() {
		a.log.Error("nothing is sent or taken", "reason", why)
	}
	a.reconsider()
}

// giveRoster takes a roster from a user, so that a hub cannot withhold it.
func (a *Agent) giveRoster(ctx context.Context, in RosterRequest) (RosterState, error) {
	if in.Roster == "" {
		return a.rosterState(), nil
	}
	isNew, err := a.takeRoster(ctx, in.Roster)
	if err != nil {
		return RosterState{}, reason.Err("roster-refused", "why", err)
	}
	s := a.rosterState()
	s.New = isNew
	return s, nil
}
