package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// partsAtOnce is the number of parts of one envelope that are sent at the same time. On a line with
// packet loss one connection cannot use the whole bandwidth.
const partsAtOnce = 3

// maxPublishPause is the longest pause before another publish: an admin may raise a quota at any
// time.
const maxPublishPause = time.Minute

// haltAfter is the time without a new part after which a large envelope holds no memory and no open
// file. A later try seals its segment again.
const haltAfter = 10 * time.Minute

// abandonTime bounds the hub's answer to the deletion of a given-up envelope's parts.
const abandonTime = 10 * time.Second

// publish publishes an envelope, with retries until the hub has it, and records the hub's promise.
// A retry is always safe: one envelope id names one ciphertext, and the same publish gets the same
// answer.
//
// dropped reports that the envelope was given up, and its messages wait to be sealed again.
func (o *Outbox) publish(ctx context.Context, s *sealed) (dropped bool, err error) {
	pause := backoff.Backoff{Min: 100 * time.Millisecond, Max: 15 * time.Second}
	brought, last := int64(0), time.Now()
	// checksum errors at the hub: rare on a line, so the third one means a damaged file
	damaged := 0
	for {
		published, err := o.tryPublish(ctx, s)
		if err == nil {
			return false, o.published(ctx, s, published)
		}
		if ctx.Err() != nil {
			return false, nil
		}
		var failed unsealedError
		switch {
		case errors.Is(err, api.ErrForgotten):
			return false, o.forgotten(ctx, s)
		case errors.As(err, &failed), errors.Is(err, errLedger):
			return false, err
		case errors.Is(err, api.ErrRoute) || errors.Is(err, api.ErrUnroutable) ||
			errors.Is(err, api.ErrNotAllowed):
			o.forgetRoute(s.Address)
			return true, o.drop(ctx, s, "route-changed")
		case errors.Is(err, api.ErrUnstaged) && s.stream == nil:
			return true, o.drop(ctx, s, "lost-by-hub")
		case errors.Is(err, api.ErrChecksum) && damaged > 1, errors.Is(err, api.ErrConflict):
			return true, o.drop(ctx, s, "sealed-damaged")
		case errors.Is(err, api.ErrChecksum):
			damaged++
		case errors.Is(err, api.ErrTooLarge):
			return false, o.fail(ctx, s, reason.New("larger-than-hub"))
		case errors.Is(err, api.ErrInvalid):
			return false, o.fail(ctx, s, reason.New("not-accepted", "why", err))
		}
		if n := s.brought.Load(); n > brought {
			brought, last = n, time.Now()
			pause.Reset() // the line is bad and not dead: the next try may go at once
		}
		why := cmp.Or(s.refusal(err), o.whyStalled(ctx, s.ID, err, last))
		o.log.Warn("not published yet; trying again", "envelope", s.ID, "error", err, "reason", why)
		o.desk.refuse(s, why)
		if s.stream != nil && time.Since(last) > haltAfter {
			s.stream.halt()
		}
		wait := min(pause.After(api.RetryAfter(err)), maxPublishPause)
		if o.awaitRetry(ctx, wait) != nil {
			return false, nil
		}
	}
}

// awaitRetry waits for the next attempt at a publish. Retry ends the wait.
func (o *Outbox) awaitRetry(ctx context.Context, wait time.Duration) error {
	o.mu.Lock()
	hurry := o.hurry
	o.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-hurry:
	case <-timer.C:
	}
	return nil
}

// refusal returns the reason that the hub does not take an envelope for now. It is empty if the
// line is broken, the hub is busy, or the site is refused: the link reports these.
func (s *sealed) refusal(err error) reason.Reason {
	var no *api.Error
	switch {
	case errors.Is(err, api.ErrFull):
		return reason.New("hub-full")
	case errors.As(err, &no) && no.Quota != nil:
		return s.overQuota(no.Quota)
	case errors.Is(err, api.ErrOnHold):
		return reason.New("hub-holds-site")
	case errors.Is(err, api.ErrBusy), api.IsOfSite(err), !errors.As(err, &no):
		return reason.Reason{}
	}
	return reason.New("hub-takes-later", "why", no)
}

