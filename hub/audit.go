package hub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strconv"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/strictjson"
	"sealpost/spool"
)

const (
	auditPage  = 1 << 20   // bytes of blocks in one answer
	auditEvery = time.Hour // between two counts of refusals in the chain, and two truncations
	auditLine  = 64 << 20  // bytes of the longest line of an exported chain
)

// AuditRequest asks for blocks of the audit chain after a number.
type AuditRequest struct {
	After uint64 `json:"after,omitempty"`
}

// AuditAnswer holds blocks in order, each exactly as it was hashed, and the ends of the chain.
type AuditAnswer struct {
	Hub     string          `json:"hub"`
	Network id.Hash         `json:"network"`
	Head    spool.AuditHead `json:"head"`
	Blocks  []string        `json:"blocks,omitempty"`
}

// audit returns a page of the audit chain.
func (h *Hub) audit(ctx context.Context, in AuditRequest) (AuditAnswer, error) {
	out := AuditAnswer{Hub: h.config.Name, Network: h.verifier.Network,
		Head: h.spool.AuditHead()}
	blocks, err := h.spool.AuditBlocks(ctx, max(in.After, out.Head.Truncated), auditPage)
	for _, b := range blocks {
		out.Blocks = append(out.Blocks, string(b))
	}
	return out, err
}

// auditHead returns the head of the chain for a site, and the hashes of the blocks that it knows.
func (h *Hub) auditHead(ctx context.Context, known, receipt string) (out *api.Audit, err error) {
	head := h.spool.AuditHead()
	out = &api.Audit{Block: head.Block, Hash: head.Hash, Truncated: head.Truncated}
	if out.Asked, err = h.auditHash(ctx, head, known); err == nil {
		out.AskedReceipt, err = h.auditHash(ctx, head, receipt)
	}
	return out, err
}

// auditHash returns the hash of a block; empty: it is not there.
func (h *Hub) auditHash(ctx context.Context, head spool.AuditHead, number string) (id.Hash, error) {
	n, err := strconv.ParseUint(number, 10, 64)
	switch {
	case err != nil || n == 0 || n > head.Block || n < head.Truncated:
		return "", nil
	case n == head.Block:
		return head.Hash, nil
	case n == head.Truncated:
		return head.TruncatedHash, nil
	}
	blocks, err := h.spool.AuditBlocks(ctx, n-1, 1)
	if err != nil || len(blocks) == 0 {
		return "", err
	}
	if b, err := spool.ParseAuditBlock(blocks[0]); err != nil || b.Block != n {
		return "", nil
	}
	return spool.AuditHash(blocks[0]), nil
}

// FollowAudit reads an audit chain by pages, from its beginning to the head of the first page. It
// checks each block, and gives it to take.
func FollowAudit(page func(after uint64) (AuditAnswer, error),
	take func(text string, b spool.AuditBlock) error) (AuditAnswer, error) {
	first, err := page(0)
	if err != nil {
		return first, err
	}
	next, at := first, first.Head.Begin()
	for at.Block < first.Head.Block {
		if len(next.Blocks) == 0 {
			return first, reason.Err("audit-incomplete", "last", at.Block, "head", first.Head.Block)
		}
		for _, text := range next.Blocks {
			b, err := at.Follow([]byte(text))
			if err != nil {
				return first, reason.Err("audit-broken", "why", err)
			}
			if err := take(text, b); err != nil {
				return first, err
			}
			if at.Block == first.Head.Block {
				break
			}
		}
		if next, err = page(at.Block); err != nil {
			return first, err
		}
		if begin := next.Head.Truncated; begin > at.Block { // while it was read
			return first, reason.Err("audit-truncated", "block", at.Block+1, "begin", begin+1)
		}
	}
	if at != first.Head {
		return first, reason.Err("audit-other-head", "block", at.Block)
	}
	return first, nil
}

