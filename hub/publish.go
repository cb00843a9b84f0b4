package hub

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/spool"
)

// resolve proposes recipients for an address. The sender decides about them.
func (c *call) resolve(in api.ResolveRequest) error {
	if err := in.Address.Validate(); err != nil {
		return err
	}
	if err := c.caller.checkMaySend(in.Address); err != nil {
		return err
	}
	r := c.route(in.Address)
	if err := r.check(in.Address); err != nil {
		return err
	}
	return c.reply(api.Route{Address: in.Address, Recipients: r.recipients, Version: r.version})
}

// route resolves an address for the caller, and registers the caller for its changes.
func (c *call) route(address id.Address) route {
	t, release := c.hub.dir.hold()
	defer release()
	r := t.resolve(c.hub.verifier.Network, c.caller.Name, address)
	c.hub.told.remember(c.caller.Name, address, r.version)
	return r
}

// publish puts an envelope into the queues of its route. It holds the directory from the route
// check to the spool's commit, so that the recipients are exactly those of the ciphertext.
func (c *call) publish() error {
	data, give, err := c.body()
	if err != nil {
		return err
	}
	defer give()
	body := bytes.NewReader(data)
	head, err := api.ReadFrame(body, publishBody-spool.SmallSize)
	if err != nil {
		return problem(api.CodeInvalid, "%v", err)
	}
	var in api.PublishRequest
	if err := decode(head, &in); err != nil {
		return err
	}
	content := data[len(data)-body.Len():]
	if err := c.checkPublish(in, content); err != nil {
		return err
	}
	if in.Size > spool.SmallSize {
		content = nil // it was uploaded before
	}
	published, err := c.commit(in, content)
	if err != nil {
		return err
	}
	c.hub.uploads.drop(c.caller.Name, in.Envelope)
	return c.reply(api.Published(published))
}

// commit publishes at the directory's present state, which it holds until the spool's commit.
func (c *call) commit(in api.PublishRequest, content []byte) (spool.Published, error) {
	h := c.hub
	t, release := h.dir.hold()
	defer release()
	if err := c.stillAdmitted(t); err != nil {
		return spool.Published{}, err
	}
	refused := c.checkRoute(t, in)
	if refused != nil {
		// A sender repeats a publish whose answer was lost. It gets the same answer, even if the
		// route has changed.
		known, err := h.spool.Known(c.r.Context(), c.caller.Name, []id.Envelope{in.Envelope})
		if err != nil {
			return spool.Published{}, err
		}
		if len(known) != 1 || known[0].State == spool.StateUnknown {
			return spool.Published{}, refused
		}
	}
	targets := make([]spool.Target, len(in.Recipients))
	for i, s := range in.Recipients {
		targets[i] = spool.Target{Site: s, Queue: s.Queue()}
	}
	began := time.Now()
	published, err := h.spool.Publish(c.r.Context(), spool.Envelope{
		ID: in.Envelope, Sender: c.caller.Name, Address: in.Address, RouteVersion: in.RouteVersion,
		Size: in.Size, CRC32C: in.CRC32C, Messages: in.Messages, Deliveries: targets,
		Content: content,
	})
	if err != nil {
		return spool.Published{}, err
	}
	fault.Point("hub-published")
	h.metrics.published(len(in.Messages), in.Size)
	h.flows.note(c.caller.Name, in.Recipients, len(in.Messages), in.Size, h.now())
	c.log.Info("published", "envelope", in.Envelope, "address", in.Address.String(),
		"recipients", in.Recipients,
		"messages", labels(in.Messages), "size", in.Size, "sequence", published.Sequence, "took",
		time.Since(began))
	return published, nil
}

// checkRoute returns an error unless the address still resolves to the recipients of the
// ciphertext.
func (c *call) checkRoute(t *table, in api.PublishRequest) error {
	if err := c.caller.checkMaySend(in.Address); err != nil {
		return err
	}
	r := t.resolve(c.hub.verifier.Network, c.caller.Name, in.Address)
	c.hub.told.remember(c.caller.Name, in.Address, r.version)
	if err := r.check(in.Address); err != nil {
		return err
	}
	same := slices.EqualFunc(r.recipients, in.Recipients,
		func(r api.RouteRecipient, s id.Site) bool {
			return r.Site == s
		})
	if !same || r.version != in.RouteVersion {
		return problem(api.CodeRoute,
			"%s resolves to something else now; ask for it and seal again", in.Address)
	}
	for _, r := range r.recipients {
		if r.KeyHash == "" {
			return problem(api.CodeRoute, "%s has not joined yet", r.Site)
		}
	}
	return nil
}

