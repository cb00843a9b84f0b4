package badgerspool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/table"
)

// checkTables checks every table that Badger's manifest names, at one second per gigabyte. Badger
// panics over some damage, in a goroutine of its own, and takes other damage for an absent key. It
// removes tables that its manifest does not name: a crash left them.
func checkTables(dir string) error {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there is no store yet
	}
	if err != nil {
		return err
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, 0, badgerOptions(dir, nil))
	if err != nil {
		return fmt.Errorf("%w: its manifest: %w", errDamaged, err)
	}
	for number := range manifest.Tables {
		name := table.NewFilename(number, dir)
		data, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err != nil || !isSoundTable(data) {
			return fmt.Errorf("%w: the table %s is damaged or gone", errDamaged, name)
		}
	}
	return nil
}

// isSoundTable reports whether the blocks and then their index match their checksums.
func isSoundTable(data []byte) bool {
	rest, sum, ok := cutChecksum(data)
	if !ok || len(rest) < 4 {
		return false
	}
	length := int64(binary.BigEndian.Uint32(rest[len(rest)-4:]))
	rest = rest[:len(rest)-4]
	if length < 8 || length > int64(len(rest)) {
		return false
	}
	blocks, indexData := rest[:int64(len(rest))-length], rest[int64(len(rest))-length:]
	if !hasChecksum(indexData, sum) {
		return false
	}
	index := fb.GetRootAsTableIndex(indexData, 0)
	var block fb.BlockOffset
	for i := range index.OffsetsLength() {
		if !index.Offsets(&block, i) {
			return false
		}
		start, end := int64(block.Offset()), int64(block.Offset())+int64(block.Len())
		if end > int64(len(blocks)) {
			return false
		}
		if body, sum, ok := cutChecksum(blocks[start:end]); !ok || !hasChecksum(body, sum) {
			return false
		}
	}
	return index.OffsetsLength() > 0
}

// cutChecksum takes the checksum from the end of data: a protobuf of an algorithm and a sum, and
// its length.
func cutChecksum(data []byte) (rest []byte, sum uint64, ok bool) {
	if len(data) < 4 {
		return nil, 0, false
	}
	length := int64(binary.BigEndian.Uint32(data[len(data)-4:]))
	data = data[:len(data)-4]
	if length > int64(len(data)) {
		return nil, 0, false
	}
	rest = data[:int64(len(data))-length]
	d := decoder{data: data[len(rest):]}
	for len(d.data) > 0 && !d.bad {
		field, value := d.uint(), d.uint()
		switch {
		case field == 1<<3 && value == 0: // CRC-32C, the only one that Badger writes
		case field == 2<<3:
			sum = value
		default:
			return nil, 0, false
		}
	}
	return rest, sum, !d.bad
}

func hasChecksum(data []byte, sum uint64) bool {
	return uint64(crc32.Checksum(data, castagnoli)) == sum
}
