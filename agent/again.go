package agent

import (
	"context"
	"strings"

	"sealpost/agent/outbox"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// ResendRequest asks to send the content of a finished message to one site, as a message of its
// own.
type ResendRequest struct {
	Message string `json:"message"`
	To      string `json:"to"`
	// Twice sends it even if it is on its way there again.
	Twice bool `json:"twice,omitempty"`
}

var errSendsNothing = reason.Err("sends-nothing")

func (a *Agent) recall(ctx context.Context, in MessageRequest) (Done, error) {
	if a.outbox == nil {
		return Done{}, errSendsNothing
	}
	m, err := a.outbox.Recall(ctx, in.Message)
	if err != nil {
		return Done{}, a.unknown(ctx, in.Message, err)
	}
	switch {
	case m.Reason.IsDoubtfulRecall():
		return done(reason.New("recalled-doubtfully", "message", m.ID, "why", m.Reason)), nil
	case m.Away:
		return done(reason.New("recalled-without-file", "message", m.ID)), nil
	}
	return done(reason.New("recalled-now", "message", m.ID)), nil
}

// retry ends all pauses between two attempts. These are pauses of the connection, of messages to
// send, and of deliveries that were handed back.
func (a *Agent) retry(context.Context, Nothing) (Done, error) {
	select {
	case a.changed <- struct{}{}:
	default:
	}
	if a.outbox != nil {
		a.outbox.Retry()
	}
	if a.inbox != nil {
		a.inbox.Reconsider()
	}
	return done(reason.New("retried")), nil
}

func (a *Agent) resend(ctx context.Context, in ResendRequest) (Done, error) {
	if a.outbox == nil {
		return Done{}, errSendsNothing
	}
	// as send takes it
	to := id.Site(strings.ToUpper(strings.TrimPrefix(strings.TrimSpace(in.To), "@")))
	if err := a.mustReceive(ctx, to); err != nil {
		return Done{}, err
	}
	m, err := a.outbox.Resend(ctx, outbox.Resending{Message: in.Message, To: to,
		Twice: in.Twice})
	if err != nil {
		return Done{}, a.unknown(ctx, in.Message, err)
	}
	return done(reason.New("sent-again", "message", m, "site", to)), nil
}

// mustReceive refuses a name of which the hub knows no site that receives. Without the hub any name
// is accepted, as for a file in outbox/@SITE.
func (a *Agent) mustReceive(ctx context.Context, to id.Site) error {
	known, err := a.knownSites(ctx)
	if err != nil {
		return err
	}
	strays, err := straysOf(ctx, a.hub, a.site, []id.Site{to}, known)
	if err != nil {
		a.log.Debug("recipient not checked", "recipient", to, "error", err)
		return nil
	}
	if len(strays) > 0 {
		return reason.Err("resent-nothing", "why", strays[0])
	}
	return nil
}
