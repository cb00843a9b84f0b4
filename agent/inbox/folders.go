package inbox

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/words"
)

// The inbox is a folder in which other accounts may rename, replace and remove at any instant. So no path below it is
// trusted: folders are opened once for each piece of work, relative to each other, and all names are looked for in them.
//
// Only this account and root reach into .sealpost/tmp, and each attempt at an envelope has a folder of its own there, whose
// name is never used again. So content under that name is the content that was written and verified.

const (
	ownDir   = ".sealpost"      // in the inbox: records, and temporary content
	tempName = "tmp"            // in ownDir
	tempDir  = ".sealpost/tmp"  // temporary content, on the inbox's volume
	aside    = "-aside-"        // in the name of an entry that was in the way
	probe    = ".sealpost-try-" // begins the name of a file that is only tried
)

// ownTries bounds how often an own folder is made again while another account puts other things in its place.
const ownTries = 100

// folders holds folders of the inbox open for one piece of work.
type folders struct {
	top  *beneath.Dir // the inbox
	own  *beneath.Dir // .sealpost
	temp *beneath.Dir // .sealpost/tmp

	strict bool // the volume keeps owners and modes
	form

	envelopes map[string]*beneath.Dir  // below temp, by name
	content   map[id.Site]*beneath.Dir // of messages in their places
	records   map[id.Site]*beneath.Dir // of their records
	failed    map[id.Site]error        // senders whose folders cannot be used
}

// known is what the own folders are recognized by, once they were found in order.
type known struct {
	id     string // the content of idFile; empty: they were not found yet
	own    beneath.ID
	strict bool
}

// enter opens the inbox's folders. It answers an awayError while they cannot be used; any other error is the ledger's.
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
	var away awayError
	if errors.As(err, &away) {
		b.setAway(err.Error())
		return nil, localError{err}
	}
	return f, err
}

// forget has the own folders looked for anew when they are opened next.
func (b *Inbox) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known = known{}
}

// setAway notes why the inbox cannot be used; empty: it can.
func (b *Inbox) setAway(why string) {
	b.mu.Lock()
	changed := b.away != why
	b.away = why
	b.mu.Unlock()
	switch {
	case changed && why != "":
		b.log.Error("the inbox cannot be used; nothing is received for now", "reason", why)
	case changed:
		b.log.Info("the inbox can be used again")
	}
}

// errChanged means that an own folder is not the one of before.
var errChanged = errors.New("changed")

// reopen opens the folders if they are in order still.
func (b *Inbox) reopen(k known) (_ *folders, err error) {
	f := newFolders()
	f.strict = k.strict
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
	if err != nil || info.ID != k.own || k.strict && !isOurs(info) || readID(f.own) != k.id {
		return nil, errors.Join(errChanged, err)
	}
	if f.temp, err = f.own.Dir(tempName); err != nil {
		return nil, err
	}
	if info, err = f.temp.Info(); err != nil || k.strict && !isPrivate(info) {
		return nil, errors.Join(errChanged, err)
	}
	return f, nil
}

// setForm derives the form of content from the configuration, and from the inbox's folder as it is now.
func (f *folders) setForm(o Options) error {
	top, err := f.top.Info()
	if err == nil {
		f.access = o.Readers.accessFor(top, f.strict)
		f.naming = naming{keepHidden: o.KeepHidden}
		f.keepExecutable = o.KeepExecutable
	}
	return err
}

