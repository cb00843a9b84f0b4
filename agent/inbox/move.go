package inbox

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"sealpost/agent/ledger"
	"sealpost/internal/beneath"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

// syncPlaces makes records durable, and the folders of records and content. Names are safe below
// .sealpost, because no other account can change it.
func (f *folders) syncPlaces(list []*placement) error {
	var files, dirs []string
	var content []*beneath.Dir
	seen := map[id.Site]bool{}
	for _, p := range list {
		sender := string(p.Sender)
		if p.recorded != "" {
			files = append(files, sender+"/"+p.recorded)
		}
		if seen[p.Sender] {
			continue
		}
		seen[p.Sender] = true
		if f.records[p.Sender] != nil {
			dirs = append(dirs, sender)
		}
		d := f.content[p.Sender]
		switch {
		case d == nil:
		case f.volumes[p.Sender] != nil: // on another disk than the records
			if err := d.Sync(); err != nil {
				return err
			}
		default:
			content = append(content, d)
		}
	}
	return f.own.SyncGroup(files, dirs, content...)
}

// syncContent makes the content of a group durable, with its folders.
func (f *folders) syncContent(list []*placement) error {
	type group struct{ files, dirs []string }
	groups := map[*beneath.Dir]*group{} // by disk
	seen := map[string]bool{}
	for _, p := range list {
		temp, base, err := f.attempt(p.from)
		if err != nil {
			return err
		}
		g := groups[temp]
		if g == nil {
			g = &group{dirs: []string{"."}}
			groups[temp] = g
		}
		if !seen[p.from] {
			seen[p.from] = true
			g.dirs, g.files = append(g.dirs, base), append(g.files, base+"/"+listFile)
		}
		switch {
		case p.isSynced:
		case p.isFile:
			g.files = append(g.files, base+"/"+p.item)
		default:
			if err := temp.SyncTree(base + "/" + p.item); err != nil {
				return err
			}
		}
	}
	for temp, g := range groups {
		if err := temp.SyncGroup(g.files, g.dirs); err != nil {
			return err
		}
	}
	return nil
}

// chooseName picks a free name: the portable form of the sender's, or one with the message id. If
// the disk refuses those, it is only the message id.
func (f *folders) chooseName(p *placement, taken map[string]bool, attempt int) error {
	dir, err := f.contentOf(p.Sender)
	if err != nil {
		return err
	}
	rule := f.formOf(p.Sender).naming
	for ; ; attempt++ {
		name := rule.portable(p.Name, asMessage)
		switch {
		case p.isPlain:
			name = plain(p.Name, string(p.ID), attempt)
		case attempt > 0:
			name = rule.alternative(p.Name, string(p.ID), attempt)
		}
		p.Path = filepath.Join(string(p.Sender), name)
		_, err := dir.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !taken[p.Path]:
			taken[p.Path] = true
			return nil
		case err == nil, errors.Is(err, fs.ErrNotExist):
		case trouble.IsNameRefused(err) && !p.isPlain:
			p.isPlain, attempt = true, -1
		default:
			return err
		}
		if attempt > 1000 {
			return reason.Err("names-used-up", "path", p.Path)
		}
	}
}

// writeRows writes the rows of placements in state placing, with their targets.
func (b *Inbox) writeRows(ctx context.Context, list []*placement) error {
	rows := make([]ledger.Received, len(list))
	for i, p := range list {
		rows[i] = p.Received
	}
	return b.ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.Place(rows...) })
}

// rename moves one message to its place. If the name is taken or refused, it writes another to the
// ledger and retries.
func (b *Inbox) rename(ctx context.Context, f *folders, p *placement, taken map[string]bool) error {
	from, err := f.envelope(p.from)
	if err != nil {
		return localError{err}
	}
	to, err := f.contentOf(p.Sender)
	if err != nil {
		return localError{err}
	}
	for attempt := 1; ; attempt++ {
		b.moving.Lock()
		err := from.RenameOrLook(p.item, to, filepath.Base(p.Path))
		b.moving.Unlock()
		switch {
		case err == nil:
			fault.Point("inbox-moved")
			return nil
		case errors.Is(err, fs.ErrExist):
		case trouble.IsNameRefused(err) && !p.isPlain:
			p.isPlain, attempt = true, 0
		default:
			return localError{err}
		}
		if err := errors.Join(f.chooseName(p, taken, attempt), f.correctRecord(p)); err != nil {
			return localError{err}
		}
		if err := b.writeRows(ctx, []*placement{p}); err != nil {
			return err
		}
	}
}
