package id

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Message is a label for people, such as FL-LAB_DAT_20251008_001. It is not an identity: deduplication is by (sender, UID).
type Message string

var (
	messagePattern = regexp.MustCompile(`^([A-Z0-9-]{1,32})_([A-Z0-9]{1,8})_([0-9]{8})_([0-9]{3,18})$`)
	kindPattern    = regexp.MustCompile(`^[A-Z0-9]{1,8}$`)
)

// FormatMessage builds the label from its parts; the day is taken in UTC and the number padded to three digits.
func FormatMessage(site Site, kind string, day time.Time, number int64) Message {
	return Message(fmt.Sprintf("%s_%s_%s_%03d", site, kind, day.UTC().Format("20060102"), number))
}

// ParseMessage accepts what FormatMessage makes, and nothing else, and returns the site that it starts with.
func ParseMessage(s string) (Message, Site, error) {
	parts := messagePattern.FindStringSubmatch(s)
	if parts == nil {
		return "", "", fmt.Errorf("message id %.80q is %w: want SITE_KIND_YYYYMMDD_NNN", s, ErrInvalid)
	}
	site, err := ParseSite(parts[1])
	if err != nil {
		return "", "", fmt.Errorf("message id %q: %w", s, err)
	}
	if _, err := time.Parse("20060102", parts[3]); err != nil {
		return "", "", fmt.Errorf("message id %q is %w: %s is no day", s, ErrInvalid, parts[3])
	}
	if len(parts[4]) > 3 && strings.HasPrefix(parts[4], "0") {
		return "", "", fmt.Errorf("message id %q is %w: its number has needless zeros", s, ErrInvalid)
	}
	return Message(s), site, nil
}

// ValidKind accepts 1 to 8 capital letters and digits, such as DAT.
func ValidKind(kind string) error {
	if !kindPattern.MatchString(kind) {
		return fmt.Errorf("kind %.20q is %w: want 1 to 8 of A-Z and 0-9, such as DAT", kind, ErrInvalid)
	}
	return nil
}
