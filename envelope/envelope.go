// Package envelope is the format: it seals messages for a set of recipients and opens them again.
//
// FORMAT.md beside this file is normative. An envelope is one tar archive in one or several age
// files: message.json, the content of the messages, and the sender's signature over both. Seal and
// Open work in one pass and in constant memory for files and folders of any size.
//
// Seal promises equal digests for equal messages, at any time and for any recipients. Open promises
// to trust nothing before its check, in the order of FORMAT.md, and to refuse only with proof. A
// Refusal means that exactly the announced bytes were read, and that the sender's envelope is at
// fault. After any other error a retry may succeed.
//
// The package must not know the way of an envelope: no hub, no spool, no queues, no ledger. The
// inbox decides about names on disk and about repeated messages.
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
	MaxShared     = 1 << 20 // bytes of ciphertext with more than one message

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

// Errors of sealing with their own handling.
var (
	ErrSourceChanged = errors.New("the content changed while it was being sealed")
	ErrTooLarge      = errors.New("larger than the format allows")
)

// Message is a file or folder to seal.
type Message struct {
	ID             id.Message
	UID            id.UID
	Sent           time.Time
	Name           string
	Type           string   // TypeFile or TypeFolder
	FingerprintKey [32]byte // random, fixed with the uid
	// Entries yields a file's one entry with the path Name, or a folder's: first the folder itself,
	// then the others in the order of the bytes of their paths. An error ends the sealing.
	Entries iter.Seq2[Entry, error]
}

// Entry is one file or folder of a message.
type Entry struct {
	Path       string // begins with the message's name; slashes; no slash at the end
	Dir        bool
	Executable bool // a file's mode is 0755 instead of 0644
	ModTime    time.Time
	Size       int64 // of a file: exactly the bytes that Open gives
	Open       func() (io.ReadCloser, error)
}

// SealRequest holds messages and their recipients.
type SealRequest struct {
	Network    id.Hash
	Envelope   id.Envelope
	Sender     id.Site
	Address    id.Address
	Recipients []Recipient // in the order of their sites
	Messages   []Message   // 1 to MaxMessages; more than one only of TypeFile

	segment int64 // ciphertext of a segment in a test; 0: the format's
	entries int   // limit of the entries in a test; 0: MaxEntries
}

// Sealed is the result of a request.
type Sealed struct {
	Digests []id.Hash // of the messages, in order
	Size    int64     // bytes of ciphertext
	CRC32C  []uint32  // of each 16 MiB, and of the rest
}
