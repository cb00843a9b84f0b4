package hub

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/statement"
)

// station is one site's side of the API.
type station struct {
	*api.Client
	q        *headquarters
	site     id.Site
	dir      string
	identity *certs.Identity
	version  int
	prev     id.Hash
	number   int64
}

// stranger returns a site with a key that no hub knows.
func (q *headquarters) stranger(site id.Site) *station {
	q.t.Helper()
	s := &station{q: q, site: site, dir: q.t.TempDir()}
	s.open()
	return s
}

// open opens the identity in the station's folder.
func (s *station) open() {
	s.q.t.Helper()
	var err error
	if s.identity, err = certs.OpenIdentity(filepath.Join(s.dir, "identity.key"),
		filepath.Join(s.dir, "chain.pem")); err != nil {
		s.q.t.Fatal(err)
	}
	s.Client = api.NewClient(api.ClientOptions{
		Hubs: []string{s.q.config.Listen}, Site: s.site, UserAgent: "sealpost/test",
		TLS: s.tls(),
	})
	s.q.t.Cleanup(s.CloseIdle)
}

// tls believes the hub by the hub's own clock.
func (s *station) tls() *tls.Config {
	c := certs.ClientTLS(s.identity, s.q.network(), "127.0.0.1")
	c.Time = s.q.clock.now
	return c
}

func (q *headquarters) network() id.Hash { return q.hub.verifier.Network }

func (s *station) csr() string {
	s.q.t.Helper()
	csr, err := s.identity.CSR()
	if err != nil {
		s.q.t.Fatal(err)
	}
	return string(csr)
}

// enroll redeems an invitation's secret.
func (s *station) enroll(secret string) error {
	got, err := s.Enroll(s.q.t.Context(), api.EnrollRequest{Site: s.site, Secret: secret,
		CSR: s.csr()})
	if err != nil {
		return err
	}
	defer s.CloseIdle()
	return s.identity.SetChain([]byte(got.Chain), s.q.network(), s.q.clock.now())
}

// join invites a site and lets it in, without a recipient key.
func (q *headquarters) join(site id.Site, role string, maySend ...string) *station {
	q.t.Helper()
	invited := ask[Invited](q, ControlInvite,
		InviteRequest{Site: site, Role: role, MaySend: maySend})
	s := q.stranger(site)
	if err := s.enroll(invited.Secret); err != nil {
		q.t.Fatal(err)
	}
	return s
}

// lab joins a sending site; centre joins a receiving one and binds its queue.
func (q *headquarters) lab(site id.Site) *station {
	q.t.Helper()
	return q.join(site, config.RoleSend)
}

func (q *headquarters) centre(site id.Site, bindings ...string) *station {
	q.t.Helper()
	s := q.join(site, config.RoleReceive)
	if len(bindings) > 0 {
		q.bind(site, bindings...)
	}
	s.uploadKey()
	return s
}

// keyStatement signs the site's next recipient key.
func (s *station) keyStatement() statement.RecipientKey {
	const letters = "023456789acdefghjklmnpqrstuvwxyz"
	random := make([]byte, 60)
	rand.Read(random)
	for i, b := range random {
		random[i] = letters[int(b)%len(letters)]
	}
	return statement.RecipientKey{V: 1, Network: s.q.network(), Site: s.site, Recipient: "age1pq1" +
		string(random),
		Version: s.version + 1, Created: s.q.clock.now().UTC().Truncate(time.Second), Prev: s.prev}
}

func (s *station) uploadKey() {
	s.q.t.Helper()
	k := s.keyStatement()
	if err := s.PutKey(s.q.t.Context(), sign(s, k)); err != nil {
		s.q.t.Fatal(err)
	}
	s.version, s.prev = k.Version, k.Hash()
}

func sign[T statement.Statement](s *station, payload T) string {
	s.q.t.Helper()
	jws, err := statement.Sign(s.identity, payload)
	if err != nil {
		s.q.t.Fatal(err)
	}
	return jws
}

func key(routing string) id.Address { return id.Address{RoutingKey: routing} }

