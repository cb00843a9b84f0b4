package inbox

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/beneath"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
	"sealpost/statement"
)

const (
	maxGroup         = 64  // envelopes placed together
	maxGroupMessages = 512 // messages placed together, approximately
)

// placeAll places opened envelopes in groups of all that wait. A group shares its syncs and
// commits, and a single envelope never waits for others.
func (b *Inbox) placeAll(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-b.opened:
			group, messages := []*delivery{d}, len(d.messages)
			for more := true; more && len(group) < maxGroup && messages < maxGroupMessages; {
				select {
				case d := <-b.opened:
					group, messages = append(group, d), messages+len(d.messages)
				default:
					more = false
				}
			}
			if err := b.placeGroup(ctx, group); err != nil {
				return err
			}
		}
	}
}

// placement is one message on its way from the temporary folder to its place.
type placement struct {
	ledger.Received
	sha256   id.Hash // of the content of a file
	signer   id.Hash // the identity key that signed it
	isFile   bool    // not a folder
	isSynced bool    // its content is already durable
	isKnown  bool    // the same message is already in the inbox
	isMoved  bool    // its content is in place since an earlier attempt
	isPlain  bool    // this disk refuses its name: it is placed under its id
	former   string  // the path of an earlier attempt whose temporary content is gone
	earlier  *Record // its record, if known and not in this ledger
	code     string  // of its refusal
	never    error   // why this disk can never take it: then it is refused

	from, item string // the attempt's folder, and the content's name in it
	record     Record
	text       []byte // the record as JSON; nil if a crash left none
	recorded   string // the name of its file
	failed     error  // why it could not be finished after a crash
}

// placeGroup makes content durable, writes its target to the ledger, renames it, and makes that
// durable. Then it commits the messages as placed, with the signed receipts. A local failure
// releases the group, the deliveries of one sender, or one delivery. A message that this disk can
// never take is refused alone.
func (b *Inbox) placeGroup(ctx context.Context, group []*delivery) error {
	f, err := b.enter(ctx)
	if err != nil {
		return b.releaseGroup(ctx, group, err)
	}
	defer f.close()
	placements, err := b.plan(ctx, f, group)
	if err == nil {
		err = b.placeFiles(ctx, f, placements)
	}
	if err != nil {
		return b.releaseGroup(ctx, group, err)
	}
	// A receipt has all messages of an envelope: release it as a whole.
	var done []*delivery
	for _, d := range group {
		if failed := f.failure(d.Sender, d.Envelope); failed == nil {
			done = append(done, d)
		} else if err := b.releaseGroup(ctx, []*delivery{d}, failed); err != nil {
			return err
		}
	}
	if err := b.commitPlaced(ctx, done, f.withoutFailed(placements)); err != nil {
		return b.releaseGroup(ctx, done, err)
	}
	for _, d := range done {
		if err := f.removeTemp(d.dir); err != nil {
			b.log.Warn("temporary files not removed", "envelope", d.Envelope, "error", err)
		}
		b.complete(d)
	}
	wake(b.settling)
	return nil
}

// releaseGroup releases deliveries after a local failure. It returns any other error.
func (b *Inbox) releaseGroup(ctx context.Context, group []*delivery, err error) error {
	if ignoreLocal(err) != nil {
		return ignoreCancel(ctx, err)
	}
	// Half placed content stays: its rows have its target, and the next attempt continues from
	// there.
	b.releaseAll(ctx, group, func(d *delivery) api.ReleaseRequest {
		return releaseAfter(err, d.attempts, d.Size)
	}, err)
	return nil
}

