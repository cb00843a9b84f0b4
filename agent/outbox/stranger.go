package outbox

import (
	"context"
	"errors"
	"io/fs"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
)

// knowsAll reports whether the ledger knows every message of a group, so that its note is not
// needed.
func (t *box) knowsAll(ctx context.Context, first id.Message,
	group ledger.Outgoing) (known bool, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		m, err := tx.Message(string(first))
		if errors.Is(err, ledger.ErrNotFound) || err == nil && !m.SharesFolder(group) {
			return nil
		}
		var all []ledger.Outgoing
		if err == nil {
			all, err = tx.Group(m)
		}
		known = all != nil
		return err
	})
	return known, err
}

// strangersIn describes, as they were claimed, the files in a shared folder that the ledger does
// not know.
func (h *handles) strangersIn(ctx context.Context,
	folder string) (list []ledger.Outgoing, err error) {
	t := h.t
	first, site, from, to, err := id.ParseGroup(folder)
	if err != nil || site != t.o.site {
		return nil, tray.ErrStrange
	}
	group := t.claimOf(first)
	group.Group = ledger.Group{First: from, Last: to}
	if !isClaimable(group) {
		return nil, tray.ErrStrange
	}
	if left := h.inFolder(ctx, group); !left.hasMember && len(left.others) == 0 {
		h.emptied(ctx, group) // it was made for files that are still in outbox/
		return nil, nil
	}
	damaged := noteDamaged(groupNote)
	content, err := h.readNote(group)
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
	return h.present(list, damaged)
}

// present returns the messages of a note whose files lie in their folder, with their former
// identities. It returns damaged if the note has an entry that no claim writes.
func (h *handles) present(list []ledger.Outgoing,
	damaged error) (present []ledger.Outgoing, err error) {
	seen := map[string]bool{}
	for _, m := range list {
		if !beneath.IsName(m.Name) || ownNote(m.Name) || seen[m.Name] || h.IsDir(sourceAt(m)) {
			return nil, damaged
		}
		seen[m.Name] = true
		m.Source, _, err = h.adoptable(sourceAt(m))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was taken away, or has failed
		}
		var no *tray.Never
		if errors.As(err, &no) {
			h.t.tellAlone(sourceAt(m), no.Why)
			continue
		}
		if err != nil {
			return nil, err
		}
		h.t.o.identify(&m)
		present = append(present, m)
	}
	return present, nil
}
