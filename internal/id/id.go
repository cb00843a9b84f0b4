// Package id holds the names that every room uses: sites, message ids, and the random 128-bit
// identities.
//
// All are strings in their wire format, so that equality, JSON and database keys need no
// conversion. The Parse functions are the only gate for input from outside: every value that they
// accept is safe as a file name, path component, database key and log field. The package knows
// nothing about files, networks or cryptography.
package id

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"sealpost/internal/reason"
)

// ErrInvalid is wrapped by every error of this package's Parse functions.
var ErrInvalid = reason.Err("invalid")

// Site is one identity on the network, such as FL-LAB.
type Site string

var deviceNames = map[string]bool{
	"CON": true, "PRN": true, "AUX": true, "NUL": true,
	"COM0": true, "COM1": true, "COM2": true, "COM3": true, "COM4": true, "COM5": true,
	"COM6": true, "COM7": true, "COM8": true, "COM9": true,
	"LPT0": true, "LPT1": true, "LPT2": true, "LPT3": true, "LPT4": true, "LPT5": true,
	"LPT6": true, "LPT7": true, "LPT8": true, "LPT9": true,
}

const maxSite = 32

// isMadeOf reports whether s is not empty and has only characters of a kind, or of also.
func isMadeOf(s string, kind func(byte) bool, also ...byte) bool {
	for i := range len(s) {
		if !kind(s[i]) && !slices.Contains(also, s[i]) {
			return false
		}
	}
	return s != ""
}

// isCapital reports whether c is a capital letter or a digit.
func isCapital(c byte) bool { return isDigit(c) || (c >= 'A' && c <= 'Z') }
func isDigit(c byte) bool   { return c >= '0' && c <= '9' }

// start returns the start of a text that is refused.
func start(s string) string { return s[:min(len(s), 80)] }

// ParseSite accepts 1 to 32 capital letters, digits and inner hyphens. It refuses Windows device
// names, because a site's name is also a folder's name.
func ParseSite(s string) (Site, error) {
	if len(s) > maxSite || !isMadeOf(s, isCapital, '-') || s[0] == '-' || s[len(s)-1] == '-' {
		return "", reason.Err("site-name-invalid", "name", start(s), "cause", ErrInvalid)
	}
	if deviceNames[s] {
		return "", reason.Err("site-name-device", "name", s, "cause", ErrInvalid)
	}
	return Site(s), nil
}

// Queue returns the name of the site's queue: CA-RC has ca_rc_queue.
func (s Site) Queue() string {
	return strings.ReplaceAll(strings.ToLower(string(s)), "-", "_") + "_queue"
}

// Envelope names one ciphertext, for ever: 32 lower-case hexadecimal digits.
type Envelope string

// UID is a message's identity, fixed when it is claimed: 32 lower-case hexadecimal digits.
type UID string

// Session is drawn at each start of an agent.
type Session string

// Incarnation is drawn when a spool is made or restored.
type Incarnation string

// Hash is a SHA-256 in 64 lower-case hexadecimal digits.
type Hash string

// Random128 returns 128 bits from the system's random source in hexadecimal, for any of the random
// identities.
func Random128[T ~string]() T {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return T(hex.EncodeToString(b[:]))
}

// Parse128 accepts exactly 32 lower-case hexadecimal digits.
func Parse128[T ~string](s string) (T, error) {
	if !isHex(s, 32) {
		return "", reason.Err("identity-invalid", "text", start(s), "cause", ErrInvalid)
	}
	return T(s), nil
}

// ParseHash accepts exactly 64 lower-case hexadecimal digits.
func ParseHash(s string) (Hash, error) {
	if !isHex(s, 64) {
		return "", reason.Err("hash-invalid", "text", start(s), "cause", ErrInvalid)
	}
	return Hash(s), nil
}

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Address is the address of a message: a routing key, or a list of sites. Exactly one of the two is
// set.
type Address struct {
	RoutingKey string `json:"routing_key,omitempty"`
	To         []Site `json:"to,omitempty"`
}

// String returns the address as users write it: fl-lab.dat, or @CA-RC,SF-RC. It is also a unique
// key for the address.
func (a Address) String() string {
	if a.RoutingKey != "" {
		return a.RoutingKey
	}
	names := make([]string, len(a.To))
	for i, s := range a.To {
		names[i] = string(s)
	}
	return "@" + strings.Join(names, ",")
}

// Validate checks that exactly one form is set and valid: a routing key, or 1 to 64 sorted,
// different sites.
func (a Address) Validate() error {
	if (a.RoutingKey == "") == (len(a.To) == 0) {
		return reason.Err("address-of-one-form", "cause", ErrInvalid)
	}
	if a.RoutingKey != "" {
		return ValidRoutingKey(a.RoutingKey)
	}
	if len(a.To) > 64 || !slices.IsSorted(a.To) {
		return reason.Err("address-unordered", "cause", ErrInvalid)
	}
	for i, s := range a.To {
		if _, err := ParseSite(string(s)); err != nil {
			return err
		}
		if i > 0 && a.To[i-1] == s {
			return reason.Err("address-twice", "cause", ErrInvalid, "site", s)
		}
	}
	return nil
}

// ParseAddress reads the format of String.
func ParseAddress(s string) (Address, error) {
	list, direct := strings.CutPrefix(s, "@")
	if !direct {
		a := Address{RoutingKey: s}
		return a, a.Validate()
	}
	var a Address
	for name := range strings.SplitSeq(list, ",") {
		a.To = append(a.To, Site(name))
	}
	return a, a.Validate()
}

var keyPattern = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// ValidRoutingKey accepts words of a-z, 0-9, _ and -, joined by dots, at most 255 bytes as in AMQP
// 0-9-1.
func ValidRoutingKey(key string) error {
	if len(key) > 255 || !keyPattern.MatchString(key) {
		return reason.Err("routing-key-invalid", "key", start(key), "cause", ErrInvalid)
	}
	return nil
}

// Grouped returns a fingerprint in groups of eight characters, which are easy to compare by voice.
func Grouped[T ~string](fingerprint T) string {
	var groups []string
	for part := range slices.Chunk([]byte(fingerprint), 8) {
		groups = append(groups, string(part))
	}
	return strings.Join(groups, " ")
}
