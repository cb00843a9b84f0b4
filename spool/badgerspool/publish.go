package badgerspool

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/packs"
	"sealpost/spool/badgerspool/queue"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Publish implements spool.Spool.
func (s *Spool) Publish(ctx context.Context, e spool.Envelope) (spool.Published, error) {
	if err := s.enter(); err != nil {
		return spool.Published{}, err
	}
	defer s.leave()
	p, err := s.publish(ctx, e)
	if err != nil {
		return spool.Published{}, fmt.Errorf("publish %s: %w", e.ID, err)
	}
	return p, nil
}

// publish stores the content, then commits the envelope. A repetition gets the first answer.
func (s *Spool) publish(ctx context.Context, e spool.Envelope) (spool.Published, error) {
	rec, err := newEnvelope(e)
	if err != nil {
		return spool.Published{}, err
	}
	unlock, err := s.ids.lock(ctx, e.ID)
	if err != nil {
		return spool.Published{}, err
	}
	defer unlock()
	if old, err := s.envelopeByID(rec.id, rec.sender); err != nil || old != nil {
		return s.published(old, rec, err)
	}
	if rec.isSmall() {
		err = s.publishPacked(ctx, rec, e.Content)
	} else {
		err = s.publishFile(ctx, rec, e)
	}
	return s.published(rec, rec, err)
}

// publishPacked makes a content durable in a pack and then commits its change. Both happen in
// groups, and the caller waits once.
func (s *Spool) publishPacked(ctx context.Context, rec *envelope, content []byte) error {
	c, err := s.publishChange(ctx, rec, nil, nil)
	if err != nil {
		return err
	}
	c.done = make(chan error, 1)
	if err := s.packs.Put(ctx, &packs.Job[*change]{Content: content, At: &rec.at,
		Then: c}); err != nil {
		return err
	}
	err = <-c.done
	if rec.at != (packs.Place{}) {
		s.packs.Committed(rec.at)
	}
	return err
}

// commitPacked hands the changes of a durable group to the writer, or answers them with the error
// of its content.
func (s *Spool) commitPacked(group []*packs.Job[*change], err error) {
	changes := make([]*change, len(group))
	for i, job := range group {
		changes[i] = job.Then
	}
	if err != nil {
		answer(changes, err)
		return
	}
	s.changes <- changes
}

// publishFile publishes content that has a file of its own. The caller holds the id's lock.
func (s *Spool) publishFile(ctx context.Context, rec *envelope, e spool.Envelope) error {
	var up *upload
	var err error
	if rec.size > spool.SmallSize {
		if up, err = s.completeUpload(rec); err != nil {
			return err
		}
	}
	c, err := s.publishChange(ctx, rec, e.CRC32C, up)
	if err != nil {
		return err
	}
	if up != nil {
		if err := s.content.link(up.path, e.ID); err != nil {
			return err
		}
		defer s.uploadOver(up, rec)
	} else {
		if err := s.admit().allows(needRoom); err != nil {
			return err
		}
		if err := s.content.write(e.ID, e.Content); err != nil {
			return err
		}
	}
	// After an error the file is an orphan: the janitor collects it, or a repetition replaces it.
	err = s.submit(c)
	if errors.Is(err, spool.ErrQuota) {
		err = errors.Join(err, s.content.unlink(e.ID))
	}
	return err
}

// published answers for an envelope that the store holds.
func (s *Spool) published(old, asked *envelope, err error) (spool.Published, error) {
	if err != nil {
		return spool.Published{}, err
	}
	if old.hash != asked.hash {
		return spool.Published{}, spool.ErrConflict
	}
	return spool.Published{Incarnation: s.incarnation, Sequence: old.seq, Spooled: old.spooled}, nil
}

// newEnvelope checks an envelope and returns its record.
func newEnvelope(e spool.Envelope) (*envelope, error) {
	raw, ok := unhex(e.ID)
	switch {
	case !ok || !isValidSite(e.Sender):
		return nil, fmt.Errorf("%w: its id or sender", spool.ErrInvalid)
	case e.Address.Validate() != nil:
		return nil, fmt.Errorf("%w: %w", spool.ErrInvalid, e.Address.Validate())
	case len(e.RouteVersion) > 64:
		return nil, fmt.Errorf("%w: a route version of %d bytes", spool.ErrInvalid,
			len(e.RouteVersion))
	case e.Size < 1 || e.Size > spool.MaxSize || len(e.CRC32C) != partCount(e.Size):
		return nil, fmt.Errorf("%w: size %d with %d checksums", spool.ErrInvalid, e.Size,
			len(e.CRC32C))
	}
	targets, err := checkTargets(e.Deliveries)
	if err != nil {
		return nil, err
	}
	if err := checkMessages(e.Messages); err != nil {
		return nil, err
	}
	if err := checkContent(e); err != nil {
		return nil, err
	}
	e.Deliveries = targets
	sums := sumsHash(e.Size, e.CRC32C)
	return &envelope{
		id: raw, sender: e.Sender, hash: metadataHash(e, sums), sums: sums, address: e.Address,
		route: e.RouteVersion, size: e.Size, crc: e.CRC32C[0], targets: targets,
		messages: e.Messages,
	}, nil
}

