package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written as Go does: "2s", "10m", "1h30m".
type Duration time.Duration

const (
	second = time.Second
	hour   = time.Hour
)

// UnmarshalText reads the format of MarshalText.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf(`want a length of time such as "2s", "10m" or "1h30m", not %s`,
			quote(text))
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the duration without needless zero units: 10m, not 10m0s.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes, written with a binary unit: "512B", "64KiB", "256MiB", "5GiB", "1TiB".
type Size int64

const (
	kibi Size = 1 << 10
	mebi Size = 1 << 20
	gibi Size = 1 << 30
	tebi Size = 1 << 40
)

var units = []struct {
	name  string
	bytes Size
}{{"TiB", tebi}, {"GiB", gibi}, {"MiB", mebi}, {"KiB", kibi}, {"B", 1}}

// UnmarshalText accepts a whole number and a unit. It refuses decimal units (GB): they are
// ambiguous.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range units {
		digits, found := strings.CutSuffix(string(text), u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 64)
		if err == nil && n <= math.MaxInt64/uint64(u.bytes) {
			*s = Size(n) * u.bytes
			return nil
		}
		break
	}
	return fmt.Errorf(`want a size such as "512B", "64KiB", "256MiB", "5GiB" or "1TiB", not %s`,
		quote(text))
}

// MarshalText writes the size in the largest unit that fits it exactly.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Size) String() string {
	for _, u := range units {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return "0B"
}

// quote quotes a bad value, and cuts a long one.
func quote(text []byte) string {
	const most = 40
	if len(text) > most {
		return fmt.Sprintf("%q…", text[:most])
	}
	return fmt.Sprintf("%q", text)
}
