package id

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// harmless fails when s, which a Parse function accepted, is dangerous as a file name, path
// component or log field.
func harmless(t *testing.T, s string) {
	t.Helper()
	if s == "" || !utf8.ValidString(s) || strings.ContainsAny(s, "/\\:*?\"<>|\x00\n\r\t ") ||
		strings.HasPrefix(s, "-") || strings.Trim(s, ".") == "" {
		t.Errorf("accepted %q", s)
	}
}

// The grammars, once more and independently.
var (
	sitePattern    = regexp.MustCompile(`^[A-Z0-9]([A-Z0-9-]{0,30}[A-Z0-9])?$`)
	messagePattern = regexp.MustCompile(
		`^([A-Z0-9-]{1,32})_[A-Z0-9]{1,8}_([0-9]{8})_([0-9]{3,18})$`)
)

func FuzzParseSite(f *testing.F) {
	for _, s := range []string{"FL-LAB", "A", "NUL", "COM1", "", "-", "a", "A\n", "A/B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		site, err := ParseSite(s)
		if (err == nil) != (sitePattern.MatchString(s) && !deviceNames[s]) {
			t.Errorf("ParseSite(%q): %v", s, err)
		}
		if err != nil {
			return
		}
		harmless(t, s)
		if string(site) != s || len(s) > 32 || deviceNames[s] {
			t.Errorf("ParseSite(%q) = %q", s, site)
		}
	})
}

func FuzzParseMessage(f *testing.F) {
	for _, s := range []string{"FL-LAB_DAT_20251008_001", "A_B_20240229_1000", "A_B_20240229_0001",
		"A_B_20240230_001", "NUL_B_20240229_001", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		message, site, err := ParseMessage(s)
		if parts := messagePattern.FindStringSubmatch(s); parts == nil {
			if err == nil {
				t.Errorf("accepted %q", s)
			}
		} else if err != nil {
			_, badSite := ParseSite(parts[1])
			_, badDay := time.Parse("20060102", parts[2])
			if badSite == nil && badDay == nil && (len(parts[3]) == 3 || parts[3][0] != '0') {
				t.Errorf("ParseMessage(%q): %v", s, err)
			}
		}
		if err != nil {
			return
		}
		harmless(t, s)
		if _, err := ParseSite(string(site)); err != nil {
			t.Error(err)
		}
		parts := strings.Split(s, "_")
		day, err := time.Parse("20060102", parts[2])
		if err != nil || len(parts) != 4 {
			t.Fatalf("accepted %q", s)
		}
		var number int64
		for _, isDigit := range parts[3] {
			number = number*10 + int64(isDigit-'0')
		}
		if reparsed := FormatMessage(site, parts[1], day, number); reparsed != message ||
			string(reparsed) != s {
			t.Errorf("ParseMessage(%q) formats again as %q", s, reparsed)
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"fl-lab.dat", "@CA-RC,SF-RC", "@", "@A,A", "#", "a..b", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if a.String() != s || (a.RoutingKey == "") == (len(a.To) == 0) {
			t.Errorf("ParseAddress(%q) = %+v", s, a)
		}
		for _, site := range a.To {
			harmless(t, string(site))
		}
	})
}

func FuzzParseGroup(f *testing.F) {
	for _, s := range []string{"FL-LAB_DAT_20251008_001-204", "A_B_20240229_1000-1001",
		"A_B_20240229_002-001", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		message, _, first, last, err := ParseGroup(s)
		if err != nil {
			return
		}
		harmless(t, s)
		if reparsed := FormatGroup(message, first, last); reparsed != s || first >= last ||
			Renumber(message, first) != message {
			t.Errorf("ParseGroup(%q): %s, %d to %d, which is %s", s, message, first, last, reparsed)
		}
	})
}
