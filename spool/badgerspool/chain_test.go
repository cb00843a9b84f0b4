package badgerspool

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// follows has the entries that may stand before an entry of the same delivery.
var follows = map[string][]string{
	spool.AuditSettled:  {"", spool.AuditDead, spool.AuditRequeued}, // a receipt outranks a death
	spool.AuditDead:     {"", spool.AuditRequeued},
	spool.AuditRequeued: {spool.AuditDead},
}

// chain checks that the audit chain is whole, with each envelope once and each end of a delivery.
func (a *auditor) chain() {
	head := a.s.AuditHead()
	at := head.Begin()
	published, last := map[id.Envelope]int{}, map[string]string{}
	metadata := map[id.Site]siteFigures{} // its day and metadata
	for at.Block < head.Block {
		text := a.take(blockKey(at.Block+1), "audit block %d", at.Block+1)
		b, err := at.Follow(text)
		if err != nil {
			a.problem("%v", err)
			return
		}
		for _, e := range b.Entries {
			switch e.Op {
			case spool.AuditPublished:
				published[e.Envelope]++
				f := metadata[e.Sender]
				if day := dayOf(b.Time); day != f.day {
					f = siteFigures{day: day}
				}
				f.metadata += spool.MetadataSize(len(e.To), e.Messages)
				metadata[e.Sender] = f
			case spool.AuditSettled, spool.AuditDead, spool.AuditRequeued:
				of := string(e.Envelope) + string(e.Recipient)
				if head.Truncated == 0 && !slices.Contains(follows[e.Op], last[of]) {
					a.problem("%s for %s is %q after %q", e.Envelope, e.Recipient, e.Op, last[of])
				}
				last[of] = e.Op
			}
		}
	}
	if at != head {
		a.problem("the audit chain ends at %+v, its head is %+v", at, head)
	}
	delete(a.rows, string(blockKey(0)))
	if !a.inChain(published, last) || head.Truncated > 0 {
		return
	}
	for _, st := range all(a.s, a.s.sites) {
		f, want := st.load(), metadata[st.name]
		if f.day != want.day || f.metadata != want.metadata {
			a.problem("%d bytes of metadata count for %s on day %d, want %d on %d", f.metadata,
				st.name, f.day, want.metadata, want.day)
		}
	}
}

// inChain compares the chain's entries with the envelopes. A store of an older program has
// envelopes from before the chain, and so has one whose chain is truncated: it is not complete.
func (a *auditor) inChain(published map[id.Envelope]int, last map[string]string) (isComplete bool) {
	lowest := ^uint64(0)
	var all []*envelope
	a.each(keyEnvelope, func(rest, v []byte) {
		sender, seq := id.Site(rest[:len(rest)-9]), binary.BigEndian.Uint64(rest[len(rest)-8:])
		e, err := decodeEnvelope(sender, seq, v)
		if err != nil {
			return // envelopes reports it
		}
		all = append(all, e)
		if seq < lowest {
			lowest, isComplete = seq, published[tohex[id.Envelope](e.id[:])] > 0
		}
	})
	for _, e := range all {
		name := tohex[id.Envelope](e.id[:])
		if n := published[name]; n > 1 || n == 0 && isComplete {
			a.problem("envelope %s stands %d times in the audit chain", name, n)
		}
		for i, t := range e.targets {
			var isFinal bool
			err := a.s.view(func(txn *badger.Txn) error {
				d, err := readDelivery(txn, e.seq, i)
				isFinal = d.isFinal()
				return err
			})
			op := last[string(name)+string(t.Site)]
			if ended := op != "" && op != spool.AuditRequeued; err != nil ||
				isComplete && isFinal != ended {
				a.problem("%s for %s is %q in the audit chain, %v", name, t.Site, op, err)
			}
		}
	}
	return isComplete
}

