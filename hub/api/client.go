package api

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/line"
	"sealpost/internal/strictjson"
)

// Timeouts and limits of the client.
const (
	dialTime  = 10 * time.Second // for a connection, and again for its TLS handshake
	stallTime = 60 * time.Second // without a byte moving, beyond the requested wait
	idleTime  = 90 * time.Second // before an unused connection is closed
	minRate   = 16 << 10         // bytes per second, on average

	maxAnswer = 2 * MaxJSON // bytes of JSON: receipts of 64 recipients pass MaxJSON
	maxAdmin  = 32 << 20    // bytes of JSON for an admin: 1,000 records with all their recipients

	expectTime  = 5 * time.Second // for "100 Continue", before the body is sent anyway
	expectAbove = 256 << 10       // bytes: a longer body waits for "100 Continue"
)

// ClientOptions configure a Client.
type ClientOptions struct {
	Hubs      []string    // "host:port"; the last one that answered is tried first
	TLS       *tls.Config // from certs.ClientTLS
	Site      id.Site     // the caller; Hello compares it
	UserAgent string      // such as "sealpost/1.2"
	Session   id.Session  // of an agent's start, sent by Hello with Role; empty: no agent
	Role      string
	// Audit, if set, returns the values of QueryAudit and QueryReceiptAudit.
	Audit func() (newest, receipt uint64)
	// Backlog, if set, returns whether Hello asks for the caller's queue.
	Backlog func() bool
	// Settled, if set, gets the head of the audit chain from the answer to a settlement, and the
	// incarnation of the store that has it. It must not block.
	Settled func(of id.Incarnation, head Audit)
	// Heard, if set, is called at the end of each request but hello, with nil for an answer or with
	// the error. It must not block.
	Heard func(error)
	Up    *line.Line // of the bytes to the hub; nil: without a limit
	Down  *line.Line // of those from it
}

// ErrAnswer reports an answer from the hub's address that is not one of this version of the hub.
var ErrAnswer = errors.New("the answer is not the hub's")

// Client calls the hub for one site.
//
// Every request has a timeout, extended by the requested wait. A problem from the hub is an *Error;
// any other error is one of the line, and a retry may succeed. Each request may be repeated: the
// hub gives the same answer. All methods may be called concurrently.
type Client struct {
	options ClientOptions
	http    *http.Client
	current atomic.Int32           // index into Hubs of the address that answered last
	heard   atomic.Pointer[string] // the value of QueryHeard; nil: none
}

// NewClient returns a client. It opens no connection yet.
func NewClient(options ClientOptions) *Client {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	transport := &http.Transport{
		Proxy:                  Proxy,
		OnProxyConnectResponse: CheckProxy,
		DialContext:            (&net.Dialer{Timeout: dialTime}).DialContext,
		TLSClientConfig:        options.TLS.Clone(),
		TLSHandshakeTimeout:    dialTime,
		Protocols:              &protocols,
		DisableCompression:     true,
		MaxIdleConns:           64,
		ExpectContinueTimeout:  expectTime,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        idleTime,
		WriteBufferSize:        64 << 10,
		ReadBufferSize:         64 << 10,
	}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{options: options, http: &http.Client{Transport: transport,
		CheckRedirect: refuse}}
}

// CloseIdle closes unused connections, so that the next request presents the identity's newest
// certificate.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// request is one call.
type request struct {
	method, path string
	media        string           // of the body; default bytes
	body         func() io.Reader // nil: none
	size         int64            // of the body
	once         bool             // the body can be read only once
	wait         time.Duration    // longest wait of the hub before its answer
	answer       int64            // most bytes of the answer
	counted      bool             // the limit of the line has the body already
}

// send sends a request and reports its end to Heard, unless the caller ended it.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	if !r.counted {
		c.options.Up.Count(r.size)
	}
	resp, err := c.sendToOne(ctx, r)
	if c.options.Heard != nil && !strings.HasPrefix(r.path, PathHello) && ctx.Err() == nil {
		c.options.Heard(err)
	}
	return resp, err
}

