package durable

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheTimeOfAnOpenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("content"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []time.Time{time.Date(2025, 10, 8, 12, 0, 0, 123456789, time.UTC),
		time.Date(1969, 1, 2, 3, 4, 5, 0, time.UTC)} {
		if err := SetTime(f, want); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(want) {
			t.Errorf("the time is %v, want %v: %v", info.ModTime(), want, err)
		}
	}
}
