package hub

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"slices"
	"testing"

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
		if string(d.Content) != "ciphertext" || d.Envelope != sent.Envelope ||
			d.Sender != "FL-LAB" || d.Messages[0] != sent.Messages[0] {
			t.Fatalf("%s leased %+v", centre.site, d)
		}
		centre.settle(d)
		centre.settle(d) // the answer was lost
		var events []spool.Event
		events, cursor = lab.expectEvents(cursor, spool.EventSettled)
		if len(events) != 1 || events[0].Recipient != centre.site ||
			events[0].Envelope != sent.Envelope || events[0].Receipt == "" {
			t.Fatalf("the lab was told %+v", events)
		}
	}
	lab.noEvents(cursor)
	known, err := lab.Known(t.Context(), []id.Envelope{sent.Envelope, id.Random128[id.Envelope]()})
	if err != nil || known[0].State != spool.StateFinal || len(known[0].Results) != 2 ||
		known[1].State != spool.StateUnknown {
		t.Errorf("known: %+v, %v", known, err)
	}
}

func TestHelloSaysWhoTheHubIs(t *testing.T) {
	q := openHeadquarters(t)
	lab, centre := q.lab("FL-LAB"), q.join("CA-RC", "receive")
	before, err := lab.Hello(t.Context())
	if err != nil || before.Hub != "DC-HQ" || before.Network != q.network() ||
		before.Suite != "hybrid" || before.MayReceive ||
		!slices.Equal(before.MaySend, []string{"fl-lab.#"}) || before.Incarnation == "" {
		t.Errorf("the lab hears %+v, %v", before, err)
	}
	if got, err := centre.Hello(t.Context()); err != nil || !got.MayReceive || got.MaySend != nil ||
		got.KeyHash != "" {
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
	part := func(n int) []byte {
		return content[n*spool.PartSize : min((n+1)*spool.PartSize, len(content))]
	}
	put := func(n int, data []byte) error {
		return lab.PutPart(t.Context(), in.Envelope, n, in.CRC32C[min(n, 2)],
			bytes.NewReader(data), int64(len(data)))
	}
	open := func(want ...int) {
		t.Helper()
		up, err := lab.OpenUpload(t.Context(), api.UploadRequest{Envelope: in.Envelope,
			Size: in.Size})
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
	other := bytes.Clone(part(1))
	other[0]++ // of a former seal: it is replaced
	if err := lab.PutPart(t.Context(), in.Envelope, 1, checksums(other)[0], bytes.NewReader(other),
		spool.PartSize); err != nil {
		t.Fatal(err)
	}
	_, err = lab.Publish(t.Context(), in, nil)
	wantCode(t, err, api.CodeConflict)
	if err := put(1, part(1)); err != nil {
		t.Fatal(err)
	}
	first, err := lab.Publish(t.Context(), in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if repeated, err := lab.Publish(t.Context(), in, nil); err != nil || repeated != first {
		t.Errorf("published again: %+v, %v; first %+v", repeated, err, first)
	}
	open() // no part of a published envelope is missing

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
	_, err = centre.Content(t.Context(), api.ContentRequest{Delivery: d.DeliveryID, Offset: d.Size,
		Length: 1})
	wantCode(t, err, api.CodeInvalid)
	_, err = centre.Content(t.Context(), api.ContentRequest{Delivery: d.DeliveryID,
		Length: api.RangeSize + 1})
	wantCode(t, err, api.CodeInvalid)
	centre.settle(d)
}

// upload publishes a large envelope.
func (s *station) upload(address id.Address, content []byte) api.PublishRequest {
	s.q.t.Helper()
	in := s.head(address, content)
	_, err := s.OpenUpload(s.q.t.Context(), api.UploadRequest{Envelope: in.Envelope, Size: in.Size})
	for n := 0; err == nil && n < len(in.CRC32C); n++ {
		part := content[n*spool.PartSize : min((n+1)*spool.PartSize, len(content))]
		err = s.PutPart(s.q.t.Context(), in.Envelope, n, in.CRC32C[n],
			bytes.NewReader(part), int64(len(part)))
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
	r, err := s.Content(s.q.t.Context(), api.ContentRequest{Delivery: d.DeliveryID, Offset: offset,
		Length: length})
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
	up := api.UploadRequest{Envelope: id.Random128[id.Envelope](), Size: spool.SmallSize + 1}
	if _, err := lab.OpenUpload(t.Context(), up); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := lab.AbortUpload(t.Context(), up.Envelope); err != nil {
			t.Fatal(err)
		}
	}
	up.Size++ // another upload under the same name, which would conflict with the old one
	if _, err := lab.OpenUpload(t.Context(), up); err != nil {
		t.Error(err)
	}
	q.restart() // after which the hub has it on its disk only
	if err := q.lab("PA-LAB").AbortUpload(t.Context(), up.Envelope); err != nil {
		t.Error(err)
	}
	expectHeld(q, up.Size) // another site cannot
	for range 2 {
		if err := lab.AbortUpload(t.Context(), up.Envelope); err != nil {
			t.Fatal(err)
		}
	}
	expectHeld(q, 0)
}

// expectHeld checks how many bytes of ciphertext the hub keeps.
func expectHeld(q *headquarters, want int64) {
	q.t.Helper()
	info, err := q.store.Info(q.t.Context())
	if err != nil || info.Content != want {
		q.t.Errorf("%d bytes are held, want %d: %v", info.Content, want, err)
	}
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
