package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// loadByName loads a file by the first word of its name.
func loadByName(path string) error {
	var err error
	if strings.HasPrefix(filepath.Base(path), "hub-") {
		_, err = LoadHub(path)
	} else {
		_, err = LoadAgent(path)
	}
	return err
}

// Each file in testdata/broken must give exactly the message beside it.
func TestBrokenFilesSayWhatIsWrong(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.toml")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			err := loadByName(path)
			if err == nil {
				t.Fatal("it was accepted")
			}
			dir, abs := filepath.Abs(filepath.Dir(path))
			if abs != nil {
				t.Fatal(abs)
			}
			got := strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "") + "\n"
			golden := strings.TrimSuffix(path, ".toml") + ".error"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("says:  %swant:  %s", got, want)
			}
			var typed *Error
			if !errors.As(loadByName(path), &typed) {
				t.Error("it is not an *Error")
			}
		})
	}
}

func TestAgentDefaultsAndPaths(t *testing.T) {
	dir := t.TempDir()
	path := AgentFile(dir)
	writeFile(t, path, `
site = "FL-LAB"
hub = ["hub.example.org:7443", "192.0.2.1:7443", "[2001:db8::1]:7443"]
network = "`+strings.Repeat("0a", 32)+`"
role = "send"
outbox.route = "fl-lab.dat"
outbox.settle = "0s"
`)
	got, err := LoadAgent(path)
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultAgent()
	want.Site, want.Role, want.Network = "FL-LAB", RoleSend, strings.Repeat("0a", 32)
	want.Hub = []string{"hub.example.org:7443", "192.0.2.1:7443", "[2001:db8::1]:7443"}
	want.Outbox.Route, want.Outbox.Settle = "fl-lab.dat", 0
	want.State, want.Outbox.Dir, want.Inbox.Dir = filepath.Join(dir, "state"), dir,
		filepath.Join(dir, "inbox")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !got.Sends() || got.Receives() {
		t.Error("the role send does not only send")
	}
}

