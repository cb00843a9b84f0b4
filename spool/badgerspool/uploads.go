package badgerspool

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

// completeUpload returns the upload of an envelope. Every part of it is durable.
func (s *Spool) completeUpload(e *envelope) (*upload, error) {
	u := s.upload(uploadName{e.sender, tohex[id.Envelope](e.id[:]), e.id})
	if u == nil {
		return nil, spool.ErrUnstaged
	}
	if u.size != e.size {
		return nil, spool.ErrConflict
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.absent > 0 {
		return nil, fmt.Errorf("%w: %d of %d", spool.ErrUnstaged, u.absent, u.parts)
	}
	if u.hash() != e.sums {
		return nil, spool.ErrConflict
	}
	return u, nil
}

// publish ends an upload that is still as completeUpload has found it. A part may have been
// replaced since. The writer calls it, as it notes parts, so that no call changes the file any
// more.
func (u *upload) publish(e *envelope) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for part := range u.parts {
		if u.over != underWay || !u.isNoted(part) {
			return fmt.Errorf("%w: part %d is being replaced", spool.ErrUnstaged, part)
		}
	}
	if u.hash() != e.sums {
		return spool.ErrConflict
	}
	u.over = published
	return nil
}

func (s *Spool) upload(name uploadName) *upload {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.uploads[name]
}

// dropUpload takes an upload out of memory and out of the counts. The first fate stays.
func (s *Spool) dropUpload(u *upload, how fate) {
	s.holdings.end(u)
	s.mu.Lock()
	delete(s.uploads, u.name)
	s.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over == underWay {
		u.over = how
	}
}

// restoreUploads loads the uploads of a former process, and removes staged files without an upload.
func (s *Spool) restoreUploads() error {
	files := make(map[string]bool)
	var over []*upload
	err := s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyUpload}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			u, isOpen, err := s.restoreUpload(txn, it.Item())
			if err != nil {
				return err
			}
			if isOpen {
				if err := u.freeMissing(); err != nil {
					return err
				}
				files[filepath.Base(u.path)] = true
				s.uploads[u.name] = u
				s.holdings.begin(u, u.durable())
			} else {
				over = append(over, u)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("restore the uploads: %w", err)
	}
	s.overUploads = over
	return s.clearStaging(files)
}

// restoreUpload decodes one upload and reports whether it is open: not published, and with its
// file.
func (s *Spool) restoreUpload(txn *badger.Txn, item *badger.Item) (*upload, bool, error) {
	key := item.KeyCopy(nil)
	row, err := item.ValueCopy(nil)
	if err != nil || len(key) < 18 {
		return nil, false, fmt.Errorf("%w: upload: %w", errCorrupt, err)
	}
	name := uploadName{sender: id.Site(key[1 : len(key)-17]),
		envelope: tohex[id.Envelope](key[len(key)-16:])}
	copy(name.raw[:], key[len(key)-16:])
	d := decoder{data: row}
	u := s.newUpload(name, d.int())
	for part, sum := range decodeSums(d.data) { // of a store from before parts had them
		u.sums.set(part, sum)
	}
	if err := u.restoreSums(txn); err != nil {
		return nil, false, err
	}
	note, err := get(txn, uploadKey(keyParts, name))
	if err != nil {
		return nil, false, err
	}
	u.restoreNote(note)
	published, err := get(txn, idKey(name.raw))
	if err != nil || published != nil {
		return u, false, err
	}
	info, err := os.Stat(u.path)
	return u, err == nil && info.Size() == u.size, nil
}

// durable returns the number of bytes of the durable parts. Open alone calls it.
func (u *upload) durable() (n int64) {
	for part := range u.parts {
		if u.has(part) {
			n += u.length(part)
		}
	}
	return n
}

// freeMissing frees the blocks of parts that a former process did not receive to their end.
func (u *upload) freeMissing() error {
	for part := 0; part < u.parts; part++ {
		first := part
		for part < u.parts && !u.has(part) {
			part++
		}
		if part > first {
			offset := int64(first) * spool.PartSize
			end := min(int64(part)*spool.PartSize, u.size)
			if err := u.s.content.disk.Punch(u.path, offset, end-offset); err != nil {
				return fmt.Errorf("free what was not received of %s: %w", u.name.envelope, err)
			}
		}
	}
	return nil
}

// restoreNote sets the durable parts and the time of the last new one from a stored row.
func (u *upload) restoreNote(note []byte) {
	d := decoder{data: note}
	u.active = d.stamp()
	copy(u.have, d.data)
	copy(u.noted, u.have)
	for part := range u.parts {
		if u.has(part) {
			u.absent--
		}
	}
}

// restoreSums reads the checksums of the durable parts.
func (u *upload) restoreSums(txn *badger.Txn) error {
	prefix := uploadKey(keyPartSums, u.name)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		row := int(binary.BigEndian.Uint32(it.Item().Key()[len(prefix):]))
		data, err := it.Item().ValueCopy(nil)
		if err != nil {
			return err
		}
		for i, sum := range decodeSums(data) {
			u.sums.set(row*sumsInRow+i, sum)
		}
	}
	return nil
}

// clearStaging removes the files that belong to no upload.
func (s *Spool) clearStaging(keep map[string]bool) error {
	entries, err := os.ReadDir(s.content.staging)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			if err := s.content.disk.Unlink(filepath.Join(s.content.staging,
				e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
