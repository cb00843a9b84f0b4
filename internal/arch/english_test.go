package arch

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// recordedFile holds the numbers, one heading for each package folder, so that parallel work
// merges.
const recordedFile = "testdata/english.txt"

const regenerate = "go test ./internal/arch -run TestEnglish -update"

var update = flag.Bool("update", false, "write the lower numbers into "+recordedFile)

// counts are the findings of each room by rule.
type counts map[string]map[string]int

// TestEnglish holds the rules of docs/STYLE.md as numbers that may only fall.
func TestEnglish(t *testing.T) {
	now, places := countTree(t)
	text, err := os.ReadFile(recordedFile)
	if err != nil {
		t.Fatal(err)
	}
	recorded := parseCounts(t, string(text))
	if *update {
		recorded = lower(recorded, now)
		if err := os.WriteFile(recordedFile, []byte(recorded.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	changed := changedLines()
	for _, d := range compare(recorded, now) {
		if d.now < d.recorded {
			t.Errorf("%s: write the lower number: %s", d, regenerate)
			continue
		}
		t.Errorf("%s; see docs/STYLE.md:\n\t%s", d,
			strings.Join(newest(places[d.room+" "+d.rule], changed), "\n\t"))
	}
}

// difference is a number that is not the recorded one.
type difference struct {
	room, rule    string
	now, recorded int
}

func (d difference) String() string {
	return fmt.Sprintf("%s: %s %d, recorded %d", d.room, d.rule, d.now, d.recorded)
}

// compare returns the differences, sorted by room and rule.
func compare(recorded, now counts) (found []difference) {
	rooms := maps.Clone(recorded)
	maps.Copy(rooms, now)
	for _, room := range slices.Sorted(maps.Keys(rooms)) {
		for _, rule := range rules {
			if d := (difference{room, rule, now[room][rule],
				recorded[room][rule]}); d.now != d.recorded {
				found = append(found, d)
			}
		}
	}
	return found
}

// lower returns the recorded numbers, lowered to the present ones. It raises none.
func lower(recorded, now counts) counts {
	lowered := counts{}
	for room, numbers := range recorded {
		for rule, n := range numbers {
			lowered.add(room, rule, min(n, now[room][rule]))
		}
	}
	return lowered
}

func (c counts) add(room, rule string, n int) {
	if n == 0 {
		return
	}
	if c[room] == nil {
		c[room] = map[string]int{}
	}
	c[room][rule] += n
}

func (c counts) String() string {
	var text strings.Builder
	for i, room := range slices.Sorted(maps.Keys(c)) {
		if i > 0 {
			text.WriteString("\n")
		}
		fmt.Fprintf(&text, "[%s]\n", room)
		for _, rule := range rules {
			if n := c[room][rule]; n > 0 {
				fmt.Fprintf(&text, "%s %d\n", rule, n)
			}
		}
	}
	return text.String()
}

func parseCounts(t *testing.T, text string) counts {
	t.Helper()
	c, room := counts{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			room = strings.Trim(line, "[]")
			continue
		}
		rule, number, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(number)
		if line == "" {
			continue
		}
		if err != nil || !slices.Contains(rules, rule) {
			t.Fatalf("%s: %q is not a rule and a number", recordedFile, line)
		}
		c.add(room, rule, n)
	}
	return c
}

// countTree counts all Go files of the tree, and returns each place by room and rule.
func countTree(t *testing.T) (counts, map[string][]string) {
	t.Helper()
	now, places := counts{}, map[string][]string{}
	words, comments, lines := map[string]int{}, map[string]int{}, map[string]int{}
	err := filepath.WalkDir("../..", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(file, ".go") {
			return err
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(filepath.ToSlash(file), "../../")
		room := path.Dir(name)
		for _, f := range inspect(t, name, source) {
			now.add(room, f.rule, 1)
			key := room + " " + f.rule
			places[key] = append(places[key], fmt.Sprintf("%s:%d: %s", name, f.line, f.text))
		}
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		for line := range strings.Lines(string(source)) {
			lines[room]++
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), "//"); ok {
				comments[room]++
				words[room] += len(strings.Fields(text))
			}
		}
		return nil
	})
	if err != nil || len(lines) < 30 {
		t.Fatalf("%d rooms are counted, %v", len(lines), err)
	}
	if testing.Verbose() {
		for _, room := range slices.Sorted(maps.Keys(lines)) {
			t.Logf("%-24s comments %2d %% of %5d lines (10 to 16 is the aim), %5d words",
				room, comments[room]*100/lines[room], lines[room], words[room])
		}
	}
	return now, places
}

var hunk = regexp.MustCompile(`^@@ -\S+ \+(\d+)(?:,(\d+))? @@`)

// changedLines returns the lines, as file:line, that changed since the numbers were last recorded.
// It returns none where git cannot tell.
func changedLines() map[string]bool {
	changed := map[string]bool{}
	last := git("log", "-1", "--format=%H", "--", "internal/arch/"+recordedFile)
	if last == "" {
		return changed
	}
	file := ""
	for line := range strings.Lines(git("diff", "-U0", "--no-ext-diff", last, "--", "*.go")) {
		if name, ok := strings.CutPrefix(line, "+++ b/"); ok {
			file = strings.TrimSpace(name)
		}
		if m := hunk.FindStringSubmatch(line); m != nil {
			first, _ := strconv.Atoi(m[1])
			n, err := strconv.Atoi(m[2])
			if err != nil {
				n = 1
			}
			for i := range n {
				changed[fmt.Sprintf("%s:%d", file, first+i)] = true
			}
		}
	}
	for name := range strings.Lines(git("ls-files", "--others", "--exclude-standard", "--",
		"*.go")) {
		changed[strings.TrimSpace(name)] = true
	}
	return changed
}

func git(args ...string) string {
	command := exec.Command("git", args...)
	command.Dir = "../.."
	out, err := command.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// newest returns the places on changed lines, or all places if no change explains them.
func newest(places []string, changed map[string]bool) []string {
	var found []string
	for _, p := range places {
		parts := strings.SplitN(p, ":", 3)
		if changed[parts[0]+":"+parts[1]] || changed[parts[0]] {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return places
	}
	return found
}
