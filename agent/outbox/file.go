package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/beneath"
	"sealpost/internal/fault"
	"sealpost/internal/reason"
)

const (
	fileGroup   = 512 // holds the messages of two envelopes
	fileRetries = 30 * time.Second
)

// fileAll moves final messages to delivered/ or failed/ until the context ends. The ledger has
// their final states first, so that the next start repeats a move that a crash cut off.
func (t *box) fileAll(ctx context.Context) error {
	for after := int64(0); ; {
		var err error
		if after, err = t.file(ctx, after); err != nil {
			return ignoreCancel(ctx, err)
		}
		if after != 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.filing:
		case <-time.After(fileRetries):
		}
	}
}

// file moves the next final messages, which have a higher Seq than after. It returns the Seq to
// continue after; 0: there are no more. It skips a message that cannot be moved until the next call
// with 0.
func (t *box) file(ctx context.Context, after int64) (next int64, err error) {
	var list []ledger.Outgoing
	if err := t.o.view(ctx, func(tx *ledger.Tx) (err error) {
		list, err = tx.Unfiled(t.Name, after, fileGroup)
		return err
	}); err != nil {
		return 0, err
	}
	list, next = wholeFolders(list)
	if len(list) == 0 {
		return next, nil
	}
	h, err := t.open()
	t.said.Warn(t.log, "final, but cannot be moved yet", err, "messages", len(list), "first",
		list[0].ID)
	if err != nil {
		return 0, nil
	}
	defer h.Close()
	t.said.Warn(t.log, "a folder that was deleted cannot be made again", t.makeFinals(ctx, h))
	done, changed, unmoved := h.moveLists(ctx, list)
	t.logUnmoved(after, unmoved)
	if len(done) == 0 {
		return next, nil
	}
	err = h.syncFiled(done)
	t.said.Warn(t.log, "moved, but not durably yet", err)
	if err != nil {
		return 0, nil
	}
	repeated, err := h.repeated(ctx, done)
	if err != nil {
		return 0, err
	}
	fault.Point("outbox-filed")
	err = t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		err := tx.Filed(done, time.Now())
		for _, m := range done {
			if err == nil && changed[m.Seq] && m.Reason.IsZero() {
				err = tx.Explain(m.UID, reason.New("changed-in-sending"))
			} else if why := repeated[m.Seq]; err == nil && !why.IsZero() && m.Reason.IsZero() {
				err = tx.Explain(m.UID, why)
			}
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	t.filed(done)
	for _, state := range []ledger.State{ledger.Delivered, ledger.Failed} {
		of := slices.DeleteFunc(slices.Clone(done),
			func(m ledger.Outgoing) bool { return m.State != state })
		if len(of) > 0 {
			t.log.Info(string(state), "messages", labels(of))
		}
	}
	return next, nil
}

// moveLists moves final messages, folder by folder. It returns those that lie in their final
// places, those whose files were changed in sending/, and the others by the cause.
func (h *handles) moveLists(ctx context.Context, list []ledger.Outgoing) (done []ledger.Outgoing,
	changed map[int64]bool, unmoved map[string][]ledger.Outgoing) {
	changed, unmoved = map[int64]bool{}, map[string][]ledger.Outgoing{}
	for part := range byFolder(list) {
		for _, m := range part {
			changed[m.Seq] = h.isChanged(m)
		}
		done = append(done, h.moveFinals(ctx, part, unmoved)...)
		h.Relax()
	}
	return done, changed, unmoved
}

// logUnmoved logs the messages of a list that cannot be moved, with one line for each cause. A list
// is named by the Seq before it.
func (t *box) logUnmoved(after int64, unmoved map[string][]ledger.Outgoing) {
	var all []string
	for why, list := range unmoved {
		all = append(all, fmt.Sprint(why, list[0].ID, len(list)))
	}
	slices.Sort(all)
	if !t.said.isNew(fmt.Sprint("filing ", after), strings.Join(all, "\n")) {
		return
	}
	for why, list := range unmoved {
		t.log.Warn("final, but cannot be moved yet", "messages", len(list), "first", list[0].ID,
			"reason", why)
	}
}

// wholeFolders cuts the last folder's messages off a full list if more of them may follow. Then the
// next list has all of them, and the folder is moved as a whole. next is the Seq to continue after;
// 0: there are no more.
func wholeFolders(list []ledger.Outgoing) (part []ledger.Outgoing, next int64) {
	if len(list) < fileGroup {
		return list, 0
	}
	end := len(list) - 1
	for end > 0 && list[end-1].SharesFolder(list[end]) {
		end--
	}
	if end > 0 && int64(len(list)-end) < list[end].Group.Size() {
		list = list[:end]
	}
	return list, list[len(list)-1].Seq
}

// moveFinals moves the final messages of one folder, together or one by one. It returns those that
// lie in their final places, and adds the others to unmoved.
func (h *handles) moveFinals(ctx context.Context, part []ledger.Outgoing,
	unmoved map[string][]ledger.Outgoing) (done []ledger.Outgoing) {
	if h.moveShared(ctx, part) {
		return part
	}
	for _, m := range part {
		if err := h.moveFinal(ctx, m, placeAt(m)); err != nil {
			why := tray.Plain(err).String()
			unmoved[why] = append(unmoved[why], m)
			continue
		}
		done = append(done, m)
	}
	if part[0].Group != (ledger.Group{}) {
		h.emptied(ctx, part[0])
		h.forgetNote(part[0]) // a crash may have come between the two
	}
	return done
}

// syncFiled syncs the old and the new folders of moved messages, and their explanations. It skips a
// folder that a user has removed.
func (h *handles) syncFiled(done []ledger.Outgoing) error {
	dirs, files := []string{tray.SendingPart}, []string(nil)
	for _, part := range []string{tray.DeliveredPart, tray.FailedPart} {
		if h.IsDir(part) { // nothing is moved into a link in its place
			dirs = append(dirs, part)
		}
	}
	for part := range byFolder(done) {
		for _, m := range part {
			to := placeAt(m)
			if dirs[len(dirs)-1] != to && h.IsDir(to) {
				dirs = append(dirs, to)
			}
			if m.State != ledger.Failed {
				continue
			}
			if why := h.whyAt(m, to); why != "" && h.Exists(why) {
				files = append(files, why)
			}
			if from := path.Dir(droppedAt(m)); dirs[len(dirs)-1] != from && h.IsDir(from) {
				dirs = append(dirs, from) // see moveDropped: in outbox/ it would be claimed again
			}
		}
		if from := folderAt(part[0]); h.IsDir(from) {
			dirs = append(dirs, from)
		}
	}
	return h.Root.SyncGroup(files, dirs)
}

// moveShared moves a shared folder as a whole if all its messages are delivered. It reports whether
// it has moved it.
func (h *handles) moveShared(ctx context.Context, part []ledger.Outgoing) bool {
	m := part[0]
	if m.Group.Size() != int64(len(part)) || slices.ContainsFunc(part,
		func(m ledger.Outgoing) bool { return m.State != ledger.Delivered }) {
		return false
	}
	if left := h.inFolder(ctx, m); len(left.others) > 0 { // of users
		return false
	}
	if h.MoveFolder(folderAt(m), placeAt(m)) != nil {
		return false
	}
	fault.Point("outbox-final")
	h.forgetNote(m)
	return true
}

// moveFinal moves a message's folder, or its file out of a shared one. Users may remove a file that
// is under way: a missing file is no error.
func (h *handles) moveFinal(ctx context.Context, m ledger.Outgoing, to string) error {
	if m.WasFiled() {
		return h.moveAgain(ctx, m, to)
	}
	from, move := folderAt(m), h.MoveFolder
	if m.Group != (ledger.Group{}) {
		from, move = h.nowAt(m), h.MoveInto
	}
	if m.State == ledger.Failed {
		if err := h.moveRecalled(ctx, m, to); err != nil {
			return err
		}
	}
	err := move(from, to)
	if err != nil {
		if home, unknown := h.t.atHome(ctx, h); unknown != nil || !home || !h.IsGone(from) {
			return errors.Join(err, unknown)
		}
	}
	fault.Point("outbox-final")
	if m.Dir != "" && m.Group == (ledger.Group{}) {
		h.forgetAddress(to)
	}
	if m.State == ledger.Failed && h.IsDir(to) {
		return h.explain(ctx, m, to)
	}
	return nil
}

// moveAgain follows a later answer to a failed message. It moves a delivered one out of failed/,
// and writes the explanation of a failed one anew. A user may have taken it away.
func (h *handles) moveAgain(ctx context.Context, m ledger.Outgoing, to string) error {
	was := tray.FailedPart + "/" + string(m.ID)
	if h.IsGone(was) {
		if home, err := h.t.atHome(ctx, h); err != nil || !home {
			return errors.Join(err, fs.ErrNotExist)
		}
		return nil
	}
	if m.State == ledger.Failed {
		return h.explain(ctx, m, was)
	}
	h.t.o.forgetFailure(m)
	if why := h.whyAt(m, was); why != "" && h.Exists(why) {
		if err := h.Remove(why); err != nil {
			return err
		}
	}
	if h.RemoveDir(was) == nil {
		return nil // a user has taken the file out of it
	}
	if m.Group == (ledger.Group{}) {
		return h.MoveFolder(was, to)
	}
	err := h.MoveInto(was+"/"+m.Name, to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	h.RemoveDir(was) //nolint:errcheck // it has other files of a user
	return err
}

// nowAt returns the path in the tray of a file in a shared folder. A user may have renamed it
// there.
func (h *handles) nowAt(m ledger.Outgoing) string {
	if !h.IsGone(sourceAt(m)) {
		return sourceAt(m)
	}
	dir, err := h.Dir(folderAt(m))
	if err != nil {
		return sourceAt(m)
	}
	now := sourceAt(m)
	dir.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // the next try finds it
		for _, e := range entries {
			if info, err := dir.Lstat(e.Name()); err == nil && same(sourceOf(info), m.Source) {
				now = folderAt(m) + "/" + e.Name()
			}
		}
		return nil
	})
	return now
}

