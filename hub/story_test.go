package hub

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// The way of a small envelope through the hub, from the publish to both receipts.
func TestFromPublishToReceipt(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	ca, sf := q.centre("CA-RC", "fl-lab.*"), q.centre("SF-RC", "#")
	q.centre("NY-RC", "ma-lab.*")

	sent := lab.send(key("fl-lab.dat"), "ciphertext")
	if !slices.Equal(sent.Recipients, []id.Site{"CA-RC", "SF-RC"}) {
		t.Fatalf("the route is %v", sent.Recipients)
	}
	var cursor spool.Cursor
	for _, centre := range []*station{ca, sf} {
		d := centre.take()
		if string(d.Content) != "ciphertext" || d.Envelope != sent.Envelope || d.Sender != "FL-LAB" || d.Messages[0] != sent.Messages[0] {
			t.Fatalf("%s leased %+v", centre.site, d)
		}
		centre.settle(d)
		centre.settle(d) // the answer was lost
		var events []spool.Event
		events, cursor = lab.expectEvents(cursor, spool.EventSettled)
		if len(events) != 1 || events[0].Recipient != centre.site || events[0].Envelope != sent.Envelope || events[0].Receipt == "" {
			t.Fatalf("the lab was told %+v", events)
		}
	}
	lab.noEvents(cursor)
	known, err := lab.Known(t.Context(), []id.Envelope{sent.Envelope, id.Random128[id.Envelope]()})
	if err != nil || known[0].State != spool.StateFinal || len(known[0].Results) != 2 || known[1].State != spool.StateUnknown {
		t.Errorf("known: %+v, %v", known, err)
	}
}

func TestHelloSaysWhoTheHubIs(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.join("CA-RC", "receive")
	before, err := lab.Hello(t.Context())
	if err != nil || before.Hub != "DC-HQ" || before.Network != q.network() || before.Suite != "hybrid" || before.MayReceive ||
		!slices.Equal(before.MaySend, []string{"fl-lab.#"}) || before.Incarnation == "" {
		t.Errorf("the lab hears %+v, %v", before, err)
	}
	if got, err := centre.Hello(t.Context()); err != nil || !got.MayReceive || got.MaySend != nil || got.KeyHash != "" {
		t.Errorf("the centre hears %+v, %v", got, err)
	}
	centre.uploadKey()
	if got, err := centre.Hello(t.Context()); err != nil || got.KeyHash == "" {
		t.Errorf("after its key the centre hears %+v, %v", got, err)
	}
	q.restart()
	after, err := lab.Hello(t.Context())
	if err != nil || after.StartID == before.StartID || after.Incarnation != before.Incarnation {
		t.Errorf("after a restart the lab hears %+v, %v", after, err)
	}
}

