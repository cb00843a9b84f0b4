package outbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/hub/api"
	"sealpost/internal/beneath"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Content is removed from delivered/ when it is older than keep_delivered. Other accounts can
// change and swap everything there, so it is renamed into a private folder first, and compared with
// its state at the claim once more. The ledger has the intent before, so that the next look goes on
// after a crash.

const (
	clearGroup = 64               // messages in one step
	clearAgain = 24 * time.Hour   // between two looks at content that was kept
	clearSlack = time.Millisecond // the ledger's times are cut to this
)

// prover reports why the receipts of a message are not verified now; none: all are.
type prover func(context.Context, ledger.Outgoing) (reason.Reason, error)

// Clear removes old content from delivered/ in every tray with a limit. It calls rest with the
// duration of each step before the next.
func (o *Outbox) Clear(ctx context.Context, now time.Time, rest func(time.Duration) error) error {
	for _, t := range o.trays {
		if t.KeepDelivered == 0 || t.silent.Load() {
			continue
		}
		if err := t.clear(ctx, now, o.prove, rest); err != nil {
			return err
		}
	}
	return nil
}

// clear removes old content of one tray.
func (t *box) clear(ctx context.Context, now time.Time, prove prover,
	rest func(time.Duration) error) error {
	before := now.Add(-t.KeepDelivered)
	for isAgain := true; ; {
		var list []ledger.Outgoing
		var last int64
		err := t.o.view(ctx, func(tx *ledger.Tx) (err error) {
			if isAgain {
				list, err = tx.KeptBack(t.Name, now.Add(-clearAgain), clearGroup)
				return err
			}
			list, last, err = tx.Removable(t.Name, before, clearGroup)
			return err
		})
		if err != nil {
			return err
		}
		if isAgain && len(list) == 0 {
			isAgain = false
			continue
		}
		if !isAgain && last == 0 {
			return nil
		}
		begun := time.Now()
		isHome, err := t.clearStep(ctx, list, last, now, before, prove)
		if err != nil || !isHome {
			return err
		}
		if err := rest(time.Since(begun)); err != nil {
			return err
		}
	}
}

// clearStep removes the content of some messages, and records that. It does nothing while the
// tray's disk is away.
func (t *box) clearStep(ctx context.Context, list []ledger.Outgoing, last int64, now,
	before time.Time, prove prover) (isHome bool, err error) {
	h, err := t.open()
	if err != nil {
		return false, nil
	}
	defer h.Close()
	if isHome, err = t.atHome(ctx, h); err != nil || !isHome || !h.IsDir(tray.DeliveredPart) {
		return false, err
	}
	var present []ledger.Outgoing
	var missing []int64
	var intents []ledger.Removal
	for _, m := range list {
		begun, err := t.hasBegun(ctx, m)
		if err != nil {
			return false, err
		}
		why := reason.New("removal-begun")
		switch {
		case m.State == ledger.Failed || m.State == ledger.Withdrawn,
			m.State == ledger.Delivered && m.Filed && !begun && h.IsGone(contentAt(m)):
			missing = append(missing, m.Seq) // never there, or a user has taken it away
			continue
		case m.State != ledger.Delivered || !m.Filed || !m.FiledAt.Before(before):
			why = reason.New("removal-waits")
		default:
			present = append(present, m)
		}
		intents = append(intents, ledger.Removal{Seq: m.Seq, Time: now, Kept: why})
	}
	if err := t.record(ctx, last, intents, missing); err != nil || len(present) == 0 {
		return err == nil, err
	}
	fault.Point("outbox-removing")
	removed, results, err := h.removeAll(ctx, present, now, prove)
	if err != nil {
		return false, err
	}
	if err := h.syncRemoved(removed); err != nil {
		t.log.Warn("content removed, but not durably yet", "error", err)
		return false, nil // the intents stay
	}
	fault.Point("outbox-removed")
	if len(removed) > 0 {
		t.log.Info("removed from delivered for its age", "messages", labels(removed))
	}
	return true, t.record(ctx, 0, results, nil)
}

// record writes removals into the ledger, and forgets those of content that users have taken away.
func (t *box) record(ctx context.Context, last int64, removals []ledger.Removal,
	missing []int64) error {
	return t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		for _, seq := range missing {
			if err := tx.DropRemoval(seq); err != nil {
				return err
			}
		}
		return tx.SetRemovals(t.Name, last, removals)
	})
}