// plan decides whether to place each message, or it is known, or refused for a reused identity.
func (b *Inbox) plan(ctx context.Context, f *folders,
	group []*delivery) (list []*placement, err error) {
	type identity struct {
		sender id.Site
		uid    id.UID
	}
	seen := map[identity]id.Hash{}
	err = b.ledger.View(ctx, func(tx *ledger.Tx) error {
		for _, d := range group {
			rows, err := receivedRows(tx, d)
			if err != nil {
				return err
			}
			for _, m := range d.messages {
				p := &placement{isFile: m.Type == envelope.TypeFile, isSynced: m.isSynced,
					sha256: m.SHA256, signer: d.signer, Received: ledger.Received{
						Sender: d.Sender, UID: m.UID, ID: m.ID, Envelope: d.Envelope, Name: m.Name,
						Digest: m.Digest, Fingerprint: m.Fingerprint, Size: m.Size, Sent: m.Sent,
						Temp: joinTemp(d.dir, m.temp),
						Time: time.Now().UTC().Truncate(time.Millisecond),
					}, from: d.dir, item: m.temp, former: d.former[m.UID]}
				digest, known := seen[identity{d.Sender, m.UID}]
				if !known {
					if digest, known, err = f.findEarlier(rows, p); err != nil {
						f.fail(p, err)
					}
				}
				switch {
				case known && digest != m.Digest:
					p.code = statement.CodeUIDReused
				case known:
					p.isKnown = true
				case m.refused != nil:
					p.refuse(m.refused)
				default:
					seen[identity{d.Sender, m.UID}] = m.Digest
				}
				list = append(list, p)
			}
		}
		return nil
	})
	return list, err
}

// isNever reports whether a disk can never take an entry as it is. It is too large, or its name is
// refused. All other errors may heal.
func isNever(err error) bool { return trouble.IsTooLarge(err) || trouble.IsNameRefused(err) }

// refuse refuses a message that this disk can never take. The codes are those of the format, known
// to every hub and lab.
func (p *placement) refuse(err error) {
	p.code, p.never = statement.CodeNameUnusable, err
	if trouble.IsTooLarge(err) {
		p.code = statement.CodeTooLarge
	}
}

// receivedRows returns the ledger's rows of a delivery's messages, by identity.
func receivedRows(tx *ledger.Tx, d *delivery) (map[id.UID]ledger.Received, error) {
	list, err := tx.ReceivedOf(d.Sender, uids(d))
	rows := make(map[id.UID]ledger.Received, len(list))
	for _, r := range list {
		rows[r.UID] = r
	}
	return rows, err
}

// errHalfPlaced means that the message is half placed from another envelope.
var errHalfPlaced = reason.Err("half-placed")

// findEarlier returns the digest of the message placed under the same identity, from the ledger or
// the records.
func (f *folders) findEarlier(rows map[id.UID]ledger.Received,
	p *placement) (digest id.Hash, known bool, err error) {
	if row, known := rows[p.UID]; known {
		if !row.Placed && p.former == "" {
			// another envelope with it stopped half way after this one was opened
			return row.Digest, false, errHalfPlaced
		}
		return row.Digest, row.Placed || row.Digest != p.Digest, nil
	}
	r, known, err := f.findRecord(p.Sender, p.ID, p.UID)
	if known && r.Content.Digest == p.Digest {
		p.earlier = &r
	}
	return r.Content.Digest, known, err
}

// placeFiles moves the new messages of a group to their places, durably. It records a failure of
// one sender or one envelope: see fail. It refuses a message that this disk can never take.
func (b *Inbox) placeFiles(ctx context.Context, f *folders, list []*placement) error {
	var placing []*placement
	taken := map[string]bool{}
	for _, p := range list {
		if p.isKnown || p.code != "" || f.failure(p.Sender, p.Envelope) != nil {
			continue
		}
		_, err := b.volumeOf(ctx, f, p.Sender)
		if ignoreLocal(err) != nil {
			return err
		}
		if err == nil {
			err = f.adoptPlaced(p)
		}
		if err == nil && !p.isMoved {
			err = f.chooseName(p, taken, 0)
		}
		if isNever(err) {
			p.refuse(err)
			continue
		}
		if err = errors.Join(err, p.makeRecord()); err != nil {
			f.fail(p, err)
			continue
		}
		placing = append(placing, p)
	}
	placing = f.withoutFailed(placing)
	if len(placing) == 0 {
		return nil
	}
	// The rows promise durable content: after a crash recover only looks whether it was renamed.
	if err := errors.Join(f.writeLists(placing), f.syncContent(placing)); err != nil {
		return localError{err}
	}
	fault.Point("inbox-synced")
	if err := b.writeRows(ctx, placing); err != nil {
		return err
	}
	fault.Point("inbox-placing")
	for _, p := range placing {
		if f.failure(p.Sender, p.Envelope) != nil {
			continue // its row stays, for the next attempt
		}
		var err error
		if !p.isMoved {
			err = b.rename(ctx, f, p, taken)
		}
		if isNever(err) {
			p.refuse(err)
			continue
		}
		if err == nil {
			err = f.writeRecord(p)
		}
		if ignoreLocal(err) != nil {
			return err
		}
		if err != nil {
			f.fail(p, err)
		}
	}
	if err := f.syncPlaces(f.withoutFailed(placing)); err != nil {
		return localError{err}
	}
	fault.Point("inbox-renamed")
	return nil
}

