package pages

import (
	"bytes"
	"runtime"
	"testing"
)

// TestTakenMemoryIsOutsideOfTheHeap fills a buffer, and gives it back.
func TestTakenMemoryIsOutsideOfTheHeap(t *testing.T) {
	const size = 64 << 20
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.Sys
	}
	before := heap()
	b, err := Take(size)
	if err != nil || len(b) != size {
		t.Fatal(len(b), err)
	}
	if !bytes.Equal(b[size-4096:], make([]byte, 4096)) {
		t.Error("it is not zeroed")
	}
	for i := range b {
		b[i] = 1
	}
	if grown := heap() - before; grown > size/4 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if err := Give(b); err != nil {
		t.Error(err)
	}
	if _, err := Take(-1); err == nil {
		t.Error("a negative size is taken")
	}
}
