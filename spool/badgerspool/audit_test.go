package badgerspool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"math/bits"
	"os"
	"path/filepath"
	"strings"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/queue"
)

// auditor compares every row and file of an idle store with every other. It derives the expected
// ones from the envelopes alone, and then expects exactly those.
type auditor struct {
	s        *Spool
	rows     map[string][]byte
	queues   map[string]figures
	events   map[id.Site][]eventRecord
	newest   map[uint64]uint64  // event of each envelope that has one
	old      map[id.Site]uint64 // the newest event that was forgotten
	packs    map[uint64]int64
	sites    map[id.Site]spool.Usage // their envelopes that wait
	kept     spool.Usage             // for dead letters
	keptRow  []byte
	content  map[string]bool // envelopes that need a file
	trash    map[string]bool
	lanes    map[string]bool // rows that there may be
	minus    int64           // deliveries that were forgotten, below 0
	problems []error
}

// audit returns everything that is wrong.
func audit(s *Spool) error {
	a := &auditor{
		s:       s,
		rows:    make(map[string][]byte),
		queues:  make(map[string]figures),
		events:  make(map[id.Site][]eventRecord),
		newest:  make(map[uint64]uint64),
		old:     make(map[id.Site]uint64),
		packs:   make(map[uint64]int64),
		sites:   make(map[id.Site]spool.Usage),
		content: make(map[string]bool),
		trash:   make(map[string]bool),
		lanes:   make(map[string]bool),
	}
	err := s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 100})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			a.rows[string(it.Item().Key())] = v
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.chain()
	a.readEvents()
	a.envelopes()
	a.counts()
	a.keptRow = a.rows[string([]byte{keyKept})]
	delete(a.rows, string([]byte{keyKept}))
	a.holdings()
	a.uploads()
	a.files()
	a.rest()
	return errors.Join(a.problems...)
}

func (a *auditor) problem(format string, args ...any) {
	if len(a.problems) < 20 {
		a.problems = append(a.problems, fmt.Errorf(format, args...))
	}
}

// take removes an expected row, and reports a problem if it is missing.
func (a *auditor) take(key []byte, row string, args ...any) []byte {
	v, ok := a.rows[string(key)]
	if !ok {
		a.problem("missing: "+row, args...)
	}
	delete(a.rows, string(key))
	return v
}

// each calls f with every row of a kind.
func (a *auditor) each(kind byte, f func(rest, value []byte)) {
	for k, v := range a.rows {
		if k[0] == kind {
			f([]byte(k[1:]), v)
		}
	}
}

func (a *auditor) readEvents() {
	a.each(keySite, func(rest, v []byte) {
		f, err := decodeSiteFigures(v)
		name := id.Site(rest)
		delete(a.rows, string(siteKey(name)))
		if err != nil || f.commit > a.s.commits.Load() {
			a.problem("site %s: %+v %v", name, f, err)
		}
		if f.forgotten > f.last || f.read > f.last {
			a.problem("site %s: %+v", name, f)
		}
		a.old[name] = f.forgotten
		last := uint64(0)
		for n := f.forgotten + 1; n <= f.last; n++ {
			e, err := decodeEvent(a.take(eventKey(name, n), "event %d of %s", n, name))
			if err != nil || e.commit <= last || e.commit > a.s.commits.Load() {
				a.problem("event %d of %s: commit %d after %d, %v", n, name, e.commit, last, err)
			}
			last = e.commit
			if e.kind != eventRoute {
				a.events[name] = append(a.events[name], e)
				a.newest[e.seq] = n
			}
		}
	})
}

func (a *auditor) envelopes() {
	a.each(keyTrash, func(rest, v []byte) {
		a.trash[string(tohex[id.Envelope](v))] = true
		delete(a.rows, string(trashKey(binary.BigEndian.Uint64(rest))))
	})
	a.each(keyEnvelope, func(rest, v []byte) {
		sender, seq := id.Site(rest[:len(rest)-9]), binary.BigEndian.Uint64(rest[len(rest)-8:])
		e, err := decodeEnvelope(sender, seq, v)
		if err != nil {
			a.problem("envelope %d of %s: %v", seq, sender, err)
			return
		}
		if seq > a.s.commits.Load() {
			a.problem("envelope %d is newer than the last commit %d", seq, a.s.commits.Load())
		}
		a.envelope(e)
	})
}