// A large envelope comes in parts, in any order, more than once, and through a restart of the hub.
func TestLargeEnvelope(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	content := make([]byte, 2*spool.PartSize+1000)
	rand.Read(content)
	in := lab.head(key("fl-lab.dat"), content)
	part := func(n int) []byte { return content[n*spool.PartSize : min((n+1)*spool.PartSize, len(content))] }
	put := func(n int, data []byte) error {
		return lab.PutPart(t.Context(), in.Envelope, n, bytes.NewReader(data), int64(len(data)))
	}
	open := func(want ...int) {
		t.Helper()
		up, err := lab.OpenUpload(t.Context(), api.UploadRequest{Envelope: in.Envelope, Size: in.Size, CRC32C: in.CRC32C})
		if err != nil || !slices.Equal(up.Missing, want) {
			t.Fatalf("missing %v, %v; want %v", up.Missing, err, want)
		}
	}
	wantCode(t, put(0, part(0)), api.CodeNotFound) // not open
	open(0, 1, 2)
	for _, n := range []int{2, 0, 0} {
		if err := put(n, part(n)); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, put(1, part(0)), api.CodeChecksum)
	wantCode(t, put(1, part(1)[1:]), api.CodeInvalid)
	wantCode(t, put(3, part(2)), api.CodeInvalid)
	_, err := lab.Publish(t.Context(), in, nil)
	wantCode(t, err, api.CodeUnstaged)

	q.restart()
	wantCode(t, put(1, part(1)), api.CodeNotFound)
	open(1)
	if err := put(1, part(1)); err != nil {
		t.Fatal(err)
	}
	first, err := lab.Publish(t.Context(), in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := lab.Publish(t.Context(), in, nil); err != nil || again != first {
		t.Errorf("published again: %+v, %v; first %+v", again, err, first)
	}
	open() // nothing is missing of what is published

	d := centre.take()
	if d.Inline {
		t.Error("a large envelope came inline")
	}
	var got []byte
	for offset := int64(0); offset < d.Size; offset += api.RangeSize {
		got = append(got, centre.read(d, offset, min(api.RangeSize, d.Size-offset))...)
	}
	if !bytes.Equal(got, content) {
		t.Error("the content is not what was published")
	}
	_, err = centre.Content(t.Context(), api.ContentRequest{Delivery: d.DeliveryID, Offset: d.Size, Length: 1})
	wantCode(t, err, api.CodeInvalid)
	_, err = centre.Content(t.Context(), api.ContentRequest{Delivery: d.DeliveryID, Length: api.RangeSize + 1})
	wantCode(t, err, api.CodeInvalid)
	centre.settle(d)
}

// upload publishes a large envelope.
func (s *station) upload(address id.Address, content []byte) api.PublishRequest {
	s.q.t.Helper()
	in := s.head(address, content)
	_, err := s.OpenUpload(s.q.t.Context(), api.UploadRequest{Envelope: in.Envelope, Size: in.Size, CRC32C: in.CRC32C})
	for n := 0; err == nil && n < len(in.CRC32C); n++ {
		part := content[n*spool.PartSize : min((n+1)*spool.PartSize, len(content))]
		err = s.PutPart(s.q.t.Context(), in.Envelope, n, bytes.NewReader(part), int64(len(part)))
	}
	if err == nil {
		_, err = s.Publish(s.q.t.Context(), in, nil)
	}
	if err != nil {
		s.q.t.Fatal(err)
	}
	return in
}

func (s *station) read(d api.Delivery, offset, length int64) []byte {
	s.q.t.Helper()
	r, err := s.Content(s.q.t.Context(), api.ContentRequest{Delivery: d.DeliveryID, Offset: offset, Length: length})
	if err != nil {
		s.q.t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil || int64(len(data)) != length {
		s.q.t.Fatalf("read %d of %d bytes: %v", len(data), length, err)
	}
	return data
}

func TestAbortForgetsAnUpload(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	up := api.UploadRequest{Envelope: id.Random128[id.Envelope](), Size: spool.SmallSize + 1, CRC32C: []uint32{1}}
	if _, err := lab.OpenUpload(t.Context(), up); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := lab.AbortUpload(t.Context(), up.Envelope); err != nil {
			t.Fatal(err)
		}
	}
	up.CRC32C[0] = 2 // another upload under the same name, which would conflict with the old one
	if _, err := lab.OpenUpload(t.Context(), up); err != nil {
		t.Error(err)
	}
}

// A waiting lease is answered as soon as something arrives.
func TestLeaseWaits(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	got := make(chan api.Delivery)
	go func() { got <- centre.take() }()
	sent := lab.send(key("fl-lab.dat"), "x")
	if d := <-got; d.Envelope != sent.Envelope {
		t.Errorf("leased %+v", d)
	}
	none, err := centre.Lease(t.Context(), api.LeaseRequest{Session: centre.session(), Max: 1, Wait: time.Millisecond})
	if err != nil || len(none) != 0 {
		t.Errorf("with nothing there it leased %v, %v", none, err)
	}
}

func TestANewSessionTakesTheQueue(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	d := centre.take()
	next := api.LeaseRequest{Session: id.Random128[id.Session](), Max: 1, MaxBytes: 100, Wait: time.Second}
	again, err := centre.Lease(t.Context(), next)
	if err != nil || len(again) != 1 || again[0].Envelope != d.Envelope {
		t.Fatalf("the new session leased %v, %v", again, err)
	}
	_, err = centre.Lease(t.Context(), api.LeaseRequest{Session: centre.session(), Max: 1})
	wantCode(t, err, api.CodeHeld)
	_, err = centre.Extend(t.Context(), d.Token)
	wantCode(t, err, api.CodeStale)
	if until, err := centre.Extend(t.Context(), again[0].Token); err != nil || !until.After(time.Now()) {
		t.Errorf("extended until %s, %v", until, err)
	}
}

func TestReleasedComesAgain(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")
	d := centre.take()
	wantCode(t, centre.Release(t.Context(), api.ReleaseRequest{Token: d.Token, Code: "the disk of Dr. Miller is full"}), api.CodeInvalid)
	if err := centre.Release(t.Context(), api.ReleaseRequest{Token: d.Token, Code: api.ReleaseFull}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, centre.Release(t.Context(), api.ReleaseRequest{Token: d.Token, Code: api.ReleaseFull}), api.CodeStale)
	if again := centre.take(); again.Envelope != d.Envelope || again.Attempts != 1 {
		t.Errorf("it came again as %+v", again)
	}
}

// What is leased to somebody who has gone waits again at once, and was no attempt.
func TestALeaseThatNobodyTakesGoesBack(t *testing.T) {
	q := newHeadquarters(t)
	gone := &goneStore{leased: make(chan struct{}), leave: make(chan struct{})}
	q.wrap = func(s Store) Store { gone.Store = s; return gone }
	q.start()
	t.Cleanup(q.stop)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	lab.send(key("fl-lab.dat"), "x")

	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := centre.Lease(ctx, api.LeaseRequest{Session: centre.session(), Max: 1, Wait: time.Minute})
		left <- err
	}()
	<-gone.leased // the spool has leased it, and the answer is not written yet
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(gone.leave)
	if d := centre.take(); d.Attempts != 0 {
		t.Errorf("it counts %d attempts", d.Attempts)
	}
}

