package outbox

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
)

const (
	reconcileEvery = 24 * time.Hour
	// reconcileAgain is the pause before the second look at a new hub. That look finds envelopes
	// published during the first one.
	reconcileAgain = time.Minute
	knownPage      = 500
)

// connected waits for the hub's identity, and then for its knowledge of unfinished envelopes.
// Nothing is sealed before, because after a crash a file must not go out twice.
func (o *Outbox) connected(ctx context.Context) (leftovers []*sealed, err error) {
	select {
	case <-o.hubIsNew:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	o.abandonOrphans(ctx)
	return o.reconcile(ctx)
}

// reconcileAll asks again when the hub is new, a little later, and daily. The hub is disposable,
// and forgotten envelopes are sent to it again.
func (o *Outbox) reconcileAll(ctx context.Context) error {
	next := reconcileAgain
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.hubIsNew:
			next = reconcileAgain
		case <-time.After(next):
			next = reconcileEvery
		}
		o.abandonOrphans(ctx)
		leftovers, err := o.reconcile(ctx)
		if err != nil {
			return ignoreCancel(ctx, err)
		}
		for address := range o.trust.Proposals() {
			o.repropose(ctx, address)
		}
		o.desk.tell(func() { o.desk.resume(leftovers) })
	}
}

// reconcile compares the hub's knowledge of every unfinished envelope with the ledger's. It returns
// those that are sealed on their way to the hub, and are still to be published.
func (o *Outbox) reconcile(ctx context.Context) (leftovers []*sealed, err error) {
	pause := backoff.Backoff{Min: 200 * time.Millisecond, Max: 15 * time.Second}
	for _, state := range []ledger.EnvelopeState{ledger.EnvelopeSealed, ledger.EnvelopePublished} {
		err := o.compareAll(ctx, &pause, func(tx *ledger.Tx,
			after id.Envelope) ([]id.Envelope, error) {
			return tx.OpenEnvelopes(state, after, knownPage)
		}, func(k api.KnownEnvelope) error {
			left, err := o.compareKnown(ctx, state, k)
			if left != nil {
				leftovers = append(leftovers, left)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	err = o.compareAll(ctx, &pause, func(tx *ledger.Tx, after id.Envelope) ([]id.Envelope, error) {
		return tx.Requeued(after, knownPage)
	}, func(k api.KnownEnvelope) error { return o.compareRequeued(ctx, k) })
	if err != nil {
		return nil, err
	}
	o.desk.tell(o.desk.reconsider)
	return leftovers, o.recheckAll(ctx)
}

// compareAll asks the hub for all envelopes of a list, page by page, and calls compare with each
// answer. It waits for a hub that does not answer.
func (o *Outbox) compareAll(ctx context.Context, pause *backoff.Backoff,
	list func(*ledger.Tx, id.Envelope) ([]id.Envelope, error),
	compare func(api.KnownEnvelope) error) error {
	for after := id.Envelope(""); ; {
		var page []id.Envelope
		err := o.view(ctx, func(tx *ledger.Tx) (err error) {
			page, err = list(tx, after)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		known, err := o.hub.Known(ctx, page)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			o.log.Warn("the hub does not say what it knows; trying again", "error", err)
			if err := pause.Wait(ctx, api.RetryAfter(err)); err != nil {
				return err
			}
			continue
		}
		for _, k := range known {
			after = k.Envelope
			if err := compare(k); err != nil {
				return err
			}
		}
	}
}

// compareRequeued updates the failed messages of an envelope that are on their way again. A hub
// that has lost the envelope has lost their ways.
func (o *Outbox) compareRequeued(ctx context.Context, k api.KnownEnvelope) error {
	if k.State != api.StateUnknown {
		return o.takeResults(ctx, k)
	}
	err := o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		return tx.LoseRequeued(k.Envelope, time.Now())
	})
	if err != nil {
		return errors.Join(errLedger, err)
	}
	o.log.Warn("requeued, and lost by the hub", "envelope", k.Envelope)
	o.fileSoon()
	return nil
}

// compareKnown updates one envelope's row from the hub's knowledge of it. It leaves an envelope
// alone whose state has changed since the hub was asked: a worker has published it, and the answer
// is stale.
func (o *Outbox) compareKnown(ctx context.Context, asked ledger.EnvelopeState,
	k api.KnownEnvelope) (*sealed, error) {
	if o.desk.has(k.Envelope) {
		return nil, nil
	}
	s := &sealed{}
	err := o.view(ctx, func(tx *ledger.Tx) (err error) {
		if s.Envelope, err = tx.Envelope(k.Envelope); err != nil {
			return err
		}
		if s.messages, err = tx.InEnvelope(k.Envelope); err != nil ||
			s.State != ledger.EnvelopeSealed {
			return err
		}
		s.segments, err = tx.Segments(k.Envelope)
		return err
	})
	if err != nil || s.State != asked {
		return nil, err
	}
	if k.State == api.StateUnknown {
		if s.State == ledger.EnvelopeSealed && len(s.segments) > 0 {
			s.address, err = id.ParseAddress(s.Address)
			return s, err
		}
		return nil, o.drop(ctx, s, "lost-by-hub")
	}
	if k.State == api.StateForgotten {
		return nil, o.forgotten(ctx, s)
	}
	if s.State == ledger.EnvelopeSealed && k.Published != nil {
		if err := o.published(ctx, s, *k.Published); err != nil {
			return nil, err
		}
	}
	return nil, o.takeResults(ctx, k)
}

// takeResults records the hub's results of an envelope.
func (o *Outbox) takeResults(ctx context.Context, k api.KnownEnvelope) error {
	var answers []ledger.Answer
	for _, r := range k.Results {
		if r.Receipt == "" && r.DeadCode == "" {
			continue // no answer
		}
		a, err := o.answer(ctx, k.Envelope, r)
		if err != nil {
			return err
		}
		answers = append(answers, a)
	}
	if len(answers) == 0 {
		return nil
	}
	return o.save(ctx, answers, func(*ledger.Tx) error { return nil })
}

// forgottenByHub is the code of a delivery of which the hub knows only that it was final.
const forgottenByHub = "forgotten"

// forgotten ends the messages of an envelope whose records the hub has deleted. It was final at
// every recipient, so it is never published or sealed again. A stored receipt stays.
func (o *Outbox) forgotten(ctx context.Context, s *sealed) error {
	if s.State == ledger.EnvelopeSealed {
		if err := o.published(ctx, s, api.Published{Incarnation: o.hubIncarnation(),
			Spooled: s.Sealed}); err != nil {
			return err
		}
	}
	var answers []ledger.Answer
	for _, r := range s.Recipients {
		if r.Receipt != "" {
			continue
		}
		a, err := o.answer(ctx, s.ID, api.Result{Recipient: r.Site, DeadCode: forgottenByHub,
			Time: time.Now().UTC()})
		if err != nil {
			return err
		}
		answers = append(answers, a)
	}
	return o.save(ctx, answers, func(*ledger.Tx) error { return nil })
}

// mark notes that the hub may have parts of an envelope.
func (o *Outbox) mark(e id.Envelope) error {
	dir, err := o.uploadsFolder()
	if err != nil {
		return err
	}
	defer dir.Close()
	f, err := dir.Create(string(e), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = f.Close()
	}
	return err
}

// unmark notes that the hub has no parts of an envelope. If another program holds the file, the
// next start removes it.
func (o *Outbox) unmark(e id.Envelope) {
	dir, err := o.uploadsFolder()
	if err == nil {
		defer dir.Close()
		err = dir.Remove(string(e))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.log.Warn("the note of an upload stays until the next start", "envelope", e, "error", err)
	}
}

// uploadsFolder opens the folder with the notes of uploads.
func (o *Outbox) uploadsFolder() (*beneath.Dir, error) {
	state, err := beneath.Open(o.cfg.State)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	return state.Dir(sealedFolder)
}

// tidy finds the uploads that no envelope needs: they were given up, or the ledger was lost. It
// frees the space of files of an earlier version, which are sealed again.
func (o *Outbox) tidy(ctx context.Context) error {
	dir, err := o.uploadsFolder()
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Each(func(entries []fs.DirEntry) error {
		for _, entry := range entries {
			e := id.Envelope(entry.Name())
			if info, err := entry.Info(); err == nil && info.Size() > 0 {
				o.unmark(e)
				if err := o.mark(e); err != nil {
					return err
				}
			}
			var row ledger.Envelope
			err := o.view(ctx, func(tx *ledger.Tx) (err error) {
				row, err = tx.Envelope(e)
				return err
			})
			if errors.Is(err, ledger.ErrNotFound) ||
				err == nil && row.State != ledger.EnvelopeSealed {
				o.orphan(e)
				err = nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
