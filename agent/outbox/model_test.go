package outbox

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"pgregory.net/rapid"

	"sealpost/agent/ledger"
	"sealpost/agent/trust"
	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/statement"
)

// modelHub is a hub in memory. It ends the life of an outbox at the call that a test names, before
// or after its effect.
type modelHub struct {
	route   api.Route
	refuses id.Address // an address for which it gives no route

	mu          sync.Mutex // guards the fields below
	incarnation id.Incarnation
	published   map[id.Envelope]api.PublishRequest
	parts       map[id.Envelope]map[int]uint32
	isOld       bool // it has forgotten all envelopes but their ids
	calls       int
	dieAt       int // the number of a call; 0: none
	before      bool
	die         func()
}

var errCut = errors.New("the line is cut")

// call runs the effect of a call, unless the outbox dies before it.
func (h *modelHub) call(ctx context.Context, effect func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	dies := h.dieAt != 0 && h.calls >= h.dieAt
	if dies {
		h.die()
	}
	if dies && h.before || ctx.Err() != nil && !dies {
		return errCut
	}
	err := effect()
	if dies {
		return errCut
	}
	return err
}

func (h *modelHub) Resolve(ctx context.Context, a id.Address) (api.Route, error) {
	return h.route, h.call(ctx, func() error {
		if a.String() == h.refuses.String() {
			return &api.Error{Code: api.CodeTooLarge, Detail: "it reaches 65 sites"}
		}
		return nil
	})
}

func (h *modelHub) OpenUpload(ctx context.Context,
	in api.UploadRequest) (s api.UploadState, err error) {
	err = h.call(ctx, func() error {
		for part := range int((in.Size + api.PartSize - 1) / api.PartSize) {
			if _, durable := h.parts[in.Envelope][part]; !durable {
				s.Missing = append(s.Missing, part)
			}
		}
		return nil
	})
	return s, err
}

func (h *modelHub) PutPart(ctx context.Context, e id.Envelope, part int, sum uint32, r io.Reader,
	size int64) error {
	crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if n, err := io.Copy(crc, r); err != nil || n != size || crc.Sum32() != sum {
		return fmt.Errorf("part %d has %d bytes, not %d: %w", part, n, size, err)
	}
	return h.call(ctx, func() error {
		if h.parts[e] == nil {
			h.parts[e] = map[int]uint32{}
		}
		h.parts[e][part] = sum
		return nil
	})
}

func (h *modelHub) AbortUpload(ctx context.Context, e id.Envelope) error {
	return h.call(ctx, func() error { delete(h.parts, e); return nil })
}

func (h *modelHub) Publish(ctx context.Context, in api.PublishRequest,
	content []byte) (p api.Published, err error) {
	err = h.call(ctx, func() error {
		if in.Size > api.SmallSize && len(h.parts[in.Envelope]) < len(in.CRC32C) {
			return &api.Error{Code: api.CodeUnstaged}
		}
		for part, sum := range in.CRC32C {
			if in.Size > api.SmallSize && h.parts[in.Envelope][part] != sum {
				return &api.Error{Code: api.CodeConflict}
			}
		}
		if _, isKnown := h.published[in.Envelope]; isKnown && h.isOld {
			return &api.Error{Code: api.CodeForgotten}
		}
		h.published[in.Envelope] = in
		p = h.promise()
		return nil
	})
	return p, err
}

func (h *modelHub) promise() api.Published {
	return api.Published{Incarnation: h.incarnation, Sequence: 1, Spooled: time.Now()}
}

func (h *modelHub) Known(ctx context.Context,
	list []id.Envelope) (known []api.KnownEnvelope, err error) {
	err = h.call(ctx, func() error {
		for _, e := range list {
			k := api.KnownEnvelope{Envelope: e, State: api.StateUnknown}
			if _, isKnown := h.published[e]; isKnown {
				p := h.promise()
				k.State, k.Published = api.StateWaiting, &p
				if h.isOld {
					k.State, k.Published = api.StateForgotten, nil
				}
			}
			known = append(known, k)
		}
		return nil
	})
	return known, err
}

func (h *modelHub) Events(ctx context.Context, in api.EventsRequest) (api.EventsAnswer, error) {
	<-ctx.Done()
	return api.EventsAnswer{}, ctx.Err()
}

// forget makes it another hub, which has nothing.
func (h *modelHub) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.incarnation = id.Random128[id.Incarnation]()
	h.published, h.parts = map[id.Envelope]api.PublishRequest{}, map[id.Envelope]map[int]uint32{}
}

