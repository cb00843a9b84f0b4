package inbox

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Other accounts may rename, replace and remove entries of the inbox at any instant. So no path
// below it is trusted: each piece of work opens the folders relative to each other, and looks names
// up in them.
//
// Only this account and root can enter .sealpost/tmp. Each attempt at an envelope has its own
// folder there, and the name of that is never reused. So content under such a name is the content
// that was written and verified.

const (
	ownDir      = ".sealpost"      // in the inbox: records and temporary content
	tempName    = "tmp"            // in ownDir
	tempDir     = ".sealpost/tmp"  // temporary content, on the inbox's volume
	asideInfix  = "-aside-"        // in the new name of an entry that was in the way
	probePrefix = ".sealpost-try-" // prefix of the name of a probe file
)

// ownTries limits the attempts to make an own folder while another account replaces it.
const ownTries = 100

// folders holds open folders of the inbox for one piece of work.
type folders struct {
	top  *beneath.Dir // the inbox
	own  *beneath.Dir // .sealpost
	temp *beneath.Dir // .sealpost/tmp

	hasOwners bool // the volume keeps owners and modes
	able      beneath.Abilities
	form

	envelopes map[string]*beneath.Dir  // below temp, by name
	content   map[id.Site]*beneath.Dir // of placed messages, by sender
	records   map[id.Site]*beneath.Dir // of their records, by sender
	volumes   map[id.Site]*volume      // see volumeOf

	failed map[id.Site]error     // senders whose folders are unusable
	halted map[id.Envelope]error // envelopes that cannot be placed now
}

// knownFolders identifies the own folders that were last found in order.
type knownFolders struct {
	id        string // the content of idFile; empty: not found yet
	own       beneath.ID
	hasOwners bool
	able      beneath.Abilities
}

// enter opens the inbox's folders. It returns an unusableError while they are unusable; any other
// error comes from the ledger.
func (b *Inbox) enter(ctx context.Context) (*folders, error) {
	b.mu.Lock()
	k := b.known
	b.mu.Unlock()
	if k.id != "" {
		if f, err := b.reopen(k); err == nil {
			return f, nil
		}
	}
	b.arranging.Lock()
	defer b.arranging.Unlock()
	f, err := b.arrange(ctx)
	var unusable unusableError
	if errors.As(err, &unusable) {
		b.setUnusable(reason.Of(err))
		return nil, localError{err}
	}
	return f, err
}

// setUnusable stores the reason for which the inbox is unusable; none: it is usable.
func (b *Inbox) setUnusable(why reason.Reason) {
	b.mu.Lock()
	changed := b.unusableReason != why
	b.unusableReason = why
	b.mu.Unlock()
	switch {
	case changed && !why.IsZero():
		b.log.Error("inbox unusable", "reason", why)
	case changed:
		b.log.Info("inbox usable")
		b.mended()
	}
}

// errChanged means that an own folder is not the known one.
var errChanged = errors.New("folder changed")

// reopen opens the folders if they are still the known ones.
func (b *Inbox) reopen(k knownFolders) (_ *folders, err error) {
	f := newFolders()
	f.hasOwners, f.able = k.hasOwners, k.able
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.top, err = beneath.Open(b.cfg.Dir); err != nil {
		return nil, err
	}
	if err := f.setForm(b.cfg); err != nil {
		return nil, err
	}
	if f.own, err = f.top.Dir(ownDir); err != nil {
		return nil, err
	}
	info, err := f.own.Info()
	if err != nil || info.ID != k.own || k.hasOwners && !isOurs(info) || readID(f.own) != k.id {
		return nil, errors.Join(errChanged, err)
	}
	if f.temp, err = f.own.Dir(tempName); err != nil {
		return nil, err
	}
	if info, err = f.temp.Info(); err != nil || k.hasOwners && !isPrivate(info) {
		return nil, errors.Join(errChanged, err)
	}
	return f, nil
}

// setForm sets the form of content: by the configuration, the inbox's mode, and its disk.
func (f *folders) setForm(o Options) error {
	top, err := f.top.Info()
	if err == nil {
		hasList := f.hasList
		f.form = formFor(o, top, probed{hasOwners: f.hasOwners, able: f.able})
		f.hasList = hasList
	}
	return err
}

