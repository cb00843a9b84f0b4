package id

import (
	"fmt"
	"strings"
	"time"
)

// Message is a label for people, such as FL-LAB_DAT_20251008_001. It is not an identity: deduplication is by (sender, UID).
type Message string

// FormatMessage builds the label from its parts; the day is taken in UTC and the number padded to three digits.
func FormatMessage(site Site, kind string, day time.Time, number int64) Message {
	return Message(fmt.Sprintf("%s%03d", MessagePrefix(site, kind, day), number))
}

// MessagePrefix is what the labels of one kind and day begin with: all but the number.
func MessagePrefix(site Site, kind string, day time.Time) string {
	return fmt.Sprintf("%s_%s_%s_", site, kind, day.UTC().Format("20060102"))
}

// ParseMessage accepts what FormatMessage makes, and nothing else, and returns the site that it starts with. It is asked for
// each message at every station of its way.
func ParseMessage(s string) (Message, Site, error) {
	name, rest, _ := strings.Cut(s, "_")
	kind, rest, _ := strings.Cut(rest, "_")
	day, number, _ := strings.Cut(rest, "_")
	if name == "" || len(kind) > 8 || !made(kind, capital) || len(day) != 8 || !made(day, digit) || len(number) < 3 || len(number) > 18 || !made(number, digit) {
		return "", "", fmt.Errorf("message id %.80q is %w: want SITE_KIND_YYYYMMDD_NNN", s, ErrInvalid)
	}
	site, err := ParseSite(name)
	if err != nil {
		return "", "", fmt.Errorf("message id %q: %w", s, err)
	}
	if _, err := time.Parse("20060102", day); err != nil {
		return "", "", fmt.Errorf("message id %q is %w: %s is no day", s, ErrInvalid, day)
	}
	if len(number) > 3 && number[0] == '0' {
		return "", "", fmt.Errorf("message id %q is %w: its number has needless zeros", s, ErrInvalid)
	}
	return Message(s), site, nil
}

// ValidKind accepts 1 to 8 capital letters and digits, such as DAT.
func ValidKind(kind string) error {
	if len(kind) > 8 || !made(kind, capital) {
		return fmt.Errorf("kind %.20q is %w: want 1 to 8 of A-Z and 0-9, such as DAT", kind, ErrInvalid)
	}
	return nil
}