// checkPublish makes all checks that need no directory.
func (c *call) checkPublish(in api.PublishRequest, content []byte) error {
	_, badID := id.Parse128[id.Envelope](string(in.Envelope))
	_, badVersion := id.ParseHash(string(in.RouteVersion))
	if err := errors.Join(badID, in.Address.Validate(), badVersion); err != nil {
		return err
	}
	if err := checkRecipients(in.Recipients); err != nil {
		return err
	}
	if err := checkSize(in.Size, in.CRC32C); err != nil {
		return err
	}
	switch {
	case in.Size > spool.SmallSize && len(content) > 0:
		return problem(api.CodeInvalid, "an envelope of more than %d bytes is uploaded in parts, "+
			"and its publish has no content", spool.SmallSize)
	case in.Size <= spool.SmallSize && int64(len(content)) != in.Size:
		return problem(api.CodeInvalid, "the content has %d bytes, and the publish says %d",
			len(content), in.Size)
	case in.Size > spool.SmallSize && len(in.Messages) > 1:
		return problem(api.CodeInvalid, "only envelopes of at most %d bytes hold several messages",
			spool.SmallSize)
	}
	return checkMessages(c.caller.Name, in.Messages)
}

func checkRecipients(sites []id.Site) error {
	if len(sites) == 0 || len(sites) > spool.MaxRecipients {
		return problem(api.CodeInvalid, "want 1 to %d recipients, not %d", spool.MaxRecipients,
			len(sites))
	}
	for i, s := range sites {
		if _, err := id.ParseSite(string(s)); err != nil {
			return err
		}
		if i > 0 && sites[i-1] >= s {
			return problem(api.CodeInvalid, "want the recipients in order, none twice")
		}
	}
	return nil
}

func checkSize(size int64, sums []uint32) error {
	if size < 1 || size > spool.MaxSize {
		return tooLarge(size)
	}
	if parts := (size + spool.PartSize - 1) / spool.PartSize; int64(len(sums)) != parts {
		return problem(api.CodeInvalid, "%d bytes have %d parts, and there are %d checksums", size,
			parts, len(sums))
	}
	return nil
}

func tooLarge(size int64) error {
	return problem(api.CodeTooLarge, "an envelope has 1 to %d bytes, not %d", int64(spool.MaxSize),
		size)
}

// checkMessages checks ids, uids and times. It accepts any well-formed label of the sender and any
// wrong clock: both are fixed since the claim, so the sender could not correct them.
func checkMessages(sender id.Site, messages []spool.Message) error {
	if len(messages) == 0 || len(messages) > spool.MaxMessages {
		return problem(api.CodeInvalid, "want 1 to %d messages, not %d", spool.MaxMessages,
			len(messages))
	}
	uids, ids := make(map[id.UID]bool, len(messages)), make(map[id.Message]bool, len(messages))
	for _, m := range messages {
		_, site, err := id.ParseMessage(string(m.ID))
		_, badUID := id.Parse128[id.UID](string(m.UID))
		if err := errors.Join(err, badUID); err != nil {
			return err
		}
		switch {
		case site != sender:
			return problem(api.CodeInvalid, "message id %s does not start with %s", m.ID, sender)
		case uids[m.UID] || ids[m.ID]:
			return problem(api.CodeInvalid, "message %s stands there twice", m.ID)
		case m.Sent.Location() != time.UTC || m.Sent.Year() < 1970 || m.Sent.Year() > 9999:
			return problem(api.CodeInvalid, "message %s has no sane sent_timestamp in UTC", m.ID)
		}
		uids[m.UID], ids[m.ID] = true, true
	}
	return nil
}

// labels names messages for the log.
func labels(messages []spool.Message) []string {
	out := make([]id.Message, len(messages))
	for i, m := range messages {
		out[i] = m.ID
	}
	return id.Ranges(out)
}
