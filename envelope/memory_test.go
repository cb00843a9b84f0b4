package envelope

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// gauge watches the memory that is in use while much passes by.
type gauge struct {
	passed, next int64
	first, most  uint64
}

const gaugeStep = 8 << 20

func (g *gauge) pass(n int64) {
	if g.passed += n; g.passed < g.next {
		return
	}
	g.next = g.passed + gaugeStep
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if g.first == 0 {
		g.first = m.HeapAlloc
	}
	g.most = max(g.most, m.HeapAlloc)
}

func (g *gauge) check(t *testing.T, label string) {
	t.Helper()
	if growth := int64(g.most) - int64(g.first); growth > 2<<20 {
		t.Errorf("%s: memory grew by %d KiB", label, growth>>10)
	}
	if g.next < 8*gaugeStep {
		t.Errorf("%s: only %d MiB were watched", label, g.passed>>20)
	}
}

// gauged is a source and a sink that watch.
type gauged struct {
	io.Reader
	g *gauge
}

func (r gauged) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.g.pass(int64(n))
	return n, err
}

func (r gauged) Write(p []byte) (int, error) { r.g.pass(int64(len(p))); return len(p), nil }

func (r gauged) Close() error { return nil }

func (r gauged) Dir(int, string, time.Time) error { return nil }

func (r gauged) Signed([]byte) error { return nil }

func (r gauged) File(int, string, bool, time.Time, int64) (io.WriteCloser, error) {
	r.g.pass(1 << 10) // so that entries count, too
	return r, nil
}

// A large file and a folder of very many entries take no more memory than small ones.
func TestConstantMemory(t *testing.T) {
	w := newWorld(t, SuiteHybrid)
	w.segment = 20 << 20
	const size, entries = 48 << 20, 48 << 10
	var g *gauge
	big := Entry{Path: "set/big", Size: size, Open: func() (io.ReadCloser, error) {
		return gauged{&endless{size}, g}, nil
	}}
	set := message(1, "set", TypeFolder)
	set.Entries = func(yield func(Entry, error) bool) {
		if !yield(folder("set"), nil) || !yield(big, nil) {
			return
		}
		for n := range entries {
			g.pass(1 << 10)
			if !yield(memory(fmt.Sprintf("set/file-%08d", n), "x"), nil) {
				return
			}
		}
	}
	req := w.request(t, []Message{set}, "CA-RC")
	f, err := os.Create(filepath.Join(t.TempDir(), "envelope"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	g = &gauge{}
	sealed, err := Seal(f, req, w.site(t, "FL-LAB").identity)
	if err != nil {
		t.Fatal(err)
	}
	g.check(t, "sealing")

	g = &gauge{}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	want := w.announce(req, nil)
	want.Size, want.CRC32C = sealed.Size, sealed.CRC32C
	opened, err := w.opener(t, "CA-RC").Open(f, want, gauged{nil, g})
	if err != nil {
		t.Fatal(err)
	}
	g.check(t, "opening")
	if m := opened.Messages[0]; m.Entries != entries+2 || m.Size != size+entries ||
		m.Digest != sealed.Digests[0] {
		t.Errorf("got %+v", m)
	}
}
