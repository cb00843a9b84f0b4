package outbox

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/fault"
	"sealpost/internal/words"
)

const (
	smallSealers = 4
	largeSealers = 2

	// smallContent is the largest file that goes the small way: sealed in memory, together with others if some wait. With
	// the wrapped keys of 64 recipients and the rest of the format it stays below api.SmallSize.
	smallContent = ledger.Small
)

// lane seals the messages of one size class, so that small ones never wait behind large ones. It takes the oldest message
// and those behind it with the same address as far as they fit into one envelope; nothing waits for company.
type lane struct {
	o       *Outbox
	small   bool
	workers int
	more    chan struct{}
	jobs    chan job
	fresh   chan []ledger.Outgoing // just claimed, and straight from there to a sealer that is free: see offer
	stalled atomic.Bool            // no sealer is free for long
	behind  atomic.Bool            // older messages wait in the ledger

	// The dispatcher's: what waits up to this number for an address was handed out, so that it is not read again each time.
	passed map[string]int64
	since  time.Time // when it began to pass anything
}

// job is one envelope to make.
type job struct {
	decision *decision
	messages []ledger.Outgoing
}

func newLane(o *Outbox, small bool, workers int) *lane {
	l := &lane{o: o, small: small, workers: workers, more: make(chan struct{}, 1), jobs: make(chan job), fresh: make(chan []ledger.Outgoing), passed: map[string]int64{}}
	l.stalled.Store(true) // it does not run yet
	return l
}

// offerFor is how long a claim waits for sealers. Longer than one envelope takes, so that a busy lane gets all that way, and not so
// long that what is found meanwhile, large or for others, is held up.
const offerFor = time.Second

// offer hands messages of one folder that were just claimed, and lie durably in sending/, to a sealer that is free, and says whether
// one has them: to write that they wait, and to read that again, would be a tenth of a lab's work with small files. They are not
// taken where older ones wait, nor where no sealer gets free, as while the hub is away: then they wait in the ledger, and can be
// recalled. To a process that starts again they are claimed. The wait for a sealer ends with the context.
func (o *Outbox) offer(ctx context.Context, list []ledger.Outgoing) bool {
	l := o.lanes[0]
	m := list[0]
	if m.Folder || m.Source.Size > smallContent || m.Due.After(time.Now()) || l.behind.Load() {
		return false
	}
	select {
	case l.fresh <- list:
		return true
	default:
	}
	if l.stalled.Load() {
		return false
	}
	select {
	case l.fresh <- list:
		return true
	case <-ctx.Done():
		l.stalled.Store(true)
		return false
	}
}

// sendFresh sends what was offered, as far as it may be sent now. The dispatcher tells why not, and goes on with it.
func (o *Outbox) sendFresh(ctx context.Context, list []ledger.Outgoing) error {
	d, err := o.routes.decide(ctx, list[0].Address)
	fit := list[:0]
	if err == nil && d.blocked == "" && d.unknown == "" {
		fit = fitting(list, len(d.recipients))
	}
	rest := list[len(fit):]
	err = o.take(ctx, rest)
	o.hold(rest, false)
	if err != nil {
		o.hold(fit, false)
		return ignoreCancel(ctx, err)
	}
	if len(rest) > 0 {
		o.wake()
	}
	if len(fit) == 0 {
		return nil
	}
	fault.Point("outbox-given")
	return o.send(ctx, job{d, fit})
}

// passedFor is how long a lane relies on what it has passed, while there is always more: something may wait again there, or
// come due.
const passedFor = time.Second

// afresh makes the lane look at everything again, and says whether it had passed anything.
func (l *lane) afresh() bool {
	passed := len(l.passed) > 0
	clear(l.passed)
	l.since = time.Now()
	return passed
}

func (l *lane) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range l.workers {
		g.Go(func() error {
			for {
				l.stalled.Store(false)
				var err error
				select {
				case <-ctx.Done():
					return nil
				case list := <-l.fresh:
					err = l.o.sendFresh(ctx, list)
				case j := <-l.jobs:
					err = l.o.send(ctx, j)
				}
				poke(l.more)
				if err != nil {
					return ignoreCancel(ctx, err)
				}
			}
		})
	}
	g.Go(func() error { return l.dispatch(ctx) })
	return g.Wait()
}

