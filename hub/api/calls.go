package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/line"
	"sealpost/internal/strictjson"
	"sealpost/spool"
)

// Hello returns the hub's identity and its record of the caller.
func (c *Client) Hello(ctx context.Context) (Hello, error) {
	var h Hello
	path := PathHello
	if c.options.Session != "" {
		query := url.Values{QueryRole: {c.options.Role}, QuerySession: {string(c.options.Session)}}
		if heard := c.heard.Load(); heard != nil {
			query.Set(QueryHeard, *heard)
		}
		if c.options.Audit != nil {
			newest, receipt := c.options.Audit()
			query.Set(QueryAudit, strconv.FormatUint(newest, 10))
			query.Set(QueryReceiptAudit, strconv.FormatUint(receipt, 10))
		}
		if c.options.Backlog != nil && c.options.Backlog() {
			query.Set(QueryBacklog, "1")
		}
		path += "?" + query.Encode()
	}
	if err := c.json(ctx, request{method: http.MethodGet, path: path}, nil, &h); err != nil {
		return Hello{}, fmt.Errorf("hello: %w", err)
	}
	c.heard.Store(&h.StartID)
	if c.options.Site != "" && h.Site != c.options.Site {
		return Hello{},
			fmt.Errorf("hello: %w", &OtherSiteError{Taken: h.Site, Site: c.options.Site})
	}
	return h, nil
}

// OtherSiteError says that the hub takes the caller for another site than it is.
type OtherSiteError struct{ Taken, Site id.Site }

func (e *OtherSiteError) Error() string {
	return fmt.Sprintf("the hub takes this site for %.40q, but it is %s", e.Taken, e.Site)
}

// Enroll redeems an invitation. The same invitation with the same key gives a certificate again.
func (c *Client) Enroll(ctx context.Context, in EnrollRequest) (Enrolled, error) {
	return post[Enrolled](ctx, c, "enroll", PathEnroll, in)
}

// Renew asks for a new certificate for the same key. Call CloseIdle afterwards to use it at once.
func (c *Client) Renew(ctx context.Context, in RenewRequest) (Enrolled, error) {
	return post[Enrolled](ctx, c, "renew", PathRenew, in)
}

// PutKey publishes the caller's recipient-key statement.
func (c *Client) PutKey(ctx context.Context, statement string) error {
	err := c.json(ctx, request{method: http.MethodPut, path: PathKey},
		KeyUpload{Statement: statement}, nil)
	return named("upload key", err)
}

// Roster returns the newest roster that the hub has, a JWS.
func (c *Client) Roster(ctx context.Context) (string, error) {
	var out RosterAnswer
	err := c.json(ctx, request{method: http.MethodGet, path: PathRoster}, nil, &out)
	return out.Roster, named("roster", err)
}

// Resolve returns the present route of an address.
func (c *Client) Resolve(ctx context.Context, address id.Address) (Route, error) {
	return post[Route](ctx, c, "resolve "+address.String(), PathResolve,
		ResolveRequest{Address: address})
}

// OpenUpload opens or reopens the upload of a large envelope.
func (c *Client) OpenUpload(ctx context.Context, in UploadRequest) (UploadState, error) {
	return post[UploadState](ctx, c, "open upload", PathUploads, in)
}

// PutPart sends one part of an upload, exactly size bytes of r, and their checksum. After nil
// it is durable at the hub. A part of the upload with another checksum is replaced. It waits for
// its place in the line.
func (c *Client) PutPart(ctx context.Context, envelope id.Envelope, part int, sum uint32,
	r io.Reader, size int64) error {
	path := PathUploads + "/" + url.PathEscape(string(envelope)) + "/" + strconv.Itoa(part) +
		"?" + QueryCRC32C + "=" + strconv.FormatUint(uint64(sum), 10)
	place, err := c.options.Up.Begin(ctx)
	if err != nil {
		return named(fmt.Sprintf("part %d", part), err)
	}
	defer place.End()
	body := func() io.Reader { return place.Reader(ctx, r) }
	err = c.json(ctx, request{method: http.MethodPut, path: path, body: body, size: size,
		once: true, counted: true}, nil, nil)
	return named(fmt.Sprintf("part %d", part), err)
}

