package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/strictjson"
	"sealpost/spool"
)

// call is one request on its way through its handler.
type call struct {
	hub     *Hub
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	limit   int64 // of the body, bytes
	caller  site  // nobody for an open endpoint
	log     *slog.Logger
	code    api.Code // of the problem that was answered
}

// body reads the whole request body into memory, within the endpoint's limit, the intake's room and a time that depends on
// its size. The room is given back when the call ends.
func (c *call) body() (data []byte, give func(), err error) {
	size := c.r.ContentLength
	if size > c.limit {
		return nil, nil, problem(api.CodeTooLarge, "the body has %d bytes, and at most %d are read here", size, c.limit)
	}
	if size < 0 {
		size = c.limit
	}
	give, err = c.hub.intake.take(c.caller.Name, size)
	if err != nil {
		return nil, nil, err
	}
	data, err = c.readAll(c.paced(size))
	if err != nil {
		give()
		return nil, nil, err
	}
	return data, give, nil
}

func (c *call) readAll(r io.Reader) ([]byte, error) {
	var data []byte
	var err error
	if c.r.ContentLength >= 0 {
		data, err = api.ReadExactly(r, c.r.ContentLength)
	} else {
		data, err = io.ReadAll(io.LimitReader(r, c.limit+1))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: body: %w", errCut, err)
	}
	if int64(len(data)) > c.limit {
		return nil, problem(api.CodeTooLarge, "the body has more than %d bytes", c.limit)
	}
	return data, nil
}

// read decodes a JSON body in its exact form.
func (c *call) read(in any) error {
	data, give, err := c.body()
	if err != nil {
		return err
	}
	defer give()
	return decode(data, in)
}

func decode(data []byte, in any) error {
	if err := strictjson.Unmarshal(data, in); err != nil {
		return problem(api.CodeInvalid, "the request's JSON: %v", err)
	}
	return nil
}

// paced is the request body, which ends in an error when it stalls, or is slower on average than allowed for its size.
func (c *call) paced(size int64) io.Reader {
	last := time.Now().Add(stallTime + time.Duration(size/slowest)*time.Second)
	return pacedReader{c, last}
}

type pacedReader struct {
	*call
	last time.Time
}

func (p pacedReader) Read(b []byte) (int, error) {
	p.control.SetReadDeadline(earlier(p.last, time.Now().Add(stallTime)))
	n, err := p.r.Body.Read(b)
	if err == io.EOF {
		p.control.SetReadDeadline(time.Time{}) // from here on the connection is only watched for the caller's going away
	}
	return n, err
}

// pacedWriter is the answer, which fails when the caller does not take it.
type pacedWriter struct {
	*call
	last time.Time
}

func (c *call) pacedAnswer(size int64) io.Writer {
	return pacedWriter{c, time.Now().Add(stallTime + time.Duration(size/slowest)*time.Second)}
}

func (p pacedWriter) Write(b []byte) (int, error) {
	p.control.SetWriteDeadline(earlier(p.last, time.Now().Add(stallTime)))
	return p.w.Write(b)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// reply answers with JSON, or without content.
func (c *call) reply(out any) error {
	c.control.SetWriteDeadline(time.Now().Add(answerTime))
	if out == nil {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	exact, err := strictjson.Marshal(out)
	if err != nil {
		return err
	}
	c.control.SetWriteDeadline(time.Now().Add(answerTime + time.Duration(len(exact)/slowest)*time.Second))
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(exact)))
	if _, err := c.w.Write(exact); err != nil {
		c.log.Debug("answer not taken", "error", err)
	}
	return nil
}

// leastWait lets a call that does not want to wait look at what is there.
const leastWait = 50 * time.Millisecond

// patient is the context of a wait: it ends with the request, when the hub stops, and after the time asked for.
func (c *call) patient(wait time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(c.r.Context(), min(max(wait, leastWait), api.MaxWait))
	release := context.AfterFunc(c.hub.stopping, cancel)
	return ctx, func() { release(); cancel() }
}

// gone says whether the caller has left.
func (c *call) gone() bool { return c.r.Context().Err() != nil }

// errCut says that a body or an answer is not whole, because the line is broken, stalls, or is too slow. The connection is
// cut: a caller takes that for what it is and tries again, while a problem would be the hub's verdict on what it asked.
var errCut = errors.New("the line is broken")

// fail answers with a problem. What it says is meant for the caller: an inner error shows its request id and nothing else.
func (c *call) fail(err error) {
	if c.gone() || errors.Is(err, errCut) {
		c.log.Debug("caller left", "error", err)
		panic(http.ErrAbortHandler) // returning would tell a caller who still listens that all is well
	}
	code, status := codeOf(err)
	c.code = code
	detail, after, since := "", retryAfter[code], time.Time{}
	if told, ok := errors.AsType[*api.Error](err); ok {
		detail, since = told.Detail, told.Since
		after = max(after, told.After)
	} else if errors.Is(err, id.ErrInvalid) {
		detail = err.Error()
	}
	request := c.w.Header().Get(api.HeaderRequest)
	if code == api.CodeInternal || code == api.CodeUncertain {
		c.log.Error("request failed", "code", code, "error", err)
	} else {
		c.log.Debug("request refused", "code", code, "error", err)
	}
	if after > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(after/time.Second)))
	}
	if linkOf(c.r.Context()).proven() == "" || status == http.StatusUnauthorized {
		c.drain()
		c.w.Header().Set("Connection", "close") // strangers keep none, and the next one may come with a better certificate
	}
	problem := api.NewProblem(code, status, detail, request)
	problem.Since = since
	exact, err := strictjson.Marshal(problem)
	if err != nil {
		panic(err) // strings and a number always encode
	}
	c.control.SetWriteDeadline(time.Now().Add(answerTime))
	c.w.Header().Set("Content-Type", api.ProblemType)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(exact)))
	c.w.WriteHeader(status)
	c.w.Write(exact) // the caller may be gone; nothing is lost
}

// drain reads what is left of a body, unless it is long or its sender waits to be asked for it. Closing a connection with
// unread bytes would reset it, and the answer could be lost.
func (c *call) drain() {
	const most = 256 << 10
	if c.r.Header.Get("Expect") == "" {
		io.CopyN(io.Discard, c.r.Body, most) // the deadline for the body holds; if it fails there is no more to be done
	}
}

// codeOf is api.CodeOf, and knows what this side's errors mean for a caller.
func codeOf(err error) (api.Code, int) {
	if errors.Is(err, spool.ErrClosed) {
		err = api.ErrBusy // the hub stops, and will be back
	} else if errors.Is(err, id.ErrInvalid) {
		err = spool.ErrInvalid
	}
	return api.CodeOf(err)
}

// retryAfter is when it is worth asking again, unless the error itself knows better.
var retryAfter = map[api.Code]time.Duration{
	api.CodeBusy:        time.Second,
	api.CodeFull:        10 * time.Second,
	api.CodeUncertain:   5 * time.Second,
	api.CodeRemoved:     5 * time.Second,
	api.CodeOtherKey:    5 * time.Second,
	api.CodeNotAdmitted: 5 * time.Second, // a person is about to admit it, after this hub took the place of a lost one
}