// soak makes the tests longer.
var soak = os.Getenv("SEALPOST_SOAK") != ""

// pollEvery is the time between two looks at the rows. A look costs as much as a step of the
// outbox.
const pollEvery = 5 * time.Millisecond

// failer is a test, or one check of a property.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// model is an outbox that dies and is made again from its ledger and files. It knows the required
// end of each dropped file.
type model struct {
	t       failer
	dir     string
	options Options
	hub     *modelHub
	dropped map[string]bool // names; false: recalled
}

// death is a call of the hub at which the outbox dies; 0: none.
type death struct {
	call     int
	isBefore bool // else the hub has done it
}

// lives lets the outbox work until its death, or until holds. It reports whether it held.
func (m *model) lives(d death, during func(*Outbox), holds func() bool) bool {
	m.t.Helper()
	ctx, die := context.WithCancel(context.Background())
	defer die()
	m.hub.mu.Lock()
	m.hub.calls, m.hub.dieAt, m.hub.before, m.hub.die = 0, d.call, d.isBefore, die
	m.hub.mu.Unlock()
	o, err := New(m.options)
	if err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	o.HubIsNew(m.hub.incarnation)
	during(o)
	held := false
	for deadline := time.Now().Add(time.Minute); !held &&
		ctx.Err() == nil; time.Sleep(pollEvery) {
		if held = holds(); time.Now().After(deadline) {
			m.t.Fatalf("it comes to no end: %s", m.rows())
		}
	}
	die()
	if err := <-ended; err != nil {
		m.t.Fatalf("it fails: %v", err)
	}
	return held
}

func (m *model) list() (list []ledger.Outgoing) {
	err := m.options.Ledger.View(context.Background(),
		func(tx *ledger.Tx) (err error) { list, err = tx.Latest(1000); return err })
	if err != nil {
		m.t.Fatal(err)
	}
	return list
}

func (m *model) rows() (text string) {
	for _, r := range m.list() {
		text += fmt.Sprintf("\n%s %s %s %q", r.Name, r.State, r.Envelope, r.Reason)
	}
	return text
}

// isSent reports whether everything that was dropped is at the hub, or recalled.
func (m *model) isSent() bool {
	list := m.list()
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	for _, r := range list {
		_, isKnown := m.hub.published[r.Envelope]
		if !(r.State == ledger.Published && isKnown) && !(r.State == ledger.Failed && r.Filed) {
			return false
		}
	}
	return len(list) == len(m.dropped)
}

// check compares the hub with the dropped files: each once, in one envelope, and no recalled one.
func (m *model) check() {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	copies := map[id.UID]int{}
	for _, p := range m.hub.published {
		for _, one := range p.Messages {
			copies[one.UID]++
		}
	}
	for _, r := range m.list() {
		want := 1
		if r.State == ledger.Failed {
			want = 0
		}
		if _, known := m.dropped[r.Name]; !known || copies[r.UID] != want {
			m.t.Errorf("%s is %s, and %d times at the hub", r.Name, r.State, copies[r.UID])
		}
		delete(copies, r.UID)
	}
	if len(copies) > 0 {
		m.t.Errorf("at the hub and in no row: %v", copies)
	}
	if left, err := os.ReadDir(filepath.Join(m.dir, "outbox")); err != nil || len(left) > 0 {
		m.t.Errorf("left in outbox: %v, %v", left, err)
	}
	for e := range m.hub.published {
		if err := m.options.Ledger.View(context.Background(), func(tx *ledger.Tx) error {
			if left, err := tx.Segments(e); err != nil || len(left) > 0 {
				m.t.Errorf("the progress of %s is left: %v, %v", e, left, err)
			}
			return nil
		}); err != nil {
			m.t.Fatal(err)
		}
	}
}

