package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/certs"
	"sealpost/internal/id"
	"sealpost/internal/spoken"
	"sealpost/internal/testkit"
	"sealpost/internal/visible"
	"sealpost/statement"
)

// rootAt is a root in a folder, and a user that signs rosters there.
type rootAt struct {
	t    *testing.T
	dir  string
	v    certs.Verifier
	said string // by the last command
}

func newRootAt(t *testing.T) *rootAt {
	t.Helper()
	r := &rootAt{t: t, dir: t.TempDir()}
	root, err := certs.InitRoot(r.path("root"), "TEST")
	testkit.Must(t, err)
	r.v = certs.NewVerifier(root.Certificate())
	return r
}

func (r *rootAt) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rootAt) write(name, text string) string {
	r.t.Helper()
	testkit.Must(r.t, os.WriteFile(r.path(name), []byte(text), 0o600))
	return r.path(name)
}

// run runs a command with an answer on its standard input.
func (r *rootAt) run(answer string, args ...string) error {
	r.t.Helper()
	var out bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs(append([]string{"certs", "roster"}, args...))
	cmd.SetIn(strings.NewReader(answer))
	cmd.SetOut(visible.NewWriter(&out))
	err := cmd.ExecuteContext(r.t.Context())
	r.said = out.String()
	return err
}

// sign signs the next roster to out.jws.
func (r *rootAt) sign(args ...string) statement.Roster {
	r.t.Helper()
	args = append([]string{"sign", "--root", r.path("root"), "--out", r.path("out.jws"), "--yes"},
		args...)
	testkit.Must(r.t, r.run("", args...))
	return r.read("out.jws")
}

// refuses checks that nothing is signed, and the words of the error.
func (r *rootAt) refuses(words string, args ...string) {
	r.t.Helper()
	before, _ := os.ReadFile(filepath.Join(r.path("root"), keptRoster))
	args = append([]string{"sign", "--root", r.path("root"), "--out", r.path("out.jws")}, args...)
	err := r.run("", args...)
	if err == nil || !strings.Contains(err.Error(), words) {
		r.t.Errorf("%q: got %v, want %q", args, err, words)
	}
	after, _ := os.ReadFile(filepath.Join(r.path("root"), keptRoster))
	if !bytes.Equal(before, after) {
		r.t.Errorf("%q: a number was used", args)
	}
}

func (r *rootAt) read(name string) statement.Roster {
	r.t.Helper()
	text, err := os.ReadFile(r.path(name))
	testkit.Must(r.t, err)
	got, err := statement.OpenRoster(string(text), r.v)
	testkit.Must(r.t, err)
	return got
}

func (r *rootAt) says(words ...string) {
	r.t.Helper()
	for _, w := range words {
		if !strings.Contains(r.said, w) {
			r.t.Errorf("it does not say %q:\n%s", w, r.said)
		}
	}
}

// print is a fingerprint of one digit.
func print(digit string) string { return strings.Repeat(digit, 64) }

// sitesJSON is the output of hub sites --json, with its fields that matter.
func sitesJSON(roster int, lines ...string) string {
	var sites []string
	for _, line := range lines {
		f := strings.Fields(line)
		sites = append(sites, fmt.Sprintf(`{"site":%q,"state":%q,"role":%q,"fingerprint":%q}`,
			f[0], f[1], f[2], f[3]))
	}
	return fmt.Sprintf(`{"sites":[%s],"knocking":[],"roster":{"number":%d}}`,
		strings.Join(sites, ","), roster)
}

// The file of a hub, each kind of change, and the number.
func TestARosterFollowsTheLast(t *testing.T) {
	r := newRootAt(t)
	list := []string{"SF-RC joined receive " + print("b"), "FL-LAB joined send " + print("a"),
		"OLD-LAB removed send " + print("9")}
	first := r.sign(r.write("sites.json", sitesJSON(0, list...)))
	want := []statement.RosterSite{{Site: "FL-LAB", Identity: id.Hash(print("a")), Role: "send"},
		{Site: "SF-RC", Identity: id.Hash(print("b")), Role: "receive"}}
	if first.Number != 1 || !slices.Equal(first.Sites, want) || first.Required ||
		first.Ends.Sub(first.Signed).Hours() != 30*24 {
		t.Fatalf("signed %+v", first)
	}
	r.says("It is the first one.", "NEW", "FL-LAB", id.Grouped(print("a")),
		spoken.Words(id.Hash(print("a"))))

	// Without a file it is the same for longer; a raised requirement stays.
	second := r.sign("--required", "--valid-for", "10d")
	if second.Number != 2 || !slices.Equal(second.Sites, want) || !second.Required ||
		second.Ends.Sub(second.Signed).Hours() != 240 {
		t.Fatalf("signed %+v", second)
	}
	r.says("The last one is roster 1", "No site and no key has changed.", "2 sites as before",
		"Required")

	// A stolen key leaves the roster, and its site comes back with another one.
	third := r.sign("--distrust", "SF-RC")
	if third.Number != 3 || len(third.Sites) != 1 || !third.Distrusts(id.Hash(print("b"))) ||
		!third.Required {
		t.Fatalf("signed %+v", third)
	}
	r.says("DISTRUSTED", "GONE", "SF-RC")
	r.write("sites.json", sitesJSON(3, list...)) // the hub still has the stolen key
	if fourth := r.sign(r.path("sites.json")); len(fourth.Sites) != 1 ||
		!fourth.Distrusts(id.Hash(print("b"))) {
		t.Fatalf("signed %+v", fourth)
	}
	r.says("No site and no key has changed.", "with a distrusted key", "hub remove SITE): SF-RC")
	r.refuses("SF-RC is distrusted already ("+id.Grouped(print("b"))+")", "--yes", "--distrust",
		"SF-RC")
	list[0] = "SF-RC joined both " + print("c")
	r.write("sites.json", sitesJSON(4, list...))
	fifth := r.sign(r.path("sites.json"))
	if s, _ := fifth.Find("SF-RC"); s.Identity != id.Hash(print("c")) ||
		len(fifth.Distrusted) != 1 {
		t.Fatalf("signed %+v", fifth)
	}
	list[0] = "SF-RC joined receive " + print("d")
	r.sign(r.write("sites.json", sitesJSON(5, list...)), "--distrust", "SF-RC="+print("e"))
	r.says("OTHER KEY", "before", "DISTRUSTED", id.Grouped(print("e")))
	list[0] = "SF-RC joined both " + print("d")
	r.sign(r.write("sites.json", sitesJSON(6, list...)))
	r.says("ROLE, before receive")
}