func (a *auditor) envelope(e *envelope) {
	delete(a.rows, string(envelopeKey(e.sender, e.seq)))
	got := a.take(idKey(e.id), "id of envelope %d", e.seq)
	if string(got) != string(append(u64(nil, e.seq), e.sender...)) {
		a.problem("the id of envelope %d leads elsewhere", e.seq)
	}
	for i, m := range e.messages {
		uid, _ := unhex(m.UID)
		a.take(messageKey(m.ID, e.seq, i), "message %s of envelope %d", m.ID, e.seq)
		a.take(uidKey(uid, e.seq, i), "uid %s of envelope %d", m.UID, e.seq)
	}
	f := decodeFinals(a.rows[string(finalsKey(e.seq))])
	a.letters(e, f)
	delete(a.rows, string(finalsKey(e.seq)))
	for i, t := range e.targets {
		a.take(recipientKey(t.Site, e.seq), "recipient %s of envelope %d", t.Site, e.seq)
		a.delivery(e, i, f)
	}
	waits := bits.OnesCount64(f.final) < len(e.targets)
	needed := waits || f.kept != 0
	if last := a.newest[e.seq]; f.last != last && (last != 0 || f.last > a.old[e.sender]) {
		a.problem("envelope %d has %d as its newest event, want %d", e.seq, f.last, last)
	} else if last == 0 && !waits {
		a.problem("envelope %d is final, and all its events are forgotten", e.seq)
	}
	first := a.queues[e.targets[0].Queue]
	first.envelopes++
	a.queues[e.targets[0].Queue] = first
	held := spool.Usage{Bytes: e.size, Envelopes: 1, Messages: int64(len(e.messages))}
	switch {
	case waits:
		a.sites[e.sender] = a.sites[e.sender].Plus(held)
	case needed:
		a.kept = a.kept.Plus(held)
	}
	switch {
	case !needed:
	case e.isSmall():
		a.packs[e.at.Pack]++
	default:
		a.content[string(tohex[id.Envelope](e.id[:]))] = true
		if e.parts() > 1 {
			a.take(sumsKey(e.seq), "checksums of envelope %d", e.seq)
		}
	}
}

// letters expects one row for an envelope with dead letters.
func (a *auditor) letters(e *envelope, f finals) {
	if f.kept&^f.dead != 0 || (f.row != 0) != (f.kept != 0) {
		a.problem("envelope %d: dead %b, kept %b in row %d", e.seq, f.dead, f.kept, f.row)
	}
	if f.row == 0 {
		return
	}
	l, err := decodeLetter(a.take(letterKey(f.row), "letter %d of envelope %d", f.row, e.seq))
	if err != nil || l.seq != e.seq || l.sender != e.sender || f.row > a.s.commits.Load() {
		a.problem("the letter of envelope %d is %+v, %v", e.seq, l, err)
	}
}

// delivery stands in exactly one place.
func (a *auditor) delivery(e *envelope, i int, f finals) {
	q := a.queues[e.targets[i].Queue]
	defer func() { a.queues[e.targets[i].Queue] = q }()
	name := fmt.Sprintf("delivery %d of envelope %d", i, e.seq)
	q.last = max(q.last, e.seq)
	a.lanes[string(laneKey(e.targets[i].Queue, e.sender))] = true
	row, has := a.rows[string(deliveryKey(e.seq, i))]
	delete(a.rows, string(deliveryKey(e.seq, i)))
	d := &delivery{}
	if has {
		var err error
		if d, err = decodeDelivery(row); err != nil {
			a.problem("%s: %v", name, err)
			return
		}
	}
	if d.isFinal() != (f.final&(1<<i) != 0) || (d.state == stateDead) != (f.dead&(1<<i) != 0) {
		a.problem("%s: state %d, but finals %b and dead %b", name, d.state, f.final, f.dead)
	}
	a.told(e, i, d, name)
	if d.isFinal() {
		if d.state == stateDead {
			q.dead++
		} else {
			q.settled++
		}
		return
	}
	q.waiting++
	q.bytes += e.size
	q.messages += int64(len(e.messages))
	if d.state == stateReleased {
		q.released++
	}
	at := queue.Position{From: e.sender, Due: d.due, Seq: e.seq}
	en, err := decodeEntry(a.take(entryAt(e.targets[i].Queue, at), "%s in its queue", name))
	want := e.entry(i)
	want.attempts, want.since = d.attempts, en.since
	want.held, want.because = en.held, en.because
	if d.isHeld() != (en.held != 0) || d.isHeld() != (d.code == spool.CodeOnHold) {
		a.problem("%s: on hold since %d, and rests until %d with %q", name, en.held, d.due, d.code)
	}
	if err != nil || en != want {
		a.problem("%s: its entry is %+v, %v", name, en, err)
	}
	a.aheadOfHead(e.targets[i].Queue, at, name)
}