// WriteAudit writes an audit chain that FollowAudit reads: the head on the first line, and then one
// block on each.
func WriteAudit(w io.Writer, page func(after uint64) (AuditAnswer, error),
	wrote func(spool.AuditBlock)) (AuditAnswer, error) {
	first, err := page(0)
	if err != nil {
		return first, err
	}
	head := first
	head.Blocks = nil
	text, err := strictjson.Marshal(head)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", text)
	}
	if err != nil {
		return first, err
	}
	pages := func(after uint64) (AuditAnswer, error) {
		if after == 0 {
			return first, nil
		}
		return page(after)
	}
	return FollowAudit(pages, func(text string, b spool.AuditBlock) error {
		wrote(b)
		_, err := fmt.Fprintln(w, text)
		return err
	})
}

// ReadAudit returns the pages of a chain that WriteAudit has written.
func ReadAudit(r io.Reader) func(after uint64) (AuditAnswer, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, auditLine)
	lines.Split(func(data []byte, atEnd bool) (int, []byte, error) {
		if atEnd && len(data) > 0 && !bytes.ContainsRune(data, '\n') {
			return 0, nil, reason.Err("audit-file-cut")
		}
		return bufio.ScanLines(data, atEnd)
	})
	var head AuditAnswer
	left := uint64(0)
	return func(after uint64) (AuditAnswer, error) {
		if after == 0 {
			if !lines.Scan() && lines.Err() != nil {
				return head, lines.Err()
			}
			if strictjson.Unmarshal(lines.Bytes(), &head) != nil ||
				head.Network == "" {
				return head, reason.Err("audit-no-export")
			}
			left = head.Head.Block - head.Head.Truncated
		}
		out := head
		for size := 0; size < auditPage && lines.Scan(); size += len(lines.Bytes()) {
			if left == 0 {
				return out, reason.Err("audit-lines-behind", "block", head.Head.Block)
			}
			out.Blocks, left = append(out.Blocks, lines.Text()), left-1
		}
		if lines.Err() == nil && len(out.Blocks) == 0 && left > 0 {
			return out, reason.Err("audit-file-short", "last", head.Head.Block-left, "head",
				head.Head.Block)
		}
		return out, lines.Err()
	}
}

// note writes a note into the audit chain. A failure is logged: the act has been done.
func (h *Hub) note(ctx context.Context, note spool.AuditNote) {
	if err := h.spool.AuditNote(context.WithoutCancel(ctx), note); err != nil {
		h.log.Error("not in the audit chain", "by", note.By, "call", note.Call, "error", err)
	}
}

// watchAudit counts the refusals into the audit chain and truncates it, once an hour until the
// context ends. Then it counts the last ones.
func (h *Hub) watchAudit(ctx context.Context) error {
	tick := time.NewTicker(auditEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			h.noteRefusals(ctx)
			return nil
		case <-tick.C:
			h.noteRefusals(ctx)
			h.truncateAudit(ctx)
		}
	}
}

// noteRefusals writes the number of refusals of each class since the last time.
func (h *Hub) noteRefusals(ctx context.Context) {
	counts := h.refusals.counted()
	if len(counts) == 0 {
		return
	}
	text, err := json.Marshal(counts) // sorted by class
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	h.note(ctx, spool.AuditNote{By: "hub", Call: "refusals", Text: string(text)})
}

func (h *Hub) truncateAudit(ctx context.Context) {
	keep := time.Duration(*h.keepAudit.Load())
	n, err := h.spool.AuditTruncate(context.WithoutCancel(ctx), h.now().Add(-keep))
	if err != nil {
		h.log.Warn("audit chain not truncated", "error", err)
	} else if n > 0 {
		h.log.Info("audit chain truncated", "blocks", n, "head", h.spool.AuditHead())
	}
}

// counted returns the number of refusals of each class since the last call.
func (r *refusals) counted() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := maps.Clone(r.total)
	clear(r.total)
	return counts
}
