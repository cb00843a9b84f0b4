package badgerspool

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	badger "github.com/dgraph-io/badger/v4"

	"sealpost/internal/id"
	"sealpost/spool"
)

const maxItem = 64 << 10 // bytes of a value

// Get implements spool.Registry.
func (s *Spool) Get(ctx context.Context, kind, key string) (item spool.Item, err error) {
	if err := checkItem(kind, key, nil); err != nil {
		return item, err
	}
	if err := s.enter(); err != nil {
		return item, err
	}
	defer s.leave()
	err = s.view(func(txn *badger.Txn) error {
		item, err = readItem(txn, kind, key)
		return err
	})
	if err == nil && item.Version == 0 {
		err = spool.ErrNotFound
	}
	if err != nil {
		return spool.Item{}, fmt.Errorf("get %s %q: %w", kind, key, err)
	}
	return item, nil
}

// Put implements spool.Registry. A repetition whose first answer was lost finds its own value at
// the next version, and gets that version.
func (s *Spool) Put(ctx context.Context, kind, key string, version uint64,
	value []byte) (uint64, error) {
	if err := checkItem(kind, key, value); err != nil {
		return 0, err
	}
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	value = bytes.Clone(value)
	var now uint64
	text := auditPut(ctx, kind, key, version, value)
	c := &change{ctx: ctx, need: needFloor, entries: 3,
		bytes: len(value) + len(text) + 4*(entryCost+len(kind)+len(key)+16)}
	c.apply = func(g *group) (err error) {
		before := g.commit
		if now, err = putItem(g, kind, key, version, value); g.commit > before {
			g.audit(text)
		}
		return err
	}
	if err := s.submit(c); err != nil {
		return 0, fmt.Errorf("put %s %q: %w", kind, key, err)
	}
	return now, nil
}

// auditPut returns the entry of a changed item. The value can hold a secret's hash: only its own
// hash stands there.
func auditPut(ctx context.Context, kind, key string, version uint64, value []byte) []byte {
	e := spool.AuditEntry{Op: spool.AuditPut, AuditNote: spool.NoteOf(ctx), Kind: kind, Key: key}
	if value != nil {
		e.Version, e.Value = version+1, spool.AuditHash(value)
	}
	return auditText(e)
}

// putItem stores an item in the writer, where no other change can come between.
func putItem(g *group, kind, key string, version uint64, value []byte) (uint64, error) {
	old, err := readItem(g.txn, kind, key)
	switch {
	case err != nil:
		return 0, err
	case value == nil && old.Version == 0: // deleted before, or never there
		return 0, nil
	case value != nil && old.Version == version+1 && bytes.Equal(old.Value, value):
		return old.Version, nil
	case old.Version != version:
		return 0, spool.ErrConflict
	}
	g.next()
	if value == nil {
		g.del(registryKey(kind, key))
		return 0, nil
	}
	g.set(registryKey(kind, key), append(u64(make([]byte, 0, 8+len(value)), version+1), value...))
	return version + 1, nil
}

// List implements spool.Registry.
func (s *Spool) List(ctx context.Context, kind, after string,
	max int) (items []spool.Item, err error) {
	if !isValidName(kind) || max < 1 {
		return nil, fmt.Errorf("list %.80q: %w", kind, spool.ErrInvalid)
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	prefix := named(keyRegistry, kind)
	err = s.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Seek(registryKey(kind, after)); it.Valid() && len(items) < max; it.Next() {
			key := string(it.Item().Key()[len(prefix):])
			if key == after {
				continue
			}
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			item, err := decodeItem(key, v)
			if err != nil {
				return err
			}
			items = append(items, item)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", kind, err)
	}
	return items, nil
}

func readItem(txn *badger.Txn, kind, key string) (spool.Item, error) {
	v, err := get(txn, registryKey(kind, key))
	if err != nil || v == nil {
		return spool.Item{}, err
	}
	return decodeItem(key, v)
}

func decodeItem(key string, v []byte) (spool.Item, error) {
	if len(v) < 8 {
		return spool.Item{}, fmt.Errorf("%w: registry item %q", errCorrupt, key)
	}
	return spool.Item{Key: key, Version: binary.BigEndian.Uint64(v), Value: v[8:]}, nil
}

func checkItem(kind, key string, value []byte) error {
	if !isValidName(kind) || key == "" || len(key) > maxKey || len(value) > maxItem {
		return fmt.Errorf("registry item %.40q %.80q with %d bytes: %w", kind, key, len(value),
			spool.ErrInvalid)
	}
	return nil
}

const (
	maxName = 255  // bytes of a queue's or a site's name
	maxKey  = 1024 // bytes of an item's key
)

// isValidSite reports whether a site's name can be part of a key and of a file's name.
func isValidSite(s id.Site) bool {
	_, err := id.ParseSite(string(s))
	return err == nil
}

// isValidName reports whether a name can be part of a key.
func isValidName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsRune(s, 0)
}
