package agent

import (
	"context"
	"errors"
	"strings"

	"sealpost/internal/id"
	"sealpost/internal/words"
)

// ResendRequest asks for what a finished message held to be sent to one site, as a message of its own.
type ResendRequest struct {
	Message string `json:"message"`
	To      string `json:"to"`
}

var errSendsNothing = errors.New(words.SendsNothing)

func (a *Agent) recall(ctx context.Context, in MessageRequest) (Done, error) {
	if a.outbox == nil {
		return Done{}, errSendsNothing
	}
	m, err := a.outbox.Recall(ctx, in.Message)
	if err != nil {
		return Done{}, a.unknown(in.Message, err)
	}
	return Done{words.RecalledNow(m.ID, m.Reason.String())}, nil
}

func (a *Agent) resend(ctx context.Context, in ResendRequest) (Done, error) {
	if a.outbox == nil {
		return Done{}, errSendsNothing
	}
	to := id.Site(strings.ToUpper(strings.TrimPrefix(strings.TrimSpace(in.To), "@"))) // as send takes it
	m, err := a.outbox.Resend(ctx, in.Message, to)
	if err != nil {
		return Done{}, a.unknown(in.Message, err)
	}
	return Done{words.SentAgain(m, to)}, nil
}
