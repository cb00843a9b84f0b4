package id

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseSite(t *testing.T) {
	long := strings.Repeat("A", 32)
	for _, s := range []string{"A", "7", "FL-LAB", "CA-RC", "A--B", "COM", "COM10", "CONS", "NULL",
		long} {
		if got, err := ParseSite(s); err != nil || string(got) != s {
			t.Errorf("ParseSite(%q) = %q, %v", s, got, err)
		}
	}
	for name, s := range map[string]string{
		"empty": "", "lower case": "fl-lab", "leading hyphen": "-A", "trailing hyphen": "A-",
		"hyphen alone": "-", "too long": long + "A",
		"underscore": "FL_LAB", "dot": "FL.LAB", "parent folder": "..", "slash": "A/B",
		"backslash": `A\B`, "space": "FL LAB",
		"line break after": "FL-LAB\n", "NUL after": "FL-LAB\x00", "letter beyond ASCII": "FÜ",
		"letter that looks right": "ＦL",
		"invalid UTF-8":           "A\xff", "device": "CON", "numbered device": "COM1",
		"device with zero": "LPT0", "null device": "NUL",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseSite(s); !errors.Is(err, ErrInvalid) || got != "" {
				t.Errorf("ParseSite(%q) = %q, %v; want ErrInvalid", s, got, err)
			}
		})
	}
}

func TestQueue(t *testing.T) {
	if got := Site("CA-RC").Queue(); got != "ca_rc_queue" {
		t.Errorf("queue of CA-RC is %q", got)
	}
}

func TestParse128AndHash(t *testing.T) {
	digits := "0123456789abcdef0123456789abcdef"
	if got, err := Parse128[UID](digits); err != nil || string(got) != digits {
		t.Errorf("Parse128(%q) = %q, %v", digits, got, err)
	}
	if got, err := ParseHash(digits + digits); err != nil || string(got) != digits+digits {
		t.Errorf("ParseHash = %q, %v", got, err)
	}
	for name, s := range map[string]string{
		"empty": "", "short": digits[1:], "long": digits + "0",
		"upper case": strings.ToUpper(digits), "no digit": digits[1:] + "g",
		"prefix": "0x" + digits[2:], "line break": digits[1:] + "\n", "slash before 0": digits[1:] +
			"/", "colon after 9": digits[1:] + ":",
		"backquote before a": digits[1:] + "`",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Parse128[Envelope](s); !errors.Is(err, ErrInvalid) || got != "" {
				t.Errorf("Parse128(%q) = %q, %v; want ErrInvalid", s, got, err)
			}
			if got, err := ParseHash(digits + s); len(s) != 0 &&
				(!errors.Is(err, ErrInvalid) || got != "") {
				t.Errorf("ParseHash(%q) = %q, %v; want ErrInvalid", digits+s, got, err)
			}
		})
	}
}

func TestRandom128(t *testing.T) {
	a, b := Random128[UID](), Random128[UID]()
	if a == b {
		t.Error("the same identity twice")
	}
	if _, err := Parse128[UID](string(a)); err != nil {
		t.Error(err)
	}
}

func TestParseMessage(t *testing.T) {
	for _, s := range []string{"FL-LAB_DAT_20251008_001", "A_B_20240229_000",
		"A_ABCDEFG8_99991231_1000", "A_B_20250101_999999999999999999"} {
		got, site, err := ParseMessage(s)
		if err != nil || string(got) != s || !strings.HasPrefix(s, string(site)+"_") {
			t.Errorf("ParseMessage(%q) = %q, %q, %v", s, got, site, err)
		}
	}
	for name, s := range map[string]string{
		"empty": "", "no site": "_DAT_20251008_001", "bad site": "FL-_DAT_20251008_001",
		"device as site":  "CON_DAT_20251008_001",
		"lower-case kind": "FL-LAB_dat_20251008_001", "long kind": "FL-LAB_ABCDEFGH9_20251008_001",
		"no day":       "FL-LAB_DAT_20251301_001",
		"no leap year": "FL-LAB_DAT_20250229_001", "short number": "FL-LAB_DAT_20251008_01",
		"needless zero": "FL-LAB_DAT_20251008_0001",
		"long number":   "FL-LAB_DAT_20251008_1234567890123456789",
		"signed number": "FL-LAB_DAT_20251008_+01", "five parts": "FL-LAB_DAT_20251008_001_2",
		"path": "../FL-LAB_DAT_20251008_001", "line break": "FL-LAB_DAT_20251008_001\n",
		"suffix": "FL-LAB_DAT_20251008_001.txt",
	} {
		t.Run(name, func(t *testing.T) {
			if got, site, err := ParseMessage(s); !errors.Is(err, ErrInvalid) || got != "" ||
				site != "" {
				t.Errorf("ParseMessage(%q) = %q, %q, %v; want ErrInvalid", s, got, site, err)
			}
		})
	}
}

func TestFormatMessage(t *testing.T) {
	day := time.Date(2025, 10, 8, 23, 30, 0, 0, time.FixedZone("", -3600)) // the 9th in UTC
	for number, want := range map[int64]Message{1: "FL-LAB_DAT_20251009_001",
		999: "FL-LAB_DAT_20251009_999", 1000: "FL-LAB_DAT_20251009_1000"} {
		got := FormatMessage("FL-LAB", "DAT", day, number)
		if got != want {
			t.Errorf("number %d: %s, want %s", number, got, want)
		}
		if _, site, err := ParseMessage(string(got)); err != nil || site != "FL-LAB" {
			t.Errorf("ParseMessage(%s): %q, %v", got, site, err)
		}
	}
}

