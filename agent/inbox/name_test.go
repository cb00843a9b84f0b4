package inbox

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestPortableName(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, want := range map[string]string{
		"data.csv":                 "data.csv",
		"with space.txt":           "with space.txt",
		".hidden":                  "%2Ehidden",
		"emoji 🧬.txt":              "emoji 🧬.txt",
		"it's 100% sure":           "it's 100% sure",
		"100%25":                   "100%2525",
		`a "b" <c>|d?*:e\f`:        "a %22b%22 %3Cc%3E%7Cd%3F%2A%3Ae%5Cf",
		"line\nbreak\ttab\x00\x7f": "line%0Abreak%09tab%00%7F",
		"dot.":                     "dot%2E",
		"dots..":                   "dots.%2E",
		"space ":                   "space%20",
		"CON":                      "%43ON",
		"con.txt":                  "%63on.txt",
		"com1.tar.gz":              "%63om1.tar.gz",
		"COM¹":                     "%43OM¹",
		"lpt0":                     "%6Cpt0",
		"aux .x":                   "%61ux .x",
		"CONIN$":                   "%43ONIN$",
		"console":                  "console",
		"COM10":                    "COM10",
		"gpj.\u202eexe":            "gpj.%E2%80%AEexe",
		"a\u2028b":                 "a%E2%80%A8b",
		"a\u0085b":                 "a%C2%85b",
		long + ".csv":              "",
	} {
		got := PortableName(name)
		if want != "" && got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
		if len(got) > maxName {
			t.Errorf("%q becomes %d bytes", name, len(got))
		}
	}
	if got := PortableName(long + ".csv"); !strings.HasSuffix(got, ".csv") ||
		!strings.Contains(got, "~") || len(got) != maxName {
		t.Errorf("a long name becomes %q", got)
	}
}