// AbortUpload deletes an upload at the hub.
func (c *Client) AbortUpload(ctx context.Context, envelope id.Envelope) error {
	path := PathUploads + "/" + url.PathEscape(string(envelope))
	return named("abort upload", c.json(ctx, request{method: http.MethodDelete, path: path}, nil,
		nil))
}

// Publish publishes an envelope. Content is the whole ciphertext if it is small, and nil if it was
// uploaded before.
func (c *Client) Publish(ctx context.Context, in PublishRequest,
	content []byte) (Published, error) {
	head, err := Frame(in)
	if err != nil {
		return Published{}, fmt.Errorf("publish: %w", err)
	}
	r := request{method: http.MethodPost, path: PathPublish, size: int64(len(head) + len(content)),
		counted: true}
	if err := c.options.Up.First(ctx, r.size); err != nil {
		return Published{}, fmt.Errorf("publish: %w", err)
	}
	r.body = func() io.Reader {
		return io.MultiReader(bytes.NewReader(head), bytes.NewReader(content))
	}
	var out Published
	if err := c.json(ctx, r, nil, &out); err != nil {
		return Published{}, fmt.Errorf("publish: %w", err)
	}
	return out, nil
}

// Known returns the states of the caller's own envelopes, at most MaxKnown, all in order.
func (c *Client) Known(ctx context.Context, envelopes []id.Envelope) ([]KnownEnvelope, error) {
	var known []KnownEnvelope
	for len(known) < len(envelopes) {
		rest := envelopes[len(known):]
		got, err := post[KnownAnswer](ctx, c, "known", PathKnown, KnownRequest{Envelopes: rest})
		if err != nil {
			return nil, err
		}
		if len(got.Envelopes) == 0 || len(got.Envelopes) > len(rest) {
			return nil, fmt.Errorf("known: the hub answered for %d of %d envelopes",
				len(got.Envelopes), len(rest))
		}
		for i, k := range got.Envelopes {
			if k.Envelope != rest[i] {
				return nil, errors.New("known: the hub answered for another envelope than it was " +
					"asked for")
			}
		}
		known = append(known, got.Envelopes...)
	}
	return known, nil
}

// Lease asks for deliveries and waits for them. None within the wait is no error.
func (c *Client) Lease(ctx context.Context, in LeaseRequest) ([]Delivery, error) {
	r := request{method: http.MethodPost, path: PathLease, wait: in.Wait, answer: 2 * MaxLease}
	if err := r.setJSON(in); err != nil {
		return nil, err
	}
	if err := c.options.Down.First(ctx, 0); err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	defer resp.Body.Close()
	deliveries, err := readLease(resp.Body)
	for _, d := range deliveries {
		c.options.Down.Count(int64(len(d.Content)))
	}
	return deliveries, named("lease", err)
}

func readLease(r io.Reader) ([]Delivery, error) {
	head, err := ReadFrame(r, MaxJSON)
	if err != nil {
		return nil, err
	}
	var answer LeaseAnswer
	if err := strictjson.UnmarshalKnown(head, &answer); err != nil {
		return nil, fmt.Errorf("the hub's answer: %w", err)
	}
	room := int64(MaxLease)
	for i := range answer.Deliveries {
		d := &answer.Deliveries[i]
		if !d.Inline {
			continue
		}
		if d.Size < 0 || d.Size > room {
			return nil, fmt.Errorf("the hub's answer holds more than %d bytes", MaxLease)
		}
		room -= d.Size
		if d.Content, err = ReadExactly(r, d.Size); err != nil {
			return nil, fmt.Errorf("the hub's answer is cut: %w", err)
		}
	}
	return answer.Deliveries, nil
}

