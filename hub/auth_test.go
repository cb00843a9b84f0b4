package hub

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/strictjson"
	"sealpost/spool"
)

// callers holds one caller of each kind. TestWhoMayDoWhat has their answers from each endpoint.
type callers struct {
	anonymous  *station // without a certificate
	foreign    *station // of another network
	serverCert *station // the hub's own kind of certificate
	expired    *station
	unknown    *station // of this network, but not in the directory
	removed    *station
	otherKey   *station // the right name, a certificate of this network, another key
	lab        *station // sends
	centre     *station // receives
	owner      *station // whose things they are

	admin, operator, viewer *station
	formerAdmin             *station
	asSite                  *station // an admin's certificate with the name and key of a site
	asAdmin                 *station // a site's certificate with the name and key of an admin
}

func (c callers) all() map[string]*station {
	return map[string]*station{"no certificate": c.anonymous, "foreign authority": c.foreign,
		"server certificate": c.serverCert,
		"expired":            c.expired, "not in the directory": c.unknown, "removed": c.removed,
		"another key":       c.otherKey,
		"other site, sends": c.lab, "other site, receives": c.centre, "owner": c.owner,
		"admin": c.admin, "operator": c.operator, "viewer": c.viewer, "former admin": c.formerAdmin,
		"admin as a site": c.asSite, "site as an admin": c.asAdmin}
}

func newCallers(t *testing.T, q *headquarters) callers {
	t.Helper()
	c := callers{anonymous: q.stranger("NO-LAB"), foreign: q.stranger("PA-LAB"),
		serverCert: q.stranger("SV-LAB"), expired: q.join("EX-LAB", "both"),
		unknown: q.stranger("UN-LAB"), otherKey: q.stranger("FL-LAB")}
	q.clock.forward(100 * 24 * time.Hour)
	c.removed, c.lab, c.centre = q.join("IL-LAB", "both"), q.lab("PA-LAB"), q.centre("SF-RC")
	c.owner = q.join("FL-LAB", "both")
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "IL-LAB"})
	c.admin, c.viewer = q.joinAdmin("ANNA", certs.RoleAdmin), q.joinAdmin("VERA", certs.RoleViewer)
	c.operator = q.joinAdmin("OLGA", certs.RoleOperator)
	c.formerAdmin = q.joinAdmin("FRED", certs.RoleAdmin)
	ask[Removed](q, ControlRemoveAdmin, RemoveAdminRequest{Name: "FRED"})
	c.asSite, c.asAdmin = q.stranger("FL-LAB"), q.stranger("ANNA")
	q.adoptKey(c.asSite, c.owner)
	certifyAdmin(c.asSite, q.hub.authority, q.clock.now())
	q.adoptKey(c.asAdmin, c.admin)
	certify(c.asAdmin, q.hub.authority, q.clock.now())
	certify(c.unknown, q.hub.authority, q.clock.now())
	certify(c.otherKey, q.hub.authority, q.clock.now())
	certify(c.foreign, foreignAuthority(t, q.clock.now()), q.clock.now())
	if err := q.hub.authority.IssueHub(c.serverCert.identity, "SV-LAB", []string{"127.0.0.1"},
		q.clock.now()); err != nil {
		t.Fatal(err)
	}
	return c
}

// certify gives a station a certificate without asking the hub.
func certify(s *station, a *certs.Authority, at time.Time) {
	s.q.t.Helper()
	chain, err := a.IssueSite([]byte(s.csr()), s.site, at)
	if err == nil {
		err = s.identity.SetChain(chain, a.Network(), at)
	}
	if err != nil {
		s.q.t.Fatal(err)
	}
}

