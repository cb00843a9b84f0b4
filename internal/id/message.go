package id

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"sealpost/internal/reason"
)

// Message is a label for users, such as FL-LAB_DAT_20251008_001. It is not an identity:
// deduplication is by (sender, UID).
type Message string

// FormatMessage builds the label from its parts, with the day in UTC and a number of at least three
// digits.
func FormatMessage(site Site, kind string, day time.Time, number int64) Message {
	return Message(fmt.Sprintf("%s%03d", MessagePrefix(site, kind, day), number))
}

// MessagePrefix returns the common prefix of the labels of one kind and day: all but the number.
func MessagePrefix(site Site, kind string, day time.Time) string {
	return fmt.Sprintf("%s_%s_%s_", site, kind, day.UTC().Format("20060102"))
}

// ParseMessage accepts exactly the labels of FormatMessage, and also returns their site. It is
// called for each message at every step of its way.
func ParseMessage(s string) (Message, Site, error) {
	name, rest, _ := strings.Cut(s, "_")
	kind, rest, _ := strings.Cut(rest, "_")
	day, number, _ := strings.Cut(rest, "_")
	if name == "" || len(kind) > 8 || !isMadeOf(kind, isCapital) || len(day) != 8 ||
		!isMadeOf(day, isDigit) ||
		len(number) < 3 || len(number) > 18 || !isMadeOf(number, isDigit) {
		return "", "", reason.Err("message-id-invalid", "id", start(s), "cause", ErrInvalid)
	}
	site, err := ParseSite(name)
	if err != nil {
		return "", "", reason.Err("message-id-site", "id", s, "why", err)
	}
	if _, err := time.Parse("20060102", day); err != nil {
		return "", "", reason.Err("message-id-day", "id", s, "cause", ErrInvalid, "day", day)
	}
	if len(number) > 3 && number[0] == '0' {
		return "", "", reason.Err("message-id-zeros", "id", s, "cause", ErrInvalid)
	}
	return Message(s), site, nil
}

// ValidKind accepts 1 to 8 capital letters and digits, such as DAT.
func ValidKind(kind string) error {
	if len(kind) > 8 || !isMadeOf(kind, isCapital) {
		return reason.Err("kind-invalid", "kind", start(kind), "cause", ErrInvalid)
	}
	return nil
}

// FormatGroup returns the folder name of messages with consecutive numbers, such as
// FL-LAB_DAT_20251008_001-204. It takes the message id of any of them and the first and last
// number.
func FormatGroup(member Message, first, last int64) string {
	name := append(make([]byte, 0, 64), numberless(member)...)
	name = append(appendNumber(name, first), '-')
	return string(appendNumber(name, last))
}

// Ranges returns short names of messages for users: consecutive ones as FormatGroup does, the
// others by their ids.
func Ranges(list []Message) (names []string) {
	for len(list) > 0 {
		first, n := numberOf(list[0]), 1
		for n < len(list) && first >= 0 && numberless(list[n]) == numberless(list[0]) &&
			numberOf(list[n]) == first+int64(n) {
			n++
		}
		name := string(list[0])
		if n > 1 {
			name = FormatGroup(list[0], first, first+int64(n)-1)
		}
		names, list = append(names, name), list[n:]
	}
	return names
}

// numberOf returns the number in a message id, or -1.
func numberOf(m Message) int64 {
	n, err := strconv.ParseInt(string(m[len(numberless(m)):]), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// Renumber returns a message id with another number.
func Renumber(m Message, number int64) Message {
	return Message(appendNumber([]byte(numberless(m)), number))
}

func numberless(m Message) Message { return m[:strings.LastIndexByte(string(m), '_')+1] }

// appendNumber appends a number, padded to three digits.
func appendNumber(to []byte, n int64) []byte {
	for limit := int64(100); n < limit && limit > 1; limit /= 10 {
		to = append(to, '0')
	}
	return strconv.AppendInt(to, n, 10)
}

// ParseGroup accepts exactly the names of FormatGroup. It returns the first message id, its site,
// and the first and last number.
func ParseGroup(s string) (message Message, site Site, first, last int64, err error) {
	begin := strings.LastIndexByte(s, '_') + 1
	from, to, _ := strings.Cut(s[begin:], "-")
	message, site, err = ParseMessage(s[:begin] + from)
	if err == nil {
		_, _, err = ParseMessage(s[:begin] + to)
	}
	if err == nil {
		first, err = strconv.ParseInt(from, 10, 64)
	}
	if err == nil {
		last, err = strconv.ParseInt(to, 10, 64)
	}
	if err == nil && first >= last {
		err = reason.Err("message-ids-invalid", "ids", start(s), "cause", ErrInvalid)
	}
	if err != nil {
		return "", "", 0, 0, err
	}
	return message, site, first, last, nil
}
