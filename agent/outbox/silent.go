package outbox

import (
	"context"
	"fmt"
	"time"

	"sealpost/agent/tray"
	"sealpost/internal/backoff"
	"sealpost/internal/reason"
)

// A call on a folder may never return: its server or the program behind it is away. One such tray
// does not keep the agent from starting or ending, nor other trays from their work.

// trayAnswers is the longest wait of the start for the folders of trays.
const trayAnswers = 2 * time.Second

// pulse has the timing of the checks whether a tray answers.
type pulse struct {
	every    time.Duration // between two looks
	patience time.Duration // the longest wait for an answer
}

var defaultPulse = pulse{every: 10 * time.Second, patience: 20 * time.Second}

// errSilent is the error of a tray that has not answered since the start.
var errSilent = reason.Err(reason.FolderSilent)

// begin prepares the trays, and waits for their folders at most trayAnswers. The preparation of a
// silent tray continues in the background, until answered receives its result.
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
			t.log.Error("tray silent", "reason", reason.Of(errSilent))
		}
	}
	return refuseSharedFolders(o.trays)
}

// answered waits until the folders of a tray have answered, and adopts the messages there.
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
	if err := refuseSharedFolders(t.o.trays); err != nil {
		t.silent.Store(true)
		return err
	}
	t.log.Info("tray answers")
	if err := t.adopt(ctx); err != nil {
		return err
	}
	t.o.Reconsider()
	return nil
}

// keepPulse looks at the folders of a tray from time to time, until the context ends. While a look
// does not return, the tray is silent.
func (t *box) keepPulse(ctx context.Context) error {
	for backoff.Sleep(ctx, t.o.pulse.every) == nil {
		answer := make(chan struct{})
		go func() {
			defer close(answer)
			t.lookAtFolders()
		}()
		patience := time.NewTimer(t.o.pulse.patience)
		select {
		case <-ctx.Done():
		case <-answer:
		case <-patience.C:
			t.endureSilence(ctx, answer)
		}
		patience.Stop()
	}
	return nil
}

// lookAtFolders asks the file system for each folder of the tray.
func (t *box) lookAtFolders() {
	h, err := t.openAny()
	if err != nil {
		return // an answer
	}
	defer h.Close()
	for _, part := range tray.Parts {
		if d, err := h.Dir(part); err == nil {
			d.IsEmpty() //nolint:errcheck // an error is an answer
		}
	}
}

// endureSilence marks a tray as silent until it answers or the context ends.
func (t *box) endureSilence(ctx context.Context, answer <-chan struct{}) {
	t.silent.Store(true)
	t.log.Error("tray silent", "reason", reason.Of(errSilent))
	t.o.desk.tell(func() { t.o.desk.replaceWorkers(t.Name) })
	select {
	case <-ctx.Done():
		return
	case <-answer:
	}
	t.silent.Store(false)
	t.log.Info("tray answers")
	t.o.Reconsider()
	poke(t.filing)
}
