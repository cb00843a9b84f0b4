package hub

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/strictjson"
	"sealpost/spool"
)

const (
	leaseTime = 2 * time.Minute // agents extend while they work
	leaseHead = 1 << 20         // bytes of a lease's answer reserved for its JSON
)

// lease hands out deliveries of the caller's queue, and waits for the first. If the caller has
// left, they are released at once as not attempted.
func (c *call) lease(in api.LeaseRequest) error {
	if err := c.caller.held(); err != nil {
		return err
	}
	if _, err := id.Parse128[id.Session](string(in.Session)); err != nil {
		return err
	}
	if _, err := id.Parse128[id.Session](string(in.Renews)); in.Renews != "" && err != nil {
		return err
	}
	if in.Max < 1 || in.MaxBytes < 0 {
		return problem(api.CodeInvalid, "want at least one delivery")
	}
	except := slices.Concat(in.Except, in.Blocked, in.Limited)
	if len(except) > api.MaxExcept {
		return problem(api.CodeInvalid, "want at most %d senders left out, not %d", api.MaxExcept,
			len(except))
	}
	if in.Only != nil && len(in.Only.Sites) > api.MaxOnly {
		return problem(api.CodeInvalid, "want at most %d senders, not %d", api.MaxOnly,
			len(in.Only.Sites))
	}
	takes := c.hub.present.admits(c.caller.Name, in)
	if takes.only != nil {
		for name := range c.hub.dir.view().sites {
			if !takes.only[name] {
				except = append(except, name)
			}
		}
	}
	ctx, cancel := c.waitContext(in.Wait)
	defer cancel()
	leased, err := c.hub.spool.Lease(ctx, spool.LeaseRequest{
		Queue: c.caller.Name.Queue(), Session: in.Session, Duration: leaseTime,
		Max: min(in.Max, api.MaxLeases), MaxBytes: min(in.MaxBytes, api.MaxLease-leaseHead),
		Number: in.Number, Got: in.Got, Renews: in.Renews, Except: except,
	})
	if err != nil {
		return err
	}
	return c.handOut(leased)
}

// handOut answers with the deliveries that fit. It returns the others to the queue at once.
func (c *call) handOut(leased []spool.Delivery) error {
	var answer api.LeaseAnswer
	answer.Deliveries = []api.Delivery{}
	room := leaseHead
	var size int64
	for i, d := range leased {
		wire := api.Delivery{
			DeliveryID: d.DeliveryID, LeasedUntil: d.LeasedUntil, Attempts: d.Attempts,
			// only this site can use a token with the MAC
			Token:  d.Token + "." + spool.Token(c.hub.seal(c.caller.Name, d.Token)),
			Sender: d.Sender, Address: d.Address, Spooled: d.Spooled, Size: d.Size,
			CRC32C: d.CRC32C, Messages: d.Messages,
			Inline: d.Content != nil && int64(len(d.Content)) == d.Size,
		}
		exact, err := strictjson.Marshal(wire)
		if err != nil {
			c.takeBack(leased)
			return err
		}
		if room -= len(exact) + 1; room < 0 && i > 0 {
			c.takeBack(leased[i:])
			leased = leased[:i]
			break
		}
		if wire.Inline {
			size += d.Size
		}
		answer.Deliveries = append(answer.Deliveries, wire)
	}
	if err := c.writeLease(answer, leased, size); err != nil {
		c.takeBack(leased)
		c.log.Debug("lease not taken", "deliveries", len(leased), "error", err)
		return errCut
	}
	c.hub.metrics.gave(size)
	for _, d := range leased {
		c.log.Info("leased", "envelope", d.Envelope, "sequence", d.Sequence, "sender", d.Sender,
			"messages", labels(d.Messages), "attempts", d.Attempts)
	}
	return nil
}

// writeLease writes the frame of the answer, then the inline contents in order.
func (c *call) writeLease(answer api.LeaseAnswer, leased []spool.Delivery, contents int64) error {
	if c.isGone() {
		return c.r.Context().Err()
	}
	head, err := api.Frame(answer)
	if err != nil {
		return err
	}
	total := int64(len(head)) + contents
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set("Content-Length", strconv.FormatInt(total, 10))
	w := c.pacedAnswer(total)
	if _, err := w.Write(head); err != nil {
		return err
	}
	for i, d := range answer.Deliveries {
		if !d.Inline {
			continue
		}
		if _, err := w.Write(leased[i].Content); err != nil {
			return err
		}
	}
	return c.control.Flush()
}

