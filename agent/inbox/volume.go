package inbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"sealpost/agent/ledger"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// The folder of a sender may be a disk or mount of its own: a bigger disk for one lab, or a quota.
// Nothing can be renamed into it from .sealpost/tmp. So the attempts at that sender's envelopes are
// in a .sealpost/tmp in that folder, and are placed from there like all others. Such an attempt has
// a name with the sender: FL-LAB/ATTEMPT. The ledger remembers these senders. While such a disk is
// not mounted, nothing of the sender is placed: the mounted disk would hide it.

// ownDisksKey is the key of the ledger's setting with the senders that have a disk of their own.
const ownDisksKey = "inbox-own-disks"

// volume is the disk of a sender's folder that is not the inbox's.
type volume struct {
	top, temp *beneath.Dir // the folder, and .sealpost/tmp in it
	form
}

func (v *volume) close() {
	v.top.Close()
	if v.temp != nil {
		v.temp.Close()
	}
}

// ownDisks remembers the senders whose folders are disks of their own.
type ownDisks struct {
	mu     sync.Mutex       // guards the others
	saved  map[id.Site]bool // as in the ledger; nil: not loaded
	probed map[id.Site]probed
}

// probed is a folder whose disk was tried.
type probed struct {
	folder    beneath.ID
	hasOwners bool
	able      beneath.Abilities
}

// volumeOf opens the disk of a sender's folder, once. It returns nil if that is the inbox's, or an
// unusableError if nothing can be placed there. It never makes the folder, because nothing is
// verified yet.
func (b *Inbox) volumeOf(ctx context.Context, f *folders, sender id.Site) (*volume, error) {
	if v, isKnown := f.volumes[sender]; isKnown {
		return v, nil
	}
	v, err := b.openVolume(ctx, f, sender)
	if err == nil {
		f.volumes[sender] = v
	}
	return v, err
}

func (b *Inbox) openVolume(ctx context.Context, f *folders, sender id.Site) (*volume, error) {
	dir, err := f.top.Dir(string(sender))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, b.forgetOwnDisk(ctx, sender)
	}
	unusable := func(err error) error {
		return localError{unusableError{senderFolder(sender, err)}}
	}
	if err != nil {
		return nil, unusable(err)
	}
	v := &volume{top: dir}
	isSame, err := f.top.IsSameDisk(dir)
	if err != nil {
		v.close()
		return nil, unusable(err)
	}
	if !isSame {
		if err := b.prepare(f, sender, v); err != nil {
			v.close()
			return nil, unusable(err)
		}
		return v, b.rememberOwnDisk(ctx, sender)
	}
	defer v.close()
	hadOwnDisk, err := b.hadOwnDisk(ctx, sender)
	if err != nil || !hadOwnDisk {
		return nil, err
	}
	isEmpty, err := dir.IsEmpty()
	switch {
	case err != nil:
		return nil, unusable(err)
	case isEmpty:
		return nil, localError{unusableError{senderError{reason.Err("sender-disk-away",
			"site", sender, "dir", dir.Path())}}}
	}
	return nil, b.forgetOwnDisk(ctx, sender)
}

// prepare opens or makes the own folders on the disk of a sender's folder. It tries that disk once.
func (b *Inbox) prepare(f *folders, sender id.Site, v *volume) error {
	info, err := v.top.Info()
	if err != nil {
		return err
	}
	b.disks.mu.Lock()
	p := b.disks.probed[sender]
	b.disks.mu.Unlock()
	if p.folder != info.ID {
		p = probed{folder: info.ID}
		if p.hasOwners, err = keepsOwners(v.top); err != nil {
			return err
		}
		if p.able, err = v.top.Probe(probePrefix + rand.Text()); err != nil {
			return err
		}
		b.disks.mu.Lock()
		if b.disks.probed == nil {
			b.disks.probed = map[id.Site]probed{}
		}
		b.disks.probed[sender] = p
		b.disks.mu.Unlock()
	}
	top, err := f.top.Info()
	if err != nil {
		return err
	}
	v.form = formFor(b.cfg, top, p)
	own, _, err := b.openOwn(v.top, ownDir, func(_ *beneath.Dir, i beneath.Info) bool {
		return !p.hasOwners || isOurs(i)
	})
	if err != nil {
		return err
	}
	defer own.Close()
	v.temp, _, err = b.openOwn(own, tempName, func(_ *beneath.Dir, i beneath.Info) bool {
		return !p.hasOwners || isPrivate(i)
	})
	v.hasList = sync.OnceValue(func() bool { return hasDefaultList(v.temp) })
	return err
}