// TestTheDeskIsMadeAgainFromItsRows drops the desk at random instants, loses hubs and recalls
// messages. Whatever the desk had in hand, everything arrives once.
func TestTheDeskIsMadeAgainFromItsRows(t *testing.T) {
	identity := labIdentity(t)
	route := modelRoute(t, identity)
	checks := "12"
	if soak {
		checks = "250"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		t.Fatal(err)
	}
	defer flag.Set("rapid.checks", "100") //nolint:errcheck // its default
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "desk")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := newModel(t, dir, identity, route)
		defer m.options.Ledger.Close()
		n := 0
		for range rapid.IntRange(1, 4).Draw(t, "lives") {
			for range rapid.IntRange(0, 5).Draw(t, "files") {
				n++
				m.drop(fmt.Sprintf("%d.csv", n),
					rapid.SampledFrom([]int{10, 10, 10, smallContent + 1, 2 << 20,
						api.PartSize + 1}).Draw(t, "size"))
			}
			if rapid.IntRange(0, 4).Draw(t, "hub") == 0 {
				m.hub.forget()
			}
			recalled := fmt.Sprintf("%d.csv", rapid.IntRange(1, 20).Draw(t, "recalled"))
			d := death{rapid.IntRange(1, 12).Draw(t, "call"), rapid.Bool().Draw(t, "before")}
			m.lives(d, func(o *Outbox) { m.recall(o, recalled) }, m.isSent)
		}
		m.lives(death{}, func(*Outbox) {}, m.isSent)
		m.check()
	})
}

func newModel(t failer, dir string, identity testIdentity, route api.Route) *model {
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(filepath.Join(state, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	m := &model{t: t, dir: dir, hub: &modelHub{route: route}, dropped: map[string]bool{}}
	m.hub.forget()
	m.options = Options{
		Site: "FL-LAB", Network: identity.network, State: state, Ledger: l,
		Identity: identity.Identity, Log: log, Hub: m.hub,
		Trust: &trust.Trust{Ledger: l, Network: identity.network, Suite: "x25519",
			Verifier: certs.NewVerifier(identity.authority.Root()), Now: time.Now, Log: log},
		Trays: []Tray{{Folders: Folders{Dir: dir}, Name: "outbox", Address: route.Address,
			Kind: "DAT", FirstNumber: 1, Sweep: 50 * time.Millisecond}},
	}
	err = l.Update(context.Background(), func(tx *ledger.Tx) error {
		return tx.Approve(route.Address.String(), []id.Site{"CA-RC"})
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// modelRoute is a route to one centre.
func modelRoute(t *testing.T, identity testIdentity) api.Route {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	states := statement.RecipientKey{V: 1, Network: identity.network, Site: "CA-RC",
		Recipient: key.Recipient().String(), Version: 1,
		Created: time.Now().UTC().Truncate(time.Millisecond)}
	jws, err := statement.Sign(siteIdentity(t, identity.authority, "CA-RC"), states)
	if err != nil {
		t.Fatal(err)
	}
	to := []api.RouteRecipient{
		{Site: "CA-RC", Statement: jws, KeyHash: statement.RecipientKeyHash(states.Recipient)}}
	address := id.Address{RoutingKey: "fl-lab.dat"}
	return api.Route{Address: address, Recipients: to,
		Version: api.RouteVersion(identity.network, address, to)}
}

func (m *model) drop(name string, size int) {
	path := filepath.Join(m.dir, "outbox", name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, make([]byte, size), 0o644)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.dropped[name] = true
}

// recall recalls a message if there is one of this name and nothing of it was sent.
func (m *model) recall(o *Outbox, name string) {
	for _, r := range m.list() {
		if r.Name == name && r.State != ledger.Published {
			ctx, end := context.WithTimeout(context.Background(), 50*time.Millisecond)
			o.Recall(ctx, string(r.ID)) //nolint:errcheck // it may be too late
			end()
		}
	}
}

// TestARefusedAddressHoldsUpNoOther drops a file for an address that the hub refuses, and one for
// an address that sorts behind it.
func TestARefusedAddressHoldsUpNoOther(t *testing.T) {
	identity := labIdentity(t)
	m := newModel(t, t.TempDir(), identity, modelRoute(t, identity))
	defer m.options.Ledger.Close()
	m.hub.refuses = id.Address{To: []id.Site{"AA-RC"}}
	m.drop("@AA-RC/refused.csv", 10)
	m.drop("sent.csv", 10)
	m.lives(death{}, func(o *Outbox) {
		m.eventually(func() bool {
			states := map[string]ledger.State{}
			for _, r := range m.list() {
				states[r.Name] = r.State
			}
			return states["sent.csv"] == ledger.Published && states["refused.csv"] == ledger.Taken
		})
		status, err := o.Status(t.Context(), 0)
		if why := status.Blocked[m.hub.refuses.String()]; err != nil ||
			!strings.Contains(why.String(), "65 sites") {
			t.Errorf("users are told %q, %v", why, err)
		}
	}, func() bool { return true })
}

// eventually waits for an outbox that lives.
func (m *model) eventually(holds func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			m.t.Fatalf("it comes to no end: %s", m.rows())
		}
	}
}
