package agent

import (
	"context"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// DistrustRequest names a site whose present key this site's admin distrusts, or trusts again.
type DistrustRequest struct {
	Site string `json:"site"`
	Undo bool   `json:"undo,omitempty"` // trust its keys again
}

// distrust seals nothing more for the present key of a site, and takes nothing more from it.
func (a *Agent) distrust(ctx context.Context, in DistrustRequest) (Done, error) {
	site, err := id.ParseSite(in.Site)
	if err != nil {
		return Done{}, err
	}
	if in.Undo {
		return a.undistrust(ctx, site)
	}
	key, isNew, err := a.trust.Distrust(ctx, site)
	if err != nil {
		return Done{}, err
	}
	if !isNew {
		return done(reason.New("distrusted-before", "site", site, "since", key.Since)), nil
	}
	if a.inbox != nil {
		a.inbox.TurnAway(ctx, site)
	}
	if a.outbox != nil {
		a.outbox.Reconsider()
	}
	return done(reason.New("distrusted", "site", site, "fingerprint", key.Identity)), nil
}

func (a *Agent) undistrust(ctx context.Context, site id.Site) (Done, error) {
	isNew, err := a.trust.Undistrust(ctx, site)
	if err != nil || !isNew {
		return done(reason.New("not-distrusted", "site", site)), err
	}
	if err := a.trustsAgain(ctx, site); err != nil {
		return Done{}, err
	}
	return done(reason.New("undistrusted", "site", site)), nil
}

// trustsAgain decides anew about everything of a site that a user trusts from now on.
func (a *Agent) trustsAgain(ctx context.Context, site id.Site) error {
	if a.outbox != nil {
		if err := a.outbox.Recheck(ctx, site); err != nil {
			return err
		}
	}
	a.reconsider()
	return nil
}
