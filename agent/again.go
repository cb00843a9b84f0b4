package agent

import (
	"context"
	"errors"
	"fmt"

	"sealpost/internal/id"
)

// ResendRequest asks for what a finished message held to be sent to one site, as a message of its own.
type ResendRequest struct {
	Message string `json:"message"`
	To      string `json:"to"`
}

var errSendsNothing = errors.New("this site does not send")

func (a *Agent) recall(ctx context.Context, in MessageRequest) (Done, error) {
	if a.outbox == nil {
		return Done{}, errSendsNothing
	}
	m, err := a.outbox.Recall(ctx, in.Message)
	if err != nil {
		return Done{}, a.unknown(in.Message, err)
	}
	return Done{fmt.Sprintf("%s is recalled: nobody gets it, and it lies in failed/", m)}, nil
}

func (a *Agent) resend(ctx context.Context, in ResendRequest) (Done, error) {
	if a.outbox == nil {
		return Done{}, errSendsNothing
	}
	m, err := a.outbox.Resend(ctx, in.Message, id.Site(in.To))
	if err != nil {
		return Done{}, a.unknown(in.Message, err)
	}
	return Done{fmt.Sprintf("what %s held is dropped again, for %s", m, in.To)}, nil
}
