// Package console shows a hub to its admins in a browser, and lets them act.
//
// It promises three things. Each page and each act is a call of the administration, with the rights
// of the user's role, so nothing is possible here that is not possible there. A page has no script
// and no style but ours, and asks no other server. Text from outside is escaped twice, by package
// visible and by html/template.
//
// It must not know how the hub decides and stores. It keeps no state but sessions, in memory.
package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sealpost/hub"
	"sealpost/internal/reason"
)

// Hub is the hub behind the pages. *hub.Hub implements it.
type Hub interface {
	// Call makes a call of the administration with the rights of a user.
	Call(ctx context.Context, u hub.User, path string, in any) (any, error)
	// Now returns the hub's time.
	Now() time.Time
}

// Options are the options of a console.
type Options struct {
	Hub    Hub
	Listen string       // a loopback address
	Log    *slog.Logger // default slog.Default()
}

// Console is the console of one hub. No port is open before the first link.
type Console struct {
	hub      Hub
	log      *slog.Logger
	address  string
	sessions *sessions
	streams  chan struct{} // its capacity bounds the open streams
	opened   chan net.Listener

	mu       sync.Mutex // guards listener and isEnded
	listener net.Listener
	isEnded  bool
}

// Bounds of the server.
const (
	headerTime  = 10 * time.Second
	requestTime = 30 * time.Second
	answerTime  = time.Minute
	headerSize  = 16 << 10
	mostOpen    = 256 // connections
	mostStreams = 32
	stopTime    = 2 * time.Second
)

// New returns a console.
func New(o Options) *Console {
	return &Console{hub: o.Hub, log: cmp.Or(o.Log, slog.Default()), address: o.Listen,
		sessions: newSessions(o.Hub.Now), streams: make(chan struct{}, mostStreams),
		opened: make(chan net.Listener, 1)}
}

// Link implements hub.Console. The first call opens the port.
func (c *Console) Link(u hub.User) (hub.ConsoleLink, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isEnded {
		return hub.ConsoleLink{}, errors.New("the hub is stopping")
	}
	if c.listener == nil {
		l, err := net.Listen("tcp", c.address)
		if err != nil {
			return hub.ConsoleLink{}, reason.Err("console-not-open", "address", c.address, "why",
				err)
		}
		c.listener = l
		c.opened <- l
		c.log.Info("console opened", "listen", l.Addr().String())
	}
	key, ends := c.sessions.link(u)
	link := url.URL{Scheme: "http", Host: c.listener.Addr().String(), Path: "/enter",
		RawQuery: url.Values{"key": {key}}.Encode()}
	return hub.ConsoleLink{URL: link.String(), Expires: ends, Role: u.Role}, nil
}

// Run implements hub.Console.
func (c *Console) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case l := <-c.opened:
		return c.serve(ctx, l)
	}
	c.end()
	select { // a port that was opened at the same time
	case l := <-c.opened:
		return l.Close()
	default:
		return nil
	}
}

// end makes every later Link fail.
func (c *Console) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isEnded = true
}

// serve answers until the context ends.
func (c *Console) serve(ctx context.Context, l net.Listener) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var open atomic.Int64
	server := &http.Server{
		Handler: c.handler(), ReadHeaderTimeout: headerTime, ReadTimeout: requestTime,
		WriteTimeout: answerTime, IdleTimeout: answerTime, MaxHeaderBytes: headerSize,
		ErrorLog:    slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return requests },
		ConnState: func(conn net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				if open.Add(1) > mostOpen {
					conn.Close()
				}
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
			}
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		c.end()
		cancel() // ends the streams
		within, stop := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer stop()
		if server.Shutdown(within) != nil {
			server.Close()
		}
		<-ended
	}
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	return nil
}

// policy is the content security policy of every answer.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// handler returns all pages, behind the checks that need no session.
func (c *Console) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /enter", c.enter)
	mux.HandleFunc("GET /{session}/{page}", c.within(dispatch(pageOf)))
	mux.HandleFunc("POST /{session}/{page}", c.within(dispatch(actOf)))
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8",
		"console.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		mux.HandleFunc("GET /"+name, asset(name, kind))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w) })
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // a form's Origin is null without a referrer
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !isLocal(r.Host) {
			http.Error(w, "this address is not the console's", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, formSize)
		guarded.ServeHTTP(w, r)
	})
}

// isLocal reports whether a request names this computer. Any other name may be that of a page which
// had it point here.
func isLocal(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}
