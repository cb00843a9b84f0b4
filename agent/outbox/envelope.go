package outbox

import (
	"strings"

	"sealpost/agent/ledger"
	"sealpost/hub/api"
)

// envelopeMost is the largest number of messages in an envelope.
const envelopeMost = api.MaxMessages

// room is the space left in one envelope.
type room struct {
	messages int
	bytes    int64
}

// newRoom returns the room of an envelope without its keys, signature, ends and overhead of
// encryption.
func newRoom(recipients int) *room {
	return &room{bytes: api.SmallSize - 20<<10 - int64(recipients)*2<<10}
}

// take reports whether a message has room, and reserves it. The first one always has.
func (r *room) take(m ledger.Outgoing) bool {
	r.messages++
	r.bytes -= estimate(m)
	return r.messages == 1 || (r.messages <= api.MaxMessages && r.bytes >= 0)
}

// fitting returns the first messages of a list, as many as fit into one envelope for so many
// recipients. It does not split a folder that fits into the next envelope: messages that are
// answered together are moved with their folder.
func fitting(list []ledger.Outgoing, recipients int) []ledger.Outgoing {
	room := newRoom(recipients)
	for i, m := range list {
		if room.take(m) {
			continue
		}
		whole := i
		for whole > 0 && list[whole-1].SharesFolder(m) {
			whole--
		}
		if whole > 0 {
			return list[:whole]
		}
		return list[:i]
	}
	return list
}

// estimate returns an upper bound of the size of a file in an envelope's plaintext. It counts its
// header, its content, its lines in message.json, and a PAX header if its path is long or not
// plain.
func estimate(m ledger.Outgoing) int64 {
	const block, line = 512, 384
	name := int64(len(m.Name))
	size := block + blocks(m.Source.Size) + line + name
	if name > 80 || !plainName(m.Name) {
		size += 2*block + blocks(name+64) + 5*name // JSON may write six bytes for one
	}
	return size
}

func blocks(n int64) int64 { return (n + 511) / 512 * 512 }

// plainName reports whether a name has the same form in JSON and in a tar header.
func plainName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < 0x20 || c >= 0x7f || strings.IndexByte(`"\<>&`, c) >= 0 {
			return false
		}
	}
	return true
}