// loadOwnDisks returns the remembered senders. The caller holds the lock.
func (b *Inbox) loadOwnDisks(ctx context.Context) (map[id.Site]bool, error) {
	if b.disks.saved != nil {
		return b.disks.saved, nil
	}
	var list []id.Site
	err := b.ledger.View(ctx, func(tx *ledger.Tx) error {
		text, err := tx.Setting(ownDisksKey)
		if err != nil || text == "" {
			return err
		}
		return json.Unmarshal([]byte(text), &list)
	})
	if err != nil {
		return nil, err
	}
	b.disks.saved = map[id.Site]bool{}
	for _, s := range list {
		b.disks.saved[s] = true
	}
	return b.disks.saved, nil
}

// hadOwnDisk reports whether a sender's folder was a disk of its own.
func (b *Inbox) hadOwnDisk(ctx context.Context, sender id.Site) (bool, error) {
	b.disks.mu.Lock()
	defer b.disks.mu.Unlock()
	saved, err := b.loadOwnDisks(ctx)
	return saved[sender], err
}

// rememberOwnDisk remembers durably that a sender's folder is a disk of its own, and logs a change.
func (b *Inbox) rememberOwnDisk(ctx context.Context, sender id.Site) error {
	b.disks.mu.Lock()
	defer b.disks.mu.Unlock()
	saved, err := b.loadOwnDisks(ctx)
	if err != nil || saved[sender] {
		return err
	}
	b.log.Info("sender has a disk of its own", "sender", sender)
	next := maps.Clone(saved)
	next[sender] = true
	return b.saveOwnDisks(ctx, next)
}

// forgetOwnDisk is the reverse of rememberOwnDisk.
func (b *Inbox) forgetOwnDisk(ctx context.Context, sender id.Site) error {
	b.disks.mu.Lock()
	defer b.disks.mu.Unlock()
	saved, err := b.loadOwnDisks(ctx)
	if err != nil || !saved[sender] {
		return err
	}
	b.log.Info("sender has no disk of its own any more", "sender", sender)
	next := maps.Clone(saved)
	delete(next, sender)
	return b.saveOwnDisks(ctx, next)
}

// saveOwnDisks writes the remembered senders to the ledger. The caller holds the lock.
func (b *Inbox) saveOwnDisks(ctx context.Context, next map[id.Site]bool) error {
	text, err := json.Marshal(slices.Sorted(maps.Keys(next)))
	if err != nil {
		return err
	}
	err = b.ledger.Update(ctx, func(tx *ledger.Tx) error {
		return tx.Set(ownDisksKey, string(text))
	})
	if err == nil {
		b.disks.saved = next
	}
	return err
}

// openVolumes opens the disks of all senders that have their own. One that is away stays out.
func (b *Inbox) openVolumes(ctx context.Context, f *folders) error {
	b.disks.mu.Lock()
	saved, err := b.loadOwnDisks(ctx)
	senders := slices.Sorted(maps.Keys(saved))
	b.disks.mu.Unlock()
	for _, s := range senders {
		if _, err := b.volumeOf(ctx, f, s); ignoreLocal(err) != nil {
			return err
		}
	}
	return err
}

// attempt returns the folder in which the folder of an attempt is, and its name there. It returns
// fs.ErrNotExist if that is a disk that is not open.
func (f *folders) attempt(name string) (temp *beneath.Dir, base string, err error) {
	sender, base, isApart := strings.Cut(name, "/")
	if !isApart {
		return f.temp, name, nil
	}
	if v := f.volumes[id.Site(sender)]; v != nil {
		return v.temp, base, nil
	}
	return nil, "", fs.ErrNotExist
}

// eachTemp calls do with each open folder of attempts, and the prefix of their names.
func (f *folders) eachTemp(do func(temp *beneath.Dir, prefix string) error) error {
	err := do(f.temp, "")
	for sender, v := range f.volumes {
		if v != nil && err == nil {
			err = do(v.temp, string(sender)+"/")
		}
	}
	return err
}

// formOf returns the form of a sender's content.
func (f *folders) formOf(sender id.Site) form {
	if v := f.volumes[sender]; v != nil {
		return v.form
	}
	return f.form
}
