package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sealpost/internal/id"
)

// Audit is a chain of hashes over everything that a store commits. Each commit with an entry adds
// one block in that same commit, and a block holds the hash of the one before. So a changed,
// removed or inserted commit of the past changes every later hash.
type Audit interface {
	// AuditHead returns the newest block and the end of the truncated past. It waits for nothing.
	AuditHead() AuditHead
	// AuditBlocks returns blocks after a number in order, each exactly as it was hashed. It returns
	// at most maxBytes, but at least one if there is one.
	AuditBlocks(ctx context.Context, after uint64, maxBytes int) ([][]byte, error)
	// AuditNote commits a note of an act that changes nothing else in the store.
	AuditNote(ctx context.Context, note AuditNote) error
	// AuditTruncate removes blocks from before a time, the oldest first. The hash of the last
	// removed one stays as the beginning of the chain.
	AuditTruncate(ctx context.Context, before time.Time) (removed int, err error)
}

// AuditHead is the two ends of a chain. Block numbers start at 1; 0: there is no block.
type AuditHead struct {
	Block uint64  `json:"block"`
	Hash  id.Hash `json:"hash,omitempty"` // SHA-256 of the block's text
	// the last block of the truncated past; 0: nothing was truncated
	Truncated     uint64  `json:"truncated,omitempty"`
	TruncatedHash id.Hash `json:"truncated_hash,omitempty"`
}

// Begin returns the head of an empty chain after the truncated past. Follow goes on from it.
func (h AuditHead) Begin() AuditHead {
	return AuditHead{Block: h.Truncated, Hash: h.TruncatedHash, Truncated: h.Truncated,
		TruncatedHash: h.TruncatedHash}
}

// ErrChain means that a text is not the next block of a chain.
var ErrChain = errors.New("the audit chain is broken")

// Follow checks that a text is the next block, moves the head to it and returns it.
func (h *AuditHead) Follow(text []byte) (AuditBlock, error) {
	b, err := ParseAuditBlock(text)
	if err != nil {
		return b, fmt.Errorf("after block %d: %w", h.Block, err)
	}
	switch {
	case b.Block != h.Block+1:
		return b, fmt.Errorf("%w: block %d follows block %d", ErrChain, b.Block, h.Block)
	case b.Prev != h.Hash:
		return b, fmt.Errorf("%w: block %d follows another block than the one before it", ErrChain,
			b.Block)
	}
	h.Block, h.Hash = b.Block, AuditHash(text)
	return b, nil
}

// AuditHash returns the hash of a block's text.
func AuditHash(text []byte) id.Hash {
	sum := sha256.Sum256(text)
	return id.Hash(hex.EncodeToString(sum[:]))
}

// ParseAuditBlock reads the text of a block, which must be in its exact form.
func ParseAuditBlock(text []byte) (b AuditBlock, err error) {
	if err := json.Unmarshal(text, &b); err != nil {
		return b, fmt.Errorf("%w: %w", ErrChain, err)
	}
	var exact bytes.Buffer
	enc := json.NewEncoder(&exact)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(b); err != nil {
		return b, err
	}
	if !bytes.Equal(bytes.TrimSuffix(exact.Bytes(), []byte("\n")), text) {
		return b, fmt.Errorf("%w: block %d is not in its exact form", ErrChain, b.Block)
	}
	return b, nil
}

// AuditBlock is the text of a block: compact JSON with its fields in this order.
type AuditBlock struct {
	Block   uint64       `json:"block"`
	Prev    id.Hash      `json:"prev,omitempty"` // hash of the block before; empty: it is the first
	Time    time.Time    `json:"time"`
	Entries []AuditEntry `json:"entries"`
}

// AuditEntry is one event of a commit. Op is one of the Audit constants.
type AuditEntry struct {
	Op string `json:"op"`
	AuditNote

	Kind    string  `json:"kind,omitempty"` // of the registry's item
	Key     string  `json:"key,omitempty"`
	Version uint64  `json:"version,omitempty"` // 0: the item was deleted
	Value   id.Hash `json:"value,omitempty"`   // SHA-256 of the item's value

	Envelope  id.Envelope `json:"envelope_id,omitempty"`
	Sender    id.Site     `json:"sender,omitempty"`
	To        []id.Site   `json:"to,omitempty"`
	Size      int64       `json:"size,omitempty"`
	Messages  int         `json:"messages,omitempty"`
	Metadata  id.Hash     `json:"metadata,omitempty"` // SHA-256 of all that a publish states
	Recipient id.Site     `json:"recipient,omitempty"`
	Receipt   id.Hash     `json:"receipt,omitempty"` // SHA-256 of the signed receipt
	Refused   int         `json:"refused,omitempty"` // messages
	Code      string      `json:"code,omitempty"`    // of a dead delivery
}

// The kinds of entries.
const (
	AuditPublished = "published"
	AuditSettled   = "settled"
	AuditDead      = "dead"
	AuditRequeued  = "requeued" // a dead delivery waits again
	AuditHeld      = "held"     // a delivery is on hold
	AuditUnheld    = "unheld"   // its hold has ended
	AuditPut       = "put"      // an item of the registry
	AuditAct       = "note"     // a note of AuditNote
)

// AuditNote says on whose behalf a change was made, and by which call.
type AuditNote struct {
	By   string `json:"by,omitempty"`
	Call string `json:"call,omitempty"`
	Text string `json:"text,omitempty"` // such as the request, without secrets, and the outcome
}

// MaxAuditText bounds each text of a note, in bytes.
const MaxAuditText = 4 << 10

type noteKey struct{}

// WithNote returns a context whose changes of the registry have a note in the chain.
func WithNote(ctx context.Context, note AuditNote) context.Context {
	return context.WithValue(ctx, noteKey{}, note)
}

// NoteOf returns the note of a context.
func NoteOf(ctx context.Context) AuditNote {
	note, _ := ctx.Value(noteKey{}).(AuditNote)
	return note
}