// stalledAfter is the time without progress after which the line may drop all large packets.
const stalledAfter = time.Minute

// whyStalled returns the reason of an envelope without progress since a time. It is empty if the
// hub answers no small request either: the link reports a broken line.
func (o *Outbox) whyStalled(ctx context.Context, e id.Envelope, err error,
	since time.Time) reason.Reason {
	var answered *api.Error
	if errors.As(err, &answered) || time.Since(since) < stalledAfter {
		return reason.Reason{}
	}
	bounded, cancel := context.WithTimeout(ctx, abandonTime)
	defer cancel()
	if _, err := o.hub.Known(bounded, []id.Envelope{e}); err != nil {
		return reason.Reason{}
	}
	return reason.New("upload-stalled", "since", since.Truncate(time.Second))
}

// overQuota returns the reason of an envelope that exceeds a quota of the hub.
func (s *sealed) overQuota(o *api.OverQuota) reason.Reason {
	owner := reason.New("quota-of-hub")
	switch o.Scope {
	case api.ScopeSite:
		owner = reason.New("quota-of-site", "site", o.Name)
	case api.ScopeQueue:
		owner = reason.New("quota-of-queue", "queue", o.Name)
		for _, r := range s.Recipients {
			if r.Site.Queue() == o.Name {
				owner = reason.New("quota-of-recipient", "site", r.Site)
			}
		}
	}
	limit := reason.New("quota-limit", "limit", o.Limit, "used", o.Used, "allowed", o.Allowed,
		"needed", o.Needed)
	switch o.Limit {
	case api.LimitBytes:
		limit = reason.New("quota-bytes", "used", reason.Size(o.Used), "allowed",
			reason.Size(o.Allowed), "needed", reason.Size(o.Needed))
	case api.LimitReserved:
		limit = reason.New("quota-reserved", "used", reason.Size(o.Used), "allowed",
			reason.Size(o.Allowed), "needed", reason.Size(o.Needed))
	case api.LimitUploads:
		limit = reason.New("quota-uploads", "used", o.Used, "allowed", o.Allowed)
	case api.LimitEnvelopes:
		limit = reason.New("quota-envelopes", "used", o.Used, "allowed", o.Allowed)
	case api.LimitMetadata:
		limit = reason.New("quota-metadata", "used", reason.Size(o.Used), "allowed",
			reason.Size(o.Allowed))
	case api.LimitMessages:
		limit = reason.New("quota-messages", "used", o.Used, "allowed", o.Allowed, "needed",
			o.Needed)
	}
	if o.NeverFits() {
		return reason.New("hub-quota-too-small", "of", owner, "limit", limit)
	}
	return reason.New("hub-over-quota", "of", owner, "limit", limit)
}

func (o *Outbox) tryPublish(ctx context.Context, s *sealed) (api.Published, error) {
	content, err := o.bring(ctx, s)
	if err != nil {
		return api.Published{}, err
	}
	req := api.PublishRequest{Envelope: s.ID, Address: s.address, RouteVersion: s.RouteVersion,
		Size: s.Size, CRC32C: s.CRC32C}
	for _, r := range s.Recipients {
		req.Recipients = append(req.Recipients, r.Site)
	}
	for _, m := range s.messages {
		req.Messages = append(req.Messages, api.Message{ID: m.ID, UID: m.UID, Sent: m.Claimed})
	}
	if ok, err := o.trust.StillTrusted(ctx, s.Recipients); err != nil || !ok {
		return api.Published{}, cmp.Or(err, api.ErrRoute) // it is sealed again, or waits
	}
	if err := o.line(s.messages[0].Tray).First(ctx, int64(len(content))); err != nil {
		return api.Published{}, err
	}
	p, err := o.hub.Publish(ctx, req, content)
	if errors.Is(err, api.ErrUnstaged) {
		// The hub has lost parts since it listed them: the next round asks for them.
		return p, fmt.Errorf("publish %s: %w", s.ID, err)
	}
	return p, err
}

// bring returns a small envelope's content, and uploads the parts of a large one.
func (o *Outbox) bring(ctx context.Context, s *sealed) ([]byte, error) {
	if s.content != nil {
		return s.content.Bytes(), nil
	}
	if s.stream == nil { // it was uploaded by a former process
		return nil, nil
	}
	return nil, s.stream.upload(ctx)
}

