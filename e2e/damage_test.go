//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Bits flip on the hub's disk. In Badger's live log the hub notices that commits are lost, and says
// so by a new incarnation; in a table it refuses to start, and says what to do. Either way
// everything arrives, and nothing twice.
func TestBitsFlipInTheHubsStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lost = true // the hub forgets with the damaged files
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "#")
	lab := w.Lab("FL-LAB", ca, sf)
	drop := func(prefix string) {
		for i := range 20 {
			lab.Drop(fmt.Sprintf("%s, file %d.csv", prefix, i), smallFile)
		}
		lab.Drop(prefix+", large.bin", largeFile)
	}
	sf.Stop() // so that some have it and some have not
	drop("before")
	eventually(t, "CA-RC has everything", func() bool { return ca.count("inbox") == len(w.drops) },
		ca.statusText)

	before := w.hub.Status().Spool.Incarnation
	w.hub.Kill()
	flip(t, w.hub.at("state", "spool", "badger", "*.mem"))
	w.hub.Start()
	if now := w.hub.Status().Spool.Incarnation; now == before {
		t.Error("the hub does not say that commits are lost")
	}
	w.hub.Admit() // the last site may be forgotten
	sf.Start()
	drop("after the log")
	eventually(t, "everything is delivered", func() bool {
		return lab.count("delivered") == len(w.drops)
	}, lab.statusText)

	sf.Stop()
	drop("before the table")
	ca.Expect(lab, "before the table, large.bin")
	w.hub.Stop()
	flip(t, w.hub.at("state", "spool", "badger", "*.sst"))
	_, stderr, code := run(t, "hub", "run", "--dir", w.hub.dir)
	if code == 0 || !strings.Contains(stderr, "move the spool's folder away") {
		t.Fatalf("with a damaged table it ended with %d and said %s", code, stderr)
	}
	must(t, os.Rename(w.hub.at("state", "spool"), w.hub.at("state", "spool-damaged")))
	w.hub.Start()
	w.hub.Admit()
	sf.Start()
	drop("after all")
	w.Audit()
}

// flip damages the largest of some files in the middle of its content.
func flip(t testing.TB, pattern string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	must(t, err)
	var largest string
	var content []byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		must(t, err)
		if data = bytes.TrimRight(data, "\x00"); len(data) > len(content) {
			largest, content = name, data
		}
	}
	if len(content) == 0 {
		t.Fatalf("nothing is written in %s", pattern)
	}
	f, err := os.OpenFile(largest, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	at := len(content) / 2
	_, err = f.WriteAt([]byte{content[at] ^ 0x10}, int64(at))
	must(t, err)
}
