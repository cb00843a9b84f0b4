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

// MakeFiles writes n files of size bytes that nothing can compress, and waits until they are on the disk.
func MakeFiles(dir, prefix string, n int, size int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range n {
		block := noise(min(size, 4<<20))
		binary.LittleEndian.PutUint64(block[8:], uint64(i))
		if err := makeFile(filepath.Join(dir, fmt.Sprintf("%s%05d.dat", prefix, i)), block, size); err != nil {
			return err
		}
	}
	unix.Sync()
	return nil
}

// noise is a block that nothing can compress.
func noise(size int64) []byte {
	block := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(block) //nolint:errcheck // it never fails
	return block
}

// makeFile repeats a block, each time with another beginning of each 4 KiB.
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

// Fsyncs says how many times a second the room's disk makes 4 KiB durable, one after the other.
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

// Writes says how many bytes a second the room's disk takes when much is written in one piece and synced at the end.
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

// Free is how many bytes a file system has left.
func Free(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0
	}
	return int64(st.Bavail) * st.Bsize
}
