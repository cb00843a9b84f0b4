package hub

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// trial sends requests that are drawn from the document, and has the texts that no caller may read.
type trial struct {
	t         *testing.T
	q         *headquarters
	lab, ca   *station
	lines     map[string]*http.Transport
	known     map[string]map[reflect.Type][]any // by caller
	secrets   map[string][]string               // by caller, texts that it may not read
	succeeded map[string]int                    // by caller, and by endpoint
}

// newTrial lets two pairs of sites send and receive, beside a pair that an admin may change.
func newTrial(t *testing.T, q *headquarters) *trial {
	t.Helper()
	lab, ca := q.lab("FL-LAB"), q.centre("CA-RC", "fl-lab.#")
	pa, sf := q.lab("PA-LAB"), q.centre("SF-RC", "pa-lab.#")
	old := q.lab("OLD-LAB")
	q.centre("OLD-RC", "old-lab.#")
	callers := map[string]*station{"lab": lab, "centre": ca, "stranger": q.stranger("XX-LAB"),
		"viewer": q.joinAdmin("VERA", certs.RoleViewer),
		"admin":  q.joinAdmin("ANNA", certs.RoleAdmin)}
	s := &trial{t: t, q: q, lab: lab, ca: ca, lines: map[string]*http.Transport{},
		known:   map[string]map[reflect.Type][]any{},
		secrets: map[string][]string{}, succeeded: map[string]int{}}
	invited := ask[Invited](q, ControlInvite, InviteRequest{Site: "NEW-LAB", Role: "send"})
	own, aged := lab.send(key("fl-lab.dat"), openContent), old.send(key("old-lab.dat"), openContent)
	settled := pa.send(key("pa-lab.dat"), "the receipted content")
	receipted := sf.take()
	receipt := sign(sf, sf.receipt(receipted))
	if _, err := sf.Settle(t.Context(), []api.Settlement{{Delivery: receipted.DeliveryID,
		Receipt: receipt}}); err != nil {
		t.Fatal(err)
	}
	foreign := pa.send(key("pa-lab.dat"), "secret content")
	next := lab.head(key("fl-lab.dat"), []byte(openContent))
	d, other := ca.take(), sf.take()
	content := []string{"secret content", string(other.Token), receipt, invited.Secret}
	metadata := append([]string{string(foreign.Envelope), string(foreign.Messages[0].ID),
		string(foreign.Messages[0].UID), string(settled.Envelope)}, content...)
	for who, station := range callers {
		s.lines[who] = &http.Transport{TLSClientConfig: station.tls()}
		t.Cleanup(s.lines[who].CloseIdleConnections)
		s.secrets[who] = metadata
		s.known[who] = map[reflect.Type][]any{
			reflect.TypeFor[id.Site](): {id.Site("FL-LAB"), id.Site("CA-RC"),
				id.Site("PA-LAB")},
			reflect.TypeFor[id.Envelope](): {own.Envelope, foreign.Envelope, settled.Envelope},
			reflect.TypeFor[id.Message]():  {own.Messages[0].ID},
			reflect.TypeFor[id.UID]():      {own.Messages[0].UID},
			reflect.TypeFor[id.Hash]():     {own.RouteVersion, lab.identity.Key()},
			reflect.TypeFor[spool.DeliveryID](): {d.DeliveryID,
				spool.DeliveryID{Incarnation: d.Incarnation, Queue: d.Queue,
					Sequence: other.Sequence, Envelope: other.Envelope}, other.DeliveryID},
			reflect.TypeFor[spool.Token]():        {d.Token, other.Token},
			reflect.TypeFor[api.PublishRequest](): {own, next, foreign},
			reflect.TypeFor[api.Settlement](): {api.Settlement{Delivery: d.DeliveryID,
				Receipt: sign(ca, ca.receipt(d))}},
		}
	}
	// Both read the metadata of all sites. An admin's requests are about sites of its own.
	s.secrets["viewer"], s.secrets["admin"] = content, content
	admin := s.known["admin"]
	admin[reflect.TypeFor[id.Site]()] = []any{id.Site("OLD-LAB"), id.Site("OLD-RC")}
	admin[reflect.TypeFor[id.Message]()] = []any{aged.Messages[0].ID}
	admin[reflect.TypeFor[id.Hash]()] = []any{old.identity.Key()}
	return s
}

// at returns the endpoints of a path.
func at(path string) []endpoint {
	return slices.DeleteFunc(endpoints(), func(e endpoint) bool { return e.path != path })
}

// try draws a request to one of some endpoints and sends it. It returns the fault of the answer;
// empty: none.
func (s *trial) try(rt *rapid.T, list []endpoint) (fault string) {
	e := rapid.SampledFrom(list).Draw(rt, "endpoint")
	who := rapid.SampledFrom([]string{"lab", "centre", "stranger", "viewer", "admin"}).Draw(rt,
		"who")
	of := map[access]string{sender: "lab", receiver: "centre", viewer: "viewer",
		admin: "admin"}[e.who]
	if of != "" && rapid.IntRange(0, 3).Draw(rt, "is another") > 0 {
		who = of
	}
	path, body := generator{rt, s.known[who]}.request(e, operations[e.name()])
	resp, data, err := send(s.q, s.lines[who], e.method, path, body)
	if err != nil {
		return fmt.Sprintf("%s: %s %s %.300q: %v", who, e.method, path, body, err)
	}
	asked := fmt.Sprintf("%s: %s %s %.300q gets %d %.300q", who, e.method, path, body,
		resp.StatusCode, data)
	for _, secret := range s.secrets[who] {
		if bytes.Contains(data, []byte(secret)) && !strings.Contains(body+path, secret) {
			return fmt.Sprintf("it reads %q of others: %s", secret, asked)
		}
	}
	pattern := s.q.patternOf(e.method, path)
	if pattern == "" || resp.StatusCode == http.StatusNotFound && pattern != e.name() {
		return "" // another path than that of the endpoint
	}
	code := codeOfResponse(s.t, resp)
	documented(s.t, e.name(), resp, code)
	if code == "" {
		s.succeeded[who]++
		s.succeeded[e.name()]++
		conforms(s.t, operations[e.name()], data)
	}
	if code == api.CodeInternal || code == api.CodeUncertain || s.t.Failed() {
		return asked
	}
	return ""
}