// hasBegun reports whether the removal of a message's content was begun, and cut off by a crash.
func (t *box) hasBegun(ctx context.Context, m ledger.Outgoing) (begun bool, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		r, err := tx.Removal(m.Seq)
		begun = r.Kept == reason.New("removal-begun")
		if errors.Is(err, ledger.ErrNotFound) {
			err = nil
		}
		return err
	})
	return begun, err
}

// removeAll removes the content of messages. It returns those whose content is gone, and the result
// of each.
func (h *handles) removeAll(ctx context.Context, list []ledger.Outgoing, now time.Time,
	prove prover) (removed []ledger.Outgoing, results []ledger.Removal, err error) {
	for _, m := range list {
		kept, err := prove(ctx, m)
		if err != nil {
			return nil, nil, err
		}
		if kept.IsZero() {
			kept = h.removeContent(m)
		}
		if kept.IsZero() {
			removed = append(removed, m)
		} else {
			h.t.log.Warn("kept in delivered beyond its time", "message", m.ID, "reason", kept)
		}
		results = append(results, ledger.Removal{Seq: m.Seq, Time: now, Kept: kept})
		h.Relax()
	}
	return removed, results, nil
}

// removalAt returns the path in the tray of the private folder in which a message's content is
// removed. Its name is that of a copy, which users' programs and the finder leave alone.
func removalAt(m ledger.Outgoing) string {
	return tray.DeliveredPart + "/" + tray.PrivateName(m.UID)
}

// removeContent removes the content of a delivered message, and its folder if that is empty then.
// It returns the reason to keep it. Content that a crash has left in its private folder goes first.
func (h *handles) removeContent(m ledger.Outgoing) (kept reason.Reason) {
	private := removalAt(m)
	inside := private + "/" + m.Name
	if !h.IsGone(contentAt(m)) {
		before, err := h.unchanged(m)
		if err != nil {
			return keptFor(err)
		}
		if err := h.MakePrivate(private); err != nil {
			h.RemoveDir(private) //nolint:errcheck // the error matters
			return keptFor(err)
		}
		if err := h.Rename(contentAt(m), inside); err != nil {
			h.RemoveDir(private) //nolint:errcheck // an empty folder stays
			return keptFor(err)
		}
		fault.Point("outbox-set-aside")
		if now, err := h.observe(inside); err != nil || !same(now, before) {
			return h.giveBack(m, errors.Join(err, errEdited))
		}
	}
	if h.IsGone(private) {
		return reason.Reason{}
	}
	if err := h.IsPrivate(private); err != nil {
		return keptFor(err)
	}
	if !h.IsGone(inside) {
		now, err := h.observe(inside)
		if err != nil || !isSameContent(now, m.Source) || h.isWritten(inside) {
			return h.giveBack(m, errors.Join(err, errEdited))
		}
		if err := h.With(inside, (*beneath.Dir).RemoveAll); err != nil {
			return keptFor(err)
		}
	}
	if err := h.RemoveDir(private); err != nil {
		return keptFor(err)
	}
	h.Forget(placeAt(m))
	h.RemoveDir(placeAt(m)) //nolint:errcheck // others of the message's folder, or of users, stay
	return reason.Reason{}
}

// giveBack moves content out of its private folder again, and returns the reason to keep it.
func (h *handles) giveBack(m ledger.Outgoing, why error) reason.Reason {
	private := removalAt(m)
	if err := h.Rename(private+"/"+m.Name, contentAt(m)); err != nil {
		return keptFor(errors.Join(why, err))
	}
	h.RemoveDir(private) //nolint:errcheck // an empty folder stays
	return keptFor(why)
}

// errEdited means that content was changed after its delivery.
var errEdited = reason.Err("kept-changed")

// keptFor returns the reason to keep content for an error.
func keptFor(err error) reason.Reason {
	if errors.Is(err, errEdited) {
		return reason.Of(errEdited)
	}
	return reason.New("kept-unremovable", "why", tray.Plain(err))
}