// checkTargets returns the recipients sorted by site.
func checkTargets(targets []spool.Target) ([]spool.Target, error) {
	if len(targets) < 1 || len(targets) > spool.MaxRecipients {
		return nil, fmt.Errorf("%w: %d recipients", spool.ErrInvalid, len(targets))
	}
	sorted := slices.Clone(targets)
	slices.SortFunc(sorted, func(a, b spool.Target) int {
		return strings.Compare(string(a.Site), string(b.Site))
	})
	queues := make(map[string]bool, len(sorted))
	for i, t := range sorted {
		if !isValidName(t.Queue) || !isValidSite(t.Site) {
			return nil, fmt.Errorf("%w: recipient %.40q without a queue", spool.ErrInvalid, t.Site)
		}
		if queues[t.Queue] || i > 0 && sorted[i-1].Site == t.Site {
			return nil, fmt.Errorf("%w: %s or its queue stands twice", spool.ErrInvalid, t.Site)
		}
		queues[t.Queue] = true
	}
	return sorted, nil
}

func checkMessages(messages []spool.Message) error {
	if len(messages) < 1 || len(messages) > spool.MaxMessages {
		return fmt.Errorf("%w: %d messages", spool.ErrInvalid, len(messages))
	}
	uids := make(map[id.UID]bool, len(messages))
	for _, m := range messages {
		if _, ok := unhex(m.UID); !ok || !isValidName(string(m.ID)) {
			return fmt.Errorf("%w: message %.80q", spool.ErrInvalid, m.ID)
		}
		if uids[m.UID] {
			return fmt.Errorf("%w: uid %s stands twice", spool.ErrInvalid, m.UID)
		}
		uids[m.UID] = true
	}
	return nil
}

// checkContent checks the size and the checksum of small content. Larger content is staged.
func checkContent(e spool.Envelope) error {
	if e.Size > spool.SmallSize {
		if e.Content != nil {
			return fmt.Errorf("%w: content of %d bytes must be staged", spool.ErrInvalid, e.Size)
		}
		return nil
	}
	if int64(len(e.Content)) != e.Size || crc32.Checksum(e.Content, castagnoli) != e.CRC32C[0] {
		return spool.ErrChecksum
	}
	return nil
}

// publishChange returns the change that puts the envelope into all its queues. The caller has
// checked under the id's lock that the id is new. It returns ErrQuota before any content is
// written, if a quota has refused the sender before and would now. The change decides.
func (s *Spool) publishChange(ctx context.Context, rec *envelope, crcs []uint32,
	up *upload) (*change, error) {
	from, queues := s.membersOf(rec)
	if err := s.admitsNow(rec, from, queues, up); err != nil {
		return nil, err
	}
	entries := 7 + 3*len(rec.targets) + 2*len(rec.messages)
	text := rec.audit()
	c := &change{ctx: ctx, need: needRoom, entries: entries,
		bytes: 4*len(crcs) + len(text) + rec.cost() + entries*(entryCost+96)}
	c.apply = func(g *group) error {
		if err := s.admits(g, rec, from, queues, up); err != nil {
			from.refused.Store(true)
			return err
		}
		if up != nil {
			if err := up.publish(rec); err != nil {
				return err
			}
			s.holdings.end(up) // at once: its bytes are counted as waiting now
			g.after = append(g.after, func() { s.dropUpload(up, published) })
		}
		rec.seq, rec.spooled = g.next(), g.now
		g.mark(rec.seq)
		g.set(idKey(rec.id), append(u64(nil, rec.seq), rec.sender...))
		g.set(envelopeKey(rec.sender, rec.seq), rec.encode())
		if len(crcs) > 1 {
			g.set(sumsKey(rec.seq), encodeSums(crcs))
		}
		if rec.isSmall() {
			g.packed(rec.at.Pack, 1)
		}
		for i, t := range rec.targets {
			at := queue.Position{From: rec.sender, Seq: rec.seq}
			g.set(entryAt(t.Queue, at), rec.entry(i).encode())
			g.lane(queues[i], rec.sender).last = rec.seq
			g.set(recipientKey(t.Site, rec.seq), []byte(rec.sender))
			f := g.figures(queues[i])
			f.waiting++
			f.bytes += rec.size
			f.messages += int64(len(rec.messages))
			f.last = rec.seq
		}
		for i, m := range rec.messages {
			uid, _ := unhex(m.UID)
			g.set(messageKey(m.ID, rec.seq, i), []byte(rec.sender))
			g.set(uidKey(uid, rec.seq, i), []byte(rec.sender))
		}
		g.figures(queues[0]).envelopes++
		g.hold(from, rec)
		g.audit(text)
		return nil
	}
	return c, nil
}

// membersOf returns the sender and the queues of an envelope.
func (s *Spool) membersOf(e *envelope) (from *site, queues []*storedQueue) {
	queues = make([]*storedQueue, len(e.targets))
	s.mu.RLock()
	from = s.sites[e.sender]
	for i, t := range e.targets {
		queues[i] = s.queues[t.Queue]
	}
	s.mu.RUnlock()
	if from == nil {
		from = s.site(e.sender)
	}
	for i, q := range queues {
		if q == nil {
			queues[i] = s.queue(e.targets[i].Queue)
		}
	}
	return from, queues
}

// envelopeByID reads an envelope's record. It returns nil if there is none, and ErrForgotten if
// there was one of this sender.
func (s *Spool) envelopeByID(raw [16]byte, sender id.Site) (e *envelope, err error) {
	err = s.view(func(txn *badger.Txn) error {
		e, err = lookup(txn, raw)
		return err
	})
	if old := (forgotten{}); errors.As(err, &old) && old.sender != sender {
		err = spool.ErrConflict
	}
	return e, err
}
