package inbox

import (
	"context"
	"errors"
	"slices"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/fault"
	"sealpost/internal/id"
)

const (
	maxGroup         = 64  // envelopes placed together
	maxGroupMessages = 512 // messages placed together, approximately
)

// placeAll places opened envelopes in groups of all that wait. A group shares its syncs and
// commits, and a single envelope never waits for others.
func (b *Inbox) placeAll(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-b.opened:
			group, messages := []*delivery{d}, len(d.messages)
			for more := true; more && len(group) < maxGroup && messages < maxGroupMessages; {
				select {
				case d := <-b.opened:
					group, messages = append(group, d), messages+len(d.messages)
				default:
					more = false
				}
			}
			if err := b.placeGroup(ctx, group); err != nil {
				return err
			}
		}
	}
}

// placement is one message on its way from the temporary folder to its place.
type placement struct {
	ledger.Received
	sha256   id.Hash // of the content of a file
	signer   id.Hash // the identity key that signed it
	isFile   bool    // not a folder
	isSynced bool    // its content is already durable
	isKnown  bool    // the same message is already in the inbox
	isMoved  bool    // its content is in place since an earlier attempt
	isPlain  bool    // this disk refuses its name: it is placed under its id
	former   string  // the path of an earlier attempt whose temporary content is gone
	earlier  *Record // its record, if known and not in this ledger
	code     string  // of its refusal
	never    error   // why this disk can never take it: then it is refused

	from, item string // the attempt's folder, and the content's name in it
	record     Record
	text       []byte // the record as JSON; nil if a crash left none
	recorded   string // the name of its file
	failed     error  // why it could not be finished after a crash
}

// placeGroup makes content durable, writes its target to the ledger, renames it, and makes that
// durable. Then it commits the messages as placed, with the signed receipts. A local failure
// releases the group, the deliveries of one sender, or one delivery. A message that this disk can
// never take is refused alone.
func (b *Inbox) placeGroup(ctx context.Context, group []*delivery) error {
	f, err := b.enter(ctx)
	if err != nil {
		return b.releaseGroup(ctx, group, err)
	}
	defer f.close()
	placements, err := b.plan(ctx, f, group)
	if err == nil {
		err = b.placeFiles(ctx, f, placements)
	}
	if err != nil {
		return b.releaseGroup(ctx, group, err)
	}
	// A receipt has all messages of an envelope: release it as a whole.
	var done []*delivery
	for _, d := range group {
		if failed := f.failure(d.Sender, d.Envelope); failed == nil {
			done = append(done, d)
		} else if err := b.releaseGroup(ctx, []*delivery{d}, failed); err != nil {
			return err
		}
	}
	if err := b.commitPlaced(ctx, done, f.withoutFailed(placements)); err != nil {
		return b.releaseGroup(ctx, done, err)
	}
	for _, d := range done {
		if err := f.removeTemp(d.dir); err != nil {
			b.log.Warn("temporary files not removed", "envelope", d.Envelope, "error", err)
		}
		b.complete(d)
	}
	wake(b.settling)
	return nil
}

// releaseGroup releases deliveries after a local failure. It returns any other error.
func (b *Inbox) releaseGroup(ctx context.Context, group []*delivery, err error) error {
	if ignoreLocal(err) != nil {
		return ignoreCancel(ctx, err)
	}
	// Half placed content stays: its rows have its target, and the next attempt continues from
	// there.
	b.releaseAll(ctx, group, func(d *delivery) api.ReleaseRequest {
		return releaseAfter(err, d.attempts, d.Size)
	}, err)
	return nil
}

// placeFiles moves the new messages of a group to their places, durably. It records a failure of
// one sender or one envelope: see fail. It refuses a message that this disk can never take.
func (b *Inbox) placeFiles(ctx context.Context, f *folders, list []*placement) error {
	taken := map[string]bool{}
	placing, err := b.choosePlaces(ctx, f, list, taken)
	if err != nil || len(placing) == 0 {
		return err
	}
	// The rows promise durable content: after a crash recover only looks whether it was renamed.
	if err := errors.Join(f.writeLists(placing), f.syncContent(placing)); err != nil {
		return localError{err}
	}
	fault.Point("inbox-synced")
	if err := b.writeRows(ctx, placing); err != nil {
		return err
	}
	fault.Point("inbox-placing")
	for _, p := range placing {
		if f.failure(p.Sender, p.Envelope) != nil {
			continue // its row stays, for the next attempt
		}
		var err error
		if !p.isMoved {
			err = b.rename(ctx, f, p, taken)
		}
		if isNever(err) {
			p.refuse(err)
			continue
		}
		if err == nil {
			err = f.writeRecord(p)
		}
		if ignoreLocal(err) != nil {
			return err
		}
		if err != nil {
			f.fail(p, err)
		}
	}
	if err := f.syncPlaces(f.withoutFailed(placing)); err != nil {
		return localError{err}
	}
	fault.Point("inbox-renamed")
	return nil
}

// choosePlaces returns the new messages of a group with their names and records.
func (b *Inbox) choosePlaces(ctx context.Context, f *folders, list []*placement,
	taken map[string]bool) (placing []*placement, err error) {
	for _, p := range list {
		if p.isKnown || p.code != "" || f.failure(p.Sender, p.Envelope) != nil {
			continue
		}
		_, err := b.volumeOf(ctx, f, p.Sender)
		if ignoreLocal(err) != nil {
			return nil, err
		}
		if err == nil {
			err = f.adoptPlaced(p)
		}
		if err == nil && !p.isMoved {
			err = f.chooseName(p, taken, 0)
		}
		if isNever(err) {
			p.refuse(err)
			continue
		}
		if err = errors.Join(err, p.makeRecord()); err != nil {
			f.fail(p, err)
			continue
		}
		placing = append(placing, p)
	}
	return f.withoutFailed(placing), nil
}

// withoutFailed returns the placements of envelopes without a failure.
func (f *folders) withoutFailed(list []*placement) []*placement {
	return slices.DeleteFunc(list, func(p *placement) bool {
		return f.failure(p.Sender, p.Envelope) != nil
	})
}

// ignoreCancel returns nil if the context has ended: then an error is a consequence of that.
func ignoreCancel(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