// Content reads a range of a delivery's ciphertext, after a wait for its place in the line. The
// reader fails with io.ErrUnexpectedEOF when the line is cut.
func (c *Client) Content(ctx context.Context, in ContentRequest) (io.ReadCloser, error) {
	r := request{method: http.MethodPost, path: PathContent, answer: in.Length}
	if err := r.setJSON(in); err != nil {
		return nil, err
	}
	place, err := c.options.Down.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("read content: %w", err)
	}
	resp, err := c.send(ctx, r)
	if err != nil {
		place.End()
		return nil, fmt.Errorf("read content: %w", err)
	}
	return lineBody{place.Reader(ctx, resp.Body), resp.Body, place}, nil
}

// lineBody is an answer's body that keeps to the limit of the line. It must be closed once.
type lineBody struct {
	io.Reader
	body  io.Closer
	place line.Body
}

func (b lineBody) Close() error {
	defer b.place.End()
	return b.body.Close()
}

// Extend prolongs a lease and returns its new end.
func (c *Client) Extend(ctx context.Context, token spool.Token) (time.Time, error) {
	out, err := post[Extended](ctx, c, "extend", PathExtend, ExtendRequest{Token: token})
	return out.LeasedUntil, err
}

// Release hands a delivery back for later.
func (c *Client) Release(ctx context.Context, in ReleaseRequest) error {
	return named("release", c.json(ctx, request{method: http.MethodPost, path: PathRelease}, in,
		nil))
}

// Settle states the final outcomes of deliveries, and returns an answer for each in order. It
// splits a long list into several requests.
func (c *Client) Settle(ctx context.Context, settlements []Settlement) ([]SettledDelivery, error) {
	settled := make([]SettledDelivery, 0, len(settlements))
	for len(settled) < len(settlements) {
		some := oneRequest(settlements[len(settled):])
		out, err := post[SettleAnswer](ctx, c, "settle", PathSettle,
			SettleRequest{Settlements: some})
		if err == nil && len(out.Settled) != len(some) {
			err = fmt.Errorf("settle: the hub answered for %d of %d deliveries", len(out.Settled),
				len(some))
		}
		if err != nil {
			return nil, err
		}
		settled = append(settled, out.Settled...)
		for i, s := range out.Settled {
			if s.Code == "" && out.Audit != nil && c.options.Settled != nil {
				c.options.Settled(some[i].Delivery.Incarnation, *out.Audit)
				break
			}
		}
	}
	return settled, nil
}

// oneRequest returns the first of the settlements, as many as one request may hold, and at least
// one.
func oneRequest(settlements []Settlement) []Settlement {
	const around = 512 // bytes of JSON beside the receipt, at most
	size := 0
	for i, s := range settlements {
		if size += len(s.Receipt) + around; i > 0 && (size > MaxJSON || i == MaxLeases) {
			return settlements[:i]
		}
	}
	return settlements
}

// Events reads the caller's events after a cursor and waits for them.
func (c *Client) Events(ctx context.Context, in EventsRequest) (EventsAnswer, error) {
	r := request{method: http.MethodPost, path: PathEvents, wait: in.Wait}
	var out EventsAnswer
	if err := c.json(ctx, r, in, &out); err != nil {
		return EventsAnswer{}, fmt.Errorf("events: %w", err)
	}
	return out, nil
}

// Administrate makes an admin's call. The path is that on the hub's control socket. A refusal of
// the call is an *Error with its reason.
func (c *Client) Administrate(ctx context.Context, path string, in, out any) error {
	return c.json(ctx, request{method: http.MethodPost, path: PathAdmin + path,
		answer: maxAdmin}, in, out)
}

func post[Out any](ctx context.Context, c *Client, op, path string, in any) (Out, error) {
	var out, none Out
	if err := c.json(ctx, request{method: http.MethodPost, path: path}, in, &out); err != nil {
		return none, fmt.Errorf("%s: %w", op, err)
	}
	return out, nil
}

func named(op string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

func (r *request) setJSON(in any) error {
	exact, err := strictjson.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	r.body = func() io.Reader { return bytes.NewReader(exact) }
	r.size = int64(len(exact))
	r.media = "application/json"
	return nil
}
