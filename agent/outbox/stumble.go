package outbox

import (
	"errors"
	"maps"

	"sealpost/hub/api"
	"sealpost/internal/words"
)

// stumble notes why the hub does not take an envelope for now, so that people are told what is sent nowhere and why; nil
// when it has taken it. A line that is broken is told of elsewhere.
func (o *Outbox) stumble(s *sealed, err error) {
	var no *api.Error
	why := ""
	switch {
	case errors.Is(err, api.ErrFull):
		why = words.HubFull
	case errors.Is(err, api.ErrBusy), !errors.As(err, &no):
	default:
		why = words.HubTakesItLater(no)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if why == "" {
		delete(o.stumbles, s.Address)
		return
	}
	o.stumbles[s.Address] = why
}

// blocked lists the addresses to which nothing is sent for now, and why.
func (o *Outbox) blocked() map[string]string {
	why := o.routes.blocked()
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.Copy(why, o.stumbles)
	return why
}