// adapt adapts the number of parts in flight to a try's result. A failed try that brought none
// halves it; one that brought some doubles it. On a slow line, parts that share it may each exceed
// the time limits of client and hub.
func (s *sealed) adapt(brought int64, err error) {
	switch {
	case brought > 0:
		s.fewer = max(s.fewer-1, 0)
	case err != nil && partsAtOnce>>(s.fewer+1) > 0:
		s.fewer++
	}
}

func partSize(part int, size int64) int64 {
	return min(api.PartSize, size-int64(part)*api.PartSize)
}

// published records the hub's promise.
func (o *Outbox) published(ctx context.Context, s *sealed, p api.Published) error {
	fault.Point("outbox-published")
	err := o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		if s.Size > api.SmallSize {
			if err := tx.DropSegments(s.ID, -1); err != nil {
				return err
			}
		}
		return tx.Publish(s.ID, p.Incarnation, p.Sequence, p.Spooled)
	})
	if err != nil {
		return err
	}
	fault.Point("outbox-promised")
	o.log.Info("published", "messages", labels(s.messages), "envelope", s.ID, "sequence",
		p.Sequence)
	o.mu.Lock()
	other := o.incarnation != "" && p.Incarnation != o.incarnation
	o.mu.Unlock()
	if other {
		poke(o.hubIsNew)
	}
	if s.Size > api.SmallSize {
		o.unmark(s.ID)
	}
	poke(o.waits)
	return nil
}

// drop gives up an envelope. Its messages wait to be sealed under a new envelope id.
func (o *Outbox) drop(ctx context.Context, s *sealed, why string) error {
	o.log.Info("sealing again", "envelope", s.ID, "cause", why)
	wait := reason.Reason{}
	if s.State == ledger.EnvelopePublished { // otherwise no recipient can have it
		wait = reason.New(reason.LostByHub)
	} else if s.Size > api.SmallSize {
		wait = reasonToKeep(s.messages[0].Reason)
	}
	if err := o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		return errors.Join(tx.Drop(s.ID, wait), tx.DropSegments(s.ID, -1))
	}); err != nil {
		return err
	}
	fault.Point("outbox-dropped")
	if s.Size > api.SmallSize { // otherwise it has no parts
		o.abandon(ctx, s.ID)
	}
	return nil
}

// abandon deletes the parts of a given-up envelope at the hub. If it cannot, it tries again when
// the hub is back, and after a start.
func (o *Outbox) abandon(ctx context.Context, e id.Envelope) {
	bounded, cancel := context.WithTimeout(ctx, abandonTime)
	defer cancel()
	if err := o.hub.AbortUpload(bounded, e); err != nil && !errors.Is(err, api.ErrNotFound) {
		o.log.Debug("its parts stay at the hub for now", "envelope", e, "error", err)
		o.orphan(e)
		return
	}
	o.unmark(e)
}

// orphan keeps a given-up envelope until its parts are deleted.
func (o *Outbox) orphan(e id.Envelope) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.orphans = append(o.orphans, e)
}

// abandonOrphans deletes the parts of all given-up envelopes that were not deleted before.
func (o *Outbox) abandonOrphans(ctx context.Context) {
	o.mu.Lock()
	orphans := o.orphans
	o.orphans = nil
	o.mu.Unlock()
	for _, e := range orphans {
		o.abandon(ctx, e)
	}
}

// fail ends the messages of an envelope that no hub of this network will take.
func (o *Outbox) fail(ctx context.Context, s *sealed, why reason.Reason) error {
	o.log.Error("failed", "envelope", s.ID, "reason", why)
	err := o.ledger.Update(ctx, func(tx *ledger.Tx) error {
		if err := errors.Join(tx.Drop(s.ID, why), tx.DropSegments(s.ID, -1)); err != nil {
			return err
		}
		for _, m := range s.messages {
			if err := tx.Fail(m.UID, why, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	o.fileSoon()
	if s.Size > api.SmallSize { // otherwise it has no parts
		o.abandon(ctx, s.ID)
	}
	return nil
}
