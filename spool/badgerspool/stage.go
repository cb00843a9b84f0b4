package badgerspool

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/spool"
)

// uploadName names an upload. Two senders may use the same envelope id until one of them has published.
type uploadName struct {
	sender   id.Site
	envelope id.Envelope
	raw      [16]byte
}

// upload is a large envelope on its way: one file of the full size, and a note of the parts in it that are durable.
type upload struct {
	s    *Spool
	name uploadName
	size int64
	crcs []uint32
	sums [32]byte
	path string

	mu     sync.Mutex // guards everything below
	holder int        // counts the callers; only the newest may write
	have   []byte     // a bit per part that is durable
	noted  []byte     // have, and what the commit under way will add
	absent int
	slots  map[int]*slot
	failed int // how often a sync of the file has failed
	over   fate
	active time.Time
}

// fate says whether an upload is over, and how.
type fate int

const (
	underWay fate = iota
	published
	aborted // or expired
)

// Stage implements spool.Spool.
func (s *Spool) Stage(ctx context.Context, up spool.Upload) (spool.Staging, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	st, err := s.stage(ctx, up)
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", up.Envelope, err)
	}
	return st, nil
}

func (s *Spool) stage(ctx context.Context, up spool.Upload) (spool.Staging, error) {
	raw, ok := unhex(up.Envelope)
	if !ok || !validName(string(up.Sender)) || up.Size <= spool.SmallSize || up.Size > spool.MaxSize || len(up.CRC32C) != partCount(up.Size) {
		return nil, fmt.Errorf("%w: %d bytes with %d checksums", spool.ErrInvalid, up.Size, len(up.CRC32C))
	}
	unlock, err := s.ids.lock(ctx, up.Envelope)
	if err != nil {
		return nil, err
	}
	defer unlock()
	sums := sumsHash(up.Size, up.CRC32C)
	e, err := s.envelopeByID(raw)
	if err != nil {
		return nil, err
	}
	if e != nil {
		if e.sender != up.Sender || e.sums != sums {
			return nil, spool.ErrConflict
		}
		return finished{}, nil
	}
	name := uploadName{up.Sender, up.Envelope, raw}
	u := s.upload(name)
	if u == nil {
		u, err = s.begin(ctx, name, up, sums)
	} else if u.sums != sums {
		err = spool.ErrConflict
	} else {
		err = s.touch(ctx, u)
	}
	if err != nil {
		return nil, err
	}
	return u.hold(), nil
}

// hold displaces whoever held the upload before.
func (u *upload) hold() *staging {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.holder++
	return &staging{u, u.holder}
}

func (s *Spool) newUpload(name uploadName, size int64, crcs []uint32) *upload {
	return &upload{
		s: s, name: name, size: size, crcs: crcs, sums: sumsHash(size, crcs),
		path:  filepath.Join(s.content.staging, string(name.sender)+"."+string(name.envelope)),
		have:  make([]byte, (len(crcs)+7)/8),
		noted: make([]byte, (len(crcs)+7)/8),
		slots: make(map[int]*slot), absent: len(crcs),
	}
}

// begin makes the file, with all its blocks, and then notes the upload.
func (s *Spool) begin(ctx context.Context, name uploadName, up spool.Upload, sums [32]byte) (*upload, error) {
	u := s.newUpload(name, up.Size, append([]uint32(nil), up.CRC32C...))
	if err := s.reserveFile(u); err != nil {
		return nil, err
	}
	var row encoder
	row.int(u.size)
	row.raw(encodeSums(u.crcs))
	c := &change{ctx: ctx, need: needRoom, entries: 3, bytes: len(row) + len(u.have) + 512}
	c.apply = func(g *group) error {
		g.next()
		g.set(uploadKey(keyUpload, name), row)
		g.set(uploadKey(keyParts, name), u.note(g.now))
		g.after = append(g.after, func() { s.addUpload(u) })
		return nil
	}
	if err := s.submit(c); err != nil {
		os.Remove(u.path) // when uncertain, Open finds the note without its file and forgets it
		return nil, err
	}
	return u, nil
}

// reserveFile takes the room for an upload. One at a time looks at the free space and takes from it.
func (s *Spool) reserveFile(u *upload) error {
	s.reserving.Lock()
	defer s.reserving.Unlock()
	free, err := s.seams.free(s.dir)
	if err != nil {
		return err
	}
	if free-u.size < s.opts.Reserve {
		return spool.ErrFull
	}
	if err := s.content.allocate(u.path, u.size); err != nil {
		os.Remove(u.path)
		return err
	}
	return nil
}

