package inbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

// The ledger remembers the inbox by the content of .sealpost/inbox.id: device and inode numbers
// change when a disk is mounted again or a backup is restored, and the content does not. Without
// such a file the numbers decide. While a disk or a share is unmounted its folder is missing, or
// another one, and the inbox waits: the mounted disk would later hide content that was placed below
// it.

const (
	idFile  = "inbox.id" // in .sealpost; not a possible site name
	homeKey = "inbox"    // a key of the ledger's settings
)

// home is the inbox as the ledger remembers it. An empty ID means that nothing is remembered.
type home struct {
	Path   string `json:"path"`   // as configured
	Folder string `json:"folder"` // device and inode
	Own    string `json:"own"`    // device and inode of .sealpost
	Owner  uint32 `json:"owner"`  // of the inbox's folder; 0: root, or unknown
	ID     string `json:"id"`     // the content of idFile
	// of the disk of Folder; none in a ledger of before
	Able beneath.Abilities `json:"able,omitzero"`
}

// isAt reports whether the ledger remembers an inbox at the configured path.
func (h home) isAt(path string) bool { return h.ID != "" && h.Path == path }

// unusableError means that the inbox is unusable for now, independent of any delivery.
type unusableError struct{ error }

func (e unusableError) Unwrap() error { return e.error }

// isOther returns the error of a folder that is not the known one.
func (b *Inbox) isOther() error { return reason.Err("inbox-is-other", "dir", b.cfg.Dir) }

// isOfOthers returns the error of a folder that is another inbox.
func (b *Inbox) isOfOthers() error {
	return reason.Err("inbox-is-another", "dir", b.cfg.Dir)
}

// asUnusable wraps a failure in the inbox's folder as an unusableError.
func (b *Inbox) asUnusable(err error) error {
	var unusable unusableError
	if err == nil || errors.As(err, &unusable) {
		return err
	}
	if why := trouble.Of(err, b.cfg.Dir); !why.IsZero() {
		b.log.Debug("inbox in trouble", "error", err)
		return unusableError{reason.Err("inbox-trouble", "dir", b.cfg.Dir, "why", why)}
	}
	return unusableError{reason.Err("inbox-away", "dir", b.cfg.Dir, "why", err)}
}

// loadHome returns the remembered inbox, or an empty home.
func (b *Inbox) loadHome(ctx context.Context) (h home, err error) {
	var text string
	err = b.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		text, err = tx.Setting(homeKey)
		return err
	})
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &h)
	}
	return h, err
}

func (b *Inbox) saveHome(ctx context.Context, h home) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return b.ledger.Update(ctx, func(tx *ledger.Tx) error { return tx.Set(homeKey, string(text)) })
}