// takeBack releases deliveries that did not reach the caller.
func (c *call) takeBack(leased []spool.Delivery) {
	ctx := context.WithoutCancel(c.r.Context())
	for _, d := range leased {
		err := c.hub.spool.Release(ctx, d.Token,
			spool.Nack{Code: api.ReleaseNotTaken, NotAttempted: true})
		if err != nil && !errors.Is(err, spool.ErrStale) {
			c.log.Warn("lease not taken back", "envelope", d.Envelope, "error", err)
		}
	}
}

// content streams a range of a delivery's ciphertext. It needs no lease, but the delivery must
// stand in the caller's queue.
func (c *call) content(in api.ContentRequest) error {
	if in.Delivery.Queue != c.caller.Name.Queue() {
		return spool.ErrNotFound
	}
	if in.Offset < 0 || in.Length < 1 || in.Length > api.RangeSize {
		return problem(api.CodeInvalid, "want a range of 1 to %d bytes", api.RangeSize)
	}
	content, err := c.hub.spool.Open(c.r.Context(), in.Delivery, in.Offset)
	if err != nil {
		return err
	}
	defer content.Close()
	return c.stream(content, in.Length)
}

// stream answers with exactly size bytes. It reads the first bytes before it sends a header: a
// range that begins at or behind the end is a problem, and a short one that passes the end is cut.
func (c *call) stream(content io.Reader, size int64) error {
	first := make([]byte, min(size, 64<<10))
	n, err := io.ReadFull(content, first)
	if errors.Is(err, io.EOF) {
		return problem(api.CodeInvalid, "the range begins behind the content's end")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		size = int64(n)
	} else if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w := c.pacedAnswer(size)
	if _, err = w.Write(first[:n]); err == nil {
		_, err = io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(content, size-int64(n)),
			first)
	}
	c.hub.metrics.gave(size)
	if err != nil {
		c.log.Debug("content not taken", "error", err)
		return errCut
	}
	return nil
}

func (c *call) extend(in api.ExtendRequest) error {
	token, ok := c.hub.unbind(c.caller.Name, in.Token)
	if !ok {
		return spool.ErrStale
	}
	until, err := c.hub.spool.Extend(c.r.Context(), token)
	if err != nil {
		return err
	}
	return c.reply(api.Extended{LeasedUntil: until})
}

// maxDelay bounds the delay of a released delivery.
const maxDelay = 24 * time.Hour

func (c *call) release(in api.ReleaseRequest) error {
	if !api.ValidRelease(in.Code) {
		return problem(api.CodeInvalid, "%.40q is no release code", in.Code)
	}
	token, ok := c.hub.unbind(c.caller.Name, in.Token)
	if !ok {
		return spool.ErrStale
	}
	delay := min(max(in.Delay, 0), maxDelay)
	if err := c.hub.spool.Release(c.r.Context(), token, spool.Nack{Code: in.Code, Delay: delay,
		NotAttempted: in.NotAttempted}); err != nil {
		return err
	}
	c.hub.metrics.released.WithLabelValues(in.Code).Inc()
	c.log.Info("released", "code", in.Code, "delay", delay, "attempted", !in.NotAttempted)
	return c.reply(nil)
}

// unbind returns the spool's token in a token of handOut, if its MAC is of this site.
func (h *Hub) unbind(s id.Site, wire spool.Token) (spool.Token, bool) {
	at := strings.LastIndexByte(string(wire), '.')
	if at < 0 {
		return "", false
	}
	return wire[:at], hmac.Equal([]byte(wire[at+1:]), []byte(h.seal(s, wire[:at])))
}

func (h *Hub) seal(s id.Site, t spool.Token) string {
	mac := hmac.New(sha256.New, h.tokenKey)
	mac.Write([]byte(string(s) + " " + string(t))) // no site name has a space; a hash never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
