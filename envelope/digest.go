package envelope

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"time"

	"sealpost/internal/id"
)

// AppendEntry appends the signed bytes of one entry: type, mode, time, size, hash and path. sum is
// the SHA-256 of a file's content; a folder has none. The digest of a message is the SHA-256 of its
// entries in the order of the archive.
func AppendEntry(b []byte, path string, dir, executable bool, mtime time.Time, size int64,
	sum [sha256.Size]byte) []byte {
	return appendEntry(b, path, member{dir: dir, exec: executable, mtime: seconds(mtime),
		size: size}, sum)
}

func appendEntry(b []byte, path string, m member, sum [sha256.Size]byte) []byte {
	if m.dir {
		b = append(b, "dir 0755 "...)
		b = strconv.AppendInt(b, m.mtime, 10)
		b = append(b, " 0 - "...)
	} else {
		b = append(b, "file 0"...)
		b = strconv.AppendInt(b, m.mode(), 8)
		b = append(b, ' ')
		b = strconv.AppendInt(b, m.mtime, 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, m.size, 10)
		b = append(b, ' ')
		b = hex.AppendEncode(b, sum[:])
		b = append(b, ' ')
	}
	b = append(b, path...)
	return append(b, 0)
}

// seconds returns a time as the archive holds it: whole seconds, from 1970 to 2242.
func seconds(t time.Time) int64 {
	return min(max(t.Unix(), 0), maxOctal-1)
}

// Fingerprint returns the keyed hash of a message's digest for a receipt. Without the key it cannot
// be compared.
func Fingerprint(key [32]byte, digest id.Hash) id.Hash {
	raw, err := hex.DecodeString(string(digest))
	if err != nil {
		return "" // equal to no fingerprint
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write(raw)
	return sumHash(mac)
}

func sumHash(h hash.Hash) id.Hash {
	var sum [sha256.Size]byte
	return id.Hash(hex.EncodeToString(h.Sum(sum[:0])))
}

// tally computes the hashes of an envelope: each entry's content, each message's entries, all
// digests.
type tally struct {
	last    [sha256.Size]byte // of the last entry's content
	content hash.Hash         // of the current entry
	entries hash.Hash         // of the current message, or of the last one that has ended
	ended   bool              // it has ended
	body    hash.Hash
	line    []byte
}

func newTally() *tally {
	return &tally{content: sha256.New(), entries: sha256.New(), body: sha256.New()}
}

func (t *tally) reset() {
	t.content.Reset()
	t.entries.Reset()
	t.ended = false
	t.body.Reset()
}

// endEntry counts an entry, whose content (none for a folder) went into t.content.
func (t *tally) endEntry(path string, m member) {
	if t.ended {
		t.entries.Reset()
		t.ended = false
	}
	var sum [sha256.Size]byte
	t.content.Sum(sum[:0])
	t.content.Reset()
	t.line = appendEntry(t.line[:0], path, m, sum)
	t.entries.Write(t.line)
	t.last = sum
}

// endMessage returns the digest of the message whose last entry was counted.
func (t *tally) endMessage() id.Hash {
	var sum [sha256.Size]byte
	t.entries.Sum(sum[:0])
	t.ended = true
	t.body.Write(sum[:])
	return id.Hash(hex.EncodeToString(sum[:]))
}
