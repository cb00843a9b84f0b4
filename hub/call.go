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
	"sealpost/internal/reason"
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
	caller  site  // or admin; zero for an anonymous endpoint
	party   party
	log     *slog.Logger
	code    api.Code // of the problem in the answer
}

// body reads the whole request body into memory. It is bounded by the endpoint's limit, the
// intake's budget and a time that depends on its size. The caller calls give to return the budget.
func (c *call) body() (data []byte, give func(), err error) {
	size := c.r.ContentLength
	if size > c.limit {
		return nil, nil, problem(api.CodeTooLarge, "the body has %d bytes, and at most %d are "+
			"read here", size, c.limit)
	}
	if size < 0 {
		size = c.limit
	}
	give, err = c.hub.intake.take(c.party, size)
	if err != nil {
		return nil, nil, err
	}
	data, err = c.readAll(c.pacedBody(size))
	if err != nil {
		give()
		return nil, nil, err
	}
	return data, give, nil
}

// readAll reads a body of its announced length, or of at most the limit. A cut one is errCut.
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

func decode(data []byte, in any) error {
	if err := strictjson.Unmarshal(data, in); err != nil {
		return problem(api.CodeInvalid, "the request's JSON: %v", err)
	}
	return nil
}

// pacedBody returns the request body. Reading fails if it stalls, its average rate is below
// minRate, or a stranger sends it for too long.
func (c *call) pacedBody(size int64) io.Reader {
	longest := stallTime + time.Duration(size/minRate)*time.Second
	if c.party.site == "" {
		longest = strangerBody
	}
	return pacedReader{c, time.Now().Add(longest)}
}

type pacedReader struct {
	*call
	last time.Time
}

func (p pacedReader) Read(b []byte) (int, error) {
	p.control.SetReadDeadline(earlier(p.last, time.Now().Add(stallTime)))
	n, err := p.r.Body.Read(b)
	if err == io.EOF {
		// from here on, net/http only watches for the end of the connection
		p.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// pacedWriter is the answer. Writing fails if the caller stalls or reads below minRate.
type pacedWriter struct {
	*call
	last time.Time
}

func (c *call) pacedAnswer(size int64) io.Writer {
	return pacedWriter{c, time.Now().Add(stallTime + time.Duration(size/minRate)*time.Second)}
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
	c.control.SetWriteDeadline(time.Now().Add(answerTime +
		time.Duration(len(exact)/minRate)*time.Second))
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(exact)))
	if _, err := c.w.Write(exact); err != nil {
		c.log.Debug("answer not taken", "error", err)
	}
	return nil
}

// leastWait is long enough to look at the spool once.
const leastWait = 50 * time.Millisecond

// waitContext returns the context of a wait. It ends with the request, with the hub, and after the
// requested time.
func (c *call) waitContext(wait time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(c.r.Context(), min(max(wait, leastWait), api.MaxWait))
	release := context.AfterFunc(c.hub.stopping, cancel)
	return ctx, func() { release(); cancel() }
}

// isGone reports whether the caller has left.
func (c *call) isGone() bool { return c.r.Context().Err() != nil }

// errCut marks an incomplete body or answer: the line broke, stalled or was too slow. The hub then
// closes the connection, so that the caller retries. A problem would be a verdict on the request.
var errCut = errors.New("the line is broken")

// fail answers with a problem. An internal error shows the caller only its request id.
func (c *call) fail(err error) {
	if c.isGone() || errors.Is(err, errCut) {
		c.log.Debug("caller left", "error", err)
		panic(http.ErrAbortHandler) // a return would send a success to a caller that still listens
	}
	code, status := codeOf(err)
	c.code = code
	detail, after, since, why := "", retryAfter[code], time.Time{}, reason.Reason{}
	over, isOver := errors.AsType[*spool.OverQuota](err)
	if isOver {
		detail, after = over.Error(), c.overQuota(over)
	}
	if told, ok := errors.AsType[*api.Error](err); ok {
		detail, since, why = told.Detail, told.Since, told.Reason
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
	if c.caller.Name == "" || status == http.StatusUnauthorized {
		c.drain()
		// a stranger keeps no connection; its next one may have a valid certificate
		c.w.Header().Set("Connection", "close")
	}
	problem := api.NewProblem(code, status, detail, request)
	problem.Since, problem.Quota, problem.Reason = since, over, why
	exact, err := strictjson.Marshal(problem)
	if err != nil {
		panic(err) // strings and a number always encode
	}
	c.control.SetWriteDeadline(time.Now().Add(answerTime))
	c.w.Header().Set("Content-Type", api.ProblemType)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(exact)))
	c.w.WriteHeader(status)
	c.w.Write(exact) // an error means that the caller left
}

// drain reads the rest of a body, unless it is long or its sender waits for "100 Continue". Closing
// a connection with unread bytes resets it, and the answer could be lost.
func (c *call) drain() {
	const most = 256 << 10
	if c.r.Header.Get("Expect") == "" && c.r.ContentLength != 0 {
		c.control.SetReadDeadline(time.Now().Add(drainTime))
		io.CopyN(io.Discard, c.r.Body, most) // the body's deadline holds; an error changes nothing
	}
}

// codeOf is api.CodeOf for the errors of this side.
func codeOf(err error) (api.Code, int) {
	if errors.Is(err, spool.ErrClosed) {
		err = api.ErrBusy // the hub is about to restart
	} else if errors.Is(err, id.ErrInvalid) {
		err = spool.ErrInvalid
	}
	return api.CodeOf(err)
}

// retryAfter holds the time after which a retry makes sense, unless the error has its own.
var retryAfter = map[api.Code]time.Duration{
	api.CodeBusy:        time.Second,
	api.CodeFull:        10 * time.Second,
	api.CodeOnHold:      5 * time.Second,
	api.CodeUncertain:   5 * time.Second,
	api.CodeRemoved:     5 * time.Second,
	api.CodeOtherKey:    5 * time.Second,
	api.CodeDistrusted:  time.Minute,
	api.CodeNotAdmitted: 5 * time.Second, // an admin may be admitting it to a replaced hub
}
