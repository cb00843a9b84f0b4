package inbox

import (
	"context"
	"errors"
	"io"
	"os"

	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
)

// The origin of an envelope is kept in the ledger beside its receipt, once for all its messages: it
// proves their sender. It is message.json and a line feed, signature.jws and a line feed, and then
// the entries, cut into parts.

const (
	originPart   = 64 << 10 // bytes of a part
	firstEntries = 1 << 10  // the number of the first part of the entries
)

// origin is the part of an origin that is committed with the receipt.
type origin struct {
	head    []byte // message.json and the signature, a line each
	entries []byte // of an envelope with few; those of others are in the ledger already
}

// write writes the origin, so that the first part is there only with all others.
func (o origin) write(tx *ledger.Tx, e id.Envelope) error {
	for part, rest := 0, o.head; len(rest) > 0; part++ {
		n := min(len(rest), originPart)
		if err := tx.OriginPart(e, part, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if len(o.entries) == 0 {
		return nil
	}
	return tx.OriginPart(e, firstEntries, o.entries)
}

// signed collects the entries of an envelope. Many of them go to a file in the attempt's folder.
type signed struct {
	root  *beneath.Dir
	few   []byte
	spill *os.File
}

// signedFile is no message: those have numbers as names.
const signedFile = "signed"

// Signed takes the signed bytes of an entry.
func (s *sink) Signed(entry []byte) error {
	if err := s.signed.add(entry); err != nil {
		return localError{err}
	}
	return nil
}

func (s *signed) add(entry []byte) (err error) {
	if len(s.few)+len(entry) > originPart {
		if s.spill == nil {
			if s.spill, err = s.root.Create(signedFile, 0o600); err != nil {
				return err
			}
		}
		if _, err = s.spill.Write(s.few); err != nil {
			return err
		}
		s.few = s.few[:0]
	}
	s.few = append(s.few, entry...)
	return nil
}

func (s *signed) close() {
	if s.spill != nil {
		s.spill.Close() //nolint:errcheck // the attempt's folder is removed with it
	}
}

// keepOrigin returns the origin of a verified envelope. It writes many entries into the ledger.
func (b *Inbox) keepOrigin(ctx context.Context, e id.Envelope, out envelope.Opened,
	s *signed) (o origin, err error) {
	o.head = append(append(append(o.head, out.Head...), '\n'), out.Signature...)
	o.head = append(o.head, '\n')
	if s.spill == nil {
		o.entries = s.few
		return o, nil
	}
	if _, err := s.spill.Write(s.few); err != nil {
		return o, localError{err}
	}
	if _, err := s.spill.Seek(0, io.SeekStart); err != nil {
		return o, localError{err}
	}
	drop := func(tx *ledger.Tx) error { return tx.DropOrigin(e) }
	if err := b.ledger.Update(ctx, drop); err != nil {
		return o, err
	}
	for part, buf := firstEntries, make([]byte, originPart); ; part++ {
		n, err := io.ReadFull(s.spill, buf)
		if err == io.EOF {
			return o, nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return o, localError{err}
		}
		if err := b.ledger.Update(ctx, func(tx *ledger.Tx) error {
			return tx.OriginPart(e, part, buf[:n])
		}); err != nil {
			return o, err
		}
	}
}

// Signed is a part of a message's origin.
type Signed struct {
	Message Message `json:"message"`
	Part    int     `json:"part"` // its number
	Data    []byte  `json:"data"` // empty after the last part
}

// ErrNoOrigin means that the signature of a message's envelope is not kept.
var ErrNoOrigin = errors.New("no origin")

// Origin returns the part after a number, from -1 on, of a message's origin. It takes a uid or a
// message id. Several messages with the same label are ledger.ErrNotFound: the uid tells them
// apart.
func (b *Inbox) Origin(ctx context.Context, message string, after int) (s Signed, err error) {
	err = b.ledger.View(ctx, func(tx *ledger.Tx) error {
		list, err := tx.ReceivedByUID(id.UID(message))
		if err == nil && len(list) == 0 {
			list, err = tx.ReceivedByID(id.Message(message))
		}
		if err == nil && len(list) != 1 {
			err = ledger.ErrNotFound
		}
		if err != nil {
			return err
		}
		s.Message = describe(list[0])
		s.Part, s.Data, err = tx.OriginAfter(list[0].Envelope, after)
		if !errors.Is(err, ledger.ErrNotFound) {
			return err
		}
		if after < 0 {
			return ErrNoOrigin
		}
		return nil
	})
	if err == nil && after < 0 && s.Part != 0 { // a crash came before the receipt
		err = ErrNoOrigin
	}
	return s, err
}