// A roster is printed as a file that can be edited and signed again.
func TestARosterIsEdited(t *testing.T) {
	r := newRootAt(t)
	r.sign(r.write("sites.json", sitesJSON(0, "FL-LAB joined send "+print("a"),
		"SF-RC joined receive "+print("b"))), "--distrust", "SF-RC", "--required")
	testkit.Must(t, r.run("", "show", r.path("out.jws"), "--root", r.path("root")))
	r.says("# sealpost roster 1 of the network", "required = true", "[[distrusted]]")
	file := r.write("roster.toml", r.said+"\n[[site]]\nname = \"NY-RC\"\nrole = \"both\"\n"+
		"fingerprint = \""+strings.ToUpper(id.Grouped(print("d")))+"\"\n")
	second := r.sign(file)
	if s, ok := second.Find("NY-RC"); !ok || s.Identity != id.Hash(print("d")) ||
		len(second.Distrusted) != 1 || second.Distrusted[0] != r.read("out.jws").Distrusted[0] {
		t.Fatalf("signed %+v", second)
	}
	// The file says everything, but that the roster is required stays.
	third := r.sign(r.write("roster.toml", "required = false\n"))
	if len(third.Sites)+len(third.Distrusted) != 0 || !third.Required {
		t.Fatalf("signed %+v", third)
	}
	r.says("TRUSTED AGAIN", "GONE")
}

// Nothing is signed, and no number is used.
func TestRostersThatAreNotSigned(t *testing.T) {
	r := newRootAt(t)
	good := r.write("sites.json", sitesJSON(0, "FL-LAB joined send "+print("a")))
	signed := r.sign(good)
	r.refuses("the answer was not yes", good)
	r.says("Sign it?")
	r.refuses("no such file", r.path("none"), "--yes")
	r.refuses("the hub has roster 5", r.write("ahead.json", sitesJSON(5, "FL-LAB joined send "+
		print("a"))), "--yes")
	r.refuses("lists no sites", r.write("status.json", `{"hub":"DC-HQ"}`), "--yes")
	r.refuses("unknown", r.write("typo.toml", "requierd = true\n"), "--yes")
	r.refuses("have the same", r.write("twice.json", sitesJSON(0, "FL-LAB joined send "+print("a"),
		"SF-RC joined send "+print("a"))), "--yes")
	r.refuses("no export of a hub", r.write("export",
		"# sealpost hub export\n-----BEGIN CERTIFICATE-----\n"), "--yes")
	isUsage := func(words string, args ...string) {
		t.Helper()
		r.refuses(words, args...)
		if code := exitCode(t.Context(), r.run("", append([]string{"sign", "--root",
			r.path("root"), "--out", r.path("out.jws")}, args...)...)); code != 2 {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
	isUsage("want at most 400d", good, "--yes", "--valid-for", "401d")
	isUsage("neither the last roster nor the file", good, "--yes", "--distrust", "NY-RC")
	r.refuses("64 lower-case", good, "--yes", "--distrust", "NY-RC=12")
	other := newRootAt(t)
	other.sign(other.write("sites.json", sitesJSON(0, "FL-LAB joined send "+print("a"))))
	r.refuses("of the network", good, "--yes", "--last", other.path("out.jws"))
	r.write("out.jws", "a thesis")
	r.refuses("no roster of this network", good, "--yes")
	testkit.Must(t, os.Remove(r.path("out.jws")))

	// After a crash between the root's folder and the file, the number is not used again.
	if next := r.sign(good); next.Number != signed.Number+1 {
		t.Errorf("number %d follows %d", next.Number, signed.Number)
	}
	// A root's folder that lost its roster continues with a copy of it.
	testkit.Must(t, os.Rename(r.path("out.jws"), r.path("copy.jws")))
	testkit.Must(t, os.Remove(filepath.Join(r.path("root"), keptRoster)))
	if next := r.sign(good, "--last", r.path("copy.jws")); next.Number != signed.Number+2 {
		t.Errorf("number %d follows %d", next.Number, signed.Number+1)
	}
	testkit.Must(t, r.run("yes\n", "sign", good, "--root", r.path("root"), "--out",
		r.path("out.jws")))
}
