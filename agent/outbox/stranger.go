package outbox

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/words"
)

// knowsAll tells whether the ledger knows every message of a group, so that its note is not needed.
func (t *tray) knowsAll(ctx context.Context, first id.Message, group ledger.Outgoing) (known bool, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		m, err := tx.Message(string(first))
		if errors.Is(err, ledger.ErrNotFound) || err == nil && !m.SharesFolder(group) {
			return nil
		}
		var names []string
		if err == nil {
			names, err = tx.GroupNames(m)
		}
		known = names != nil
		return err
	})
	return known, err
}

// strangersIn describes, as they were claimed, the files in a shared folder that the ledger does not know.
func (t *tray) strangersIn(ctx context.Context, folder string) (list []ledger.Outgoing, err error) {
	first, site, from, to, err := id.ParseGroup(folder)
	if err != nil || site != t.o.site {
		return nil, errStrange
	}
	group := t.claimOf(first)
	group.Group = ledger.Group{First: from, Last: to}
	if left := t.inFolder(group); !left.ours && len(left.others) == 0 {
		t.emptied(group) // it was made for files that are still in outbox/
		return nil, nil
	}
	damaged := words.NoteDamaged(groupNote, errStrange)
	content, err := t.readNote(group)
	if err != nil {
		known, unread := t.knowsAll(ctx, first, group)
		if unread != nil || known {
			return nil, unread
		}
		return nil, damaged
	}
	address, err := t.addressIn(content.Dir)
	if err != nil {
		return nil, damaged
	}
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		list = nil
		for i, name := range content.Names {
			m := group
			m.Number, m.Name, m.Dir, m.Address = from+int64(i), name, content.Dir, address
			m.ID = id.Renumber(first, m.Number)
			_, err := tx.Message(string(m.ID))
			if errors.Is(err, ledger.ErrNotFound) {
				list = append(list, m)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	there, seen := list[:0], map[string]bool{}
	for _, m := range list {
		if !filepath.IsLocal(m.Name) || filepath.Base(m.Name) != m.Name || ownNote(m.Name) || seen[m.Name] || isDir(t.source(m)) {
			return nil, damaged
		}
		seen[m.Name] = true
		if m.Source, err = observe(t.source(m)); errors.Is(err, fs.ErrNotExist) {
			continue // it was taken away, or has failed
		}
		if err != nil {
			return nil, err
		}
		t.o.identify(&m)
		there = append(there, m)
	}
	return there, nil
}

// tellStrange has people told that an entry of the tray is not sealpost's.
func (t *tray) tellStrange(rel string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.unknown) < maxNotes {
		if t.unknown == nil {
			t.unknown = map[string]string{}
		}
		t.unknown[rel] = words.StrangeSending
	}
}