// dispatch hands out what waits, address by address, and sleeps when there is nothing that may be sent.
func (l *lane) dispatch(ctx context.Context) error {
	pause := backoff.Backoff{Min: 200 * time.Millisecond, Max: 15 * time.Second}
	for ctx.Err() == nil {
		if time.Since(l.since) > passedFor {
			l.afresh()
		}
		handed, err := l.round(ctx)
		l.behind.Store(handed || err != nil)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errLedger):
			return err
		case err != nil:
			l.o.log.Warn("the hub gives no route; trying again", "error", err)
			if pause.Wait(ctx, api.RetryAfter(err)) != nil {
				return nil
			}
			continue
		case handed:
			pause.Reset()
			continue
		case l.afresh():
			continue
		}
		idle, err := l.idle(ctx)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-l.more:
		case <-time.After(idle):
		}
	}
	return nil
}

// idle is how long there is nothing to do unless somebody says so: until the next message that is held comes due.
func (l *lane) idle(ctx context.Context) (time.Duration, error) {
	var next time.Time
	now := time.Now()
	err := l.o.view(ctx, func(tx *ledger.Tx) (err error) { next, err = tx.NextDue(now); return err })
	if err != nil || next.IsZero() {
		return blockedAgain, ignoreCancel(ctx, err)
	}
	return min(next.Sub(now), blockedAgain), nil
}

var errLedger = errors.New(words.LedgerUnreadable)

// round hands out at most one job per address, and says whether there was any.
func (l *lane) round(ctx context.Context) (handed bool, err error) {
	var addresses []string
	if err := l.o.view(ctx, func(tx *ledger.Tx) (err error) { addresses, err = tx.Addresses(); return err }); err != nil {
		return false, err
	}
	for _, a := range addresses {
		list, err := l.next(ctx, a)
		if err != nil {
			return handed, err
		}
		if len(list) == 0 {
			continue
		}
		d, err := l.o.routes.decide(ctx, a)
		if err != nil {
			return handed, err
		}
		if d.unknown != "" {
			if err := l.o.giveUp(ctx, list, d.unknown); err != nil {
				return handed, err
			}
			handed = true
		}
		if d.unknown != "" || d.blocked != "" {
			continue
		}
		list = fitting(list, len(d.recipients))
		l.o.hold(list, true)
		l.passed[a] = list[len(list)-1].Seq
		l.behind.Store(true)
		select {
		case l.jobs <- job{d, list}:
			handed = true
		case <-ctx.Done():
			return handed, nil
		}
	}
	return handed, nil
}

// next returns the oldest waiting messages of an address that were not handed out, as many as fit into one envelope for one
// recipient, and the one behind them.
func (l *lane) next(ctx context.Context, address string) (list []ledger.Outgoing, err error) {
	room := newRoom(1)
	err = l.o.view(ctx, func(tx *ledger.Tx) error {
		return tx.Waiting(l.o.trayNames(), address, l.small, time.Now(), l.passed[address], func(m ledger.Outgoing) bool {
			if l.o.held(m.UID) {
				return true
			}
			list = append(list, m)
			return room.take(m) && l.small
		})
	})
	return list, err
}

// room is what is left in one envelope.
type room struct {
	messages int
	bytes    int64
}

// newRoom leaves what an envelope holds besides its messages: the keys, the signature, the ends, and what encryption adds.
func newRoom(recipients int) *room {
	return &room{bytes: api.SmallSize - 20<<10 - int64(recipients)*2<<10}
}

// take says whether a message has room; the first one always has.
func (r *room) take(m ledger.Outgoing) bool {
	r.messages++
	r.bytes -= estimate(m)
	return r.messages == 1 || (r.messages <= api.MaxMessages && r.bytes >= 0)
}

// fitting cuts a list off where an envelope for so many recipients is full, and not within a folder that would fit into another:
// what is answered together is moved as a whole.
func fitting(list []ledger.Outgoing, recipients int) []ledger.Outgoing {
	room := newRoom(recipients)
	for i, m := range list {
		if room.take(m) {
			continue
		}
		whole := i
		for whole > 0 && list[whole-1].SharesFolder(m) {
			whole--
		}
		if whole > 0 {
			return list[:whole]
		}
		return list[:i]
	}
	return list
}

// estimate is an upper bound of what one file needs in an envelope's plaintext: its header, its content, its lines in
// message.json, and a PAX header if its path is long or not plain.
func estimate(m ledger.Outgoing) int64 {
	const block, line = 512, 384
	name := int64(len(m.Name))
	size := block + blocks(m.Source.Size) + line + name
	if name > 80 || !plainName(m.Name) {
		size += 2*block + blocks(name+64) + 5*name // JSON may write six bytes for one
	}
	return size
}

func blocks(n int64) int64 { return (n + 511) / 512 * 512 }

// plainName says that a name is the same in JSON and in a tar header.
func plainName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < 0x20 || c >= 0x7f || strings.IndexByte(`"\<>&`, c) >= 0 {
			return false
		}
	}
	return true
}
