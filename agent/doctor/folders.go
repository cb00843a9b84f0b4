package doctor

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"sealpost/agent/outbox"
	"sealpost/internal/durable"
	"sealpost/internal/words"
)

// places are the folders that the site works with, by the names that people know.
func places(o Options) (list []string) {
	list = append(list, o.Config.State)
	if o.Config.Sends() {
		tray := outbox.Tray{Dir: o.Config.Outbox.Dir}
		list = append(list, tray.Outbox(), tray.Sending(), tray.Delivered(), tray.Failed())
	}
	if o.Config.Receives() {
		list = append(list, o.Config.Inbox.Dir)
	}
	return list
}

// folders tries to write and to read in each of them.
func folders(_ context.Context, o Options) (list []Finding) {
	for _, dir := range places(o) {
		what := "folder " + filepath.Base(dir)
		err := try(dir)
		switch {
		case err == nil:
			list = append(list, ok(what, "%s can be read and written", dir)...)
		case errors.Is(err, fs.ErrNotExist):
			list = append(list, fail(what, "make it again, or mount what it lies on; the agent makes it at its next start", "%s is missing", dir)...)
		case errors.Is(err, fs.ErrPermission):
			list = append(list, fail(what, "give the account under which the agent runs the right to read and write it", "%v", err)...)
		default:
			list = append(list, fail(what, "repair what it lies on", "%v", err)...)
		}
	}
	return list
}

// probe is a name that the agent leaves alone.
const probe = ".sealpost-doctor.tmp"

// try lists a folder and makes a file in it, which goes at once.
func try(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_, err = d.Readdirnames(1)
	d.Close() //nolint:errcheck // it was only read
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	path := filepath.Join(dir, probe)
	if err := os.WriteFile(path, []byte("probe"), 0o600); err != nil {
		return err
	}
	return os.Remove(path)
}

// volumes makes sure that a file can be renamed from one folder of the tray into the others.
func volumes(_ context.Context, o Options) []Finding {
	if !o.Config.Sends() {
		return nil
	}
	const what = "tray"
	tray := outbox.Tray{Dir: o.Config.Outbox.Dir}
	at := filepath.Join(tray.Outbox(), probe)
	if err := os.WriteFile(at, nil, 0o600); err != nil {
		return nil // said of the folder
	}
	defer func() { os.Remove(at) }() //nolint:errcheck // a probe that stays is ignored
	for _, dir := range []string{tray.Sending(), tray.Delivered(), tray.Failed()} {
		next := filepath.Join(dir, probe)
		err := os.Rename(at, next)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue // said of the folder
		}
		if err != nil {
			return fail(what, "put outbox, sending, delivered and failed on the same volume: nothing can be taken otherwise", "a file cannot be renamed into %s: %v", dir, err)
		}
		at = next
	}
	return ok(what, "its four folders are on one volume")
}

// space holds what is free against what is needed.
func space(_ context.Context, o Options) (list []Finding) {
	const little = 256 << 20 // beside the largest file that is to be sent
	if o.Config.Receives() {
		list = append(list, room("space for the inbox", o.Config.Inbox.Dir, int64(o.Config.Inbox.Reserve))...)
	}
	return append(list, room("space for keys and ledger", o.Config.State, little)...)
}

func room(what, dir string, need int64) []Finding {
	free, err := durable.Free(dir)
	switch {
	case err != nil:
		return fail(what, "repair what it lies on", "%v", err)
	case free < need:
		return fail(what, "make room: until then nothing is received or sent, and nothing is lost", "%s are free at %s, and %s must stay free", words.Size(free), dir, words.Size(need))
	case free < 4*need:
		return warn(what, "make room before it is used up", "%s are free at %s, and %s must stay free", words.Size(free), dir, words.Size(need))
	}
	return ok(what, "%s are free at %s", words.Size(free), dir)
}
