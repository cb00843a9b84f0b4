//go:build linux

package room

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// MakeFiles writes n incompressible files of size bytes, and syncs them.
func MakeFiles(dir, prefix string, n int, size int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range n {
		block := noise(min(size, 4<<20))
		binary.LittleEndian.PutUint64(block[8:], uint64(i))
		if err := makeFile(filepath.Join(dir, fmt.Sprintf("%s%05d.dat", prefix, i)), block,
			size); err != nil {
			return err
		}
	}
	unix.Sync()
	return nil
}

// noise returns an incompressible block.
func noise(size int64) []byte {
	block := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(block) //nolint:errcheck // it never fails
	return block
}

// makeFile writes a repeated block, each time with another beginning of each 4 KiB.
func makeFile(path string, block []byte, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for done := int64(0); done < size; {
		for at := 0; at+8 <= len(block); at += 4096 {
			binary.LittleEndian.PutUint64(block[at:], uint64(done)+uint64(at))
		}
		n, err := f.Write(block[:min(int64(len(block)), size-done)])
		if err != nil {
			return err
		}
		done += int64(n)
	}
	return nil
}

// Fsyncs returns the number of syncs of 4 KiB per second on the room's disk, one after the other.
func Fsyncs(dir string, d time.Duration) (float64, error) {
	f, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // the room goes with it
	defer f.Close()
	block := make([]byte, 4096)
	begun, n := time.Now(), 0
	for ; time.Since(begun) < d; n++ {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}

// Writes returns the bytes per second of one large write with a sync at the end.
func Writes(dir string, size int64) (float64, error) {
	path := filepath.Join(dir, "writes")
	defer os.Remove(path) //nolint:errcheck // the room goes with it
	begun := time.Now()
	if err := makeFile(path, noise(4<<20), size); err != nil {
		return 0, err
	}
	if err := syncFile(path); err != nil {
		return 0, err
	}
	return float64(size) / time.Since(begun).Seconds(), nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Free returns the free bytes of a file system.
func Free(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0
	}
	return int64(st.Bavail) * st.Bsize
}