// sendToOne tries the hub's addresses until one connects. After that it tries no other.
func (c *Client) sendToOne(ctx context.Context, r request) (*http.Response, error) {
	if len(c.options.Hubs) == 0 {
		return nil, errors.New("no address of the hub is known")
	}
	start := int(c.current.Load())
	var failed error
	for i := range c.options.Hubs {
		n := (start + i) % len(c.options.Hubs)
		resp, connected, err := c.sendTo(ctx, c.options.Hubs[n], r)
		if err == nil {
			c.current.Store(int32(n))
			return resp, nil
		}
		failed = errors.Join(failed, err)
		if connected || ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

func (c *Client) sendTo(ctx context.Context, hub string,
	r request) (resp *http.Response, connected bool, err error) {
	w := newWatch(ctx, r.wait+stallTime)
	bounded, cancel := context.WithTimeout(w.ctx, r.wait+stallTime+
		time.Duration((r.size+r.answer)/minRate)*time.Second)
	stop := func() { cancel(); w.stop() }
	var took atomic.Bool
	traced := httptrace.WithClientTrace(bounded,
		&httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
			took.Store(true)
		}})
	req, err := c.newRequest(traced, hub, r, w)
	if err != nil {
		stop()
		return nil, false, err
	}
	resp, err = c.http.Do(req)
	if err != nil {
		defer stop()
		return nil, took.Load(), fmt.Errorf("hub %s: %w", hub, w.why(unwrapURL(err)))
	}
	resp.Body = watchedBody{watchedReader{resp.Body, w, stallTime}, closers{resp.Body, cancel}}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		return nil, true, problemOf(resp)
	}
	return resp, true, nil
}

func (c *Client) newRequest(ctx context.Context, hub string, r request,
	w *watch) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, "https://"+hub+r.path, nil)
	if err != nil {
		return nil, fmt.Errorf("hub %s: %w", hub, err)
	}
	req.Header.Set(HeaderRequest, id.Random128[string]())
	req.Header.Set("User-Agent", c.options.UserAgent)
	// not sent: permits the transport a retry after a stale connection
	req.Header["Idempotency-Key"] = []string{}
	if r.body == nil {
		return req, nil
	}
	req.Header.Set("Content-Type", cmp.Or(r.media, "application/octet-stream"))
	body := func() (io.ReadCloser, error) {
		return io.NopCloser(watchedReader{r.body(), w, r.wait + stallTime}), nil
	}
	req.Body, _ = body()
	if !r.once {
		req.GetBody = body
	}
	req.ContentLength = r.size
	if r.size > expectAbove {
		req.Header.Set("Expect", "100-continue") // a refusal costs no body, and its reason arrives
	}
	if r.size == 0 {
		req.Body, req.GetBody = http.NoBody, nil
	}
	return req, nil
}

// json sends in as JSON and decodes the answer into out; either may be nil.
func (c *Client) json(ctx context.Context, r request, in, out any) error {
	if in != nil {
		if err := r.setJSON(in); err != nil {
			return err
		}
	}
	if r.answer == 0 {
		r.answer = maxAnswer
	}
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.ContentLength > 0 {
		c.options.Down.Count(resp.ContentLength)
	}
	return decode(resp.Body, r.answer, out)
}

// decode reads a JSON answer to its end. It ignores unknown fields, which a newer hub may add.
func decode(r io.Reader, most int64, out any) error {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return fmt.Errorf("read the hub's answer: %w", err)
	}
	if int64(len(data)) > most {
		return fmt.Errorf("%w: it is longer than %d bytes", ErrAnswer, most)
	}
	if out == nil {
		return nil
	}
	if err := strictjson.UnmarshalKnown(data, out); err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return nil
}
