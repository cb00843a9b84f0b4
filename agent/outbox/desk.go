package outbox

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/progress"
	"sealpost/internal/reason"
)

// desk owns every message in hand, from its claim until the hub has it. The ledger knows the state
// of a message; the desk alone knows its holder. Its fields belong to the goroutine of run. Workers
// are functions that share nothing with it: each returns a function that run executes. The desk
// waits for no commit.
type desk struct {
	o         *Outbox
	questions chan func()       // of other goroutines
	arrivals  chan arrival      // of claims: taken while there is room
	results   chan func() error // of workers
	ended     chan struct{}     // closed when run has returned

	workers   int // the number of those without a result yet
	connected bool
	lanes     []*lane // of small messages, and of large ones and folders
	routes    *routes
	inHand    map[id.UID]holder
	claims    map[string]int                  // files whose claims are being written, by nameOf
	waiters   map[id.UID][]chan struct{}      // for messages to be released
	envelopes map[id.Envelope]*progress.Meter // in hand; nil: its upload is not measured
	jobs      map[id.Envelope]*running        // of workers
	refusals  map[id.Envelope]refused         // envelopes that the hub does not take for now
	wake      time.Time                       // the time of the next look without an event
}

const (
	// maxQueued bounds the messages that wait at the desk for a sealer. Further ones wait in the
	// ledger.
	maxQueued = 2 * smallSealers * envelopeMost
	// queuedFor bounds the wait of a message at the desk for a sealer. A busy lane needs less time
	// for an envelope.
	queuedFor = time.Second
)

func newDesk(o *Outbox) *desk {
	return &desk{
		o:         o,
		questions: make(chan func()),
		arrivals:  make(chan arrival),
		results:   make(chan func() error),
		ended:     make(chan struct{}),
		lanes:     []*lane{newLane(true, smallSealers), newLane(false, largeSealers)},
		routes:    newRoutes(),
		inHand:    map[id.UID]holder{},
		claims:    map[string]int{},
		waiters:   map[id.UID][]chan struct{}{},
		envelopes: map[id.Envelope]*progress.Meter{},
		jobs:      map[id.Envelope]*running{},
		refusals:  map[id.Envelope]refused{},
	}
}

// run works until the context ends or the ledger fails, and returns when its workers have.
func (d *desk) run(ctx context.Context) (err error) {
	defer close(d.ended)
	outer := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for err == nil && ctx.Err() == nil {
		if err = d.dispatch(ctx); err != nil {
			break
		}
		timer.Reset(time.Until(d.wake))
		arrivals := d.arrivals
		if !d.hasRoom() {
			arrivals = nil
		}
		select {
		case <-ctx.Done():
		case a := <-arrivals:
			a.taken <- d.enqueue(a.messages)
		case result := <-d.results:
			d.workers--
			err = result()
		case question := <-d.questions:
			question()
		case <-timer.C:
			d.look(time.Now())
		}
	}
	stop()
	for d.workers > 0 {
		select {
		case result := <-d.results:
			d.workers--
			err = errors.Join(err, result())
		case question := <-d.questions:
			question()
		}
	}
	return ignoreCancel(outer, err)
}

// work runs do on a goroutine of its own, and its result at the desk.
func (d *desk) work(do func() func() error) {
	d.workers++
	go func() { d.results <- do() }()
}