// aheadOfHead checks that a waiting delivery is not behind the stored cursors of its lane.
func (a *auditor) aheadOfHead(of string, at queue.Position, name string) {
	f, err := decodeLane(a.rows[string(laneKey(of, at.From))])
	if err != nil || at.Due == 0 && at.Seq < f.Head || at.Due != 0 && at.Before(f.RetryHead) {
		a.problem("%s: stands at %v, behind the cursors %d and %v, %v", name, at, f.Head,
			f.RetryHead, err)
	}
}

// told expects the events of a delivery: one of its settlement, and one of each death. Each death
// but the last has been followed by a requeue, and the last unless it is dead, or a settlement has
// outranked it.
func (a *auditor) told(e *envelope, i int, d *delivery, name string) {
	found := map[byte]int{}
	for _, ev := range a.events[e.sender] {
		if ev.seq == e.seq && ev.index == i && ev.envelope == e.id {
			found[ev.kind]++
		}
	}
	want := map[byte]int{0: 0, stateReleased: 0, stateDead: 1}[d.state]
	dead := found[eventDead] - found[eventRequeue]
	isOutranked := d.state == stateSettled && dead == 1
	if a.old[e.sender] > 0 && found[eventSettled] <= 1 && dead <= 1 {
		return // some of them were forgotten
	}
	if dead != want && !isOutranked || (found[eventSettled] == 1) != (d.state == stateSettled) ||
		found[eventSettled] > 1 {
		a.problem("%s in state %d: %v events tell of it", name, d.state, found)
	}
}

func (a *auditor) counts() {
	a.each(keyFigures, func(rest, v []byte) {
		name := string(rest)
		delete(a.rows, string(figuresKey(name)))
		got, err := decodeFigures(v)
		want := a.queues[name]
		delete(a.queues, name)
		want.commit = got.commit
		want.oldSettled, want.oldDead = got.oldSettled, got.oldDead
		want.settled += got.oldSettled
		want.dead += got.oldDead
		a.minus -= got.oldSettled + got.oldDead
		if got.oldSettled+got.oldDead > 0 { // its envelope may be among the forgotten
			want.last = max(want.last, got.last)
		}
		if err != nil || got != want || got.commit > a.s.commits.Load() {
			a.problem("figures of %s are %+v, want %+v, %v", name, got, want, err)
		}
	})
	a.each(keyLane, func(rest, v []byte) {
		key := string(keyLane) + string(rest)
		delete(a.rows, key)
		if _, err := decodeLane(v); err != nil || !a.lanes[key] && a.minus == 0 {
			a.problem("lane %q, %v", rest, err)
		}
	})
	for name := range a.queues {
		a.problem("no figures of %s", name)
	}
	a.forgotten()
	a.each(keyPack, func(rest, v []byte) {
		n := binary.BigEndian.Uint64(rest)
		delete(a.rows, string(packKey(n)))
		if got := binary.BigEndian.Uint64(v); int64(got) != a.packs[n] {
			a.problem("pack %d counts %d, want %d", n, got, a.packs[n])
		}
	})
}

// forgotten expects an id with its sender for each forgotten envelope, and a delivery at least.
func (a *auditor) forgotten() {
	a.each(keyID, func(rest, v []byte) {
		if _, err := id.ParseSite(string(v)); err == nil && len(rest) == 16 {
			delete(a.rows, string(keyID)+string(rest))
			a.minus++
		}
	})
	if a.minus > 0 {
		a.problem("%d envelopes too many are forgotten", a.minus)
	}
}

// holdings compares the counts that quotas limit with the envelopes and uploads. It runs in the
// writer, which alone begins and ends uploads.
func (a *auditor) holdings() {
	c := &change{ctx: context.Background(), need: needFloor,
		apply: func(*group) error { a.compareHoldings(); return nil }}
	if err := a.s.submit(c); err != nil {
		a.problem("holdings: %v", err)
	}
}