// arrange opens the inbox's folders when they are not the known ones. That is so at the start, and
// after another account or an admin has changed them. It makes missing own folders, or returns an
// unusableError.
func (b *Inbox) arrange(ctx context.Context) (_ *folders, err error) {
	before, err := b.loadHome(ctx)
	if err != nil {
		return nil, err
	}
	f := newFolders()
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	// Only a new inbox is made: a missing known one is on a disk that is not mounted.
	isKnown := before.isAt(b.cfg.Dir)
	if f.top, err = beneath.Open(b.cfg.Dir); !isKnown && errors.Is(err, fs.ErrNotExist) {
		f.top, err = beneath.OpenOrMake(b.cfg.Dir, 0o770)
	}
	if err == nil {
		err = f.setForm(b.cfg)
	}
	if err != nil {
		return nil, b.asUnusable(err)
	}
	reject := beneath.ID{}
	if isKnown {
		if reject, err = b.recognize(ctx, f, before); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(b.probe(f), b.probeDisk(f, before)); err != nil {
		return nil, b.asUnusable(err)
	}
	after, err := b.takeHome(f, before, reject)
	if err != nil {
		return nil, b.asUnusable(err)
	}
	if after != before {
		if err := b.saveHome(ctx, after); err != nil {
			return nil, err
		}
		if before.ID != "" && after.Path != before.Path {
			b.log.Warn("inbox moved", "from", before.Path, "to", after.Path)
		}
	}
	b.merge(f, after.ID)
	own, err := f.own.Info()
	if err != nil {
		return nil, b.asUnusable(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known = knownFolders{id: after.ID, own: own.ID, hasOwners: f.hasOwners, able: f.able}
	return f, nil
}

// recognize checks that the folder is the remembered inbox. It renames a displaced .sealpost back,
// and returns a folder to reject although it has the name.
func (b *Inbox) recognize(ctx context.Context, f *folders,
	before home) (reject beneath.ID, err error) {
	top, err := f.top.Info()
	if err != nil {
		return reject, b.asUnusable(err)
	}
	isSame := top.ID.String() == before.Folder
	isEmpty, err := f.top.IsEmpty()
	if err == nil && isEmpty && !isSame {
		// not even a probe file is made in a mount point
		return reject, unusableError{b.isOther()}
	}
	if err := b.probe(f); err != nil {
		return reject, b.asUnusable(err)
	}
	own, inboxID, isTight := f.inspectOwn(ownDir)
	switch {
	case inboxID == before.ID: // the remembered inbox, even with other numbers
		return reject, nil
	case b.renameBack(f, before.ID):
		return reject, nil
	case isTight && inboxID != "":
		return reject, unusableError{b.isOfOthers()}
	case isTight && (own.String() == before.Own || !isSame):
		// a backup from before idFile existed
		return reject, nil
	case isTight: // another folder of this account, renamed to .sealpost
		return own, nil
	case isSame: // .sealpost is missing, or open to other accounts
		return reject, nil
	}
	var received []ledger.Received
	err = b.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		if received, err = tx.LatestReceived(1); err == nil && len(received) == 0 {
			received, err = tx.Placing(0, 1)
		}
		return err
	})
	switch {
	case err != nil:
	case len(received) > 0: // another folder is accepted before the first message
		err = unusableError{b.isOther()}
	case f.hasOwners && top.Owner != 0 && !top.IsOurs() && top.Owner != before.Owner:
		err = unusableError{reason.Err("inbox-of-other-account", "dir", b.cfg.Dir)}
	}
	return reject, err
}

// probe tests whether the volume keeps owners and modes, once for each inbox folder.
func (b *Inbox) probe(f *folders) error {
	top, err := f.top.Info()
	if err != nil {
		return err
	}
	if b.probed.folder != top.ID {
		hasOwners, err := keepsOwners(f.top)
		if err != nil {
			return err
		}
		b.probed.folder, b.probed.hasOwners = top.ID, hasOwners
	}
	f.hasOwners = b.probed.hasOwners
	return f.setForm(b.cfg)
}

// probeDisk sets the abilities of the inbox's disk. It tries them once for each inbox folder, also
// across restarts, and logs those that the disk lacks.
func (b *Inbox) probeDisk(f *folders, before home) error {
	top, err := f.top.Info()
	if err != nil {
		return err
	}
	f.able = before.Able
	if before.Path != b.cfg.Dir || before.Folder != top.ID.String() || f.able.NameMax == 0 {
		if f.able, err = f.top.Probe(probePrefix + rand.Text()); err != nil {
			return err
		}
		if lacks := trouble.Lacks(f.able, b.cfg.Dir); len(lacks) > 0 {
			b.log.Warn("disk of the inbox", "dir", b.cfg.Dir, "lacks", lacks)
		}
	}
	return f.setForm(b.cfg)
}

// takeHome opens or makes the own folders, and returns the home to remember.
func (b *Inbox) takeHome(f *folders, before home, reject beneath.ID) (after home, err error) {
	top, err := f.top.Info()
	if err != nil {
		return after, err
	}
	var own beneath.ID
	isKnown := before.isAt(b.cfg.Dir)
	if isKnown {
		f.own, own = b.findOwn(f, before.ID)
	}
	if f.own == nil {
		f.own, own, err = b.openOwn(f.top, ownDir, func(d *beneath.Dir, i beneath.Info) bool {
			return i.ID != reject &&
				(!f.hasOwners || isOurs(i) || i.ID.String() == before.Own && f.tighten(d))
		})
	}
	if err != nil {
		return after, err
	}
	if f.temp, _, err = b.openOwn(f.own, tempName, func(_ *beneath.Dir, i beneath.Info) bool {
		return !f.hasOwners || isPrivate(i)
	}); err != nil {
		return after, err
	}
	if err := f.enforceOwn(); err != nil {
		return after, err
	}
	after = home{
		Path: b.cfg.Dir, Folder: top.ID.String(), Own: own.String(), Owner: top.Owner,
		ID: before.ID, Able: f.able,
	}
	switch inboxID := readID(f.own); {
	case !isKnown && inboxID != "":
		after.ID = inboxID
		return after, nil
	case !isKnown:
		after.ID = id.Random128[string]()
	case inboxID == before.ID:
		return after, nil
	case inboxID != "":
		return after, unusableError{b.isOfOthers()}
	}
	return after, f.own.WriteFile(idFile, []byte(after.ID+"\n"), 0o644)
}

// readID returns the content of idFile, or "" if it is missing or invalid.
func readID(own *beneath.Dir) string {
	text, err := own.ReadFile(idFile, 64)
	if err != nil {
		return ""
	}
	inboxID, err := id.Parse128[string](strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return inboxID
}