// withoutFailed returns the placements of envelopes without a failure.
func (f *folders) withoutFailed(list []*placement) []*placement {
	return slices.DeleteFunc(list, func(p *placement) bool {
		return f.failure(p.Sender, p.Envelope) != nil
	})
}

// syncPlaces makes records durable, and the folders of records and content. Names are safe below
// .sealpost, because no other account can change it.
func (f *folders) syncPlaces(list []*placement) error {
	var files, dirs []string
	var content []*beneath.Dir
	seen := map[id.Site]bool{}
	for _, p := range list {
		sender := string(p.Sender)
		if p.recorded != "" {
			files = append(files, sender+"/"+p.recorded)
		}
		if seen[p.Sender] {
			continue
		}
		seen[p.Sender] = true
		if f.records[p.Sender] != nil {
			dirs = append(dirs, sender)
		}
		d := f.content[p.Sender]
		switch {
		case d == nil:
		case f.volumes[p.Sender] != nil: // on another disk than the records
			if err := d.Sync(); err != nil {
				return err
			}
		default:
			content = append(content, d)
		}
	}
	return f.own.SyncGroup(files, dirs, content...)
}

// syncContent makes the content of a group durable, with its folders.
func (f *folders) syncContent(list []*placement) error {
	type group struct{ files, dirs []string }
	groups := map[*beneath.Dir]*group{} // by disk
	seen := map[string]bool{}
	for _, p := range list {
		temp, base, err := f.attempt(p.from)
		if err != nil {
			return err
		}
		g := groups[temp]
		if g == nil {
			g = &group{dirs: []string{"."}}
			groups[temp] = g
		}
		if !seen[p.from] {
			seen[p.from] = true
			g.dirs, g.files = append(g.dirs, base), append(g.files, base+"/"+listFile)
		}
		switch {
		case p.isSynced:
		case p.isFile:
			g.files = append(g.files, base+"/"+p.item)
		default:
			if err := temp.SyncTree(base + "/" + p.item); err != nil {
				return err
			}
		}
	}
	for temp, g := range groups {
		if err := temp.SyncGroup(g.files, g.dirs); err != nil {
			return err
		}
	}
	return nil
}

// chooseName picks a free name: the portable form of the sender's, or one with the message id. If
// the disk refuses those, it is only the message id.
func (f *folders) chooseName(p *placement, taken map[string]bool, attempt int) error {
	dir, err := f.contentOf(p.Sender)
	if err != nil {
		return err
	}
	rule := f.formOf(p.Sender).naming
	for ; ; attempt++ {
		name := rule.portable(p.Name, asMessage)
		switch {
		case p.isPlain:
			name = plain(p.Name, string(p.ID), attempt)
		case attempt > 0:
			name = rule.alternative(p.Name, string(p.ID), attempt)
		}
		p.Path = filepath.Join(string(p.Sender), name)
		_, err := dir.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !taken[p.Path]:
			taken[p.Path] = true
			return nil
		case err == nil, errors.Is(err, fs.ErrNotExist):
		case trouble.IsNameRefused(err) && !p.isPlain:
			p.isPlain, attempt = true, -1
		default:
			return err
		}
		if attempt > 1000 {
			return reason.Err("names-used-up", "path", p.Path)
		}
	}
}

// writeRows writes the rows of placements in state placing, with their targets.
func (b *Inbox) writeRows(ctx context.Context, list []*placement) error {
	rows := make([]ledger.Received, len(list))
	for i, p := range list {
		rows[i] = p.Received
	}
	return b.ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.Place(rows...) })
}

// rename moves one message to its place. If the name is taken or refused, it writes another to the
// ledger and retries.
func (b *Inbox) rename(ctx context.Context, f *folders, p *placement, taken map[string]bool) error {
	from, err := f.envelope(p.from)
	if err != nil {
		return localError{err}
	}
	to, err := f.contentOf(p.Sender)
	if err != nil {
		return localError{err}
	}
	for attempt := 1; ; attempt++ {
		b.moving.Lock()
		err := from.RenameOrLook(p.item, to, filepath.Base(p.Path))
		b.moving.Unlock()
		switch {
		case err == nil:
			fault.Point("inbox-moved")
			return nil
		case errors.Is(err, fs.ErrExist):
		case trouble.IsNameRefused(err) && !p.isPlain:
			p.isPlain, attempt = true, 0
		default:
			return localError{err}
		}
		if err := errors.Join(f.chooseName(p, taken, attempt), f.correctRecord(p)); err != nil {
			return localError{err}
		}
		if err := b.writeRows(ctx, []*placement{p}); err != nil {
			return err
		}
	}
}

