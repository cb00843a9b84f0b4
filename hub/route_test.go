package hub

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// A changed route is announced to the senders that asked for it, and to no other.
func TestRouteChangesAreTold(t *testing.T) {
	q := openHeadquarters(t)
	lab, other := q.lab("FL-LAB"), q.lab("PA-LAB")
	ca := q.centre("CA-RC", "fl-lab.*")
	resolve := func() api.Route {
		t.Helper()
		r, err := lab.Resolve(t.Context(), key("fl-lab.dat"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var cursor spool.Cursor
	version := resolve().Version
	if _, err := other.Resolve(t.Context(), id.Address{To: []id.Site{"CA-RC"}}); err != nil {
		t.Fatal(err)
	}
	expect := func(label string, sites ...id.Site) {
		t.Helper()
		var events []spool.Event
		events, cursor = lab.expectEvents(cursor, spool.EventRoute)
		r := resolve()
		last := events[len(events)-1]
		if last.Address != "fl-lab.dat" || last.RouteVersion != r.Version || r.Version == version {
			t.Fatalf("after %s the lab was told %+v, and the version is %s", label, last, r.Version)
		}
		var names []id.Site
		for _, recipient := range r.Recipients {
			names = append(names, recipient.Site)
		}
		if version = r.Version; !slices.Equal(names, sites) {
			t.Fatalf("after %s the route is %v", label, names)
		}
	}
	sf := q.join("SF-RC", "receive")
	lab.noEvents(cursor) // nothing is bound to it
	q.bind("SF-RC", "#")
	expect("a binding", "CA-RC", "SF-RC")
	if r := resolve(); r.Recipients[1].Statement != "" || r.Recipients[1].KeyHash != "" {
		t.Errorf("who has not joined has a key: %+v", r.Recipients[1])
	}
	sf.uploadKey()
	expect("the first key", "CA-RC", "SF-RC")
	ca.uploadKey()
	expect("another key", "CA-RC", "SF-RC")
	ask[Bound](q, ControlUnbind, BindRequest{Queue: "ca_rc_queue", Keys: []string{"fl-lab.*"}})
	expect("an unbinding", "SF-RC")
	ask[Bound](q, ControlBind, BindRequest{Queue: "ca_rc_queue", Keys: []string{"fl-lab.dat"}})
	expect("an exact binding", "CA-RC", "SF-RC")
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "SF-RC"})
	expect("a removal", "CA-RC")
	ask[Bound](q, ControlBind, BindRequest{Queue: "ca_rc_queue", Keys: []string{"pa-lab.#"}})
	lab.noEvents(cursor) // does not concern it
	if events, _ := other.expectEvents(0, spool.EventRoute); len(events) != 1 ||
		events[0].Address != "@CA-RC" {
		t.Errorf("the other lab was told %+v", events) // of CA-RC's new key alone
	}
}

func TestWhatDoesNotResolve(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.join("FL-LAB", "both")
	q.lab("PA-LAB")
	q.centre("CA-RC", "fl-lab.dat")
	q.bind("FL-LAB", "#") // its own queue, which is left out
	for _, tc := range []struct {
		name    string
		address id.Address
		want    api.Code
	}{
		{"nobody bound", key("fl-lab.rpt"), api.CodeUnroutable},
		{"not mine", key("pa-lab.dat"), api.CodeNotAllowed},
		{"malformed", key("FL-LAB.dat"), api.CodeInvalid},
		{"nothing", id.Address{}, api.CodeInvalid},
		{"both", id.Address{RoutingKey: "fl-lab.dat", To: []id.Site{"CA-RC"}}, api.CodeInvalid},
		{"unknown site", id.Address{To: []id.Site{"CA-RC", "XX-RC"}}, api.CodeUnroutable},
		{"a site that only sends", id.Address{To: []id.Site{"PA-LAB"}}, api.CodeUnroutable},
		{"itself", id.Address{To: []id.Site{"FL-LAB"}}, api.CodeUnroutable},
		{"out of order", id.Address{To: []id.Site{"SF-RC", "CA-RC"}}, api.CodeInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := lab.Resolve(t.Context(), tc.address)
			wantCode(t, err, tc.want)
		})
	}
	for _, a := range []id.Address{key("fl-lab.dat"), {To: []id.Site{"CA-RC"}}} {
		r, err := lab.Resolve(t.Context(), a)
		if err != nil || len(r.Recipients) != 1 || r.Recipients[0].Site != "CA-RC" ||
			r.Recipients[0].Statement == "" {
			t.Errorf("%s resolves to %+v, %v", a, r, err)
		}
		if r.Version != api.RouteVersion(q.network(), a, r.Recipients) {
			t.Errorf("%s has another version than its recipients have", a)
		}
	}
}