// A changed, removed or inserted block is found; and a note is cut to its bound.
func TestABrokenChainIsFound(t *testing.T) {
	text := func(head spool.AuditHead, op string) []byte {
		g := group{s: &Spool{}}
		g.s.chain.head.Store(&head)
		g.audit(auditText(spool.AuditEntry{Op: op,
			AuditNote: spool.AuditNote{Text: string(make([]byte, 3*spool.MaxAuditText))}}))
		return append(g.block, "]}"...)
	}
	var head spool.AuditHead
	var texts [][]byte
	for _, op := range []string{"a", "b", "c"} {
		block := text(head, op)
		texts = append(texts, block)
		if _, err := head.Follow(block); err != nil {
			t.Fatal(err)
		}
	}
	changed := append([]byte{}, texts[0]...)
	changed[len(changed)-100] ^= 1
	for name, chain := range map[string][][]byte{
		"a changed block":   {changed, texts[1]},
		"a removed block":   {texts[0], texts[2]},
		"another beginning": {texts[1]},
		"a repeated block":  {texts[0], texts[0]},
		"another form":      {append([]byte(" "), texts[0]...)},
		"no block":          {[]byte("{}")},
		"no JSON":           {[]byte("x")},
	} {
		var at spool.AuditHead
		var err error
		for _, block := range chain {
			if err == nil {
				_, err = at.Follow(block)
			}
		}
		if err == nil {
			t.Errorf("%s is not found", name)
		}
	}
	if len(texts[0]) > 7*spool.MaxAuditText {
		t.Errorf("a block of %d bytes", len(texts[0]))
	}
}

// The entries that are written by hand have the exact form.
func TestEntriesByHand(t *testing.T) {
	e := &envelope{id: [16]byte{1, 255}, sender: "FL-LAB", size: 1 << 40, hash: [32]byte{7},
		messages: make([]spool.Message, 3),
		targets:  []spool.Target{{Site: "CA-RC"}, {Site: "SF-RC"}}}
	to := []id.Site{"CA-RC", "SF-RC"}
	name := tohex[id.Envelope](e.id[:])
	refused := &delivery{state: stateSettled, receipt: "r", refused: map[int]string{0: "a", 2: "b"}}
	for _, c := range []struct {
		got  []byte
		want spool.AuditEntry
	}{
		{e.audit(), spool.AuditEntry{Op: spool.AuditPublished, Envelope: name, Sender: "FL-LAB",
			To: to, Size: 1 << 40, Messages: 3, Metadata: tohex[id.Hash](e.hash[:])}},
		{(&delivery{state: stateSettled, receipt: "r"}).audit(e, 1), spool.AuditEntry{
			Op: spool.AuditSettled, Envelope: name, Recipient: "SF-RC",
			Receipt: spool.AuditHash([]byte("r"))}},
		{refused.audit(e, 0), spool.AuditEntry{Op: spool.AuditSettled, Envelope: name,
			Recipient: "CA-RC", Receipt: spool.AuditHash([]byte("r")), Refused: 2}},
		{(&delivery{state: stateDead, code: "<gone>"}).audit(e, 0), spool.AuditEntry{
			Op: spool.AuditDead, Envelope: name, Recipient: "CA-RC", Code: "<gone>"}},
	} {
		if want := auditText(c.want); string(c.got) != string(want) {
			t.Errorf("written %s, want %s", c.got, want)
		}
	}
}

// A truncation in the commit of another entry moves the beginning, and so the next one goes on.
func TestATruncationBesideAnEntry(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{}, realSeams())
	for range 4 {
		must(t, s.AuditNote(t.Context(), spool.AuditNote{Text: "x"}))
	}
	later := time.Now().Add(time.Hour)
	c, n, err := s.truncation(t.Context(), later)
	must(t, err)
	text := auditText(spool.AuditEntry{Op: spool.AuditAct})
	note := &change{ctx: t.Context(), need: needFloor, entries: 2, bytes: 1 << 10,
		apply: func(g *group) error {
			g.next()
			g.audit(text)
			return nil
		}}
	c.done, note.done = make(chan error, 1), make(chan error, 1)
	s.changes <- []*change{c, note}
	must(t, <-c.done)
	must(t, <-note.done)
	if head := s.AuditHead(); head.Truncated != uint64(n) || n < 3 {
		t.Errorf("%d blocks were removed, and the head is %+v", n, head)
	}
	must(t, s.AuditNote(t.Context(), spool.AuditNote{Text: "x"}))
	_, err = s.AuditTruncate(t.Context(), later)
	must(t, err)
	mustAudit(t, s)
}
