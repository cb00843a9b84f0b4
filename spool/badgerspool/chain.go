package badgerspool

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/strictjson"
	"sealpost/spool"
)

// chain is the audit chain: its two ends. The blocks lie in the store, one for each commit with an
// entry. The anchor, at the number 0, holds the end of the truncated past.
type chain struct {
	head      atomic.Pointer[spool.AuditHead]
	blockSize int // about, of the next block; of the writer
}

func blockKey(n uint64) []byte { return numbered(keyBlock, n) }

// restore reads the ends of the chain.
func (c *chain) restore(txn *badger.Txn) error {
	var head spool.AuditHead
	anchor, err := get(txn, blockKey(0))
	if err == nil && anchor != nil {
		err = json.Unmarshal(anchor, &head)
	}
	if err != nil {
		return fmt.Errorf("read the audit chain: %w", err)
	}
	head.Block, head.Hash = head.Truncated, head.TruncatedHash
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyBlock}, Reverse: true})
	defer it.Close()
	it.Seek(append(blockKey(^uint64(0)), 0xff))
	if it.Valid() {
		if n := binary.BigEndian.Uint64(it.Item().Key()[1:]); n > 0 {
			text, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			head.Block, head.Hash = n, spool.AuditHash(text)
		}
	}
	c.head.Store(&head)
	return nil
}

// auditText returns an entry as it stands in a block. The caller makes it before the writer: the
// writer only joins and hashes.
func auditText(e spool.AuditEntry) []byte {
	for _, text := range []*string{&e.By, &e.Call, &e.Text} {
		*text = (*text)[:min(len(*text), spool.MaxAuditText)]
	}
	text, err := strictjson.Marshal(e)
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	return text
}

// audit adds an entry to the block of this commit. The block grows in its exact form, as a
// spool.AuditBlock, and is copied nowhere before Badger has it.
func (g *group) audit(text []byte) {
	c := &g.s.chain
	if len(g.block) > 0 {
		g.block = append(append(g.block, ','), text...)
		return
	}
	head := c.head.Load()
	b := append(make([]byte, 0, max(c.blockSize, len(text)+256)), `{"block":`...)
	b = strconv.AppendUint(b, head.Block+1, 10)
	if head.Hash != "" {
		b = append(append(append(b, `,"prev":"`...), head.Hash...), '"')
	}
	b = g.now.AppendFormat(append(b, `,"time":"`...), time.RFC3339Nano)
	g.block = append(append(b, `","entries":[`...), text...)
}

// sealBlock writes the block of this commit, if it has an entry.
func (g *group) sealBlock() {
	if len(g.block) == 0 {
		return
	}
	c := &g.s.chain
	g.block = append(g.block, "]}"...)
	c.blockSize = min(len(g.block)*5/4, groupBytes)
	number, hash := c.head.Load().Block+1, spool.AuditHash(g.block)
	g.set(blockKey(number), g.block)
	g.after = append(g.after, func() {
		head := *c.head.Load() // as a truncation of the same commit has left it
		head.Block, head.Hash = number, hash
		c.head.Store(&head)
	})
}

// AuditHead implements spool.Audit.
func (s *Spool) AuditHead() spool.AuditHead { return *s.chain.head.Load() }

// AuditBlocks implements spool.Audit.
func (s *Spool) AuditBlocks(_ context.Context, after uint64,
	maxBytes int) (blocks [][]byte, err error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	size := 0
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyBlock},
			PrefetchValues: true, PrefetchSize: 16})
		defer it.Close()
		for it.Seek(blockKey(after + 1)); it.Valid(); it.Next() {
			text, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			if size += len(text); len(blocks) > 0 && size > maxBytes {
				return nil
			}
			blocks = append(blocks, text)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit chain: %w", err)
	}
	return blocks, nil
}

// AuditNote implements spool.Audit.
func (s *Spool) AuditNote(ctx context.Context, note spool.AuditNote) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	text := auditText(spool.AuditEntry{Op: spool.AuditAct, AuditNote: note})
	c := &change{ctx: ctx, need: needFloor, entries: 2, bytes: len(text) + 3*entryCost}
	c.apply = func(g *group) error {
		g.next()
		g.audit(text)
		return nil
	}
	if err := s.submit(c); err != nil {
		return fmt.Errorf("audit note: %w", err)
	}
	return nil
}

// auditBytes is at least the size of an entry of a delivery that becomes final.
const auditBytes = 384

const truncateStep = 256 // blocks in one change

// AuditTruncate implements spool.Audit. It works in steps; the newest block always stays.
func (s *Spool) AuditTruncate(ctx context.Context, before time.Time) (removed int, err error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	for {
		n, err := s.truncateStep(ctx, before)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("truncate the audit chain: %w", err)
		}
		if n < truncateStep {
			return removed, nil
		}
	}
}

func (s *Spool) truncateStep(ctx context.Context, before time.Time) (int, error) {
	c, n, err := s.truncation(ctx, before)
	if err != nil || n == 0 {
		return 0, err
	}
	return n, s.submit(c)
}

// truncation returns the change that removes the first blocks from before a time, at most one step.
func (s *Spool) truncation(ctx context.Context, before time.Time) (c *change, n int, err error) {
	head := s.AuditHead()
	last, n, err := s.lastBefore(head, before)
	if err != nil || n == 0 {
		return nil, 0, err
	}
	c = &change{ctx: ctx, need: needFloor, entries: n + 2,
		bytes: (n + 2) * (entryCost + 256)}
	c.apply = func(g *group) error {
		g.next()
		for i := range uint64(n) {
			g.del(blockKey(head.Truncated + 1 + i))
		}
		anchor, err := strictjson.Marshal(last)
		if err != nil {
			return err
		}
		g.set(blockKey(0), anchor)
		g.after = append(g.after, func() {
			now := *s.chain.head.Load()
			now.Truncated, now.TruncatedHash = last.Truncated, last.TruncatedHash
			s.chain.head.Store(&now)
		})
		return nil
	}
	return c, n, nil
}

// lastBefore counts the blocks from before a time, at most one step, and returns the anchor of
// their truncation.
func (s *Spool) lastBefore(head spool.AuditHead, before time.Time) (anchor spool.AuditHead, n int,
	err error) {
	err = s.view(func(txn *badger.Txn) error {
		for ; n < truncateStep && head.Truncated+uint64(n)+1 < head.Block; n++ {
			number := head.Truncated + uint64(n) + 1
			text, err := get(txn, blockKey(number))
			if err != nil {
				return err
			}
			var b struct{ Time time.Time }
			if err := json.Unmarshal(text, &b); err != nil {
				return fmt.Errorf("%w: audit block %d: %w", errCorrupt, number, err)
			}
			if !b.Time.Before(before) {
				return nil
			}
			anchor.Truncated, anchor.TruncatedHash = number, spool.AuditHash(text)
		}
		return nil
	})
	return anchor, n, err
}
