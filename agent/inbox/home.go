package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/words"
)

// The inbox is recognized by the content of .sealpost/inbox.id, which the ledger remembers: device and inode numbers change
// when a disk is mounted again or a backup is put back, and the content does not. Where there is no such file, the numbers
// decide. While a disk or a share is away its folder is missing, or another one, and the inbox waits: content that was
// placed there would be hidden below the disk when it is back.

const (
	idFile  = "inbox.id" // in .sealpost; never the name of a site
	homeKey = "inbox"    // of the ledger's settings
)

// home is the inbox as the ledger remembers it. Without an ID nothing is remembered.
type home struct {
	Path   string `json:"path"`   // as it was configured
	Folder string `json:"folder"` // device and inode
	Own    string `json:"own"`    // those of .sealpost
	ID     string `json:"id"`     // the content of its file
}

// awayError means that the inbox cannot be used for now. It says nothing of a delivery.
type awayError struct{ error }

func (e awayError) Unwrap() error { return e.error }

// cannotUse makes an awayError of a failure in the inbox's folder.
func (b *Inbox) cannotUse(err error) error {
	var away awayError
	if err == nil || errors.As(err, &away) {
		return err
	}
	return awayError{words.InboxAway(b.cfg.Dir, err)}
}

func (b *Inbox) homeBefore(ctx context.Context) (h home, err error) {
	var text string
	err = b.ledger.View(ctx, func(tx *ledger.Tx) (err error) { text, err = tx.Setting(homeKey); return err })
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &h)
	}
	return h, err
}

func (b *Inbox) rememberHome(ctx context.Context, h home) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return b.ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.Set(homeKey, string(text)) })
}

// hasReceived reports whether the ledger knows of any message that was placed.
func (b *Inbox) hasReceived(ctx context.Context) (any bool, err error) {
	err = b.ledger.View(ctx, func(tx *ledger.Tx) error {
		rows, err := tx.LatestReceived(1)
		any = len(rows) > 0
		return err
	})
	return any, err
}