// commitPlaced commits the messages as placed, together with the receipt of each envelope.
func (b *Inbox) commitPlaced(ctx context.Context, group []*delivery, list []*placement) error {
	receipts := make([]string, len(group))
	next := 0
	for i, d := range group {
		outcomes := make([]statement.ReceiptMessage, len(d.messages))
		for j, m := range d.messages {
			outcomes[j] = statement.ReceiptMessage{UID: m.UID, Message: m.ID,
				Outcome: statement.Delivered, Fingerprint: m.Fingerprint}
			if code := list[next].code; code != "" {
				outcomes[j] = statement.ReceiptMessage{UID: m.UID, Message: m.ID,
					Outcome: statement.Refused, Code: code}
			}
			next++
		}
		var err error
		if receipts[i], err = b.sign(d, outcomes); err != nil {
			return err
		}
	}
	// One commit, so that no receipt exists before its messages count as placed.
	err := b.ledger.Update(ctx, func(tx *ledger.Tx) error {
		placed, never := map[id.Site][]id.UID{}, map[id.Site][]id.UID{}
		for _, p := range list {
			if p.never != nil {
				never[p.Sender] = append(never[p.Sender], p.UID)
			}
			if p.earlier != nil {
				if err := restoreRow(tx, p); err != nil {
					return err
				}
			}
			if !p.isKnown && p.code == "" {
				placed[p.Sender] = append(placed[p.Sender], p.UID)
			}
		}
		for sender, uids := range placed {
			if err := tx.Placed(sender, uids); err != nil {
				return err
			}
		}
		for sender, uids := range never {
			if err := tx.NotPlaced(sender, uids); err != nil {
				return err
			}
		}
		for i, d := range group {
			if err := tx.Receipt(d.Envelope, receipts[i], target(d.DeliveryID),
				b.refusalDetail(list, d.Envelope)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fault.Point("inbox-placed")
	b.logOutcomes(list)
	return nil
}

// refusalDetail returns the local explanation of the refusals in an envelope.
func (b *Inbox) refusalDetail(list []*placement, e id.Envelope) reason.Reason {
	var names, messages []string
	var why reason.Reason
	for _, p := range list {
		switch {
		case p.Envelope != e || p.code == "":
		case p.never == nil:
			return reason.New("identity-used-twice", "message", p.ID, "uid", p.UID)
		default:
			names, messages = append(names, p.Name), append(messages, string(p.ID))
			cause := trouble.Of(p.never, b.cfg.Dir)
			if !why.IsZero() && why != cause {
				cause = reason.New("name-or-size-refused")
			}
			why = cause
		}
	}
	if len(names) == 0 {
		return why
	}
	return reason.New("not-placeable", "names", names, "messages", messages, "dir", b.cfg.Dir,
		"why", why)
}

// logOutcomes logs the outcome of the messages, with one line for the placed ones of an envelope.
func (b *Inbox) logOutcomes(list []*placement) {
	type envelope struct {
		sender id.Site
		id     id.Envelope
		placed []id.Message
		size   int64
	}
	var in envelope
	flush := func() {
		if len(in.placed) > 0 {
			b.log.Info("placed", "messages", id.Ranges(in.placed), "sender", in.sender,
				"envelope", in.id, "size", in.size)
		}
	}
	for _, p := range list {
		if p.Envelope != in.id {
			flush()
			in = envelope{sender: p.Sender, id: p.Envelope}
		}
		switch {
		case p.code != "":
			b.log.Error("refused", "message", p.ID, "sender", p.Sender, "code", p.code,
				"error", p.never)
		case p.isKnown:
			b.log.Info("known already", "message", p.ID, "sender", p.Sender)
		default:
			in.placed, in.size = append(in.placed, p.ID), in.size+p.Size
		}
	}
	flush()
}

// ignoreCancel returns nil if the context has ended: then an error is a consequence of that.
func ignoreCancel(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