// head makes the metadata of an envelope with this content for the route as it is now.
func (s *station) head(address id.Address, content []byte) api.PublishRequest {
	s.q.t.Helper()
	route, err := s.Resolve(s.q.t.Context(), address)
	if err != nil {
		s.q.t.Fatal(err)
	}
	in := api.PublishRequest{Envelope: id.Random128[id.Envelope](), Address: address,
		RouteVersion: route.Version,
		Size:         int64(len(content)), CRC32C: checksums(content)}
	for _, r := range route.Recipients {
		in.Recipients = append(in.Recipients, r.Site)
	}
	s.number++
	in.Messages = []spool.Message{{ID: id.FormatMessage(s.site, "DAT", time.Now(), s.number),
		UID: id.Random128[id.UID](), Sent: time.Now().UTC().Truncate(time.Second)}}
	return in
}

func checksums(content []byte) []uint32 {
	var sums []uint32
	for start := 0; start < len(content); start += spool.PartSize {
		sums = append(sums, crc32.Checksum(content[start:min(start+spool.PartSize, len(content))],
			crc32.MakeTable(crc32.Castagnoli)))
	}
	return sums
}

// send publishes a small envelope.
func (s *station) send(address id.Address, content string) api.PublishRequest {
	s.q.t.Helper()
	in := s.head(address, []byte(content))
	if _, err := s.Publish(s.q.t.Context(), in, []byte(content)); err != nil {
		s.q.t.Fatal(err)
	}
	return in
}

// take leases one delivery, which must be there.
func (s *station) take() api.Delivery {
	s.q.t.Helper()
	got, err := s.Lease(s.q.t.Context(), api.LeaseRequest{Session: s.session(), Max: 1,
		MaxBytes: api.MaxLease, Wait: api.MaxWait})
	if err != nil || len(got) != 1 {
		s.q.t.Fatalf("%s leased %d deliveries: %v", s.site, len(got), err)
	}
	return got[0]
}

// session is the same for all of a station's leases.
func (s *station) session() id.Session { return id.Session(s.identity.Key()[:32]) }

func (s *station) receipt(d api.Delivery) statement.Receipt {
	r := statement.Receipt{V: 1, Network: s.q.network(), Envelope: d.Envelope, Sender: d.Sender,
		Recipient: s.site,
		Time:      s.q.clock.now().UTC().Truncate(time.Second)}
	for _, m := range d.Messages {
		r.Messages = append(r.Messages, statement.ReceiptMessage{UID: m.UID, Message: m.ID,
			Outcome: statement.Delivered, Fingerprint: s.q.network()})
	}
	return r
}

// settle settles a delivery as delivered.
func (s *station) settle(d api.Delivery) {
	s.q.t.Helper()
	out, err := s.Settle(s.q.t.Context(),
		[]api.Settlement{{Delivery: d.DeliveryID, Receipt: sign(s, s.receipt(d))}})
	if err != nil || out[0].Code != "" {
		s.q.t.Fatalf("%s could not settle: %v, %v", s.site, out, err)
	}
}

// expectEvents waits until the site has events of this kind after the cursor, and returns them with
// the next cursor.
func (s *station) expectEvents(after spool.Cursor,
	kind spool.EventKind) ([]spool.Event, spool.Cursor) {
	s.q.t.Helper()
	got, err := s.Events(s.q.t.Context(), api.EventsRequest{After: after, Wait: api.MaxWait})
	if err != nil || len(got.Events) == 0 {
		s.q.t.Fatalf("%s has no %s event: %v", s.site, kind, err)
	}
	for _, e := range got.Events {
		if e.Kind != kind {
			s.q.t.Fatalf("%s has the event %+v, and %s was expected", s.site, e, kind)
		}
	}
	return got.Events, got.Next
}

// noEvents checks that nothing more was told.
func (s *station) noEvents(after spool.Cursor) {
	s.q.t.Helper()
	got, err := s.Events(s.q.t.Context(), api.EventsRequest{After: after})
	if err != nil || len(got.Events) != 0 {
		s.q.t.Fatalf("%s was told %+v, %v", s.site, got.Events, err)
	}
}

// raw sends a request as it is, as this station.
func (s *station) raw(method, path, body string) *http.Response {
	s.q.t.Helper()
	transport := &http.Transport{TLSClientConfig: s.tls()}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(s.q.t.Context(), method, "https://"+s.q.config.Listen+
		path, strings.NewReader(body))
	if err != nil {
		s.q.t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		s.q.t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		s.q.t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return resp
}

// wantCode checks that an error is this problem.
func wantCode(t *testing.T, err error, want api.Code) {
	t.Helper()
	var problem *api.Error
	if !errors.As(err, &problem) || problem.Code != want {
		t.Errorf("got %v, want the problem %s", err, want)
	}
}