// allocate makes a file of the full size and its name durable.
func (c *content) allocate(path string, size int64) error {
	var f *os.File
	err := c.disk.do("create", path, func() (err error) {
		f, err = os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		return err
	})
	if err != nil {
		if f != nil {
			f.Close()
		}
		return err
	}
	err = c.disk.do("allocate", path, func() error { return preallocate(f, size) })
	if err == nil {
		err = c.disk.do("sync", path, f.Sync)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("reserve %d bytes: %w", size, err)
	}
	return c.disk.do("sync folder", c.staging, func() error { return durable.SyncDir(c.staging) })
}

// touch notes that somebody cares for the upload.
func (s *Spool) touch(ctx context.Context, u *upload) error {
	c := &change{ctx: ctx, need: needFloor, entries: 2, bytes: len(u.have) + 256}
	c.apply = func(g *group) error {
		g.next()
		u.mu.Lock()
		defer u.mu.Unlock()
		g.set(uploadKey(keyParts, u.name), u.note(g.now))
		return nil
	}
	return s.submit(c)
}

// note is the row that says which parts are durable, and when the upload was last cared for.
func (u *upload) note(now time.Time) []byte {
	u.active = now
	b := make(encoder, 0, 16+len(u.noted))
	b.stamp(now)
	b.raw(u.noted)
	return b
}

// forget removes an upload and its file. The caller holds the id's lock.
func (s *Spool) forget(ctx context.Context, u *upload) error {
	c := &change{ctx: ctx, need: needFloor, entries: 3, bytes: 512}
	c.apply = func(g *group) error {
		g.next()
		g.del(uploadKey(keyUpload, u.name))
		g.del(uploadKey(keyParts, u.name))
		g.after = append(g.after, func() { s.dropUpload(u, aborted) })
		return nil
	}
	if err := s.submit(c); err != nil {
		return err
	}
	return s.content.disk.do("unlink", u.path, func() error { return remove(u.path) })
}

// uploadOver forgets an upload once its envelope is published. Should that fail, Open does it.
func (s *Spool) uploadOver(u *upload, e *envelope) {
	if e.seq == 0 || s.isPoisoned() {
		return // not published, or nobody knows
	}
	s.dropUpload(u, published)
	if err := s.forget(context.Background(), u); err != nil {
		s.opts.Log.Warn("an upload's rest stays until the next start", "envelope", u.name.envelope, "err", err)
	}
}

// completeUpload finds the upload of an envelope, with every part durable.
func (s *Spool) completeUpload(e *envelope) (*upload, error) {
	u := s.upload(uploadName{e.sender, tohex[id.Envelope](e.id[:]), e.id})
	if u == nil {
		return nil, spool.ErrUnstaged
	}
	if u.sums != e.sums {
		return nil, spool.ErrConflict
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.absent > 0 {
		return nil, fmt.Errorf("%w: %d of %d", spool.ErrUnstaged, u.absent, len(u.crcs))
	}
	return u, nil
}

func (s *Spool) upload(name uploadName) *upload {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.uploads[name]
}

func (s *Spool) addUpload(u *upload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads[u.name] = u
}

func (s *Spool) dropUpload(u *upload, how fate) {
	s.mu.Lock()
	delete(s.uploads, u.name)
	s.mu.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over == underWay {
		u.over = how
	}
}

func (s *Spool) stagedBytes() (sum int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, u := range s.uploads {
		sum += u.size
	}
	return sum
}

// restoreUploads reads the uploads that a former process left, and clears away the rest of those that are over.
func (s *Spool) restoreUploads() error {
	files := make(map[string]bool)
	var over []*upload
	err := s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyUpload}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			u, alive, err := s.restoreUpload(txn, it.Item())
			if err != nil {
				return err
			}
			if alive {
				files[filepath.Base(u.path)] = true
				s.uploads[u.name] = u
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

// restoreUpload decodes one upload and says whether it goes on: it is not published, and its file is there.
func (s *Spool) restoreUpload(txn *badger.Txn, item *badger.Item) (*upload, bool, error) {
	key := item.KeyCopy(nil)
	row, err := item.ValueCopy(nil)
	if err != nil || len(key) < 18 {
		return nil, false, fmt.Errorf("%w: upload: %w", errCorrupt, err)
	}
	name := uploadName{sender: id.Site(key[1 : len(key)-17]), envelope: tohex[id.Envelope](key[len(key)-16:])}
	copy(name.raw[:], key[len(key)-16:])
	d := decoder{data: row}
	size := d.int()
	u := s.newUpload(name, size, decodeSums(d.data))
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
	return u, err == nil && info.Size() == size && len(u.crcs) == partCount(size), nil
}

func (u *upload) restoreNote(note []byte) {
	d := decoder{data: note}
	u.active = d.stamp()
	copy(u.have, d.data)
	copy(u.noted, u.have)
	for part := range u.crcs {
		if u.has(part) {
			u.absent--
		}
	}
}

// clearStaging removes what belongs to no upload.
func (s *Spool) clearStaging(keep map[string]bool) error {
	entries, err := os.ReadDir(s.content.staging)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			if err := remove(filepath.Join(s.content.staging, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
