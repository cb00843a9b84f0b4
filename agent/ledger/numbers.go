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
}

// anyKind stands for all kinds of a day in the file. No number of that day and before goes below
// its number.
const anyKind = "*"

// openNumbers reads the file beside the ledger. Without a valid file it begins empty.
func openNumbers(ledger string) *numbers {
	n := &numbers{path: filepath.Join(filepath.Dir(ledger), numbersFile),
		highest: map[string]int64{}, asked: map[string]bool{}}
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
		if !strings.HasSuffix(key, " "+anyKind) {
			newest = max(newest, key)
		}
	}
	day, kind, _ := strings.Cut(newest, " ")
	at, err := time.Parse("20060102", day)
	if err != nil {
		return false, nil // no number was ever used
	}
	number := tx.numbers.highest[newest]
	_, err = tx.Message(string(id.FormatMessage(site, kind, at, number)))
	if errors.Is(err, ErrNotFound) {
		forgotten, err := tx.IsForgotten(kind, day, number)
		return !forgotten, err
	}
	return false, err
}

func numberKey(kind, day string) string { return day + " " + kind }

// use records that a number is in use.
func (n *numbers) use(kind, day string, number int64) {
	key := numberKey(kind, day)
	if number > n.highest[key] {
		n.highest[key], n.changed = number, true
	}
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