func TestValidKind(t *testing.T) {
	for kind, want := range map[string]bool{"DAT": true, "R": true, "A1B2C3D4": true, "": false,
		"dat": false, "A1B2C3D4E": false, "A-B": false, "A\n": false} {
		if err := ValidKind(kind); (err == nil) != want || err != nil &&
			!errors.Is(err, ErrInvalid) {
			t.Errorf("ValidKind(%q): %v", kind, err)
		}
	}
}

func TestAddress(t *testing.T) {
	many := make([]Site, 65)
	for i := range many {
		many[i] = Site("S" + string(rune('A'+i/26)) + string(rune('A'+i%26)))
	}
	for name, a := range map[string]Address{
		"routing key": {RoutingKey: "fl-lab.dat"}, "one word": {RoutingKey: "all"},
		"longest key": {RoutingKey: strings.Repeat("a", 255)},
		"one site":    {To: []Site{"CA-RC"}}, "two sites": {To: []Site{"CA-RC", "SF-RC"}},
		"64 sites": {To: many[:64]},
	} {
		t.Run(name, func(t *testing.T) {
			if err := a.Validate(); err != nil {
				t.Fatal(err)
			}
			reparsed, err := ParseAddress(a.String())
			if err != nil || reparsed.String() != a.String() ||
				reparsed.RoutingKey != a.RoutingKey || len(reparsed.To) != len(a.To) {
				t.Errorf("ParseAddress(%q) = %+v, %v", a.String(), reparsed, err)
			}
		})
	}
	for name, a := range map[string]Address{
		"nothing": {}, "both": {RoutingKey: "a", To: []Site{"A"}},
		"empty word": {RoutingKey: "a..b"}, "pattern star": {RoutingKey: "fl-lab.*"},
		"pattern hash": {RoutingKey: "#"}, "upper case": {RoutingKey: "Fl"},
		"dot at end":   {RoutingKey: "a."},
		"key too long": {RoutingKey: strings.Repeat("a", 256)},
		"looks direct": {RoutingKey: "@CA-RC"}, "unsorted": {To: []Site{"B", "A"}},
		"twice": {To: []Site{"A", "A"}}, "bad site": {To: []Site{"a"}}, "65 sites": {To: many},
	} {
		t.Run(name, func(t *testing.T) {
			if err := a.Validate(); !errors.Is(err, ErrInvalid) {
				t.Errorf("%v, want ErrInvalid", err)
			}
		})
	}
	for _, s := range []string{"", "@", "@CA-RC,", "@SF-RC,CA-RC", "@CA-RC SF-RC", "a b"} {
		if _, err := ParseAddress(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseAddress(%q): %v, want ErrInvalid", s, err)
		}
	}
}

func TestGroups(t *testing.T) {
	for name, want := range map[string]struct {
		first, last int64
	}{
		"FL-LAB_DAT_20251008_001-204":     {1, 204},
		"FL-LAB_DAT_20251008_099-100":     {99, 100},
		"A_B_20240229_998-1002":           {998, 1002},
		"X-1_B_20240229_100000-100000000": {100000, 100000000},
	} {
		message, site, first, last, err := ParseGroup(name)
		if err != nil || first != want.first || last != want.last ||
			!strings.HasPrefix(name, string(site)+"_") || message != Renumber(message, first) {
			t.Errorf("%s: %s of %s, %d to %d, %v", name, message, site, first, last, err)
		}
		if reparsed := FormatGroup(Renumber(message, last), first, last); reparsed != name {
			t.Errorf("%s became %s", name, reparsed)
		}
	}
	for _, name := range []string{"", "-", "FL-LAB_DAT_20251008_001", "FL-LAB_DAT_20251008_001-",
		"FL-LAB_DAT_20251008_-002", "FL-LAB_DAT_20251008_002-001", "FL-LAB_DAT_20251008_001-001",
		"FL-LAB_DAT_20251008_001-02", "FL-LAB_DAT_20251008_001-0002",
		"FL-LAB_DAT_20251008_001-002-003", "FL-LAB_DAT_20251308_001-002",
		"fl_DAT_20251008_001-002", "001-002",
		"FL-LAB_DAT_20251008_001-002 (copy)"} {
		if m, _, _, _, err := ParseGroup(name); err == nil {
			t.Errorf("%q is a group that begins with %s", name, m)
		}
	}
}

func TestRangesOfMessages(t *testing.T) {
	for want, list := range map[string][]Message{
		"":                   nil,
		"L_DAT_20251008_007": {"L_DAT_20251008_007"},
		"L_DAT_20251008_007-009": {"L_DAT_20251008_007", "L_DAT_20251008_008",
			"L_DAT_20251008_009"},
		"L_DAT_20251008_999-1000": {"L_DAT_20251008_999", "L_DAT_20251008_1000"},
		"L_DAT_20251008_007 L_DAT_20251008_009-010 L_DAT_20251009_011": {"L_DAT_20251008_007",
			"L_DAT_20251008_009", "L_DAT_20251008_010", "L_DAT_20251009_011"},
		"L_DAT_20251008_002 L_DAT_20251008_001 L_DAT_20251008_001": {"L_DAT_20251008_002",
			"L_DAT_20251008_001", "L_DAT_20251008_001"},
		"none none":                             {"none", "none"},
		"L_-1 L_0":                              {"L_-1", "L_0"},
		"L_DAT_20251008_007 M_DAT_20251008_008": {"L_DAT_20251008_007", "M_DAT_20251008_008"},
	} {
		if got := strings.Join(Ranges(list), " "); got != want {
			t.Errorf("%v are %q, want %q", list, got, want)
		}
	}
}
