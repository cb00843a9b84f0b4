package outbox

import (
	"context"
	"errors"

	"sealpost/agent/ledger"
)

// errElsewhere says that a message does not wait to be sealed any more: while its job waited a person has recalled it, its
// file was changed, or another sealer had it already. What was sealed of it goes nowhere.
var errElsewhere = errors.New("not waiting")

// sendRest goes on with those messages of a job that still wait as they did. The ledger decides: what sealers have in their
// hands is known to this process only, and who asks for it may have read the ledger before.
func (o *Outbox) sendRest(ctx context.Context, j job) error {
	rest := j.messages[:0:0]
	err := o.view(ctx, func(tx *ledger.Tx) error {
		rest = rest[:0]
		for _, m := range j.messages {
			now, err := tx.Message(string(m.UID))
			if err != nil && !errors.Is(err, ledger.ErrNotFound) {
				return err
			}
			if err == nil && now.State == m.State && same(now.Source, m.Source) {
				rest = append(rest, m)
			}
		}
		return nil
	})
	if err != nil || len(rest) == 0 || len(rest) == len(j.messages) {
		return err
	}
	return o.send(ctx, job{j.decision, rest})
}