// unchanged returns the state of a delivered message's content, or errEdited if it may be another
// than was sent. Size and time can be forged. So if anything was changed since the move to
// delivered/, if only its rights, a file is read again, and a folder is kept.
func (h *handles) unchanged(m ledger.Outgoing) (ledger.Source, error) {
	now, err := h.observe(contentAt(m))
	if err != nil {
		return now, err
	}
	if !isSameContent(now, m.Source) || h.isWritten(contentAt(m)) {
		return now, errEdited
	}
	changed, err := h.lastChange(contentAt(m))
	if err != nil || !changed.After(m.FiledAt.Add(clearSlack)) {
		return now, err
	}
	if m.Folder || !h.isContentOf(contentAt(m), m) {
		return now, errEdited
	}
	return now, nil
}

// isWritten reports whether a program has a file open for writing.
func (h *handles) isWritten(at string) bool {
	d, name, err := h.At(at)
	if err != nil {
		return true
	}
	info, err := d.Lstat(name)
	if err != nil || !info.IsRegular() {
		return err != nil
	}
	writer, err := d.Writer(name)
	return err == nil && writer == beneath.HasWriter
}

// lastChange returns the time of the last change in an entry: of content, names or rights.
func (h *handles) lastChange(at string) (last time.Time, err error) {
	d, name, err := h.At(at)
	if err != nil {
		return last, err
	}
	info, err := d.Lstat(name)
	if err != nil || !info.IsDir() {
		return info.Changed, err
	}
	return last, tray.Walk(d, name, func(_ *beneath.Dir, rel string, info beneath.Info) error {
		if rel != "" && info.Changed.After(last) { // the folder itself was renamed
			last = info.Changed
		}
		return nil
	})
}

// syncRemoved makes removals durable.
func (h *handles) syncRemoved(removed []ledger.Outgoing) error {
	dirs := []string{tray.DeliveredPart}
	for _, m := range removed {
		if to := placeAt(m); dirs[len(dirs)-1] != to && h.IsDir(to) {
			dirs = append(dirs, to)
		}
	}
	return h.Root.SyncGroup(nil, dirs)
}

// prove verifies the receipts of all recipients of a delivered message again.
func (o *Outbox) prove(ctx context.Context, m ledger.Outgoing) (reason.Reason, error) {
	var sealed ledger.Envelope
	var receipts []ledger.Receipt
	err := o.view(ctx, func(tx *ledger.Tx) (err error) {
		if sealed, err = tx.Envelope(m.Envelope); errors.Is(err, ledger.ErrNotFound) {
			return nil
		}
		if err == nil {
			receipts, err = tx.Receipts(m.UID)
		}
		return err
	})
	if err != nil || len(sealed.Recipients) == 0 {
		return reason.New("kept-unproven", "site", nil), err
	}
	for _, r := range sealed.Recipients {
		i := slices.IndexFunc(receipts, func(x ledger.Receipt) bool { return x.Site == r.Site })
		if i < 0 {
			return reason.New("kept-unproven", "site", r.Site), nil
		}
		a, err := o.answer(ctx, receipts[i].Envelope, api.Result{Recipient: r.Site,
			Receipt: receipts[i].Recipient.Receipt, Time: receipts[i].Time})
		if err != nil {
			return reason.Reason{}, err
		}
		if !a.Doubt.IsZero() || !isDeliveredIn(a, m.UID) {
			return reason.New("kept-unproven", "site", r.Site), nil
		}
	}
	return reason.Reason{}, nil
}

// isDeliveredIn reports whether an answer says that a message was delivered.
func isDeliveredIn(a ledger.Answer, uid id.UID) bool {
	return slices.ContainsFunc(a.Outcomes, func(o ledger.Outcome) bool {
		return o.UID == uid && o.Outcome == ledger.OutcomeDelivered
	})
}

// removal fills in the removal of a delivered message's content.
func (m *Message) removal(tx *ledger.Tx, row ledger.Outgoing) error {
	if row.State != ledger.Delivered || !row.Filed {
		return nil
	}
	r, err := tx.Removal(row.Seq)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return nil
	case err != nil:
		return err
	case r.Kept.IsZero():
		m.Removed, m.Folder = r.Time, ""
	case m.Reason.IsZero() && r.Kept != reason.New("removal-begun") &&
		r.Kept != reason.New("removal-waits"):
		m.Reason = r.Kept
	}
	return nil
}