// openOrMake opens a folder, and makes it durably with its access when it is missing.
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
	isMade, err := d.IsEmpty() // otherwise another account has put another folder in its place
	if err == nil && isMade {
		err = a.giveFolder(d, func() bool { return hasDefaultList(parent) })
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// giveFolder gives a folder that was just made its group and mode, if it has others.
func (a access) giveFolder(d *beneath.Dir, isListed func() bool) error {
	info, err := d.Info()
	if err != nil || info.Mode.Perm() == a.dir && info.Group == a.group {
		return err
	}
	return d.Handle(func(f *os.File) error { return a.give(f, a.dir, isListed) })
}

// openOwn opens a folder of the service's own, and makes it when it is missing. An entry of that name that is not usable gets
// another name.
func (b *Inbox) openOwn(parent *beneath.Dir, name string, usable func(*beneath.Dir, beneath.Info) bool) (*beneath.Dir, beneath.ID, error) {
	var err error
	for range ownTries {
		var d *beneath.Dir
		if d, err = openOrMake(parent, name, access{dir: 0o700}); err == nil {
			info, err := d.Info()
			if err == nil && usable(d, info) {
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
			return nil, beneath.ID{}, awayError{words.InTheWay(parent.Path(), name, err)}
		}
	}
	return nil, beneath.ID{}, awayError{words.InTheWay(parent.Path(), name, err)}
}

// isSwapped reports whether an error may come from an entry that another account swaps meanwhile.
func isSwapped(err error) bool {
	return errors.Is(err, beneath.ErrLink) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR)
}

// setAside gives another name to an entry that has the name of an own folder.
func (b *Inbox) setAside(parent *beneath.Dir, name string) error {
	to := name + aside + rand.Text()[:8]
	err := parent.RenameNoReplace(name, parent, to)
	if err == nil {
		b.log.Warn("set aside, because other accounts can change it", "folder", parent.Path(), "name", name, "as", to)
	}
	return err
}

func newFolders() *folders {
	f := &folders{envelopes: map[string]*beneath.Dir{}, content: map[id.Site]*beneath.Dir{}, records: map[id.Site]*beneath.Dir{}, failed: map[id.Site]error{}}
	f.isListed = sync.OnceValue(func() bool { return hasDefaultList(f.temp) })
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
	for _, d := range []*beneath.Dir{f.temp, f.own, f.top} {
		if d != nil {
			d.Close()
		}
	}
}

// fail notes that nothing can be placed for a sender in this piece of work. The first reason stays.
func (f *folders) fail(sender id.Site, err error) {
	if f.failed[sender] == nil {
		f.failed[sender] = localError{err}
	}
}

// envelope opens the folder of one attempt at an envelope.
func (f *folders) envelope(name string) (*beneath.Dir, error) {
	if d := f.envelopes[name]; d != nil {
		return d, nil
	}
	d, err := f.temp.Dir(name)
	if err == nil {
		f.envelopes[name] = d
	}
	return d, err
}

// contentOf opens the folder of the messages of one sender.
func (f *folders) contentOf(sender id.Site) (*beneath.Dir, error) {
	if d := f.content[sender]; d != nil {
		return d, nil
	}
	d, err := openOrMake(f.top, string(sender), f.access)
	if err != nil {
		return nil, words.SenderFolder(sender, err)
	}
	own, unknown := f.own.Info()
	info, err := d.Info()
	if err = errors.Join(unknown, err); err == nil && info.ID == own.ID {
		err = errChanged // another account has swapped the two
	}
	if err != nil {
		d.Close()
		return nil, words.SenderFolder(sender, err)
	}
	f.content[sender] = d
	return d, nil
}

// usable returns an awayError if the folder of a sender's messages cannot be opened. It makes none: nothing is verified yet.
func (f *folders) usable(sender id.Site) error {
	d, err := f.top.Dir(string(sender))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return localError{awayError{words.SenderFolder(sender, err)}}
	}
	d.Close()
	return nil
}

// recordsOf opens the folder of the records of one sender's messages.
func (f *folders) recordsOf(sender id.Site) (*beneath.Dir, error) {
	if d := f.records[sender]; d != nil {
		return d, nil
	}
	d, err := openOrMake(f.own, string(sender), f.access.records())
	if err == nil {
		f.records[sender] = d
	}
	return d, err
}

// removeTemp removes the folder of an attempt, in which there is mostly nothing but the list by now.
func (f *folders) removeTemp(name string) error {
	d, err := f.envelope(name)
	if err != nil {
		return ignoreMissing(err)
	}
	err = d.Remove(listFile)
	d.Close()
	delete(f.envelopes, name)
	if err == nil && f.temp.Remove(name) == nil {
		return nil
	}
	return f.temp.RemoveAll(name)
}

// discard removes the folder of an attempt. It takes another name first, durably: half removed it could hold a record
// without its content, which says that the content was placed.
func (f *folders) discard(name string) error {
	if d := f.envelopes[name]; d != nil {
		d.Close()
		delete(f.envelopes, name)
	}
	gone := name + goneSuffix
	if err := f.temp.RemoveAll(gone); err != nil {
		return err
	}
	err := f.temp.Rename(name, f.temp, gone)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = f.temp.Sync()
	}
	if err != nil {
		return err
	}
	return f.temp.RemoveAll(gone)
}

// splitTemp takes apart the path of temporary content, as the ledger keeps it: the folder of the attempt, and the name in it.
func splitTemp(path string) (envelope, name string, ok bool) {
	rest, below := strings.CutPrefix(filepath.ToSlash(path), tempDir+"/")
	envelope, name, more := strings.Cut(rest, "/")
	return envelope, name, below && more && beneath.IsName(envelope) && beneath.IsName(name)
}

// joinTemp is the reverse.
func joinTemp(envelope, name string) string {
	return filepath.Join(filepath.FromSlash(tempDir), envelope, name)
}

// isOurs reports whether only this account and root can change what lies in a folder.
func isOurs(i beneath.Info) bool { return i.IsDir() && i.IsOurs() && i.Mode.Perm()&0o022 == 0 }

// isPrivate reports whether only this account and root can reach into a folder.
func isPrivate(i beneath.Info) bool { return isOurs(i) && i.Mode.Perm()&0o077 == 0 }
