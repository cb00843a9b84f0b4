package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/statement"
)

// leaseBytes limits the ciphertext in one answer; the rest of api.MaxLease is for its head.
const leaseBytes = api.MaxLease - 1<<20

// blockedInterval is the interval between checks of an inbox that is full or unusable.
const blockedInterval = 5 * time.Second

// maxLargeQueue limits the large deliveries that wait here for an opener.
const maxLargeQueue = 256

// collectInterval is the interval between looks for begun downloads that are over.
const collectInterval = time.Hour

// extendInterval is the interval between checks for leases to extend.
const extendInterval = 5 * time.Second

// delivery is one leased envelope on its way through the inbox.
type delivery struct {
	api.Delivery
	attempts int           // this site's own count, in the ledger
	length   time.Duration // of the lease
	// the release is under way at the hub; guarded by the inbox's mu
	isReleased bool

	dir      string   // the attempt's folder under temp, once opening
	messages []opened // once opened
	signer   id.Hash  // the identity key that signed it
	origin   origin   // once opened
	// by uid, the paths of half placed messages whose temporary content is gone
	former map[id.UID]string
}

// leaseAll leases deliveries until the context ends or another session takes the queue.
func (b *Inbox) leaseAll(ctx context.Context) error {
	pause := backoff.Backoff{Min: 200 * time.Millisecond, Max: 15 * time.Second}
	ask := api.LeaseRequest{Session: b.cfg.Session, Max: api.MaxLeases, MaxBytes: leaseBytes,
		Wait: api.MaxWait}
	for ctx.Err() == nil {
		ready, err := b.isReady(ctx)
		if err != nil {
			return ignoreCancel(ctx, err)
		}
		if !ready || !b.cfg.Trust.RosterAge().IsZero() { // a lease would only be released again
			if backoff.Sleep(ctx, blockedInterval) != nil {
				return nil
			}
			continue
		}
		if ask.Except, err = b.small.full(ctx); err != nil {
			return nil
		}
		// one request at a time: answers to earlier ones have arrived, or never will
		ask.Number++
		call, isMended, stop := b.beginLease(ctx)
		if err := b.admit(ctx, &ask); err != nil { // a change from here on ends the call
			stop()
			return ignoreCancel(ctx, err)
		}
		if ask.Wait = api.MaxWait; isMended || len(ask.Except) > 0 {
			ask.Wait = 0
		}
		list, err := b.hub.Lease(call, ask)
		isStopped := call.Err() != nil
		stop()
		b.endLease(err)
		if err == nil {
			ask.Got = ask.Number
			pause.Reset()
			if err := b.accept(ctx, ask, list); err != nil {
				return err
			}
			if isMended {
				ask.Renews, ask.Session = ask.Session, id.Random128[id.Session]()
				ask.Number, ask.Got = 0, 0
			}
			continue
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, api.ErrHeld):
			return reason.Err("agent-displaced", "site", b.cfg.Site, "why", err)
		}
		if isStopped {
			continue
		}
		b.log.Debug("lease failed", "error", err)
		if pause.Wait(ctx, api.RetryAfter(err)) != nil {
			return nil
		}
	}
	return nil
}

// beginLease returns the context of the next call, and reports whether it is the session's last
// one. That does not wait. Then a new session begins: the hub gives it all that rests for this
// site at once. It names the one before, so that it displaces no newer agent.
func (b *Inbox) beginLease(ctx context.Context) (call context.Context, isLast bool, stop func()) {
	call, stop = context.WithCancel(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	isLast = b.isMended
	b.isMended, b.isRenewing, b.stopLease = false, isLast, stop
	return call, isLast, stop
}

// endLease ends a call, and repeats the last one of a session if it has failed.
func (b *Inbox) endLease(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isMended = b.isMended || b.isRenewing && err != nil
	b.isRenewing, b.stopLease = false, nil
}

// mended begins a new session at the hub, after the end of trouble at this site.
func (b *Inbox) mended() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isRenewing {
		return // the new session begins after this
	}
	b.isMended = true
	if b.stopLease != nil {
		b.stopLease()
	}
}

// isReady reports whether the inbox could place a delivery at all. The first time it recovers from
// a crash. An error comes from the ledger.
func (b *Inbox) isReady(ctx context.Context) (bool, error) {
	f, err := b.enter(ctx)
	if err != nil {
		return false, ignoreLocal(err)
	}
	defer f.close()
	if !b.isRecovered.Load() {
		if err := b.recover(ctx, f); err != nil {
			if ignoreLocal(err) != nil {
				return false, fmt.Errorf("recover the inbox: %w", err)
			}
			b.setUnusable(reason.Of(err))
			return false, nil
		}
		b.isRecovered.Store(true)
	}
	b.setUnusable(reason.Reason{})
	return b.hasSpace(ctx, f), nil
}

