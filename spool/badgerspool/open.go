package badgerspool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/spool"
)

// Open implements spool.Spool. It reads content of at most InlineSize into memory; a file stays
// readable after it is unlinked.
func (s *Spool) Open(ctx context.Context, d spool.DeliveryID, offset int64) (io.ReadCloser, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	r, err := s.open(d, offset)
	if err != nil {
		return nil, fmt.Errorf("open %s in %s: %w", d.Envelope, d.Queue, err)
	}
	return r, nil
}

// open finds the delivery, which must not be final, and opens its content.
func (s *Spool) open(d spool.DeliveryID, offset int64) (io.ReadCloser, error) {
	var e *envelope
	err := s.view(func(txn *badger.Txn) (err error) {
		var index int
		if e, index, err = s.identify(txn, d); err != nil {
			return err
		}
		rec, err := readDelivery(txn, e.seq, index)
		if err != nil {
			return err
		}
		if rec.isFinal() {
			return spool.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > e.size {
		return nil, fmt.Errorf("%w: offset %d of %d", spool.ErrInvalid, offset, e.size)
	}
	if e.isSmall() {
		r := s.packs.Reader()
		defer r.Close()
		content, err := r.Read(e.at, e.size)
		return io.NopCloser(bytes.NewReader(content[min(offset, int64(len(content))):])), err
	}
	f, err := os.Open(s.content.path(d.Envelope))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: its content has just been removed", spool.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return contentReader{io.NewSectionReader(f, offset, e.size-offset), f}, nil
}

// contentReader reads a content file from an offset to its end.
type contentReader struct {
	*io.SectionReader
	f *os.File
}

func (r contentReader) Close() error { return r.f.Close() }
