package service

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"sealpost/internal/words"
)

// maxConfiguration bounds what is read of a configuration, in bytes: more than its parser takes.
const maxConfiguration = 1 << 20

// ReadConfiguration reads the configuration of an installation, which says what install does as root. It refuses one that
// others than root and the account of the service can change, and reports in ByRoot whether root has written it.
func ReadConfiguration(i *Installation) (text []byte, err error) {
	if _, err := os.Lstat(i.Config); errors.Is(err, fs.ErrNotExist) {
		return nil, err // there is more to do than to make an account
	}
	a, err := accountOf(*i)
	if err != nil {
		return nil, err
	}
	w := walker{keepers: keepers{0, a.uid}}
	err = w.atFile(i.Config, func(h *handle) error {
		var f *flaw
		if err := w.keepers.judgeFile(h); errors.As(err, &f) && h.kind() == "file" {
			return &flaw{words.LookFirst(f.Verdict), 0}
		} else if err != nil {
			return err
		}
		i.ByRoot = h.stat.Uid == 0 && h.stat.Nlink == 1
		file, err := os.Open(h.proc())
		if err != nil {
			return err
		}
		defer file.Close()
		text, err = io.ReadAll(io.LimitReader(file, maxConfiguration))
		return err
	})
	var f *flaw
	if errors.As(err, &f) {
		return nil, words.FoldersRefused([]string{words.FolderRefused(i.Config, f.advice())})
	}
	return text, err
}

// authorize returns the flaw of a folder outside of the daemon's own that only a configuration of another account than root
// opens to the service: it neither belongs to the service nor is it open already.
func (i Installation) authorize(path string, belongs bool) error {
	if i.ByRoot || belongs || i.holds(path) {
		return nil
	}
	unit, err := os.ReadFile(ownUnit(i.Instance))
	if err == nil && grants(string(unit), path) {
		return nil
	}
	return &flaw{words.NamedByAnother(i.Config, command{"chown", "-h", "root", i.Config}.String()), 0}
}

// grants reports whether a unit opens a folder, or one in which it lies.
func grants(unit, path string) bool {
	lines := strings.Split(unit, "\n")
	for _, folder := range append(ancestors(path), path) {
		if slices.Contains(lines, "ReadWritePaths="+quote(folder)) || slices.Contains(lines, "BindPaths="+quote(folder)) {
			return true
		}
	}
	return false
}