// arrange opens the inbox's folders when they are not those of before: at the start, and after another account or an admin
// has changed them. It makes its own anew, or answers an awayError.
func (b *Inbox) arrange(ctx context.Context) (_ *folders, err error) {
	before, err := b.homeBefore(ctx)
	if err != nil {
		return nil, err
	}
	f := newFolders()
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	isFirst := before.ID == "" || before.Path != b.cfg.Dir
	if f.top, err = beneath.Open(b.cfg.Dir); isFirst && errors.Is(err, fs.ErrNotExist) {
		f.top, err = beneath.OpenOrMake(b.cfg.Dir, 0o770)
	}
	if err == nil {
		err = f.setForm(b.cfg)
	}
	if err != nil {
		return nil, b.cannotUse(err)
	}
	reject := beneath.ID{}
	if !isFirst {
		if reject, err = b.recognize(ctx, f, before); err != nil {
			return nil, err
		}
	}
	if err := b.probe(f); err != nil {
		return nil, b.cannotUse(err)
	}
	after, err := b.takeHome(f, before, isFirst, reject)
	if err != nil {
		return nil, b.cannotUse(err)
	}
	if after != before {
		if err := b.rememberHome(ctx, after); err != nil {
			return nil, err
		}
		if before.ID != "" && after.Path != before.Path {
			b.log.Warn("the inbox is another folder now, as configured", "folder", after.Path, "before", before.Path)
		}
	}
	b.merge(f, after.ID)
	own, err := f.own.Info()
	if err != nil {
		return nil, b.cannotUse(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known = known{id: after.ID, own: own.ID, strict: f.strict}
	return f, nil
}

// recognize makes sure that the folder is the inbox of before. It puts .sealpost back where it has got another name, and
// returns which folder is none although it has the name.
func (b *Inbox) recognize(ctx context.Context, f *folders, before home) (reject beneath.ID, err error) {
	top, err := f.top.Info()
	if err != nil {
		return reject, b.cannotUse(err)
	}
	isSame := top.ID.String() == before.Folder
	isEmpty, err := f.top.IsEmpty()
	if err == nil && isEmpty && !isSame {
		return reject, awayError{words.InboxOther(b.cfg.Dir)} // nothing is even tried in a mount point
	}
	if err := b.probe(f); err != nil {
		return reject, b.cannotUse(err)
	}
	own, says, isTight := f.lookAt(ownDir)
	switch {
	case says == before.ID:
		return reject, nil
	case b.putBack(f, before.ID):
		return reject, nil
	case isTight && says != "":
		return reject, awayError{words.InboxOfOthers(b.cfg.Dir)}
	case isTight && (own.String() == before.Own || !isSame): // a backup of before there was such a file
		return reject, nil
	case isTight:
		return own, nil
	case isSame:
		return reject, nil
	}
	received, err := b.hasReceived(ctx)
	if err == nil && received {
		err = awayError{words.InboxOther(b.cfg.Dir)}
	}
	return reject, err
}

// probe finds out whether the volume keeps owners and modes, once for each folder that is the inbox.
func (b *Inbox) probe(f *folders) error {
	top, err := f.top.Info()
	if err != nil {
		return err
	}
	if b.probed.folder != top.ID {
		strict, err := keepsOwners(f.top)
		if err != nil {
			return err
		}
		b.probed.folder, b.probed.strict = top.ID, strict
	}
	f.strict = b.probed.strict
	return f.setForm(b.cfg)
}

// takeHome opens the own folders, or makes them, and returns by what the inbox is recognized from now on.
func (b *Inbox) takeHome(f *folders, before home, isFirst bool, reject beneath.ID) (after home, err error) {
	top, err := f.top.Info()
	if err != nil {
		return after, err
	}
	var own beneath.ID
	if !isFirst {
		f.own, own = b.findOwn(f, before.ID)
	}
	if f.own == nil {
		f.own, own, err = b.openOwn(f.top, ownDir, func(d *beneath.Dir, i beneath.Info) bool {
			return i.ID != reject && (!f.strict || isOurs(i) || i.ID.String() == before.Own && f.tighten(d))
		})
	}
	if err != nil {
		return after, err
	}
	if f.temp, _, err = b.openOwn(f.own, tempName, func(_ *beneath.Dir, i beneath.Info) bool { return !f.strict || isPrivate(i) }); err != nil {
		return after, err
	}
	if err := f.settleOwn(); err != nil {
		return after, err
	}
	after = home{Path: b.cfg.Dir, Folder: top.ID.String(), Own: own.String(), ID: before.ID}
	switch says := readID(f.own); {
	case isFirst && says != "":
		after.ID = says
		return after, nil
	case isFirst:
		after.ID = id.Random128[string]()
	case says == before.ID:
		return after, nil
	case says != "":
		return after, awayError{words.InboxOfOthers(b.cfg.Dir)}
	}
	return after, f.own.WriteFile(idFile, []byte(after.ID+"\n"), 0o644)
}

// tighten takes from other accounts the right to change what lies in a folder of this account.
func (f *folders) tighten(d *beneath.Dir) bool {
	if err := f.access.settle(d, f.access.records().dir); err != nil {
		return false
	}
	info, err := d.Info()
	return err == nil && isOurs(info)
}

// settleOwn gives the own folders their access: an earlier program kept records from the group, in folders that it may change.
func (f *folders) settleOwn() error {
	records := f.access.records()
	err := f.own.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if _, err := id.ParseSite(e.Name()); err != nil || !e.IsDir() {
				continue
			}
			d, err := f.own.Dir(e.Name())
			if err == nil {
				err = records.settle(d, records.dir)
				d.Close()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, records.settle(f.temp, 0o700), handOnList(f.top, f.own), handOnList(f.top, f.temp), records.settle(f.own, records.dir))
}

// readID returns the content of the file by which an inbox is recognized; empty: there is none.
func readID(own *beneath.Dir) string {
	text, err := own.ReadFile(idFile, 64)
	if err != nil {
		return ""
	}
	says, err := id.Parse128[string](strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return says
}

// lookAt describes a folder of this account in the inbox: its identity, the content of its file, and whether only this account
// can change it.
func (f *folders) lookAt(name string) (own beneath.ID, says string, isTight bool) {
	d, err := f.top.Dir(name)
	if err != nil {
		return own, "", false
	}
	defer d.Close()
	info, err := d.Info()
	if err != nil || f.strict && !(info.IsDir() && info.IsOurs()) {
		return own, "", false
	}
	return info.ID, readID(d), !f.strict || isOurs(info)
}

// putBack gives .sealpost its name back, after another account has given it another one.
func (b *Inbox) putBack(f *folders, says string) (done bool) {
	f.eachOwn(func(name string, own *beneath.Dir) bool {
		if readID(own) != says {
			return false
		}
		own.Close()
		err := b.setAside(f.top, ownDir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = f.top.RenameNoReplace(name, f.top, ownDir)
		}
		done = err == nil
		if done {
			b.log.Warn("put back, because another account has renamed it", "folder", f.top.Path(), "name", ownDir, "from", name)
		}
		return done
	})
	return done
}

// findOwn opens .sealpost, and gives it its name back as often as another account takes that away. It returns nil when there
// is none. A listing can miss a folder that is renamed meanwhile, so one is not enough to know that.
func (b *Inbox) findOwn(f *folders, says string) (*beneath.Dir, beneath.ID) {
	for range ownTries {
		d, err := f.top.Dir(ownDir)
		if err == nil {
			info, err := d.Info()
			if err == nil && (!f.strict || isOurs(info)) && readID(d) == says {
				return d, info.ID
			}
			d.Close()
		}
		b.putBack(f, says)
	}
	return nil, beneath.ID{}
}

// merge moves what lies in other folders with this inbox's identity to .sealpost: it was made anew while another account kept
// it from being found.
func (b *Inbox) merge(f *folders, says string) {
	f.eachOwn(func(name string, own *beneath.Dir) bool {
		if readID(own) != says {
			return false
		}
		err := f.mergeFrom(own)
		if err == nil {
			err = f.top.Remove(name)
		}
		b.log.Warn("merged with a second one, which another account has caused", "folder", f.top.Path(), "name", ownDir, "from", name, "error", err)
		return false
	})
}

// mergeFrom moves the folders of attempts and the records of another own folder to this one. A record that is here already stays
// there.
func (f *folders) mergeFrom(other *beneath.Dir) error {
	temp, err := other.Dir(tempName)
	if err == nil {
		info, infoErr := temp.Info()
		if err = infoErr; err == nil && (!f.strict || isPrivate(info)) {
			err = moveAll(temp, f.temp)
		}
		temp.Close()
	}
	if err := ignoreMissing(err); err != nil {
		return err
	}
	return other.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if sender, err := id.ParseSite(e.Name()); err == nil && e.IsDir() {
				if err := f.mergeRecords(other, sender); err != nil {
					return err
				}
			}
			if err := other.Remove(e.Name()); err != nil { // of a folder only if nothing is in it
				return err
			}
		}
		return nil
	})
}

func (f *folders) mergeRecords(other *beneath.Dir, sender id.Site) error {
	from, err := other.Dir(string(sender))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := f.recordsOf(sender)
	if err != nil {
		return err
	}
	return moveAll(from, to)
}

// moveAll moves the entries of a folder to another one, durably, except those whose names are taken there.
func moveAll(from, to *beneath.Dir) error {
	err := from.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if err := from.RenameNoReplace(e.Name(), to, e.Name()); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, to.Sync(), from.Sync())
}

// eachOwn calls visit with the folders in the inbox that only this account can change, other than .sealpost, until it
// returns true. An inbox that cannot be listed has none.
func (f *folders) eachOwn(visit func(name string, own *beneath.Dir) bool) {
	f.top.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // see above
		for _, e := range entries {
			if !e.IsDir() || e.Name() == ownDir {
				continue
			}
			if info, err := f.top.Lstat(e.Name()); err != nil || f.strict && !isOurs(info) {
				continue
			}
			own, err := f.top.Dir(e.Name())
			if err != nil {
				continue
			}
			info, err := own.Info()
			isDone := err == nil && (!f.strict || isOurs(info)) && visit(e.Name(), own)
			own.Close()
			if isDone {
				return errEnough
			}
		}
		return nil
	})
}
