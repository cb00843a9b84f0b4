package outbox

import (
	"context"
	"slices"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/internal/reason"
)

// Away is a tray with unfinished messages that agent.toml no longer has. Messages that are not
// sealed wait until it is back. Receipts are still followed. Final messages are moved when it is
// back, because its folders are unknown.
type Away struct {
	Name    string        `json:"name"`
	Waiting int64         `json:"waiting"` // messages that wait until it is back
	Sent    int64         `json:"sent"`    // messages whose receipts are followed
	Unfiled int64         `json:"unfiled"` // final messages in its folder sending
	Says    reason.Reason `json:"says"`
}

// awayTrays lists the trays with unfinished messages that agent.toml no longer has.
func awayTrays(tx *ledger.Tx, backlogs []ledger.Backlog,
	isThere func(string) bool) (list []Away, err error) {
	byName := map[string]*Away{}
	of := func(name string) *Away {
		if byName[name] == nil {
			byName[name] = &Away{Name: name}
		}
		return byName[name]
	}
	for _, b := range backlogs {
		switch b.State {
		case ledger.Claimed, ledger.Taken:
			of(b.Tray).Waiting += b.Count
		default:
			of(b.Tray).Sent += b.Count
		}
	}
	unfiled, err := tx.UnfiledByTray()
	if err != nil {
		return nil, err
	}
	for name, n := range unfiled {
		of(name).Unfiled += n
	}
	for name, a := range byName {
		if isThere(name) {
			continue
		}
		a.Says = reason.New("tray-away", "tray", name, "waiting", orNone(a.Waiting),
			"sent", orNone(a.Sent), "unfiled", orNone(a.Unfiled))
		list = append(list, *a)
	}
	slices.SortFunc(list, func(a, b Away) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// orNone returns an argument of a reason; none for zero.
func orNone[T comparable](value T) any {
	var zero T
	if value == zero {
		return nil
	}
	return value
}

// missTrays logs the trays that are away.
func (o *Outbox) missTrays(ctx context.Context) error {
	var list []Away
	err := o.view(ctx, func(tx *ledger.Tx) error {
		backlogs, err := tx.Backlogs()
		if err != nil {
			return err
		}
		list, err = awayTrays(tx, backlogs, func(name string) bool { return o.tray(name) != nil })
		return err
	})
	for _, a := range list {
		o.log.Warn("a tray is away", "tray", a.Name, "waiting", a.Waiting, "sent", a.Sent,
			"unfiled", a.Unfiled, "reason", a.Says)
	}
	return err
}
