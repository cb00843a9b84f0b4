package config

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"sealpost/internal/id"
)

// table is a tray and the place of its table in the file.
type table struct {
	Tray
	key string // outbox or tray
	n   int    // of the tables of this key
}

// tables returns the trays with their places. Beside other trays it omits an [outbox] that is
// absent or has an empty route.
func (f *file) tables(a Agent) (list []table) {
	_, written := locate(f.text, "outbox.route", 0)
	line, _ := locate(f.text, "outbox", 0)
	if len(a.Tray) == 0 || a.Outbox.Route != "" || (line > 0 && !written) {
		list = append(list, table{a.Outbox, "outbox", 0})
	}
	for i, t := range a.Tray {
		list = append(list, table{t, "tray", i})
	}
	return list
}

func (f *file) checkTrays(a Agent) (checks []error) {
	names := map[string]bool{}
	for _, t := range f.tables(a) {
		check := func(key string, err error) {
			checks = append(checks, f.checkAt(t.n, t.key+"."+key, err))
		}
		check("name", trayName(t.Name, names))
		check("dir", notEmpty(t.Dir))
		check("kind", id.ValidKind(t.Kind))
		check("route", id.ValidRoutingKey(t.Route))
		check("settle", durationIn(t.Settle, 0, 24*hour))
		check("folder_settle", durationIn(t.FolderSettle, 0, 24*hour))
		check("finished", oneOf(t.Finished, FinishedSettle, FinishedMarker))
		check("markers", markers(t.Markers, t.Finished))
		check("disk", emptyOr(t.Disk, func(s string) error {
			return oneOf(s, DiskLocal, DiskShared)
		}))
		check("share_settle", durationIn(t.ShareSettle, 0, 24*hour))
		check("changes", oneOf(t.Changes, ChangesSend, ChangesTell))
		check("repeat_window", durationIn(t.RepeatWindow, 0, 366*24*hour))
		check("repeat", oneOf(t.Repeat, RepeatSend, RepeatLeave))
		check("keep_delivered", keepDelivered(t.KeepDelivered, a.KeepHistory))
		check("hold", durationIn(t.Hold, 0, 24*hour))
		check("first_number", atLeast(t.FirstNumber, 1))
		check("sweep", durationIn(t.Sweep, second/10, 24*hour))
		check("ignore", namePatterns(t.Ignore))
	}
	return checks
}

// keepDelivered checks the time for content against that for the history, which has its receipts.
func keepDelivered(d, history Duration) error {
	switch least := Duration(24 * hour); {
	case d == 0:
		return nil
	case d < least:
		return fmt.Errorf("want 0s, or %s at least, not %s", least, d)
	case history != 0 && d >= history:
		return fmt.Errorf("want less than keep_history, which is %s, not %s", history, d)
	}
	return nil
}

// trayName checks a name and adds it to the taken ones.
func trayName(name string, taken map[string]bool) error {
	strange := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" -_.", r)
	}
	switch {
	case name == "" || len(name) > 64 || strings.ContainsFunc(name, strange) ||
		strings.TrimSpace(name) != name:
		return fmt.Errorf("want a name of 1 to 64 letters, digits, spaces, '-', '_' or '.', not %q",
			name)
	case taken[name]:
		return fmt.Errorf("another tray has the name %q already", name)
	}
	taken[name] = true
	return nil
}

func namePatterns(patterns []string) error {
	for _, p := range patterns {
		if _, err := path.Match(p, "name"); err != nil || p == "" || strings.ContainsAny(p, `/\`) {
			return fmt.Errorf(`want patterns of names such as "*.bak", not %q`, p)
		}
	}
	return nil
}

// markers checks the names of markers.
func markers(patterns []string, finished string) error {
	if finished == FinishedMarker && len(patterns) == 0 {
		return errors.New(`want at least one name of markers, such as ["*.done"]: otherwise ` +
			`nothing is ever sent`)
	}
	for _, p := range patterns {
		if strings.Count(p, "*") != 1 || p == "*" || strings.ContainsAny(p, `/\`) {
			return fmt.Errorf(`want names with one *, which stands for the name of the file, such `+
				`as "*.done", not %q`, p)
		}
	}
	return nil
}

// checkFolders returns an error for trays that share files with another folder.
func (f *file) checkFolders(a Agent) error {
	if !a.Sends() {
		return nil
	}
	a = f.absolute(a)
	type owner struct{ folder, name string }
	taken := []owner{{a.State, "state"}}
	if a.Receives() {
		taken = append(taken, owner{a.Inbox.Dir, "the inbox"})
	}
	for _, t := range f.tables(a) {
		for _, folder := range t.Folders() {
			i := slices.IndexFunc(taken, func(o owner) bool {
				return isWithin(folder, o.folder) || isWithin(o.folder, folder)
			})
			if i >= 0 {
				text := fmt.Sprintf("the tray's folder %s and %s, which is %s, must not lie in "+
					"one another: choose another dir", folder, taken[i].folder, taken[i].name)
				return f.at(t.n, t.key+".dir", text)
			}
		}
		for _, folder := range t.Folders() {
			taken = append(taken, owner{folder, "of the tray " + t.Name})
		}
	}
	return nil
}

// isWithin reports whether a path is a folder or lies in it, by their names.
func isWithin(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}