// isChanged reports whether the file in sending/ differs from the sealed one. A user may have
// edited it there.
func (h *handles) isChanged(m ledger.Outgoing) bool {
	if m.Digest == "" {
		return false
	}
	source, err := h.observe(sourceAt(m))
	return err == nil && !isSameContent(source, m.Source)
}

// moveRecalled moves a failed message out of outbox/, or from where it was set aside there.
func (h *handles) moveRecalled(ctx context.Context, m ledger.Outgoing, to string) error {
	switch {
	case h.isApart(m):
		part, v := []ledger.Outgoing{m}, h.t.newMoving(h)
		err := h.makePlace(ctx, part)
		if err == nil {
			err = v.bring(ctx, part)
		}
		if err == nil && len(v.moved) == 0 {
			err = errNotCopied
		}
		return err
	case h.Exists(sourceAt(m)):
		return nil
	}
	hasDisk, isAway, err := h.t.diskOf(ctx, h, m)
	switch {
	case err != nil:
		return err
	case isAway:
		return errDiskAway
	}
	now, err := h.observe(droppedAt(m))
	if hasDisk && err == nil && isSameContent(now, m.Source) && !same(now, m.Source) {
		m.Source = now // its disk was mounted again, or copied: file ids are others
		if err := h.t.ledger.Update(ctx, func(tx *ledger.Tx) error {
			return tx.Resource(m.UID, m)
		}); err != nil {
			return err
		}
		return h.moveRecalled(ctx, m, to)
	}
	return h.moveDropped(ctx, m, to)
}

