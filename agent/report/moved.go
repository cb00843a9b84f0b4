package report

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"sealpost/internal/backoff"
	"sealpost/internal/beneath"
	"sealpost/internal/reason"
)

// maxOld bounds the folders that are remembered and have no file any more.
const maxOld = 32

// maxHead bounds the bytes of a status file that tell of a stop.
const maxHead = 4 << 10

// remember records the folders of this run, and returns those that the configuration names no
// longer. A file is written only after its folder is recorded.
func (r *Reporter) remember(ctx context.Context) (old []string, err error) {
	known, err := r.o.Memory.Folders(ctx)
	if err != nil {
		return nil, err
	}
	old = slices.DeleteFunc(slices.Clone(known), r.isKept)
	old = old[max(0, len(old)-maxOld):]
	if all := r.allWith(old); !slices.Equal(all, known) {
		err = r.o.Memory.Remember(ctx, all)
	}
	return old, err
}

func (r *Reporter) isKept(dir string) bool {
	return slices.ContainsFunc(r.files, func(f *file) bool { return f.dir == dir })
}

// allWith lists folders without a file, and those of this run.
func (r *Reporter) allWith(old []string) []string {
	all := slices.Clone(old)
	for _, f := range r.files {
		all = append(all, f.dir)
	}
	return all
}

// retire gives the files in old folders their last word. A folder that is away, or in which no file
// of this site lies, may be on a disk that comes back: it is looked at again.
func (r *Reporter) retire(ctx context.Context, old []string) error {
	said := map[string]string{}
	for wait := time.Duration(0); len(old) > 0 &&
		backoff.Sleep(ctx, wait) == nil; wait = heartbeat {
		left := slices.DeleteFunc(slices.Clone(old), func(dir string) bool {
			done, err := r.lastWord(dir, time.Now())
			if err != nil && !errors.Is(err, fs.ErrNotExist) && sameText(err) != said[dir] {
				said[dir] = sameText(err)
				r.o.Log.Warn("an old status file cannot be rewritten; remove it", "folder", dir,
					"error", err)
			}
			return done
		})
		if len(left) < len(old) {
			if err := r.o.Memory.Remember(ctx, r.allWith(left)); err != nil {
				return err
			}
		}
		old = left
	}
	return nil
}

// lastWord rewrites the status file in an old folder to name the new one, and reports whether that
// is done. A file that was only removed would leave its readers without an answer.
func (r *Reporter) lastWord(path string, now time.Time) (done bool, err error) {
	dir, err := beneath.Open(path)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	if slices.ContainsFunc(r.files, func(f *file) bool { return isSameFolder(f.dir, path) }) {
		return true, nil // by another path
	}
	for _, name := range names {
		own, err := isOf(dir, name, r.o.Site)
		if err == nil && own && isKeptNow(dir, name, now) {
			return false, nil // by an agent that runs from a copy of this one's folder
		}
		if err == nil && own {
			err = dir.Replace(name, []byte(r.moved(now)), 0o644)
			done = true
			dropPage(dir, r.o.Site)
		}
		if err != nil {
			return false, err
		}
	}
	return done, nil
}

// isKeptNow reports whether an agent may keep a status file: it is young, and tells of no stop.
func isKeptNow(dir *beneath.Dir, name string, now time.Time) bool {
	info, err := dir.Lstat(name)
	if err != nil {
		return false
	}
	if age := now.Sub(info.ModTime); age < 0 || age >= Old {
		return false
	}
	text, err := dir.ReadFile(name, maxHead)
	if err != nil {
		return false
	}
	for _, l := range reason.Languages() {
		for _, end := range []reason.Reason{reason.Stopped.Words().Label,
			reason.TakenOver.Words().Label, reason.New("status-kept-in")} {
			if strings.Contains(string(text), "\n"+end.In(l)) {
				return false
			}
		}
	}
	return true
}

func (r *Reporter) moved(now time.Time) string {
	lines := []reason.Reason{title(r.o.Site), reason.New("status-not-kept", "time", now)}
	if r.o.Inbox != "" {
		lines = append(lines, reason.New("status-inbox-in", "dir", r.o.Inbox))
	}
	for _, t := range r.o.Trays {
		lines = append(lines, reason.New("status-tray-in", "name", t.Name, "dir", t.Dir))
	}
	lines = append(lines, reason.New("status-rest"), reason.New("status-kept-in"))
	for _, f := range r.files {
		lines = append(lines, reason.Text("  "+f.dir))
	}
	return join(lines, r.o.Language)
}
