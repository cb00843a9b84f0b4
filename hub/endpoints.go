package hub

import (
	"net/http"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/statement"
)

// endpoint is one operation of the API.
type endpoint struct {
	method, path string
	who          access
	limit        int64 // of the body, bytes
	handle       func(*call) error
}

const (
	penalty     = 100 * time.Millisecond
	smallBody   = 64 << 10
	publishBody = 2<<20 + spool.SmallSize // checksums, 256 messages, and the ciphertext
	partBody    = spool.PartSize
	rosterBody  = statement.MaxRoster + 1<<10
)

// endpoints returns all endpoints of the API. A test compares them with docs/api.yaml.
func endpoints() []endpoint {
	list := []endpoint{
		{http.MethodGet, api.PathHello, member, 0, (*call).hello},
		{http.MethodPost, api.PathEnroll, anonymous, smallBody, jsonBody((*call).enroll)},
		{http.MethodPost, api.PathRenew, joined, smallBody, jsonBody((*call).renew)},
		{http.MethodPut, api.PathKey, member, smallBody, jsonBody((*call).putKey)},
		{http.MethodPost, api.PathResolve, sender, smallBody, jsonBody((*call).resolve)},
		{http.MethodPost, api.PathUploads, sender, smallBody, jsonBody((*call).openUpload)},
		{http.MethodPut, api.PathUploads + "/{envelope}/{part}", sender, partBody, (*call).putPart},
		{http.MethodDelete, api.PathUploads + "/{envelope}", sender, 0, (*call).abortUpload},
		{http.MethodPost, api.PathPublish, sender, publishBody, (*call).publish},
		{http.MethodPost, api.PathKnown, sender, smallBody, jsonBody((*call).known)},
		{http.MethodPost, api.PathLease, receiver, smallBody, jsonBody((*call).lease)},
		{http.MethodPost, api.PathContent, receiver, smallBody, jsonBody((*call).content)},
		{http.MethodPost, api.PathExtend, receiver, smallBody, jsonBody((*call).extend)},
		{http.MethodPost, api.PathRelease, receiver, smallBody, jsonBody((*call).release)},
		{http.MethodPost, api.PathSettle, receiver, settleBody, jsonBody((*call).settle)},
		{http.MethodPost, api.PathEvents, member, smallBody, jsonBody((*call).events)},
		{http.MethodGet, api.PathRoster, member, 0, (*call).getRoster},
	}
	for _, a := range adminCalls() {
		limit := int64(smallBody)
		if a.path == ControlSetRoster {
			limit = rosterBody
		}
		if a.who != local {
			list = append(list, endpoint{http.MethodPost, api.PathAdmin + a.path, a.who, limit,
				a.remote})
		}
	}
	return list
}

// jsonBody returns the handler of an endpoint whose body is JSON in its exact form.
func jsonBody[T any](handle func(*call, T) error) func(*call) error {
	return func(c *call) error {
		data, give, err := c.body()
		if err != nil {
			return err
		}
		var in T
		err = decode(data, &in)
		give() // the handler may wait for long
		if err != nil {
			return err
		}
		return handle(c, in)
	}
}

// name returns the endpoint's label in metrics and documents.
func (e endpoint) name() string {
	if e.path == "" {
		return "unknown"
	}
	return e.method + " " + e.path
}

// canWait reports whether the endpoint can wait for an event.
func (e endpoint) canWait() bool { return e.path == api.PathLease || e.path == api.PathEvents }

// handler returns the whole API.
func (h *Hub) handler() http.Handler {
	mux := http.NewServeMux()
	for _, e := range endpoints() {
		mux.Handle(e.method+" "+e.path, h.serveEndpoint(e))
	}
	mux.Handle(api.PathAdmin+"/", h.serveEndpoint(endpoint{who: viewer, handle: (*call).notHere}))
	mux.Handle("/", h.serveEndpoint(endpoint{who: anonymous, handle: func(c *call) error {
		return problem(api.CodeNotFound, "the hub knows no %s %s", c.r.Method, c.r.URL.Path)
	}}))
	return mux
}

func (h *Hub) serveEndpoint(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := id.Parse128[string](r.Header.Get(api.HeaderRequest))
		if err != nil {
			request = id.Random128[string]()
		}
		w.Header().Set(api.HeaderRequest, request)
		// certificates are checked at this time
		w.Header().Set("Date", h.now().UTC().Format(http.TimeFormat))
		began := time.Now()
		c := &call{hub: h, w: w, r: r, control: http.NewResponseController(w), limit: e.limit,
			log: h.log}
		c.control.SetWriteDeadline(time.Time{}) // those of the last request
		if r.ContentLength != 0 {               // until a handler reads the body
			c.control.SetReadDeadline(time.Now().Add(stallTime))
		}
		c.caller, err = h.authorise(r, e.who)
		c.party = party{site: c.caller.Name, admin: certs.IsAdminRole(c.caller.Role)}
		if c.caller.Name == "" {
			c.party = party{from: linkOf(r.Context()).from, path: e.path}
		}
		c.log = h.log.With("request", request, "site", c.caller.Name)
		if k := linkOf(r.Context()); k.proven() == "" || k.isOutdated(h.now()) {
			w.Header().Set("Connection", "close")
		}
		if err == nil {
			err = c.within(e.handle)
		}
		if err != nil {
			c.fail(err)
		}
		h.metrics.answered(e, c.code, time.Since(began))
	})
}

// within runs the handler as one of the party's requests.
func (c *call) within(handle func(*call) error) error {
	end, err := c.hub.intake.begin(c.party, time.Now())
	if err == errRate {
		backoff.Sleep(c.r.Context(), penalty) // slow down a connection that asks too often
	}
	if err != nil {
		return err
	}
	defer end()
	return handle(c)
}