var (
	errNotCopied = reason.Err("waits-for-copy")
	errDiskAway  = reason.Err("waits-for-disk")
)

// moveDropped moves a failed message out of outbox/ that was never moved: it was recalled. If its
// file was taken out of a shared folder, it makes a place for the explanation.
func (h *handles) moveDropped(ctx context.Context, m ledger.Outgoing, to string) error {
	if home, err := h.t.atHome(ctx, h); err != nil || !home {
		return err
	}
	var row ledger.Outgoing
	if err := h.t.o.view(ctx, func(tx *ledger.Tx) (err error) {
		row, err = tx.Message(string(m.UID))
		return err
	}); err != nil {
		return err
	}
	source, err := h.observe(droppedAt(m))
	if err == nil && same(source, row.Source) {
		h.emptied(ctx, m)
		if err = h.MoveInto(droppedAt(m), to); err == nil {
			h.t.setStuck(m, reason.Reason{})
		}
		return err
	}
	h.t.setStuck(m, reason.Reason{}) // another one of its name can be taken
	if m.Group == (ledger.Group{}) {
		return nil
	}
	if err := h.Mkdir(to); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// whyNames lists the names for an explanation. The first free one is used.
var whyNames = []string{"WHY.txt", "WHY (sealpost).txt"}

// whyAt returns the path in the tray of a message's explanation; "" if users' files have all its
// names.
func (h *handles) whyAt(m ledger.Outgoing, folder string) string {
	for _, name := range whyNames {
		at := folder + "/" + name
		if !strings.EqualFold(m.Name, name) && (!h.Exists(at) || h.isWhy(at, m)) {
			return at
		}
	}
	return ""
}

// isWhy reports whether a file is the explanation of a message, from before a crash.
func (h *handles) isWhy(at string, m ledger.Outgoing) bool {
	info, err := h.Lstat(at)
	if err != nil || !info.IsOurs() {
		return false
	}
	text, err := h.ReadOwn(at, maxWhy)
	return err == nil && isWhy(string(text), m)
}

// maxWhy bounds the bytes that are read to recognise an explanation.
const maxWhy = 4096

// explain writes the explanation beside a failed file: the reason, the answer of each recipient,
// and the next step.
func (h *handles) explain(ctx context.Context, m ledger.Outgoing, folder string) error {
	var outcomes []ledger.Outcome
	if err := h.t.o.view(ctx, func(tx *ledger.Tx) (err error) {
		outcomes, err = tx.Outcomes(m.UID)
		return err
	}); err != nil {
		return err
	}
	h.t.o.keepFailure(ctx, m.UID)
	text := render(explanation(m, outcomes), cmp.Or(h.t.o.cfg.Language, reason.English))
	place := h.whyAt(m, folder)
	if place == "" {
		h.t.log.Warn("failed, and users' files have the names of its explanation", "message", m.ID)
		return nil
	}
	err := h.With(place, func(d *beneath.Dir, name string) error {
		return d.WriteFile(name, []byte(text), 0o644)
	})
	fault.Point("outbox-explained")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the folder was taken away meanwhile
	}
	return err
}
