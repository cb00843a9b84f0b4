package badgerspool

import (
	"bytes"
	"encoding/binary"

	"sealpost/internal/id"
	"sealpost/spool/badgerspool/queue"
)

// The first byte of a key names its kind. A zero byte ends a name, and numbers are big-endian, so
// that the keys of one name lie together in the order of their numbers. docs/spool.md has the table
// with the values.
const (
	keyCommits   = 'a' // the number of the last commit that no figures carry
	keyBlock     = 'j' // number: a block of the audit chain; 0: the end of its truncated past
	keySums      = 'c' // sequence: the checksums of an envelope with many parts
	keyDelivery  = 'd' // sequence, recipient's index: the state of one delivery
	keyEnvelope  = 'e' // sender, sequence: metadata; also the index by sender
	keyFinals    = 'f' // sequence: which deliveries are final, and which of them dead
	keyRegistry  = 'g' // kind, key: an item of the registry
	keyHour      = 'h' // sequence: the hour that begins with it
	keyID        = 'i' // envelope id: sequence and sender
	keyKept      = 'k' // the counts of the envelopes that are kept for dead letters
	keyLoss      = 'L' // when commits were found to be lost, and how many
	keyLetter    = 'l' // commit number: an envelope with dead letters
	keyMessage   = 'm' // message id, sequence, message's index: sender
	keyPack      = 'p' // pack: the number of contents in it that are needed
	keyEntry     = 'b' // queue, sender, sequence: a waiting delivery
	keyLane      = 'o' // queue, sender: from where on its deliveries wait
	keyRecipient = 'r' // recipient, sequence: sender
	keySite      = 's' // site: the number of its last event
	keyTrash     = 't' // commit number: a content file to unlink
	keyUID       = 'u' // uid, sequence, message's index: sender
	keyEvent     = 'v' // site, event number: an event
	keyUpload    = 'w' // sender, envelope id: an upload
	keyParts     = 'x' // sender, envelope id: which of its parts are durable
	keyPartSums  = 'X' // sender, envelope id, number: the checksums of sumsInRow of its parts
	keyFigures   = 'y' // queue: its figures
	keyRetry     = 'n' // queue, sender, not before, sequence: a released delivery
	keyStamp     = '.' // the incarnation

	oldEntry = 'q' // queue, sequence: as keyEntry before format 4
	oldRetry = 'z' // queue, not before, sequence: as keyRetry before format 4
)

func u64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

// named begins a key with a name.
func named[T ~string](kind byte, name T) []byte {
	k := make([]byte, 0, len(name)+20)
	k = append(k, kind)
	k = append(k, name...)
	return append(k, 0)
}

func numbered(kind byte, n uint64) []byte { return u64(append(make([]byte, 0, 10), kind), n) }

func sumsKey(seq uint64) []byte   { return numbered(keySums, seq) }
func hourKey(seq uint64) []byte   { return numbered(keyHour, seq) }
func packKey(pack uint64) []byte  { return numbered(keyPack, pack) }
func letterKey(row uint64) []byte { return numbered(keyLetter, row) }
func finalsKey(seq uint64) []byte { return numbered(keyFinals, seq) }
func deliveryKey(seq uint64, index int) []byte {
	return append(numbered(keyDelivery, seq), byte(index))
}
func trashKey(commit uint64) []byte                 { return numbered(keyTrash, commit) }
func envelopeKey(sender id.Site, seq uint64) []byte { return u64(named(keyEnvelope, sender), seq) }
func recipientKey(site id.Site, seq uint64) []byte  { return u64(named(keyRecipient, site), seq) }
func laneKey(queue string, s id.Site) []byte        { return append(named(keyLane, queue), s...) }
func eventKey(site id.Site, n uint64) []byte        { return u64(named(keyEvent, site), n) }
func siteKey(site id.Site) []byte                   { return append([]byte{keySite}, site...) }
func figuresKey(queue string) []byte                { return append([]byte{keyFigures}, queue...) }
func registryKey(kind, key string) []byte {
	return append(named(keyRegistry, kind), key...)
}
func idKey(e [16]byte) []byte { return append([]byte{keyID}, e[:]...) }
func uploadKey(kind byte, u uploadName) []byte {
	return append(named(kind, u.sender), u.raw[:]...)
}
func partSumsKey(u uploadName, row int) []byte {
	return binary.BigEndian.AppendUint32(uploadKey(keyPartSums, u), uint32(row))
}
func messageKey(m id.Message, seq uint64, i int) []byte {
	return append(u64(named(keyMessage, m), seq), byte(i))
}

func uidKey(uid [16]byte, seq uint64, i int) []byte {
	k := append(make([]byte, 0, 26), keyUID)
	return append(u64(append(k, uid[:]...), seq), byte(i))
}

// entryAt returns the key of a waiting delivery, in its sender's order or among the released ones.
func entryAt(name string, p queue.Position) []byte {
	if p.Due == 0 {
		return u64(entriesOf(keyEntry, name, p.From), p.Seq)
	}
	return u64(u64(entriesOf(keyRetry, name, p.From), uint64(p.Due)), p.Seq)
}

// entriesOf begins the keys of one sender's waiting deliveries in a queue.
func entriesOf(kind byte, name string, from id.Site) []byte {
	k := append(make([]byte, 0, len(name)+len(from)+19), kind)
	k = append(append(k, name...), 0)
	return append(append(k, from...), 0)
}

// entryPosition reads the position from a key that entryAt made behind a prefix.
func entryPosition(key, prefix []byte, from id.Site) queue.Position {
	rest := bytes.TrimPrefix(key, prefix)
	if len(rest) == 16 {
		return queue.Position{From: from, Due: int64(binary.BigEndian.Uint64(rest)),
			Seq: binary.BigEndian.Uint64(rest[8:])}
	}
	return queue.Position{From: from, Seq: binary.BigEndian.Uint64(rest)}
}