// A publish for a route that has changed is refused, but one that is only repeated gets its answer.
func TestPublishWhileTheRouteChanges(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	ca := q.centre("CA-RC", "fl-lab.#")
	done := lab.head(key("fl-lab.dat"), []byte("x"))
	first, err := lab.Publish(t.Context(), done, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	belated := lab.head(key("fl-lab.dat"), []byte("x"))
	ca.uploadKey()
	_, err = lab.Publish(t.Context(), belated, []byte("x"))
	wantCode(t, err, api.CodeRoute)
	if repeated, err := lab.Publish(t.Context(), done, []byte("x")); err != nil ||
		repeated != first {
		t.Errorf("the repeated publish: %+v, %v; first %+v", repeated, err, first)
	}
	changed := done
	changed.Messages = slices.Clone(done.Messages)
	changed.Messages[0].UID = id.Random128[id.UID]()
	_, err = lab.Publish(t.Context(), changed, []byte("x"))
	wantCode(t, err, api.CodeConflict)

	q.join("SF-RC", "receive")
	q.bind("SF-RC", "#")
	waiting := lab.head(key("fl-lab.dat"), []byte("x"))
	_, err = lab.Publish(t.Context(), waiting, []byte("x"))
	wantCode(t, err, api.CodeRoute) // SF-RC has no key yet
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "CA-RC"})
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "SF-RC"})
	_, err = lab.Publish(t.Context(), waiting, []byte("x"))
	wantCode(t, err, api.CodeUnroutable)
	if repeated, err := lab.Publish(t.Context(), done, []byte("x")); err != nil ||
		repeated != first {
		t.Errorf("with nobody left, the repeated publish: %+v, %v", repeated, err)
	}
}

func TestPublishRefusesWhatIsMalformed(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "#")
	for _, tc := range []struct {
		name  string
		spoil func(*api.PublishRequest)
		want  api.Code
	}{
		{"envelope id", func(in *api.PublishRequest) { in.Envelope = "../x" }, api.CodeInvalid},
		{"route version", func(in *api.PublishRequest) { in.RouteVersion = "1" }, api.CodeInvalid},
		{"another version", func(in *api.PublishRequest) {
			in.RouteVersion = q.network()
		}, api.CodeRoute},
		{"no recipients", func(in *api.PublishRequest) { in.Recipients = nil }, api.CodeInvalid},
		{"twice", func(in *api.PublishRequest) {
			in.Recipients = []id.Site{"CA-RC", "CA-RC"}
		}, api.CodeInvalid},
		{"others", func(in *api.PublishRequest) {
			in.Recipients = []id.Site{"SF-RC"}
		}, api.CodeRoute},
		{"no site", func(in *api.PublishRequest) {
			in.Recipients = []id.Site{"ca-rc"}
		}, api.CodeInvalid},
		{"size", func(in *api.PublishRequest) { in.Size = 7 }, api.CodeInvalid},
		{"no size", func(in *api.PublishRequest) { in.Size = 0 }, api.CodeTooLarge},
		{"too large", func(in *api.PublishRequest) {
			in.Size = spool.MaxSize + 1
		}, api.CodeTooLarge},
		{"inline but large", func(in *api.PublishRequest) {
			in.Size = spool.SmallSize + 1
		}, api.CodeInvalid},
		{"checksums", func(in *api.PublishRequest) { in.CRC32C = nil }, api.CodeInvalid},
		{"wrong checksum", func(in *api.PublishRequest) {
			in.CRC32C = []uint32{1}
		}, api.CodeChecksum},
		{"no messages", func(in *api.PublishRequest) { in.Messages = nil }, api.CodeInvalid},
		{"too many messages", func(in *api.PublishRequest) {
			in.Messages = make([]spool.Message, 257)
		}, api.CodeInvalid},
		{"another's message id", func(in *api.PublishRequest) {
			in.Messages[0].ID = "PA-LAB_DAT_20251008_001"
		}, api.CodeInvalid},
		{"message id", func(in *api.PublishRequest) {
			in.Messages[0].ID = "data.csv"
		}, api.CodeInvalid},
		{"uid", func(in *api.PublishRequest) { in.Messages[0].UID = "1" }, api.CodeInvalid},
		{"message twice", func(in *api.PublishRequest) {
			in.Messages = append(in.Messages, in.Messages[0])
		}, api.CodeInvalid},
		{"no time", func(in *api.PublishRequest) {
			in.Messages[0].Sent = time.Time{}
		}, api.CodeInvalid},
		{"local time", func(in *api.PublishRequest) {
			in.Messages[0].Sent = time.Now().In(time.FixedZone("", 3600))
		}, api.CodeInvalid},
		{"address", func(in *api.PublishRequest) {
			in.Address = key("pa-lab.dat")
		}, api.CodeNotAllowed},
		{"no address", func(in *api.PublishRequest) { in.Address = id.Address{} }, api.CodeInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := lab.head(key("fl-lab.dat"), []byte("x"))
			tc.spoil(&in)
			_, err := lab.Publish(t.Context(), in, []byte("x"))
			wantCode(t, err, tc.want)
		})
	}
}

