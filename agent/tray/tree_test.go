package tray

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/beneath"
)

// A folder that no envelope can hold is never sent: too deep, or with too many entries.
func TestLimitsOfAFolder(t *testing.T) {
	for levels, want := range map[int]string{MaxDepth: "", MaxDepth + 1: "too-many-levels"} {
		top := t.TempDir()
		if err := os.MkdirAll(filepath.Join(top, strings.Repeat("x/", levels)), 0o700); err != nil {
			t.Fatal(err)
		}
		d, err := beneath.Open(top)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		sum, err := summarize(d, "x")
		var never *Never
		if errors.As(err, &never) != (want != "") || never != nil &&
			!strings.Contains(never.Why.String(), "too many folders") {
			t.Errorf("%d levels: %v", levels, err)
		}
		if want == "" && sum.Source.Entries != MaxDepth {
			t.Errorf("it has %d entries", sum.Source.Entries)
		}
	}
	full := Sum{Source: Source{Entries: MaxEntries}}
	if err := full.fits(); err != nil {
		t.Error(err)
	}
	full.Source.Entries++
	if err := full.fits(); err == nil || !strings.Contains(err.Error(), "1048576") {
		t.Errorf("got %v", err)
	}
}
