package outbox

import (
	"io/fs"
	"strconv"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/id"
	"sealpost/internal/patience"
)

// used is the highest message number of one day among the folders of a tray. A lost ledger may have
// assigned it.
type used struct {
	prefix string // of their message ids
	number int64
}

// firstNumber returns the lowest number for a message claimed now. It is above those of the folders
// in any tray whose messages are counted with this one's, which are looked through once for a day.
func (t *box) firstNumber(now time.Time) int64 {
	first := t.FirstNumber
	prefix := id.MessagePrefix(t.o.site, t.Kind, now)
	for _, other := range t.o.trays {
		switch {
		case other.Kind != t.Kind:
		case other == t:
			first = max(first, t.usedNumber(prefix)+1)
		default:
			first = max(first, other.usedElsewhere(prefix)+1)
		}
	}
	return first
}

// usedNumber returns the highest number of the tray's folders with this prefix. An unreachable tray
// is asked again each time.
func (t *box) usedNumber(prefix string) int64 {
	t.mu.Lock()
	known := t.used
	t.mu.Unlock()
	if known.prefix == prefix {
		return known.number
	}
	found := used{prefix: prefix}
	h, err := t.open()
	if err != nil {
		return found.number
	}
	defer h.Close()
	for _, part := range []string{tray.SendingPart, tray.DeliveredPart, tray.FailedPart} {
		n, err := h.highestIn(part, prefix)
		if err != nil {
			return found.number
		}
		found.number = max(found.number, n)
	}
	t.mu.Lock()
	t.used = found
	t.mu.Unlock()
	return found.number
}

// answersNumber is the longest wait for the folders of another tray.
const answersNumber = 2 * time.Second

// usedElsewhere returns usedNumber for the claims of another tray. A tray that hangs counts as
// away.
func (t *box) usedElsewhere(prefix string) int64 {
	n, _ := patience.Within(answersNumber, func() int64 { return t.usedNumber(prefix) })
	return n
}

// highestIn returns the highest number in a folder, in constant memory.
func (h *handles) highestIn(part, prefix string) (highest int64, err error) {
	d, err := h.Dir(part)
	if err != nil {
		return 0, err
	}
	return highest, d.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			number, isOwn := strings.CutPrefix(e.Name(), prefix)
			if _, last, shared := strings.Cut(number, "-"); shared {
				number = last
			}
			if n, err := strconv.ParseInt(number, 10, 64); isOwn && err == nil &&
				n < ledger.MaxShown {
				highest = max(highest, n)
			}
		}
		return nil
	})
}