// watch notices an inbox that becomes unusable, full or usable while a lease waits at the hub. It
// notices the end of other trouble too.
func (b *Inbox) watch(ctx context.Context) error {
	collected := time.Now() // recover has done it
	for backoff.Sleep(ctx, blockedInterval) == nil {
		if !b.isRecovered.Load() {
			continue // leaseAll looks
		}
		f, err := b.enterPatiently(ctx)
		if ignoreLocal(err) != nil {
			return ignoreCancel(ctx, err)
		}
		if err == nil {
			b.setUnusable(reason.Reason{})
			b.hasSpace(ctx, f)
			if time.Since(collected) > collectInterval {
				collected = time.Now()
				err := b.openVolumes(ctx, f)
				if err == nil {
					err = b.collectOver(ctx, f)
				}
				if ignoreLocal(err) != nil {
					return ignoreCancel(ctx, err)
				}
			}
			b.lookAtTrouble(ctx, f)
			f.close()
		}
	}
	return nil
}

// silentAfter is the longest wait for the inbox's disk before users are told.
const silentAfter = 20 * time.Second

// enterPatiently is enter for an inbox that may hang. It reports the inbox as unusable while it
// waits for longer than silentAfter. After the context has ended the call may go on.
func (b *Inbox) enterPatiently(ctx context.Context) (f *folders, err error) {
	answer := make(chan func(), 1)
	go func() {
		found, failed := b.enter(ctx)
		answer <- func() { f, err = found, failed }
	}()
	silence := time.NewTimer(silentAfter)
	defer silence.Stop()
	for {
		select {
		case take := <-answer:
			take()
			return f, err
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-silence.C:
			b.setUnusable(reason.New("inbox-silent", "dir", b.cfg.Dir))
		}
	}
}

// ignoreLocal returns the error, or nil if it comes from this site's own disk.
func ignoreLocal(err error) error {
	var local localError
	if errors.As(err, &local) {
		return nil
	}
	return err
}

// hasSpace reports whether the inbox's volume has space, and logs a change. It makes space of begun
// downloads if it must.
func (b *Inbox) hasSpace(ctx context.Context, f *folders) bool {
	err := b.checkSpace(f.top, 0)
	if errors.Is(err, errFull) {
		if _, err := b.makeRoom(ctx, f, f.temp); err != nil {
			b.log.Warn("begun downloads not removed", "error", err)
		}
		err = b.checkSpace(f.top, 0)
	}
	var why reason.Reason
	if errors.Is(err, errFull) {
		why = reason.Of(err)
	}
	b.mu.Lock()
	changed := b.fullReason != why
	b.fullReason = why
	b.mu.Unlock()
	switch {
	case changed && !why.IsZero():
		b.log.Warn("inbox full", "reason", why)
	case changed:
		b.log.Info("inbox has space")
		b.mended()
	}
	return why.IsZero()
}

