// Package control connects subcommands to the running daemon, by HTTP over a local socket. It is a
// Unix socket in the daemon's state folder, or on Windows a named pipe whose name is in the state
// folder.
//
// The owner of the state folder and root may administrate; there is no other authentication. Both
// ends check the other's account: a client calls only a process of these two accounts, through a
// socket that no third account can have made, and a daemon refuses other callers. The package
// promises that at most one live daemon answers for a state folder, that the socket of a dead or
// false one is no obstacle, that no other file is ever removed, and that the daemon's own errors
// reach the caller. It knows no requests.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"sealpost/internal/reason"
)

var (
	// ErrRunning means that a live daemon has this state folder.
	ErrRunning = reason.Err("daemon-running")
	// ErrNotRunning means that no daemon answers for this state folder.
	ErrNotRunning = reason.Err("daemon-not-running")
)

const (
	maxRequest = 1 << 20         // bytes of a request's JSON
	grace      = 2 * time.Second // for open answers at the end
)

// Server answers on one control socket.
type Server struct {
	stateDir, path string
	listener       net.Listener
	handler        http.Handler
}

// Listen opens the control socket of stateDir, for this user only. The caller must have made the
// folder private to this account, and must call Run or Close. It returns ErrRunning if a daemon of
// this account or root listens there.
func Listen(stateDir string, h http.Handler) (*Server, error) {
	stateDir, err := filepath.Abs(stateDir)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := clearStale(stateDir); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	path, err := place(stateDir)
	if err != nil {
		return nil, err
	}
	listener, err := listen(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), remove(stateDir, path))
	}
	return &Server{stateDir: stateDir, path: path, listener: listener, handler: h}, nil
}

// Run answers until ctx ends, waits a short time for open answers, and removes the socket.
func (s *Server) Run(ctx context.Context) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			ctx = context.WithValue(ctx, caller{}, c)
			return context.WithValue(ctx, refused{}, mayAsk(c))
		},
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		cancel() // ends the streams, which have no end of their own
		err = stop(ctx, server)
		<-served
	}
	return errors.Join(err, remove(s.stateDir, s.path))
}

// caller is the context key of a connection.
type caller struct{}

// Account returns the account of the process that has made a request; "" if it is not known.
func Account(ctx context.Context) string {
	if conn, ok := ctx.Value(caller{}).(net.Conn); ok {
		return account(conn)
	}
	return ""
}

// refused is the context key of mayAsk's error for a connection.
type refused struct{}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if err, _ := r.Context().Value(refused{}).(error); err != nil {
		fail(w, r, mayNotAsk, http.StatusForbidden)
		return
	}
	s.handler.ServeHTTP(w, r)
}

func stop(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}

// Close closes a socket on which Run was never called.
func (s *Server) Close() error {
	return errors.Join(s.listener.Close(), remove(s.stateDir, s.path))
}

// Handle registers f for POST requests with JSON of type In, answered with JSON of type Out. The
// caller sees an error with its reason, so it must have a next step.
func Handle[In, Out any](mux *http.ServeMux, path string,
	f func(context.Context, In) (Out, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		in, err := decode[In](w, r)
		if err != nil {
			fail(w, r, err, http.StatusBadRequest)
			return
		}
		out, err := f(r.Context(), in)
		if err != nil && r.Context().Err() != nil { // the daemon ends, so that this is no answer
			fail(w, r, err, http.StatusServiceUnavailable)
			return
		}
		if err != nil {
			fail(w, r, err, http.StatusUnprocessableEntity)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(out) // an error means that the caller left
	})
}

// HandleStream registers f for POST requests with a streamed answer: each Write reaches the caller
// at once. The context ends when the caller leaves or the daemon stops. An error before the first
// Write is the answer; a later one ends the stream.
func HandleStream[In any](mux *http.ServeMux, path string,
	f func(context.Context, In, io.Writer) error) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		in, err := decode[In](w, r)
		if err != nil {
			fail(w, r, err, http.StatusBadRequest)
			return
		}
		out := &flusher{w: w}
		if err := f(r.Context(), in, out); err != nil && !out.written {
			fail(w, r, err, http.StatusUnprocessableEntity)
		}
	})
}

// reasonType is the content type of a failed answer with a reason, for a client that accepts it.
// Others, such as those of older versions, get its English text.
const reasonType = "application/json"

// fail answers with an error.
func fail(w http.ResponseWriter, r *http.Request, err error, status int) {
	if r.Header.Get("Accept") != reasonType {
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", reasonType)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(reason.Of(err)) // an error means that the caller left
}

func decode[In any](w http.ResponseWriter, r *http.Request) (In, error) {
	var in In
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return in, reason.Err("request-unknown", "why", err)
	}
	return in, nil
}

// flusher flushes every write to the caller.
type flusher struct {
	w       http.ResponseWriter
	written bool
}

func (f *flusher) Write(p []byte) (int, error) {
	f.written = true
	n, err := f.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, http.NewResponseController(f.w).Flush()
}
