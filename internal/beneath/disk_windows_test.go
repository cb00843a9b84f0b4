package beneath

import (
	"os"
	"path/filepath"
	"testing"
)

func TestADiskOfThisMachineIsLocal(t *testing.T) {
	d, path := held(t)
	if d.Class() != Local || d.Disk().Class != Local {
		t.Errorf("%v, %+v", d.Class(), d.Disk())
	}
	file := filepath.Join(path, "file")
	write(t, file, "content")
	if writer, err := d.Writer("file"); writer != NoWriter || err != nil {
		t.Errorf("closed: %v, %v", writer, err)
	}
	w, err := os.OpenFile(file, os.O_WRONLY, 0)
	check(t, err)
	defer w.Close()
	if writer, err := d.Writer("file"); writer != HasWriter || err != nil {
		t.Errorf("open: %v, %v", writer, err)
	}
}