// goneStore holds the first leased delivery until the caller has gone.
type goneStore struct {
	Store
	leased, leave chan struct{}
	once          bool
}

func (g *goneStore) Lease(ctx context.Context, req spool.LeaseRequest) ([]spool.Delivery, error) {
	got, err := g.Store.Lease(ctx, req)
	if len(got) > 0 && !g.once {
		g.once = true
		close(g.leased)
		<-g.leave
		<-ctx.Done()
	}
	return got, err
}

// A stopping hub answers those who wait at once, and ends.
func TestStopAnswersWaits(t *testing.T) {
	q := newHeadquarters(t)
	waiting := make(chan struct{}, 2)
	q.wrap = func(s Store) Store { return waitStore{s, waiting} }
	q.start()
	t.Cleanup(q.stop)
	lab, centre := q.lab("FL-LAB"), q.centre("CA-RC", "#")
	done := make(chan error, 2)
	go func() {
		_, err := centre.Lease(t.Context(), api.LeaseRequest{Session: centre.session(), Max: 1, Wait: api.MaxWait})
		done <- err
	}()
	go func() {
		_, err := lab.Events(t.Context(), api.EventsRequest{Wait: api.MaxWait})
		done <- err
	}()
	<-waiting
	<-waiting
	began := time.Now()
	q.stop()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// waitStore says when somebody begins to wait.
type waitStore struct {
	Store
	waiting chan struct{}
}

func (w waitStore) Lease(ctx context.Context, req spool.LeaseRequest) ([]spool.Delivery, error) {
	w.waiting <- struct{}{}
	return w.Store.Lease(ctx, req)
}

func (w waitStore) Events(ctx context.Context, s id.Site, after spool.Cursor, maxBytes int) ([]spool.Event, spool.Cursor, error) {
	w.waiting <- struct{}{}
	return w.Store.Events(ctx, s, after, maxBytes)
}

func TestAPoisonedSpoolEndsTheHub(t *testing.T) {
	q := newHeadquarters(t)
	poison := make(chan struct{})
	q.wrap = func(s Store) Store { return poisonedStore{s, poison} }
	q.start()
	close(poison)
	if err := <-q.ended; !errors.Is(err, spool.ErrUncertain) {
		t.Errorf("the hub ended with %v", err)
	}
	q.cancel()
	if err := q.store.Close(); err != nil {
		t.Error(err)
	}
}

type poisonedStore struct {
	Store
	poison chan struct{}
}

func (p poisonedStore) Poisoned() <-chan struct{} { return p.poison }