// Ten years ahead or behind: a wrong clock at the lab spoils nothing.
func TestPublishDoesNotJudgeClocks(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "#")
	for _, wrong := range []time.Duration{10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour} {
		in := lab.head(key("fl-lab.dat"), []byte("x"))
		in.Messages[0].Sent = in.Messages[0].Sent.Add(wrong)
		if _, err := lab.Publish(t.Context(), in, []byte("x")); err != nil {
			t.Error(err)
		}
	}
}

func TestQueuesOfTheConfigurationSeedAnEmptyHub(t *testing.T) {
	q := newHeadquarters(t)
	q.config.Queue = seedQueues("CA-RC", "fl-lab.*")
	q.start()
	t.Cleanup(q.stop)
	lab := q.lab("FL-LAB")
	r, err := lab.Resolve(t.Context(), key("fl-lab.dat"))
	if err != nil || len(r.Recipients) != 1 || r.Recipients[0].Statement != "" {
		t.Errorf("before CA-RC is invited the route is %+v, %v", r, err)
	}
	ask[Bound](q, ControlBind, BindRequest{Queue: "ca_rc_queue", Keys: []string{"pa-lab.*"}})
	q.config.Queue = seedQueues("SF-RC", "#")
	q.restart()
	queues := ask[QueuesAnswer](q, ControlQueues, Nothing{}).Queues
	if len(queues) != 1 || strings.Join(queues[0].Bindings, " ") != "fl-lab.* pa-lab.*" {
		t.Errorf("after a restart the queues are %+v", queues)
	}
}

// While bindings change, a publish succeeds or must resolve again. A published envelope is in
// exactly the queues for which it was sealed.
func TestPublishersAndBindingsAtTheSameTime(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "#")
	q.centre("SF-RC")
	stop := make(chan struct{})
	var toggling sync.WaitGroup
	toggling.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			path := []string{ControlBind, ControlUnbind}[n%2]
			if _, err := tryAsk[Bound](q, path,
				BindRequest{Queue: "sf_rc_queue", Keys: []string{"fl-lab.*"}}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	sealedFor := map[id.UID][]id.Site{}
	for changed, tries := 0, 0; len(sealedFor) < 20 || changed == 0 && tries < 5000; tries++ {
		in := lab.head(key("fl-lab.dat"), []byte("x"))
		_, err := lab.Publish(t.Context(), in, []byte("x"))
		switch {
		case errors.Is(err, api.ErrRoute):
			changed++
		case err != nil:
			t.Fatal(err)
		default:
			sealedFor[in.Messages[0].UID] = in.Recipients
		}
	}
	close(stop)
	toggling.Wait()
	for uid, want := range sealedFor {
		var got []id.Site
		for _, r := range ask[MessagesAnswer](q, ControlMessages,
			MessagesRequest{Sender: "FL-LAB", UID: uid}).Messages {
			got = append(got, r.Recipient)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s was sealed for %v and stands in the queues of %v", uid, want, got)
		}
	}
}