// accept counts an attempt at each delivery, durably. It settles deliveries with a known outcome
// and queues the others for the openers.
func (b *Inbox) accept(ctx context.Context, ask api.LeaseRequest, list []api.Delivery) error {
	var leased, unasked []*delivery
	for _, d := range list {
		n := b.hold(d)
		switch {
		case n == nil:
		case takes(ask, d.Sender):
			leased = append(leased, n)
		default:
			unasked = append(unasked, n)
		}
	}
	b.releaseAll(ctx, unasked, func(*delivery) api.ReleaseRequest {
		return api.ReleaseRequest{Code: api.ReleaseBusy, Delay: unaskedDelay, NotAttempted: true}
	}, nil)
	if len(leased) == 0 {
		return nil
	}
	// The attempts are durable before any content is opened, so that an envelope that kills the
	// agent is counted too.
	var known []*delivery
	err := b.ledger.Update(ctx, func(tx *ledger.Tx) error {
		known = known[:0]
		for _, d := range leased {
			done, err := b.begin(tx, d)
			if err != nil {
				return err
			}
			if done {
				known = append(known, d)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fault.Point("inbox-leased")
	for _, d := range known {
		b.log.Info("known already", "envelope", d.Envelope)
		b.complete(d)
	}
	if len(known) > 0 {
		wake(b.settling)
	}
	var rejected []*delivery
	for _, d := range leased {
		b.enqueue(d)
		if d := b.large.displace(maxLargeQueue); d != nil {
			rejected = append(rejected, d)
		}
	}
	unwanted, err := b.turnedAway(ctx)
	if err != nil {
		return err
	}
	for _, from := range unwanted { // since the lease
		b.handBack(ctx, append(b.small.drop(from), b.large.drop(from)...))
	}
	// Nothing is leased meanwhile, and a small one may wait behind these at the hub.
	b.releaseAll(ctx, rejected, func(d *delivery) api.ReleaseRequest {
		return api.ReleaseRequest{Code: api.ReleaseBusy, Delay: busyDelay(time.Since(d.Spooled)),
			NotAttempted: true}
	}, nil)
	return nil
}

// begin writes the attempt, and reports whether the delivery only needs settling. That is so if the
// envelope has its receipt, or every message in it is already in the inbox with its fingerprint.
func (b *Inbox) begin(tx *ledger.Tx, d *delivery) (done bool, err error) {
	row, err := tx.Begin(d.Envelope, d.Sender, time.Now())
	if err != nil {
		return false, err
	}
	d.attempts = row.Attempts
	receipt := row.Receipt
	if receipt == "" {
		outcomes, all, err := placedOutcomes(tx, d)
		if err != nil || !all {
			return false, err
		}
		if receipt, err = b.sign(d, outcomes); err != nil {
			return false, err
		}
	}
	return true, tx.Receipt(d.Envelope, receipt, target(d.DeliveryID), reason.Reason{})
}

// placedOutcomes returns the outcomes of a delivery, and reports whether all its messages are in
// the inbox.
func placedOutcomes(tx *ledger.Tx,
	d *delivery) (list []statement.ReceiptMessage, all bool, err error) {
	for _, m := range d.Messages {
		row, err := tx.Received(d.Sender, m.UID)
		if errors.Is(err, ledger.ErrNotFound) || (err == nil && (!row.Placed || row.ID != m.ID)) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		list = append(list, statement.ReceiptMessage{UID: m.UID, Message: m.ID,
			Outcome: statement.Delivered, Fingerprint: row.Fingerprint})
	}
	return list, true, nil
}

// enqueue queues a delivery for the openers of its size, unless it is settled already. Small ones
// never wait behind large ones.
func (b *Inbox) enqueue(d *delivery) {
	b.mu.Lock()
	isHeld := b.held[d.Envelope] == d
	b.mu.Unlock()
	switch {
	case !isHeld:
	case d.Size <= api.SmallSize:
		b.small.put(d)
	default:
		b.large.put(d)
	}
}

// busyDelay returns the delay of a large delivery of this age. It grows with the age: otherwise,
// with very many waiting, most leases would return the same ones again.
func busyDelay(age time.Duration) time.Duration { return min(max(age/4, time.Second), time.Minute) }

// hold adds a leased delivery to the held ones, and returns nil if it is held already. A held one
// was leased again because its lease ran out, and gets the new token. A delivery with a release
// under way may come again as a new one, even before the hub's answer to the release.
func (b *Inbox) hold(d api.Delivery) *delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.held[d.Envelope]; h != nil && (!h.isReleased || h.Token == d.Token) {
		if h.DeliveryID == d.DeliveryID {
			h.Token, h.LeasedUntil = d.Token, d.LeasedUntil
		}
		return nil
	}
	h := &delivery{Delivery: d, length: time.Until(d.LeasedUntil)}
	b.held[d.Envelope] = h
	return h
}

// drop removes a delivery from the held ones, unless a newer lease has replaced it.
func (b *Inbox) drop(d *delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[d.Envelope] == d {
		delete(b.held, d.Envelope)
	}
}

// complete drops a delivery that has its receipt, and its reason.
func (b *Inbox) complete(d *delivery) {
	b.drop(d)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.reasons, d.Envelope)
}

// extendLeases extends leases before they run out. A lost lease costs only a repetition, because
// settling needs no lease.
func (b *Inbox) extendLeases(ctx context.Context) error {
	for backoff.Sleep(ctx, extendInterval) == nil {
		for _, lease := range b.agingLeases() {
			until, err := b.hub.Extend(ctx, lease.token)
			if err != nil {
				b.log.Debug("lease not extended", "envelope", lease.envelope, "error", err)
				continue
			}
			b.mu.Lock()
			if d := b.held[lease.envelope]; d != nil && d.Token == lease.token {
				d.LeasedUntil = until
			}
			b.mu.Unlock()
		}
	}
	return nil
}

type lease struct {
	envelope id.Envelope
	token    api.Token
}

// agingLeases returns the leases that are more than half over.
func (b *Inbox) agingLeases() (list []lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e, d := range b.held {
		if time.Until(d.LeasedUntil) < d.length/2 {
			list = append(list, lease{e, d.Token})
		}
	}
	return list
}

// releaseHeld releases all held deliveries when the agent stops, so that none waits for its lease
// to run out.
func (b *Inbox) releaseHeld() {
	b.mu.Lock()
	var list []*delivery
	for _, d := range b.held {
		list = append(list, d)
	}
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	b.releaseAll(ctx, list, func(*delivery) api.ReleaseRequest {
		return api.ReleaseRequest{Code: api.ReleaseStopped, NotAttempted: true}
	}, nil)
}

// target returns the delivery to settle in the ledger's form.
func target(d api.DeliveryID) string {
	text, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings and a number never fail to encode
	}
	return string(text)
}
