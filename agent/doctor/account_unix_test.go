//go:build unix

package doctor

import (
	"os"
	"testing"
)

func TestAnotherAccountsFolderIsSaid(t *testing.T) {
	o := lab(t)
	if list := account(t.Context(), o); len(list) != 0 {
		t.Errorf("of its own folder it says %+v", list)
	}
	if err := os.Chown(o.Config.State, 12345, -1); err != nil {
		t.Skip("SKIPPED: only root may give a folder away")
	}
	if list := account(t.Context(), o); len(list) != 1 || list[0].Level != Warn || list[0].Do == "" {
		t.Errorf("of another account's folder it says %+v", list)
	}
}
