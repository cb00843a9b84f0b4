package service

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"sealpost/internal/reason"
)

// maxConfiguration bounds the bytes read of a configuration: more than its parser accepts.
const maxConfiguration = 1 << 20

// ReadConfiguration reads the configuration of an installation, which controls install's work as
// root. It refuses one that accounts other than root and the service's can change, and sets ByRoot
// if root wrote it.
func ReadConfiguration(i *Installation) (text []byte, err error) {
	if _, err := os.Lstat(i.Config); errors.Is(err, fs.ErrNotExist) {
		return nil, err // install has more to do than to make an account
	}
	a, err := accountOf(*i)
	if err != nil {
		return nil, err
	}
	w := walker{keepers: keepers{0, a.uid}}
	err = w.atFile(i.Config, func(h *handle) error {
		var f *flaw
		if err := w.keepers.judgeFile(h); errors.As(err, &f) && h.kind() == aFile {
			return &flaw{reason.Verdict{Says: f.Says, Do: lookFirst(f.Do)}, f.path, 0}
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
		return nil, refuse(f.refusal(i.Config))
	}
	return text, err
}

// authorize returns the flaw of an outside folder that only a configuration not written by root
// opens to the service. Such a folder does not belong to the service and is not open to it yet.
func (i Installation) authorize(path string, belongs bool) error {
	if i.ByRoot || belongs || i.hasPath(path) {
		return nil
	}
	unit, err := os.ReadFile(ownUnit(i.Instance))
	if err == nil && isGranted(string(unit), path) {
		return nil
	}
	return &flaw{reason.Verdict{
		Says: reason.New("named-by-another", "file", i.Config),
		Do:   lookFirst(command{"chown", "-h", "root", i.Config}.reason())}, i.Config, 0}
}

// isGranted reports whether a unit opens a folder, or one above it.
func isGranted(unit, path string) bool {
	lines := strings.Split(unit, "\n")
	for _, folder := range append(ancestors(path), path) {
		if slices.Contains(lines, "ReadWritePaths="+quote(folder)) ||
			slices.Contains(lines, "BindPaths="+quote(folder)) {
			return true
		}
	}
	return false
}