// Trays stand beside [outbox] or instead of it, and each begins with the defaults.
func TestMoreTrays(t *testing.T) {
	const site = "site = 'FL-LAB'\nhub = ['h:1']\nnetwork = " +
		"'0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a'\nrole = 'send'\n"
	const more = "[[tray]]\nname = 'seq'\ndir = 'seq'\nroute = 'fl-lab.seq'\nsettle = " +
		"'0s'\n[[tray]]\nname = 'rpt'\ndir = '/srv/rpt'\nroute = 'fl-lab.rpt'\nkind = 'RPT'\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"as it always was": {"[outbox]\nroute = 'fl-lab.dat'\n", []string{"outbox"}},
		"beside": {"[outbox]\nroute = 'fl-lab.dat'\n" + more,
			[]string{"outbox", "seq", "rpt"}},
		"instead, left out":     {more, []string{"seq", "rpt"}},
		"instead, by its route": {"[outbox]\nroute = ''\n" + more, []string{"seq", "rpt"}},
		"in one line": {"tray = [{name = 'seq', dir = 'seq', route = 'fl-lab.seq', " +
			"settle = '0s'}]\n", []string{"seq"}},
		"as the outbox's folder": {"[[tray]]\nname = 'outbox'\ndir = '.'\nroute = 'fl-lab.dat'\n",
			[]string{"outbox"}},
	} {
		path := AgentFile(t.TempDir())
		writeFile(t, path, site+c.text)
		a, err := LoadAgent(path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, tray := range a.Trays() {
			got = append(got, tray.Name)
			want := defaultTray()
			want.Name, want.Dir, want.Route, want.Kind, want.Settle = tray.Name, tray.Dir,
				tray.Route, tray.Kind, tray.Settle
			if !reflect.DeepEqual(tray, want) || !filepath.IsAbs(tray.Dir) ||
				(tray.Name == "seq") != (tray.Settle == 0) ||
				(tray.Name == "rpt") != (tray.Kind == "RPT") {
				t.Errorf("%s: got %+v", name, tray)
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		a.Role = RoleReceive
		if trays := a.Trays(); len(trays) != 0 {
			t.Errorf("a site that only receives has the trays %v", trays)
		}
	}
}

func TestWhatARoleDoesNotUseIsNotAskedFor(t *testing.T) {
	path := AgentFile(t.TempDir())
	writeFile(t, path, "site = 'CA-RC'\nhub = ['h:1']\nnetwork = '"+strings.Repeat("0a", 32)+
		"'\nrole = 'receive'\n")
	if _, err := LoadAgent(path); err != nil {
		t.Errorf("a receiver needs no route: %v", err)
	}
}

func TestAbsolutePathsStay(t *testing.T) {
	otherDir := t.TempDir()
	path := AgentFile(t.TempDir())
	a := sampleAgent()
	a.State, a.Inbox.Dir = otherDir, filepath.Join(otherDir, "inbox")
	if err := WriteAgent(path, a); err != nil {
		t.Fatal(err)
	}
	got, err := LoadAgent(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.State != a.State || got.Inbox.Dir != a.Inbox.Dir {
		t.Errorf("got %s and %s", got.State, got.Inbox.Dir)
	}
}

// A written configuration reads back equal, with a comment for every field.
func TestWriteAndLoad(t *testing.T) {
	dir := t.TempDir()
	a := sampleAgent()
	if err := WriteAgent(AgentFile(dir), a); err != nil {
		t.Fatal(err)
	}
	gotAgent, err := LoadAgent(AgentFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	a.State, a.Outbox.Dir, a.Inbox.Dir = filepath.Join(dir, a.State),
		filepath.Join(dir, a.Outbox.Dir), filepath.Join(dir, a.Inbox.Dir)
	a.Tray[0].Dir, a.Tray[1].Dir = filepath.Join(dir, "seq"), filepath.Join(dir, "two")
	if !reflect.DeepEqual(gotAgent, a) {
		t.Errorf("got  %+v\nwant %+v", gotAgent, a)
	}
	h := sampleHub()
	if err := WriteHub(HubFile(dir), h); err != nil {
		t.Fatal(err)
	}
	gotHub, err := LoadHub(HubFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	h.State = filepath.Join(dir, h.State)
	if !reflect.DeepEqual(gotHub, h) {
		t.Errorf("got  %+v\nwant %+v", gotHub, h)
	}
	for _, path := range []string{AgentFile(dir), HubFile(dir)} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if comments, keys := strings.Count(string(text), "\n# "),
			strings.Count(string(text), " = "); comments < keys-6 {
			t.Errorf("%s has %d comments for %d keys", path, comments, keys)
		}
	}
}

func TestWriteWhereNothingCanBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent", "agent.toml")
	if err := WriteAgent(path, sampleAgent()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestLoadWhatIsNotThere(t *testing.T) {
	if _, err := LoadAgent(AgentFile(t.TempDir())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestFileThatIsNoConfiguration(t *testing.T) {
	path := HubFile(t.TempDir())
	writeFile(t, path, strings.Repeat("# a film\n", 100_000))
	_, err := LoadHub(path)
	if err == nil || !strings.HasSuffix(err.Error(), "larger than 256KiB: this is no "+
		"configuration of sealpost") {
		t.Errorf("got %v", err)
	}
}

func sampleAgent() Agent {
	a := DefaultAgent()
	a.Site, a.Hub, a.Network, a.Role = "FL-LAB", []string{"a:1", "b:2"}, strings.Repeat("0a", 32),
		RoleBoth
	a.State, a.LogLevel, a.Suite = `st"a\te`, "debug", SuiteX25519
	a.LogFormat = "json"
	a.Outbox = Tray{Name: "reports", Dir: "tray", Kind: "RPT", Route: "fl-lab.rpt",
		Settle: Duration(90 * second), FirstNumber: 125, Sweep: Duration(hour),
		Finished: FinishedMarker, Markers: []string{"*.ok", "READY-*"}, Disk: DiskShared,
		Changes: ChangesTell, RepeatWindow: Duration(hour), Repeat: RepeatLeave,
		ShareSettle: Duration(30 * second),
		Ignore:      []string{"*.bak", "a, \"b\""}}
	a.Tray = []Tray{
		{Name: "sequencer 1", Dir: "seq", Kind: "SEQ", Route: "fl-lab.seq",
			Hold: Duration(90 * second), FirstNumber: 1, Sweep: Duration(second),
			Finished: FinishedSettle, Markers: []string{"*.done"}, Ignore: []string{"x"},
			Changes: ChangesSend, Repeat: RepeatSend},
		{Name: "two", Dir: "two", Kind: "SEQ", Route: "fl-lab.seq", FirstNumber: 7,
			Sweep: Duration(second), Finished: FinishedSettle, Markers: []string{"*.done"},
			Changes: ChangesSend, Repeat: RepeatSend, Ignore: []string{"y"}},
	}
	a.Inbox = Inbox{Dir: "in", Reserve: 3 * mebi, MaxSize: 1000, Workers: 1, Readers: ReadersOwner,
		Accept: AcceptCompared,
		Hidden: true, Executables: true}
	return a
}

func sampleHub() Hub {
	h := DefaultHub()
	h.Name, h.Hosts, h.Listen = "DC-HQ", []string{"hub.example.org", "192.0.2.1", "2001:db8::1"},
		"127.0.0.1:7443"
	h.Queue = []Queue{
		{Name: "ca_rc_queue", Site: "CA-RC", Bindings: []string{"fl-lab.*", "pa-lab.#"}},
		{Name: "sf_rc_queue", Site: "SF-RC", Bindings: []string{"#"}},
	}
	return h
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
