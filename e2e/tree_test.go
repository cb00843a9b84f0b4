//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// growthBound bounds the private memory that a folder of very many entries takes beyond a small
// one's. The small one has a quarter or a fifth of the entries. The collector and the caches of the
// ledger's connections (4 MiB each) take as much until they are full.
const growthBound = 32 * mib

// A folder is one message, however much is in it. No process on its way holds a list of that.
func TestAFolderOfManyEntriesInConstantMemory(t *testing.T) {
	t.Parallel()
	some, many := 1_000, 5_000
	if soak {
		some, many = 25_000, 100_000
	}
	bin, err := plainProgram()
	must(t, err)
	w := newWorldOf(t, bin)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	edit(t, lab.config(), `folder_settle = "1m"`, `folder_settle = "0s"`)
	lab.Start()
	few := passFolder(t, w, lab, centre, "few", some)
	lot := passFolder(t, w, lab, centre, "many", many)
	for name, peak := range lot {
		t.Logf("%s: at most %d MiB of private memory with %d entries, %d MiB with %d", name,
			few[name]/mib, some, peak/mib, many)
		if peak > few[name]+growthBound {
			t.Errorf("%s takes %d MiB more for a folder of %d entries", name, (peak-few[name])/mib,
				many)
		}
		if peak == 0 {
			t.Errorf("%s was not measured", name)
		}
	}
	look := &audit{w: w}
	look.checkCanary()
	for _, p := range look.problems {
		t.Errorf("auditor: %s", p)
	}
}

// passFolder sends a folder with so many small files, a hundred in each folder of it. It returns
// the most memory of each process.
func passFolder(t *testing.T, w *world, lab, centre *site, name string,
	entries int) map[string]int64 {
	t.Helper()
	made, arrived := filepath.Join(w.dir, name), centre.at("inbox", lab.name, name)
	for i := range entries {
		dir := filepath.Join(made, fmt.Sprintf("part %d", i/100))
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("measurement %d.csv", i)),
			fmt.Appendf(nil, "%d of %s", i, name), 0o644))
	}
	m := measure(t, w.hub.daemon, lab.daemon, centre.daemon)
	began := time.Now()
	must(t, os.Rename(made, lab.at("outbox", name)))
	eventually(t, "the folder arrives", func() bool {
		matches, err := filepath.Glob(lab.at("delivered", "*", name))
		return err == nil && len(matches) == 1
	}, lab.statusText, centre.statusText)
	t.Logf("%d entries in %s", entries, time.Since(began).Round(time.Millisecond))
	peaks := m.stop()
	sent, err := filepath.Glob(lab.at("delivered", "*", name))
	must(t, err)
	if out, err := exec.Command("diff", "-r", sent[0], arrived).CombinedOutput(); err != nil {
		t.Errorf("what arrived is not what was sent: %v\n%s", err, out)
	}
	return peaks
}