func foreignAuthority(t *testing.T, now time.Time) *certs.Authority {
	t.Helper()
	root, err := certs.InitRoot(filepath.Join(t.TempDir(), "root"), "ELSEWHERE")
	if err != nil {
		t.Fatal(err)
	}
	a, err := certs.InitAuthority(filepath.Join(t.TempDir(), "state"), root, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wireRequest is one well-formed request to an endpoint, about things of the owner.
type wireRequest struct {
	method, path, body string
	// Answers to other sites with that role, and to the owner: a code, or "" for success.
	sends, receives, owner api.Code
}

// A foreign thing answers like a missing one. Every endpoint but enrolment refuses strangers in the
// same words.
func TestWhoMayDoWhat(t *testing.T) {
	q := openHeadquarters(t)
	c := newCallers(t, q)
	asked := map[string]bool{}
	for name, r := range ownersThings(t, q, c) {
		asked[q.patternOf(r.method, r.path)] = true
		t.Run(name, func(t *testing.T) {
			for kind, caller := range c.all() {
				want := r.expected(kind)
				if r.path == api.PathEnroll {
					q.clock.forward(wrongInterval) // for the next wrong secret
				}
				resp := caller.raw(r.method, r.path, r.body)
				got := codeOfResponse(t, resp)
				if got != want {
					t.Errorf("%s gets %d %q, want %q", kind, resp.StatusCode, got, want)
				}
				documented(t, q.patternOf(r.method, r.path), resp, got)
			}
		})
	}
	for _, e := range endpoints() {
		if e.who >= viewer {
			continue // TestWhoMayAdministrate has these
		}
		if !asked[e.method+" "+e.path] {
			t.Errorf("%s %s is not in the table", e.method, e.path)
		}
	}
}

// patternOf returns the pattern of the endpoint that serves a request.
func (q *headquarters) patternOf(method, path string) string {
	_, pattern := q.hub.handler().(*http.ServeMux).Handler(httptest.NewRequest(method, path, nil))
	return pattern
}

func (r wireRequest) expected(kind string) api.Code {
	if strings.HasSuffix(r.path, api.PathEnroll) {
		return api.CodeInvitation
	}
	switch kind {
	case "no certificate", "foreign authority", "server certificate":
		return api.CodeNoCert
	case "expired":
		return api.CodeExpired
	case "admin", "operator", "viewer":
		return api.CodeNotAllowed
	case "not in the directory", "former admin", "admin as a site", "site as an admin":
		return api.CodeNotAdmitted
	case "removed":
		return api.CodeRemoved
	case "another key":
		return api.CodeOtherKey
	case "other site, sends":
		return r.sends
	case "other site, receives":
		return r.receives
	}
	return r.owner
}

// ownersThings makes a request about FL-LAB's things for every endpoint. A request that would use
// them up fails for the owner too, with an answer that only the owner can get.
func ownersThings(t *testing.T, q *headquarters, c callers) map[string]wireRequest {
	t.Helper()
	q.bind("FL-LAB", "pa-lab.#")
	q.bind("SF-RC", "fl-lab.#")
	c.owner.uploadKey()
	in := c.lab.head(key("pa-lab.dat"), []byte("content"))
	if _, err := c.lab.Publish(t.Context(), in, []byte("content")); err != nil {
		t.Fatal(err)
	}
	d := c.owner.take()
	upload := api.UploadRequest{Envelope: id.Random128[id.Envelope](), Size: spool.SmallSize + 1}
	if _, err := c.owner.OpenUpload(t.Context(), upload); err != nil {
		t.Fatal(err)
	}
	another := upload // each site has uploads of its own, so the same name is no conflict
	another.Envelope = id.Random128[id.Envelope]()
	publish, err := api.Frame(c.owner.head(key("fl-lab.dat"), []byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	missing := d.DeliveryID
	missing.Sequence++
	part := api.PathUploads + "/" + string(upload.Envelope) + "/0"
	const no = api.CodeNotAllowed
	return map[string]wireRequest{
		"hello": {"GET", api.PathHello, "", "", "", ""},
		"roster": {"GET", api.PathRoster, "", api.CodeNotFound, api.CodeNotFound,
			api.CodeNotFound},
		"enroll": {"POST", api.PathEnroll,
			body(t, api.EnrollRequest{Site: "FL-LAB", Secret: "guess", CSR: c.owner.csr()}), "", "",
			""},
		"renew": {"POST", api.PathRenew, body(t, api.RenewRequest{CSR: c.owner.csr()}), no,
			no, ""},
		"key": {"PUT", api.PathKey,
			body(t, api.KeyUpload{Statement: sign(c.owner, c.owner.keyStatement())}), no, no, ""},
		"resolve": {"POST", api.PathResolve,
			body(t, api.ResolveRequest{Address: key("fl-lab.dat")}), no, no, ""},
		"open upload":  {"POST", api.PathUploads, body(t, another), "", no, ""},
		"part":         {"PUT", part, "short", api.CodeNotFound, no, api.CodeInvalid},
		"abort upload": {"DELETE", api.PathUploads + "/" + string(in.Envelope), "", "", no, ""},
		"publish":      {"POST", api.PathPublish, string(publish) + "x", api.CodeInvalid, no, ""},
		"known": {"POST", api.PathKnown,
			body(t, api.KnownRequest{Envelopes: []id.Envelope{in.Envelope}}), "", no, ""},
		"lease": {"POST", api.PathLease,
			body(t, api.LeaseRequest{Session: c.owner.session(), Max: 1}), no, "", ""},
		"content": {"POST", api.PathContent,
			body(t, api.ContentRequest{Delivery: d.DeliveryID, Length: 1}), no, api.CodeNotFound,
			""},
		"content that is not there": {"POST", api.PathContent,
			body(t, api.ContentRequest{Delivery: missing, Length: 1}), no,
			api.CodeNotFound, api.CodeNotFound},
		"extend": {"POST", api.PathExtend, body(t, api.ExtendRequest{Token: d.Token}), no,
			api.CodeStale, ""},
		"release": {"POST", api.PathRelease,
			body(t, api.ReleaseRequest{Token: d.Token + "x", Code: api.ReleaseLocal}), no,
			api.CodeStale, api.CodeStale},
		"settle": {"POST", api.PathSettle,
			body(t, api.SettleRequest{Settlements: []api.Settlement{{Delivery: d.DeliveryID}}}), no,
			"", ""},
		"events": {"POST", api.PathEvents, body(t, api.EventsRequest{}), "", "", ""},
	}
}

func body(t *testing.T, in any) string {
	t.Helper()
	exact, err := strictjson.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(exact)
}

func codeOfResponse(t *testing.T, resp *http.Response) api.Code {
	t.Helper()
	if resp.StatusCode/100 == 2 {
		return ""
	}
	var p api.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Status != resp.StatusCode ||
		p.Request != resp.Header.Get(api.HeaderRequest) {
		t.Errorf("status %d with %+v, %v", resp.StatusCode, p, err)
	}
	return p.Code
}

// A foreign thing and a missing one have the same answer, except for the request's id.
func TestExistenceDoesNotLeak(t *testing.T) {
	q := openHeadquarters(t)
	lab, other, centre, spy := q.lab("FL-LAB"), q.lab("PA-LAB"), q.centre("CA-RC", "fl-lab.#"),
		q.centre("SF-RC")
	sent := lab.send(key("fl-lab.dat"), "x")
	d := centre.take()
	nothing := d.DeliveryID
	nothing.Envelope, nothing.Sequence = id.Random128[id.Envelope](), 12345
	jws := sign(spy, spy.receipt(d))
	pairs := map[string][2]*http.Response{
		"known": {
			other.raw("POST", api.PathKnown,
				body(t, api.KnownRequest{Envelopes: []id.Envelope{sent.Envelope}})),
			other.raw("POST", api.PathKnown,
				body(t, api.KnownRequest{Envelopes: []id.Envelope{nothing.Envelope}})),
		},
		"content": {
			spy.raw("POST", api.PathContent,
				body(t, api.ContentRequest{Delivery: d.DeliveryID, Length: 1})),
			spy.raw("POST", api.PathContent,
				body(t, api.ContentRequest{Delivery: nothing, Length: 1})),
		},
		"settle": {
			spy.raw("POST", api.PathSettle,
				body(t,
					api.SettleRequest{Settlements: []api.Settlement{{Delivery: d.DeliveryID,
						Receipt: jws}}})),
			spy.raw("POST", api.PathSettle,
				body(t,
					api.SettleRequest{Settlements: []api.Settlement{{Delivery: nothing,
						Receipt: jws}}})),
		},
		"extend": {
			spy.raw("POST", api.PathExtend, body(t, api.ExtendRequest{Token: d.Token})),
			spy.raw("POST", api.PathExtend, body(t, api.ExtendRequest{Token: "nothing"})),
		},
		"release": {
			spy.raw("POST", api.PathRelease,
				body(t, api.ReleaseRequest{Token: d.Token, Code: api.ReleaseLocal})),
			spy.raw("POST", api.PathRelease,
				body(t, api.ReleaseRequest{Token: "nothing", Code: api.ReleaseLocal})),
		},
		"to": {
			other.raw("POST", api.PathResolve,
				body(t, api.ResolveRequest{Address: id.Address{To: []id.Site{"FL-LAB"}}})),
			other.raw("POST", api.PathResolve,
				body(t, api.ResolveRequest{Address: id.Address{To: []id.Site{"XX-LAB"}}})),
		},
	}
	for name, pair := range pairs {
		if foreign, none := seen(t, pair[0], sent, nothing),
			seen(t, pair[1], sent, nothing); foreign != none {
			t.Errorf("%s: what is somebody else's answers\n%s\nand what is not there\n%s", name,
				foreign, none)
		}
	}
}

// seen returns an answer without the names in the question.
func seen(t *testing.T, resp *http.Response, sent api.PublishRequest,
	nothing spool.DeliveryID) string {
	t.Helper()
	var b strings.Builder
	if err := resp.Header.Write(&b); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	text := resp.Status + "\n" + b.String() + string(body)
	for _, own := range []string{resp.Header.Get(api.HeaderRequest), resp.Header.Get("Date"),
		string(sent.Envelope), string(nothing.Envelope), "FL-LAB", "XX-LAB"} {
		if own != "" {
			text = strings.ReplaceAll(text, own, "…")
		}
	}
	return text
}