// formFor returns the form of content in the inbox top, on a disk. The caller sets hasList.
func formFor(o Options, top beneath.Info, disk probed) form {
	f := form{access: o.Readers.accessFor(top), naming: naming{keepHidden: o.KeepHidden},
		keepExecutable: o.KeepExecutable}
	f.access.hasOwners = disk.hasOwners
	if able := disk.able; able.NameMax > 0 { // else it was not probed yet
		f.access.isFixed = !able.Modes
		f.naming.ascii, f.naming.max = !able.Unicode, able.NameMax
	}
	return f
}

// openOrMake opens a folder. It makes a missing one durably, with its access.
func openOrMake(parent *beneath.Dir, name string, a access) (*beneath.Dir, error) {
	d, err := parent.Dir(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	if err := parent.MkdirAll(name, a.dir); err != nil {
		return nil, err
	}
	if d, err = parent.Dir(name); err != nil {
		return nil, err
	}
	isMade, err := d.IsEmpty() // otherwise another account has replaced it
	if err == nil && isMade {
		err = a.applyFolder(d, func() bool { return hasDefaultList(parent) })
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// openOwn opens an own folder, and makes a missing one. It renames an unusable entry of that name.
func (b *Inbox) openOwn(parent *beneath.Dir, name string,
	isUsable func(*beneath.Dir, beneath.Info) bool) (*beneath.Dir, beneath.ID, error) {
	var err error
	for range ownTries {
		var d *beneath.Dir
		if d, err = openOrMake(parent, name, access{dir: 0o700}); err == nil {
			info, err := d.Info()
			if err == nil && isUsable(d, info) {
				return d, info.ID, nil
			}
			d.Close()
			if err != nil {
				return nil, beneath.ID{}, err
			}
		} else if info, looked := parent.Lstat(name); looked != nil || info.IsDir() {
			if isSwapped(err) {
				continue
			}
			return nil, beneath.ID{}, err
		}
		if err = b.setAside(parent, name); err != nil && !isSwapped(err) {
			return nil, beneath.ID{}, unusableError{reason.Err("in-the-way",
				"dir", parent.Path(), "name", name, "why", err)}
		}
	}
	return nil, beneath.ID{}, unusableError{reason.Err("in-the-way",
		"dir", parent.Path(), "name", name, "why", err)}
}

// isSwapped reports whether an error may come from a race with an account that swaps entries.
func isSwapped(err error) bool {
	return errors.Is(err, beneath.ErrLink) || errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR)
}

// setAside renames an entry that has the name of an own folder.
func (b *Inbox) setAside(parent *beneath.Dir, name string) error {
	to := name + asideInfix + rand.Text()[:8]
	err := parent.RenameOrLook(name, parent, to)
	if err == nil {
		b.log.Warn("set aside", "folder", parent.Path(), "name", name, "to", to,
			"reason", "another account can change it")
	}
	return err
}

func newFolders() *folders {
	f := &folders{envelopes: map[string]*beneath.Dir{}, content: map[id.Site]*beneath.Dir{},
		records: map[id.Site]*beneath.Dir{}, failed: map[id.Site]error{},
		halted: map[id.Envelope]error{}, volumes: map[id.Site]*volume{}}
	f.hasList = sync.OnceValue(func() bool { return hasDefaultList(f.temp) })
	return f
}

func (f *folders) close() {
	for _, d := range f.envelopes {
		d.Close()
	}
	for _, d := range f.content {
		d.Close()
	}
	for _, d := range f.records {
		d.Close()
	}
	for _, v := range f.volumes {
		if v != nil {
			v.close()
		}
	}
	for _, d := range []*beneath.Dir{f.temp, f.own, f.top} {
		if d != nil {
			d.Close()
		}
	}
}

// fail records why this piece of work cannot place a message now. An error of the sender's folders
// holds up all envelopes of the sender, and any other one only the message's envelope: a receipt
// has all messages of an envelope. The first error stays.
func (f *folders) fail(p *placement, err error) {
	err = localError{err}
	if errors.As(err, new(senderError)) {
		if f.failed[p.Sender] == nil {
			f.failed[p.Sender] = err
		}
	} else if f.halted[p.Envelope] == nil {
		f.halted[p.Envelope] = err
	}
}

// failure returns the error that holds up an envelope, or nil.
func (f *folders) failure(sender id.Site, e id.Envelope) error {
	if err := f.failed[sender]; err != nil {
		return err
	}
	return f.halted[e]
}

// envelope opens the folder of one attempt at an envelope, once.
func (f *folders) envelope(name string) (*beneath.Dir, error) {
	if d := f.envelopes[name]; d != nil {
		return d, nil
	}
	temp, base, err := f.attempt(name)
	if err != nil {
		return nil, err
	}
	d, err := temp.Dir(base)
	if err == nil {
		f.envelopes[name] = d
	}
	return d, err
}

// contentOf opens or makes the folder of a sender's messages, once.
func (f *folders) contentOf(sender id.Site) (*beneath.Dir, error) {
	if d := f.content[sender]; d != nil {
		return d, nil
	}
	d, err := openOrMake(f.top, string(sender), f.access)
	if err != nil {
		return nil, senderFolder(sender, err)
	}
	own, unknown := f.own.Info()
	info, err := d.Info()
	if err = errors.Join(unknown, err); err == nil && info.ID == own.ID {
		err = errChanged // another account has swapped the two
	}
	if err != nil {
		d.Close()
		return nil, senderFolder(sender, err)
	}
	f.content[sender] = d
	return d, nil
}

// senderError is the error of a sender's own folders. It holds up all envelopes of that sender.
type senderError struct{ error }

func (e senderError) Unwrap() error { return e.error }

// senderFolder returns the error of a sender's folder that cannot be used.
func senderFolder(sender id.Site, err error) error {
	return senderError{reason.Err("sender-folder", "site", sender, "why", err)}
}

// recordsOf opens or makes the folder of a sender's records, once.
func (f *folders) recordsOf(sender id.Site) (*beneath.Dir, error) {
	if d := f.records[sender]; d != nil {
		return d, nil
	}
	d, err := openOrMake(f.own, string(sender), f.access.records())
	if err != nil {
		return nil, senderError{err}
	}
	f.records[sender] = d
	return d, nil
}

// removeTemp removes the folder of a placed attempt. Usually only the list is left in it.
func (f *folders) removeTemp(name string) error {
	temp, base, missing := f.attempt(name)
	d, err := f.envelope(name)
	if err = errors.Join(missing, err); err != nil {
		return ignoreMissing(err)
	}
	err = d.Remove(listFile)
	d.Close()
	delete(f.envelopes, name)
	if err == nil && temp.Remove(base) == nil {
		return nil
	}
	return temp.RemoveAll(base)
}

// discard removes the folder of an attempt. It renames the folder first, durably: a record without
// its content, in a half removed folder, would mean that the content was placed.
func (f *folders) discard(name string) error {
	if d := f.envelopes[name]; d != nil {
		d.Close()
		delete(f.envelopes, name)
	}
	temp, base, err := f.attempt(name)
	if err != nil {
		return ignoreMissing(err)
	}
	trash := base + trashSuffix
	if err := temp.RemoveAll(trash); err != nil {
		return err
	}
	err = temp.Rename(base, temp, trash)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = temp.Sync()
	}
	if err != nil {
		return err
	}
	return temp.RemoveAll(trash)
}

// splitTemp splits a path of temporary content in the ledger into the attempt's folder and the name
// in it.
func splitTemp(path string) (envelope, name string, ok bool) {
	path = filepath.ToSlash(path)
	rest, below := strings.CutPrefix(path, tempDir+"/")
	prefix := ""
	if !below {
		var sender string
		sender, rest, _ = strings.Cut(path, "/")
		_, err := id.ParseSite(sender)
		prefix = sender + "/"
		if rest, below = strings.CutPrefix(rest, tempDir+"/"); err != nil {
			below = false
		}
	}
	envelope, name, more := strings.Cut(rest, "/")
	return prefix + envelope, name,
		below && more && beneath.IsName(envelope) && beneath.IsName(name)
}

// joinTemp is the reverse of splitTemp.
func joinTemp(envelope, name string) string {
	if sender, base, isApart := strings.Cut(envelope, "/"); isApart {
		return filepath.Join(sender, filepath.FromSlash(tempDir), base, name)
	}
	return filepath.Join(filepath.FromSlash(tempDir), envelope, name)
}

// isOurs reports whether only this account and root can change entries of a folder.
func isOurs(i beneath.Info) bool { return i.IsDir() && i.IsOurs() && i.Mode.Perm()&0o022 == 0 }

// isPrivate reports whether only this account and root can enter a folder.
func isPrivate(i beneath.Info) bool { return isOurs(i) && i.Mode.Perm()&0o077 == 0 }