// names generates the names that FORMAT.md allows: UTF-8 without slash or NUL, not empty, not a dot
// or two.
func names() *rapid.Generator[string] {
	parts := rapid.SampledFrom([]string{
		"con", "COM1.x", "%41", "%%41", "x%4", ".", " ", "-", "desktop.ini", "Thumbs.db", ".lnk",
		".URL", ".library-ms", ".directory", ".sealpost", "STATUS.txt",
		"{645FF040-5081-101B-9F08-00AA002F954E}", "\u200b", "\u200d", "\u2764", "\ufe0f", "\u202e",
		"\ufeff", "\U000e0041", "\u017f", "a", "Z", "é", "\u2800",
	})
	return rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z%0-9. ]{1,8}`),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(parts, 1, 4).Draw(t, "parts"), "")
		})).Filter(isLegal)
}

func isLegal(s string) bool {
	return s != "" && s != "." && s != ".." && utf8.ValidString(s) &&
		!strings.ContainsAny(s, "/\x00")
}

// A disk stores the portable form of every legal name, and it decodes to that name.
func TestPortableNames(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		name := names().Draw(t, "name")
		checkPortable(t, name)
		path := filepath.Join(dir, PortableName(name))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzPortableName(f *testing.F) {
	for _, name := range []string{"data.csv", "desktop.ini", "x.LNK", ".a", "-a", "a\u200b",
		"\u2764\ufe0f", "\u2964\ufe0f", "%41", "con", "x.{645FF040-5081-101B-9F08-00AA002F954E}",
		strings.Repeat("x", 300)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if isLegal(name) {
			checkPortable(t, name)
		}
	})
}

// checkPortable checks the promises of PortableName for a name in each place.
func checkPortable(t interface{ Fatalf(string, ...any) }, name string) {
	for _, n := range []naming{{}, {keepHidden: true}} {
		for _, k := range []kind{inFolder, asTwin, asMessage} {
			got := n.portable(name, k)
			why := onWindows(got) + onLinux(got) + onScreen(got) + inFileManagers(got)
			if strings.HasPrefix(got, ".") && (!n.keepHidden || !strings.HasPrefix(name, ".")) {
				why += "hidden"
			}
			if k == asMessage && (strings.EqualFold(got, "STATUS.txt") ||
				strings.EqualFold(got, "STATUS.html")) {
				why += "a status file"
			}
			if why != "" {
				t.Fatalf("%+q becomes %+q: %s", name, got, why)
			}
			if len(got) < maxName-30 && decode(got) != name {
				t.Fatalf("%+q becomes %+q, which decodes to %+q", name, got, decode(got))
			}
			if twice := n.portable(got, k); len(twice) < maxName-30 && decode(twice) != got {
				t.Fatalf("%+q becomes %+q and %+q, which decodes to %+q", name, got, twice,
					decode(twice))
			}
		}
	}
}

var (
	shownSpecially = regexp.MustCompile(`^(desktop\.ini|thumbs\.db|autorun\.inf|` +
		`\.?auto(run|open)|autorun\.sh|\.directory|\.hidden|\.ds_store|\.sealpost.*|-.*)$`)
	followed = regexp.MustCompile(`\.(lnk|url|scf|pif|website|sh[bs]|mapimail|desklink|mydocs|` +
		`zfsendtotarget|(appref|library|searchconnector|search)-ms|theme|desktop|kdelnk|` +
		`(web|inet|file)loc|\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\})$`)
)

// inFileManagers returns the reaction of a file manager or a shell to a name. It uses its own
// table.
func inFileManagers(name string) string {
	lower := strings.ToLower(strings.NewReplacer("\u017f", "s", "\u212a", "k").Replace(name))
	switch {
	case shownSpecially.MatchString(lower):
		return "acted upon"
	case followed.MatchString(lower):
		return "followed"
	}
	return ""
}

// decode reverses PortableName by the rule in its comment.
func decode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			const digits = "0123456789ABCDEF"
			high, low := strings.IndexByte(digits, s[i+1]), strings.IndexByte(digits, s[i+2])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func TestAlternativesAreDifferentAndFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := names().Draw(t, "name") +
			strings.Repeat("ü", rapid.IntRange(0, 150).Draw(t, "more"))
		seen := map[string]bool{PortableName(name): true}
		for attempt := range 4 {
			got := naming{}.alternative(name, "FL-LAB_DAT_20251008_001", attempt+1)
			if seen[got] || len(got) > maxName || !utf8.ValidString(got) ||
				!strings.Contains(got, "(FL-LAB_DAT_20251008_001)") {
				t.Fatalf("attempt %d of %q is %q", attempt+1, name, got)
			}
			seen[got] = true
		}
	})
	if got := (naming{}).alternative("data.tar.gz", "FL-LAB_DAT_20251008_001",
		1); got != "data.tar (FL-LAB_DAT_20251008_001).gz" {
		t.Errorf("got %q", got)
	}
	if got := (naming{}).alternative(".bashrc", "M", 2); got != "%2Ebashrc (M) (2)" {
		t.Errorf("got %q", got)
	}
}

func TestLeadingDotsMayBeKept(t *testing.T) {
	for name, want := range map[string]string{
		".bashrc": ".bashrc", "..two": "..two", "...": "..%2E", ".Rprofile": ".Rprofile",
		".git": ".git", "-x": "%2Dx",
		".directory": "%2Edirectory", ".HIDDEN": "%2EHIDDEN", ".DS_Store": "%2EDS_Store",
		".sealpost": "%2Esealpost", ".sealpost-x": "%2Esealpost-x", ".autorun": "%2Eautorun",
		".lnk": "%2Elnk", ".x.lnk": ".x%2Elnk",
	} {
		if got := (naming{keepHidden: true}).portable(name, inFolder); got != want {
			t.Errorf("%s becomes %s, want %s", name, got, want)
		}
	}
}

// Only at the top of its sender's folder a message could pass as the site's status file.
func TestStatusFilesOfOthers(t *testing.T) {
	for name, want := range map[string]string{"STATUS.txt": "%53TATUS.txt",
		"status.HTML": "%73tatus.HTML", "STATUS.csv": "STATUS.csv", "STATUS": "STATUS"} {
		if got := (naming{}).portable(name, asMessage); got != want {
			t.Errorf("%s becomes %s, want %s", name, got, want)
		}
		if got := PortableName(name); got != name {
			t.Errorf("in a folder %s becomes %s", name, got)
		}
	}
}