// Requests are drawn from the document, valid ones and broken ones, for each kind of caller. Every
// answer is one of the document and none is an internal error. A caller reads nothing of others.
// Afterwards the chain is whole and files arrive, also after a restart.
func TestRequestsFromTheDocument(t *testing.T) {
	q := openHeadquarters(t)
	s := newTrial(t, q)
	rapid.Check(t, func(rt *rapid.T) {
		all := endpoints()
		for _, list := range [][]endpoint{all, all, all, at(api.PathPublish),
			at(api.PathLease)} {
			if fault := s.try(rt, list); fault != "" {
				rt.Fatal(fault)
			}
		}
	})
	for _, name := range []string{"lab", "centre", "viewer", "admin", "POST " + api.PathPublish,
		"POST " + api.PathLease} {
		if s.succeeded[name] == 0 {
			t.Errorf("no request of %s succeeds", name)
		}
	}
	for range 2 {
		if len(q.entries()) == 0 {
			t.Error("the audit chain is empty")
		}
		sent := s.lab.send(key("fl-lab.dat"), "y")
		lease := api.LeaseRequest{Session: id.Random128[id.Session](), Max: 10,
			MaxBytes: 1 << 20, Wait: api.MaxWait}
		got, err := s.ca.Lease(t.Context(), lease)
		for err == nil && len(got) > 0 && got[len(got)-1].Envelope != sent.Envelope {
			got, err = s.ca.Lease(t.Context(), lease)
		}
		if err != nil || len(got) == 0 {
			t.Fatalf("afterwards a file does not arrive: %v", err)
		}
		for _, d := range got {
			s.ca.settle(d)
		}
		q.restart()
	}
}

// leakyStore gives each caller the events, states and content of PA-LAB.
type leakyStore struct{ Store }

func (s leakyStore) Known(ctx context.Context, _ id.Site,
	ids []id.Envelope) ([]spool.Known, error) {
	return s.Store.Known(ctx, "PA-LAB", ids)
}

func (s leakyStore) Events(ctx context.Context, _ id.Site, after spool.Cursor,
	most int) ([]spool.Event, spool.Cursor, error) {
	return s.Store.Events(ctx, "PA-LAB", after, most)
}

func (s leakyStore) Open(context.Context, spool.DeliveryID, int64) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("secret content")), nil
}

func (s leakyStore) Lease(ctx context.Context, r spool.LeaseRequest) ([]spool.Delivery, error) {
	found, err := s.Store.Lease(ctx, r)
	for _, d := range found {
		copy(d.Content, "secret content")
	}
	return found, err
}

func (s leakyStore) Find(ctx context.Context, q spool.Query, after spool.Cursor,
	most int) ([]spool.Record, spool.Cursor, error) {
	found, next, err := s.Store.Find(ctx, q, after, most)
	for i := range found {
		found[i].Code = "secret content"
	}
	return found, next, err
}

func (s leakyStore) AuditBlocks(context.Context, uint64, int) ([][]byte, error) {
	return [][]byte{[]byte("secret content")}, nil
}

func (s leakyStore) DeadLetters(context.Context, spool.Cursor, int) ([]spool.DeadLetter,
	spool.Cursor, error) {
	return []spool.DeadLetter{{Code: "secret content"}}, 0, nil
}

// The trial finds a store that leaks, for each kind of caller and in framed bodies.
func TestTheTrialFindsLeaks(t *testing.T) {
	q := newHeadquarters(t)
	leaks := false
	q.wrap = func(s Store) Store {
		if leaks {
			return leakyStore{s}
		}
		return s
	}
	q.start()
	t.Cleanup(q.stop)
	s := newTrial(t, q)
	leaks = true
	q.restart()
	for path, who := range map[string]string{api.PathKnown: "lab: ", api.PathEvents: "",
		api.PathContent: "centre: ", api.PathLease: "centre: ",
		api.PathAdmin + ControlMessages: "viewer: ", api.PathAdmin + ControlAudit: "viewer: ",
		api.PathAdmin + ControlDead: "admin: "} {
		t.Run(strings.ReplaceAll(strings.Trim(path, "/"), "/", " "), func(t *testing.T) {
			s.t = t
			found := 0
			rapid.Check(t, func(rt *rapid.T) {
				for i := 0; i < 20 && found == 0; i++ {
					if fault := s.try(rt, at(path)); strings.Contains(fault, "of others: "+who) {
						found++
					}
				}
			})
			if found == 0 {
				t.Error("the leak is not found")
			}
		})
	}
}
