// Package envelope is the format: it seals messages for a set of recipients and opens them again.
//
// FORMAT.md beside this file is its law. An envelope is one age file around one tar archive: message.json, the content of
// the messages, and the sender's signature over both. Seal and Open work in one pass and in constant memory, whatever the
// size of a file or the number of entries in a folder.
//
// Seal promises that the same messages have the same digests whenever and for whomever they are sealed. Open promises that
// nothing is believed before it was checked, in the order of FORMAT.md, and that it refuses only with proof: a Refusal means
// that exactly the announced bytes were read and that the sender's envelope itself is at fault. Every other error can heal.
//
// The package must not know where envelopes come from and go to: no hub, no spool, no queues, no ledger. It also does not
// decide how names look on disk, nor whether a message was seen before; an inbox does.
package envelope

import (
	"errors"
	"io"
	"iter"
	"time"

	"sealpost/internal/id"
)

// Limits of the format.
const (
	MaxRecipients = 64
	MaxMessages   = 256     // in one envelope
	MaxShared     = 1 << 20 // bytes of ciphertext of an envelope with more than one message

	maxHead      = 1 << 20   // bytes of message.json
	maxSignature = 16 << 10  // bytes of signature.jws
	maxHeader    = 128 << 10 // bytes of the age header
	partSize     = 16 << 20  // bytes of ciphertext under one checksum
)

const (
	formatVersion = 1
	headPath      = "message.json"
	signaturePath = "signature.jws"
	contentPrefix = "content/"
)

// The two types of messages.
const (
	TypeFile   = "file"
	TypeFolder = "folder"
)

// Errors of sealing that a caller can act on.
var (
	ErrSourceChanged = errors.New("the content changed while it was being sealed")
	ErrTooLarge      = errors.New("larger than the format allows")
)

// Message is one thing to seal: a file, or a folder with all that is in it.
type Message struct {
	ID             id.Message
	UID            id.UID
	Sent           time.Time
	Name           string
	Type           string   // TypeFile or TypeFolder
	FingerprintKey [32]byte // random, fixed with the uid
	// Entries yields a file's one entry, whose path is Name; or a folder's, of which the first is the folder itself and
	// the others follow by the bytes of their paths. An error ends the sealing.
	Entries iter.Seq2[Entry, error]
}

// Entry is one file or folder of a message.
type Entry struct {
	Path       string // begins with the message's name; slashes; no slash at the end
	Dir        bool
	Executable bool // a file's mode is 0755 instead of 0644
	ModTime    time.Time
	Size       int64 // of a file: exactly what Open must give
	Open       func() (io.ReadCloser, error)
}

// SealRequest is what to seal, for whom.
type SealRequest struct {
	Network    id.Hash
	Envelope   id.Envelope
	Sender     id.Site
	Address    id.Address
	Recipients []Recipient // in the order of their sites
	Messages   []Message   // 1 to MaxMessages; more than one only of TypeFile
}

// Sealed is what came of a request.
type Sealed struct {
	Digests []id.Hash // of the messages, in order
	Size    int64     // bytes of ciphertext
	CRC32C  []uint32  // of each 16 MiB of it, and of what remains
}
