package inbox

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// entry is one line of the corpus: a name from outside and its portable name.
type entry struct {
	group, name, becomes string
}

var corpusLine = regexp.MustCompile(`^([a-z ]+): ("(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*")$`)

// corpus reads testdata/names.txt. A line has a group and two quoted ASCII strings in Go's syntax.
func corpus(t *testing.T) (list []entry) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "names.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		parts := corpusLine.FindStringSubmatch(lines.Text())
		if parts == nil {
			t.Fatalf("line %q", lines.Text())
		}
		name, err1 := strconv.Unquote(parts[2])
		becomes, err2 := strconv.Unquote(parts[3])
		if err1 != nil || err2 != nil {
			t.Fatalf("line %q: %v, %v", lines.Text(), err1, err2)
		}
		list = append(list, entry{parts[1], name, becomes})
	}
	if len(list) < 200 {
		t.Fatalf("only %d names", len(list))
	}
	return list
}

// The names of the corpus become those of its table: accepted by every system, unique and
// decodable.
func TestCorpus(t *testing.T) {
	disk := t.TempDir()
	from := map[string]string{}
	for _, e := range corpus(t) {
		got := PortableName(e.name)
		if got != e.becomes {
			t.Errorf("%s: %+q becomes %+q, and the table says %+q", e.group, e.name, got, e.becomes)
		}
		for system, check := range map[string]func(string) string{"Windows": onWindows,
			"Linux": onLinux, "the screen": onScreen, "a file manager": inFileManagers} {
			if why := check(got); why != "" {
				t.Errorf("%s: %+q becomes %+q, which %s does not take: %s", e.group, e.name, got,
					system, why)
			}
		}
		if other, taken := from[got]; taken {
			t.Errorf("%+q and %+q both become %+q", other, e.name, got)
		}
		from[got] = e.name
		if !comesFrom(got, e.name) {
			t.Errorf("%s: %+q becomes %+q, from which it cannot be told", e.group, e.name, got)
		}
		if err := os.WriteFile(filepath.Join(disk, got), nil, 0o600); err != nil {
			t.Errorf("%s: %v", e.group, err)
		}
	}
	if stored, err := os.ReadDir(disk); err != nil || len(stored) != len(from) {
		t.Errorf("%d names became %d files (%v)", len(from), len(stored), err)
	}
}

// The next site that gets a received file must be able to store its name, distinct from others.
func TestCorpusTwice(t *testing.T) {
	from := map[string]string{}
	for _, e := range corpus(t) {
		twice := PortableName(e.becomes)
		if other, taken := from[twice]; taken || onWindows(twice) != "" || onLinux(twice) != "" {
			t.Errorf("%+q and %+q become %+q the second time: %s%s", e.becomes, other, twice,
				onWindows(twice), onLinux(twice))
		}
		from[twice] = e.becomes
	}
}

// Alternatives are portable too, and differ for two messages.
func TestAlternativesOfTheCorpus(t *testing.T) {
	for _, e := range corpus(t) {
		first, second := naming{}.alternative(e.name, "FL-LAB_DAT_20251008_001", 1),
			naming{}.alternative(e.name, "FL-LAB_DAT_20251008_002", 1)
		if first == second || strings.EqualFold(first, e.becomes) {
			t.Errorf("%+q: %+q and %+q", e.name, first, second)
		}
		if why := onWindows(first) + onLinux(first) + onScreen(first); why != "" {
			t.Errorf("%+q becomes %+q: %s", e.name, first, why)
		}
	}
}

var windowsDevice = regexp.MustCompile(`(?i)^(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|` +
	`(COM|LPT)[0-9\x{b9}\x{b2}\x{b3}]) *(\.|$)`)

// onWindows returns the reason for which Windows rejects or confuses a name, by Microsoft's rules.
func onWindows(name string) string {
	switch {
	case len(utf16.Encode([]rune(name))) > 255:
		return "more than 255 units of UTF-16"
	case strings.IndexFunc(name, func(r rune) bool {
		return r < 32 || strings.ContainsRune(`<>:"/\|?*`, r)
	}) >= 0:
		return "a reserved character"
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		return "its end would be cut off"
	case windowsDevice.MatchString(name):
		return "a device"
	}
	return ""
}

const symbol = `[\p{So}\x{2190}-\x{21ff}\x{25fb}-\x{25fe}\x{2934}\x{2935}\x{1f3fb}-\x{1f3ff}]`

var (
	// emoji matches symbols with the characters that may join them.
	emoji = regexp.MustCompile(`(` + symbol + `[\x{fe0e}\x{fe0f}]?\x{200d}?)*` +
		symbol + `[\x{fe0e}\x{fe0f}]?`)
	// ignorable is Default_Ignorable_Code_Point as in Unicode's DerivedCoreProperties.txt.
	ignorable = regexp.MustCompile(`[\x{ad}\x{34f}\x{61c}\x{115f}-\x{1160}\x{17b4}-\x{17b5}` +
		`\x{180b}-\x{180f}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{206f}\x{3164}` +
		`\x{fe00}-\x{fe0f}\x{feff}\x{ffa0}\x{fff0}-\x{fff8}\x{1bca0}-\x{1bca3}` +
		`\x{1d173}-\x{1d17a}\x{e0000}-\x{e0fff}\x{2800}]`)
)

func onLinux(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "no name"
	case len(name) > 255:
		return "more than 255 bytes"
	case strings.ContainsAny(name, "/\x00"):
		return "a reserved character"
	case !utf8.ValidString(name):
		return "not UTF-8"
	}
	return ""
}

// onScreen returns the part of a name that would mislead a terminal or a user.
func onScreen(name string) string {
	for _, r := range emoji.ReplaceAllString(name, "") {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) ||
			unicode.In(r, unicode.Zl, unicode.Zp) || ignorable.MatchString(string(r)) {
			return fmt.Sprintf("%U", r)
		}
	}
	return ""
}

var shortened = regexp.MustCompile(`~([0-9a-f]{16})[^~]*$`)

// comesFrom reports whether a portable name identifies its name, by decoding or by the hash in a
// shortened one.
func comesFrom(portable, name string) bool {
	if decode(portable) == name {
		return true
	}
	sum := sha256.Sum256([]byte(name))
	hash := shortened.FindStringSubmatch(portable)
	return hash != nil && hash[1] == fmt.Sprintf("%x", sum[:8]) && len(portable) > maxName-30
}
