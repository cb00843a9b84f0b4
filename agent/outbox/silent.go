package outbox

import (
	"context"
	"fmt"
	"time"

	"sealpost/internal/reason"
)

// A call on a folder may never return: its server or the program behind it is away. One such tray
// does not keep the agent from starting, nor other trays from their work.

// trayAnswers is how long the start waits for the folders of trays.
const trayAnswers = 2 * time.Second

// errSilent says that a tray is not opened before its folders have answered once.
var errSilent = reason.Err(reason.FolderSilent)

// begin prepares the trays and waits for those that answer. The goroutine of one that does not
// ends when it answers; answered waits for that.
func (o *Outbox) begin() error {
	patience, end := context.WithTimeout(context.Background(), trayAnswers)
	defer end()
	for _, t := range o.trays {
		go func() { t.ready <- t.prepare(context.Background()) }()
	}
	for _, t := range o.trays {
		select {
		case err := <-t.ready:
			if err != nil {
				return fmt.Errorf("tray %s: %w", t.Name, err)
			}
		case <-patience.Done():
			t.silent.Store(true)
			t.log.Error("the tray does not answer", "reason", reason.Of(errSilent))
			t.note(map[string]reason.Reason{t.Dir: reason.Of(errSilent)}, reason.Reason{})
		}
	}
	return apart(o.trays)
}

// answered waits until the folders of a tray have answered, and takes up the messages there.
func (t *box) answered(ctx context.Context) error {
	if !t.silent.Load() {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-t.ready:
		if err != nil {
			return err
		}
	}
	t.silent.Store(false)
	if err := apart(t.o.trays); err != nil {
		t.silent.Store(true)
		return err
	}
	t.log.Info("the tray answers again")
	if err := t.adopt(ctx); err != nil {
		return err
	}
	t.o.Reconsider()
	return nil
}
