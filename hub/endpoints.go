package hub

import (
	"net/http"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/backoff"
	"sealpost/internal/id"
	"sealpost/spool"
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
	uploadBody  = 1 << 20                 // a checksum for each part of the largest envelope
	publishBody = 2<<20 + spool.SmallSize // the same, 256 messages, and the ciphertext
	partBody    = spool.PartSize
)

// endpoints are all there are. docs/api.yaml says the same, and a test holds it to that.
func endpoints() []endpoint {
	return []endpoint{
		{http.MethodGet, api.PathHello, member, 0, (*call).hello},
		{http.MethodPost, api.PathEnroll, anyone, smallBody, (*call).enroll},
		{http.MethodPost, api.PathRenew, member, smallBody, (*call).renew},
		{http.MethodPut, api.PathKey, member, smallBody, (*call).putKey},
		{http.MethodPost, api.PathResolve, sender, smallBody, (*call).resolve},
		{http.MethodPost, api.PathUploads, sender, uploadBody, (*call).openUpload},
		{http.MethodPut, api.PathUploads + "/{envelope}/{part}", sender, partBody, (*call).putPart},
		{http.MethodDelete, api.PathUploads + "/{envelope}", sender, 0, (*call).abortUpload},
		{http.MethodPost, api.PathPublish, sender, publishBody, (*call).publish},
		{http.MethodPost, api.PathKnown, sender, smallBody, (*call).known},
		{http.MethodPost, api.PathLease, receiver, smallBody, (*call).lease},
		{http.MethodPost, api.PathContent, receiver, smallBody, (*call).content},
		{http.MethodPost, api.PathExtend, receiver, smallBody, (*call).extend},
		{http.MethodPost, api.PathRelease, receiver, smallBody, (*call).release},
		{http.MethodPost, api.PathSettle, receiver, settleBody, (*call).settle},
		{http.MethodPost, api.PathEvents, member, smallBody, (*call).events},
	}
}

// name is how figures and documents call the endpoint.
func (e endpoint) name() string {
	if e.path == "" {
		return "unknown"
	}
	return e.method + " " + e.path
}

// waits says whether the endpoint may wait for something to happen.
func (e endpoint) waits() bool { return e.path == api.PathLease || e.path == api.PathEvents }

// handler is the whole API.
func (h *Hub) handler() http.Handler {
	mux := http.NewServeMux()
	for _, e := range endpoints() {
		mux.Handle(e.method+" "+e.path, h.serveEndpoint(e))
	}
	mux.Handle("/", h.serveEndpoint(endpoint{who: anyone, handle: (*call).noSuchPath}))
	return mux
}

func (h *Hub) serveEndpoint(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := id.Parse128[string](r.Header.Get(api.HeaderRequest))
		if err != nil {
			request = id.Random128[string]()
		}
		w.Header().Set(api.HeaderRequest, request)
		w.Header().Set("Date", h.now().UTC().Format(http.TimeFormat)) // by which certificates are judged here
		began := time.Now()
		c := &call{hub: h, w: w, r: r, control: http.NewResponseController(w), limit: e.limit, log: h.log}
		c.deadlines()
		c.caller, err = h.authorise(r, e.who)
		c.log = h.log.With("request", request, "site", c.caller.Name)
		if linkOf(r.Context()).outdated(h.now()) {
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

// within runs the handler as one of the site's requests.
func (c *call) within(handle func(*call) error) error {
	end, err := c.hub.intake.begin(c.caller.Name, time.Now())
	if err == errRate {
		backoff.Sleep(c.r.Context(), penalty) // a connection that asks too often gets no answers as fast as it asks
	}
	if err != nil {
		return err
	}
	defer end()
	return handle(c)
}

// deadlines bounds what happens when a handler does not look at a body, and takes back the last request's bounds.
func (c *call) deadlines() {
	c.control.SetWriteDeadline(time.Time{})
	if c.r.ContentLength != 0 {
		c.control.SetReadDeadline(time.Now().Add(stallTime))
	}
}

func (c *call) noSuchPath() error {
	return problem(api.CodeNotFound, "the hub knows no %s %s", c.r.Method, c.r.URL.Path)
}