// uploads compares the durable parts with their checksums.
func (a *auditor) uploads() {
	for _, u := range all(a.s, a.s.uploads) {
		f, err := os.Open(u.path)
		if err != nil {
			a.problem("upload: %v", err)
			continue
		}
		defer f.Close()
		for part := range u.parts {
			h := crc32.New(castagnoli)
			_, err := io.Copy(h, io.NewSectionReader(f, int64(part)*spool.PartSize, u.length(part)))
			if u.has(part) && (err != nil || h.Sum32() != u.sums.of(part)) {
				a.problem("part %d of %s has other bytes, %v", part, u.name.envelope, err)
			}
		}
	}
}

func (a *auditor) compareHoldings() {
	total := spool.Usage{}
	uploads, staged := make(map[id.Site]spool.Usage), spool.Usage{}
	pending := int64(0)
	for _, u := range all(a.s, a.s.uploads) {
		taken := int64(0)
		for part := range u.parts {
			if u.has(part) {
				taken += u.length(part)
			}
		}
		ahead := min(u.size-taken, spool.LookAhead)
		more := spool.Usage{Uploads: 1, Reserved: taken + ahead}
		uploads[u.name.sender] = uploads[u.name.sender].Plus(more)
		staged = staged.Plus(more)
		pending += ahead
	}
	for _, st := range all(a.s, a.s.sites) {
		if got, want := st.load().waiting, a.sites[st.name]; got != want {
			a.problem("of %s wait %+v, want %+v", st.name, got, want)
		}
		total = total.Plus(a.sites[st.name])
		delete(a.sites, st.name)
	}
	for name, u := range a.sites {
		a.problem("of %s wait %+v, and it is not known", name, u)
	}
	h := &a.s.holdings
	h.mu.Lock()
	defer h.mu.Unlock()
	kept, err := decodeUsage(a.keptRow)
	if a.keptRow != nil && (err != nil || kept != a.kept) || h.kept != a.kept {
		a.problem("kept are %+v and stored %+v, want %+v, %v", h.kept, kept, a.kept, err)
	}
	if h.waiting != total || h.staged != staged || !maps.Equal(h.bySite, uploads) ||
		h.pending != pending {
		a.problem("holdings are %+v, %+v, %v, %d; want %+v, %+v, %v, %d", h.waiting, h.staged,
			h.bySite, h.pending, total, staged, uploads, pending)
	}
}

// files expects every content that is needed, and no other but those that the janitor has still to
// remove.
func (a *auditor) files() {
	for n, count := range a.packs {
		if _, err := os.Stat(a.s.packs.Path(n)); err != nil && count > 0 {
			a.problem("pack %d with %d contents: %v", n, count, err)
		}
	}
	for name := range a.content {
		if _, err := os.Stat(a.s.content.path(id.Envelope(name))); err != nil {
			a.problem("content of %s: %v", name, err)
		}
	}
	filepath.WalkDir(a.s.content.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !a.content[d.Name()] && !a.trash[d.Name()] {
			if needed, err := a.s.needsContent(hexOf(d.Name())); needed || err != nil {
				a.problem("file %s: %v", path, err)
			}
		}
		return nil
	})
}

func hexOf(name string) [16]byte {
	raw, _ := unhex(name)
	return raw
}

// rest reports a problem for each unexpected row.
func (a *auditor) rest() {
	for key := range a.rows {
		switch key[0] {
		case keyStamp, keyLoss, keyCommits, keyRegistry, keyUpload, keyParts, keyHour:
		case keyPartSums:
			if a.rows[string(rune(keyUpload))+key[1:len(key)-4]] == nil {
				a.problem("checksums of no upload: %q", key)
			}
		default:
			a.problem("a row that belongs to nothing: %q", strings.ToValidUTF8(key, "?"))
		}
	}
}

// mustAudit audits an idle store.
func mustAudit(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *Spool) {
	t.Helper()
	if err := audit(s); err != nil {
		t.Fatalf("audit: %v", err)
	}
}

var _ = map[byte]bool{ // each kind of row has a letter of its own, or this does not compile
	keyCommits: true, keyBlock: true, keySums: true, keyDelivery: true,
	keyEnvelope: true, keyFinals: true, keyRegistry: true, keyHour: true, keyID: true,
	keyKept: true, keyLetter: true, keyMessage: true, keyPack: true, keyEntry: true,
	keyLane: true, keyRecipient: true, keySite: true, keyTrash: true, keyUID: true,
	keyEvent: true, keyUpload: true, keyParts: true, keyPartSums: true, keyFigures: true,
	keyRetry: true, keyLoss: true, keyStamp: true, oldEntry: true, oldRetry: true}