// ask runs a question at the desk and waits for it. It fails when the context ends, or the desk
// has.
func (d *desk) ask(ctx context.Context, question func()) error {
	done := make(chan struct{})
	select {
	case d.questions <- func() { question(); close(done) }:
		<-done
		return nil
	case <-d.ended:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tell runs a question at the desk and waits for it. It does nothing after the desk has ended: then
// no message is in hand.
func (d *desk) tell(question func()) {
	d.ask(context.Background(), question) //nolint:errcheck // see above
}

// look ends the waits whose time has come.
func (d *desk) look(now time.Time) {
	d.wake = now.Add(blockedAgain)
	for _, l := range d.lanes {
		if len(l.queue) > 0 {
			d.wakeAt(l.queue[0].until)
		}
	}
	d.reconsider()
}

func (d *desk) wakeAt(t time.Time) {
	if t.Before(d.wake) {
		d.wake = t
	}
}

// reconsider makes every lane look into the ledger again, from the beginning.
func (d *desk) reconsider() {
	for _, l := range d.lanes {
		l.more = true
		clear(l.passed)
	}
}

// open starts the sealing, after the hub has listed the envelopes that it has.
func (d *desk) open() {
	d.connected = true
	d.reconsider()
}

// arrival is messages of one folder that lie durably in sending/, and are claimed in the ledger.
type arrival struct {
	messages []ledger.Outgoing
	taken    chan bool
}

// arrive gives small, just claimed messages to their lane, and reports whether the lane has
// accepted them. This skips the waiting state, and saves one ledger write and read per file, about
// 10 %. The lane refuses them while older ones wait in the ledger, or if no sealer gets free before
// the context ends.
func (d *desk) arrive(ctx context.Context, list []ledger.Outgoing) bool {
	if hasOwnFolder(list[0]) || list[0].Due.After(time.Now()) {
		return false
	}
	a := arrival{list, make(chan bool, 1)}
	select {
	case d.arrivals <- a:
		return <-a.taken
	case <-d.ended:
	case <-ctx.Done():
	}
	return false
}

// hasRoom reports whether an arrival is answered at once.
func (d *desk) hasRoom() bool {
	l := d.lanes[0]
	if l.more || !d.connected {
		return true
	}
	n := 0
	for _, b := range l.queue {
		n += len(b.messages)
	}
	return n < maxQueued
}

// enqueue queues an arrival for a sealer, unless older messages wait in the ledger.
func (d *desk) enqueue(list []ledger.Outgoing) bool {
	l := d.lanes[0]
	if !d.connected || l.more || d.o.isLimited(list[0].Tray) && !d.hasPlace(l, list[0].Tray) {
		return false
	}
	now := time.Now()
	l.queue = append(l.queue, batch{messages: list, until: now.Add(queuedFor)})
	d.hold(list, byLane)
	d.wakeAt(now.Add(queuedFor))
	return true
}

// dispatch gives work to every free worker, and returns messages to the ledger that waited too
// long.
func (d *desk) dispatch(ctx context.Context) error {
	if !d.connected {
		return nil
	}
	for _, l := range d.lanes {
		for d.hasAnyPlace(l) {
			j, err := d.next(ctx, l)
			if err != nil {
				return err
			}
			if j == nil {
				break
			}
			d.start(ctx, l, *j)
		}
		d.giveBack(ctx, l.expired(time.Now()))
	}
	return nil
}

// running is the job of a worker.
type running struct {
	lane       *lane
	messages   []ledger.Outgoing // all of one tray
	isReplaced bool              // another worker has its place
	stop       context.CancelCauseFunc
}

// largeJob returns the job with a large message; nil: none has it.
func (d *desk) largeJob(uid id.UID) *running {
	for _, r := range d.jobs {
		if !r.lane.small && r.messages[0].UID == uid {
			return r
		}
	}
	return nil
}

// isLeftover reports whether an envelope that a former process began waits for a sealer.
func (d *desk) isLeftover(e id.Envelope) bool {
	return slices.ContainsFunc(d.lanes[1].leftovers, func(s *sealed) bool { return s.ID == e })
}

// start has a worker seal and publish a job.
func (d *desk) start(ctx context.Context, l *lane, j job) {
	d.takePlace(l, j.messages[0].Tray)
	ofJob, stop := context.WithCancelCause(ctx)
	r := &running{lane: l, messages: j.messages, stop: stop}
	d.jobs[j.envelope] = r
	d.hold(j.messages, byWorker)
	d.envelopes[j.envelope] = nil
	d.work(func() func() error {
		next, err := d.o.send(ofJob, j)
		if errors.Is(context.Cause(ofJob), errRecalled) {
			err = nil
			d.o.abandon(ctx, j.envelope)
			d.o.fileSoon() // it may have held the file
		}
		stop(nil)
		return func() error { return d.sent(j.envelope, r, next, err) }
	})
}

// sent ends a job.
func (d *desk) sent(e id.Envelope, r *running, next retry, err error) error {
	delete(d.envelopes, e)
	delete(d.jobs, e)
	delete(d.refusals, e)
	d.free(r.messages)
	l := r.lane
	if !r.isReplaced {
		d.givePlace(l, r.messages[0].Tray)
	}
	for _, list := range next.batches {
		d.hold(list, byLane)
		l.retries = append(l.retries, list)
	}
	if next.waiting {
		d.reconsider()
	}
	return err
}

// replaceWorkers gives the places of workers that may hang in a silent tray to others.
func (d *desk) replaceWorkers(silent string) {
	for _, r := range d.jobs {
		if !r.isReplaced && r.messages[0].Tray == silent {
			r.isReplaced = true
			d.givePlace(r.lane, silent)
		}
	}
}

// giveBack records in the ledger that messages wait, and then releases them.
func (d *desk) giveBack(ctx context.Context, list []ledger.Outgoing) {
	if len(list) == 0 {
		return
	}
	d.hold(list, byWorker)
	d.work(func() func() error {
		err := d.o.take(ctx, list)
		return func() error {
			d.free(list)
			d.reconsider()
			return err
		}
	})
}

// giveUp ends messages that can never be sent.
func (d *desk) giveUp(ctx context.Context, list []ledger.Outgoing, why reason.Reason) {
	d.hold(list, byWorker)
	d.work(func() func() error {
		err := d.o.giveUp(ctx, list, why)
		return func() error {
			d.free(list)
			d.reconsider()
			return err
		}
	})
}

// resume goes on with envelopes that a former process began to seal and to upload.
func (d *desk) resume(leftovers []*sealed) {
	l := d.lanes[1]
	for _, s := range leftovers {
		if _, isKnown := d.envelopes[s.ID]; isKnown {
			continue
		}
		d.envelopes[s.ID] = nil
		d.hold(s.messages, byLane)
		l.leftovers = append(l.leftovers, s)
	}
}

// blocked returns the addresses to which nothing is sent for now, with the reasons.
func (o *Outbox) blocked(ctx context.Context) (d delays) {
	o.desk.ask(ctx, func() { //nolint:errcheck // then nothing is in hand
		d.addresses = o.desk.routes.blocked()
		d.envelopes = maps.Clone(o.desk.refusals)
		for _, r := range d.envelopes {
			d.addresses[r.address] = r.why
		}
	})
	return d
}

// delays holds the reasons for which addresses and sealed envelopes wait.
type delays struct {
	addresses map[string]reason.Reason
	envelopes map[id.Envelope]refused
}

// of returns the reason for which a message waits. Others of its address may pass an envelope that
// the hub does not take.
func (d delays) of(m Message) reason.Reason {
	switch m.State {
	case ledger.Taken:
		return d.addresses[m.Address]
	case ledger.Sealed:
		return d.envelopes[m.Envelope].why
	}
	return reason.Reason{}
}

// measured returns the progress of the large envelopes in hand.
func (o *Outbox) measured(ctx context.Context) map[id.Envelope]progress.State {
	all := map[id.Envelope]progress.State{}
	o.desk.ask(ctx, func() { //nolint:errcheck // then nothing is in hand
		for e, p := range o.desk.envelopes {
			if p != nil {
				all[e] = p.State(time.Now())
			}
		}
	})
	return all
}

// has reports whether a worker of this process has an envelope.
func (d *desk) has(e id.Envelope) (isKnown bool) {
	d.tell(func() { _, isKnown = d.envelopes[e] })
	return isKnown
}

// refused is an envelope that the hub does not take for now.
type refused struct {
	address string
	why     reason.Reason
}

// refuse notes the reason for which the hub does not take an envelope for now; none: unknown.
func (d *desk) refuse(s *sealed, why reason.Reason) {
	d.tell(func() {
		if d.refusals[s.ID] = (refused{s.Address, why}); why.IsZero() {
			delete(d.refusals, s.ID)
		}
	})
}

// measure shows the progress of an upload.
func (d *desk) measure(e id.Envelope, p *progress.Meter) {
	d.tell(func() {
		if _, isKnown := d.envelopes[e]; isKnown {
			d.envelopes[e] = p
		}
	})
}
