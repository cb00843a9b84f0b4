package ledger

import (
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sealpost/internal/id"
)

// numbersFile is the name of the file beside the ledger.
const numbersFile = "numbers.json"

// maxDays limits the days with stored numbers.
const maxDays = 64

// numbers remembers the highest message number of each kind and day, outside the ledger. So a lost
// or restored ledger never assigns a number twice. It is written before the commit that uses a
// number. It is not synced: if a loss of power destroys the ledger at the same instant, the next
// number is still higher than those of the folders in sending/.
type numbers struct {
	path    string
	highest map[string]int64 // by day and kind
	asked   map[string]bool  // read from the ledger already
	changed bool
	missing bool // there was no valid file
	// the highest numbers with rows of the current update, and of the current commit
	assigned, written map[string]int64
}

// anyKind stands for all kinds of a day in the file. No number of that day and before goes below
// its number.
const anyKind = "*"

// confirmed begins the kinds under which the file has the highest number of a commit that is
// complete. No crash leaves such a number without a row.
const confirmed = "="

// openNumbers reads the file beside the ledger. Without a valid file it begins empty.
func openNumbers(ledger string) *numbers {
	n := &numbers{path: filepath.Join(filepath.Dir(ledger), numbersFile),
		highest: map[string]int64{}, asked: map[string]bool{},
		assigned: map[string]int64{}, written: map[string]int64{}}
	text, err := os.ReadFile(n.path)
	if err != nil || json.Unmarshal(text, &n.highest) != nil || n.highest == nil {
		n.highest, n.missing = map[string]int64{}, true // the ledger is the first memory
	}
	return n
}

// BeginNumbers makes the file of numbers of a site that has never claimed a message.
func (tx *Tx) BeginNumbers() { tx.numbers.changed = true }

// ResumeNumbers sets the numbers of a site that may have claimed messages, if the file is missing.
// Its ledger may be lost as well, or an older copy. Until the end of the day at now the numbers go
// on from a random one of five digits, because one that is used twice, for a file of the same name,
// size and time, would be the same identity with other content.
func (tx *Tx) ResumeNumbers(now time.Time) {
	if tx.numbers.missing {
		tx.numbers.use(anyKind, now.UTC().Format("20060102"), 10_000+rand.Int64N(90_000))
		tx.numbers.missing = false
	}
}

// floor returns the number below which no number of a day is used.
func (n *numbers) floor(day string) (floor int64) {
	for key, number := range n.highest {
		if at, kind, _ := strings.Cut(key, " "); kind == anyKind && at >= day {
			floor = max(floor, number)
		}
	}
	return floor
}

// MaxShown bounds the numbers that names of folders show. Other accounts can make a folder of any
// name.
const MaxShown = 1e9

// CanBeOurs reports whether the number of an unknown message can be of a claim of this site. A
// folder can have shown it, or it was used. It is asked in an Update.
func (tx *Tx) CanBeOurs(m Outgoing) bool {
	return m.Number < MaxShown || m.Number <= tx.numbers.highest[numberKey(m.Kind, m.Day)]
}

// IsOlder reports whether no row has the highest number of the newest day. Then the ledger is an
// older copy, or a crash came between the number and its commit. It is asked before the first
// claim.
func (tx *Tx) IsOlder(site id.Site) (bool, error) {
	newest := ""
	for key := range tx.numbers.highest {
		if _, kind, _ := strings.Cut(key, " "); kind != anyKind &&
			!strings.HasPrefix(kind, confirmed) {
			newest = max(newest, key)
		}
	}
	day, kind, _ := strings.Cut(newest, " ")
	if newest == "" {
		return false, nil // no number was ever used
	}
	return tx.IsUnknown(site, Outgoing{Kind: kind, Day: day, Number: tx.numbers.highest[newest]})
}

// IsUnknown reports whether a message, given by kind, day and number, never had a row.
func (tx *Tx) IsUnknown(site id.Site, m Outgoing) (bool, error) {
	day, err := time.Parse("20060102", m.Day)
	if err != nil {
		return false, err
	}
	_, err = tx.Message(string(id.FormatMessage(site, m.Kind, day, m.Number)))
	if errors.Is(err, ErrNotFound) {
		forgotten, err := tx.IsForgotten(m.Kind, m.Day, m.Number)
		return !forgotten, err
	}
	return false, err
}

// MissesCommits reports whether rows are missing that were committed: the ledger is an older copy.
// It then takes the present rows for complete, so that the next start is not told again.
func (tx *Tx) MissesCommits(site id.Site) (misses bool, err error) {
	for key, number := range tx.numbers.highest {
		day, kind, _ := strings.Cut(key, " ")
		kind, isConfirmed := strings.CutPrefix(kind, confirmed)
		if !isConfirmed {
			continue
		}
		unknown, err := tx.IsUnknown(site, Outgoing{Kind: kind, Day: day, Number: number})
		if err != nil {
			return false, err
		}
		if unknown {
			misses, tx.numbers.changed = true, true
			delete(tx.numbers.highest, key)
		}
	}
	return misses, nil
}

func numberKey(kind, day string) string { return day + " " + kind }

// use records that a number is in use.
func (n *numbers) use(kind, day string, number int64) {
	key := numberKey(kind, day)
	if number > n.highest[key] {
		n.highest[key], n.changed = number, true
	}
}

// assign records that a number is in use by a row of the current update.
func (n *numbers) assign(kind, day string, number int64) {
	n.use(kind, day, number)
	key := numberKey(confirmed+kind, day)
	n.assigned[key] = max(n.assigned[key], number)
}

// endUpdate ends an update of the current commit. Rows of a failed one are rolled back.
func (n *numbers) endUpdate(err error) {
	if err == nil {
		maps.Copy(n.written, n.assigned)
	}
	clear(n.assigned)
}

// confirm records the numbers of a commit that is complete.
func (n *numbers) confirm() {
	for key, number := range n.written {
		n.highest[key], n.changed = max(n.highest[key], number), true
	}
	clear(n.written)
	n.save()
}

// save writes changed numbers. A failure loses only this second memory; the next commit retries.
func (n *numbers) save() {
	if !n.changed {
		return
	}
	n.forget()
	text, err := json.MarshalIndent(n.highest, "", "  ")
	if err != nil {
		return
	}
	temp := n.path + ".tmp"
	if err = os.WriteFile(temp, append(text, '\n'), 0o600); err == nil {
		err = os.Rename(temp, n.path)
	}
	if err != nil {
		os.Remove(temp) //nolint:errcheck // the first error matters
		return
	}
	n.changed = false
}

// forget drops the oldest days.
func (n *numbers) forget() {
	var days []string
	for key := range n.highest {
		day, _, _ := strings.Cut(key, " ")
		days = append(days, day)
	}
	slices.Sort(days)
	days = slices.Compact(days)
	if len(days) <= maxDays {
		return
	}
	oldest := days[len(days)-maxDays]
	maps.DeleteFunc(n.highest, func(key string, _ int64) bool { return key < oldest })
}
