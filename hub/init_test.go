package hub

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealpost/certs"
	"sealpost/config"
)

func TestInitMayBeRepeated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "DC-HQ")
	o := InitOptions{Dir: dir, Name: "DC-HQ", Hosts: []string{"hub.example.org", "127.0.0.1"}}
	first, err := Init(o)
	if err != nil || len(first.Made) != 7 || len(first.Existing) != 0 || first.Suite != "hybrid" ||
		first.Listen != ":7443" {
		t.Fatalf("first: %+v, %v", first, err)
	}
	before := contents(t, first.Made)
	second, err := Init(o)
	if err != nil || len(second.Made) != 0 || len(second.Existing) != 7 ||
		second.Network != first.Network {
		t.Errorf("second: %+v, %v", second, err)
	}
	if contents(t, first.Made) != before {
		t.Error("repeating it has changed files")
	}
	if err := os.RemoveAll(first.RootDir); err != nil { // taken away, as it should be
		t.Fatal(err)
	}
	third, err := Init(o)
	if err != nil || len(third.Made) != 0 || len(third.Existing) != 5 ||
		third.Network != first.Network || first.RootEncrypted == nil ||
		third.RootEncrypted != nil {
		t.Errorf("without the root: %+v, %v", third, err)
	}
	for _, file := range []string{"state/chain.pem", "hub.toml"} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		if repeated, err := Init(o); err != nil || len(repeated.Made) != 1 ||
			!strings.HasSuffix(repeated.Made[0], file) {
			t.Errorf("when %s is missing: %+v, %v", file, repeated, err)
		}
	}
}

func contents(t *testing.T, paths []string) string {
	t.Helper()
	var b strings.Builder
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
	}
	return b.String()
}

func TestInitUnderAnExistingRoot(t *testing.T) {
	dir := t.TempDir()
	first, err := Init(InitOptions{Dir: filepath.Join(dir, "A"), Name: "DC-HQ",
		Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := Init(InitOptions{Dir: filepath.Join(dir, "B"), Name: "DC-HQ",
		Hosts: []string{"127.0.0.1"}, RootDir: first.RootDir})
	if err != nil || second.Network != first.Network || len(second.Existing) != 2 {
		t.Errorf("the second hub: %+v, %v", second, err)
	}
}

func TestInitRefuses(t *testing.T) {
	dir := t.TempDir()
	good := InitOptions{Dir: filepath.Join(dir, "good"), Name: "DC-HQ",
		Hosts: []string{"127.0.0.1"}}
	if _, err := Init(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*InitOptions){
		"no hosts":         func(o *InitOptions) { o.Hosts = nil },
		"a host with port": func(o *InitOptions) { o.Hosts = []string{"hub.example.org:7443"} },
		"no name":          func(o *InitOptions) { o.Name = "" },
		"a bad name":       func(o *InitOptions) { o.Name = "the hub" },
		"a bad address":    func(o *InitOptions) { o.Listen = "7443" },
		"a long label": func(o *InitOptions) {
			o.Hosts = []string{strings.Repeat("a", 70) + ".example.org"}
		},
		"a bad suite":   func(o *InitOptions) { o.Suite = "rot13" },
		"another hub":   func(o *InitOptions) { o.Dir, o.Name = good.Dir, "NY-HQ" },
		"another suite": func(o *InitOptions) { o.Dir, o.Suite = good.Dir, "x25519" },
		"a short passphrase of the root": func(o *InitOptions) {
			o.Passphrases.New = func(path string) ([]byte, error) {
				return []byte("hunter2")[:7*strings.Count(path, rootKeyFile)], nil
			}
		},
		"a short passphrase of the issuing key": func(o *InitOptions) {
			o.Passphrases.New = func(path string) ([]byte, error) {
				return []byte("hunter2")[:7*strings.Count(path, issuingKeyFile)], nil
			}
		},
		"no file of the root's passphrase": func(o *InitOptions) {
			o.Passphrases.New = func(string) ([]byte, error) { return nil, os.ErrNotExist }
		},
		"a signed request of elsewhere": func(o *InitOptions) { o.Signed = "DC-HQ.signed" },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			dir := t.TempDir()
			o.Dir = filepath.Join(dir, "hub")
			spoil(&o)
			if r, err := Init(o); err == nil {
				t.Errorf("made %+v", r)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("it leaves behind %v, %v", left, err)
			}
			o = good
			o.Dir = filepath.Join(t.TempDir(), "hub")
			if _, err := Init(o); err != nil {
				t.Errorf("and then with the right words: %v", err)
			}
		})
	}
}

func TestNewNeedsInit(t *testing.T) {
	_, err := New(Options{Config: config.Hub{Name: "DC-HQ", State: t.TempDir()}})
	if err == nil || !strings.Contains(err.Error(), "sealpost hub init") {
		t.Errorf("it says %v", err)
	}
}

// Init's certificate names the hosts of hub.toml, even after others. Contradicting options fail.
func TestInitFollowsTheHosts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "DC-HQ")
	o := InitOptions{Dir: dir, Name: "DC-HQ", Hosts: []string{"hub.example.org", "127.0.0.1"}}
	if _, err := Init(o); err != nil {
		t.Fatal(err)
	}
	names := func() []string {
		t.Helper()
		identity, err := certs.OpenIdentity(filepath.Join(dir, "state", keyFile),
			filepath.Join(dir, "state", chainFile))
		if err != nil {
			t.Fatal(err)
		}
		return identity.Chain()[0].DNSNames
	}
	o.Hosts = []string{"127.0.0.1", "other.example.org"}
	if _, err := Init(o); err == nil || !strings.Contains(err.Error(), "hub.example.org") {
		t.Errorf("other hosts than those of hub.toml: %v", err)
	}
	path := config.HubFile(dir)
	text := contents(t, []string{path})
	if err := os.WriteFile(path,
		[]byte(strings.Replace(text, "hub.example.org", "other.example.org", 1)),
		0o600); err != nil {
		t.Fatal(err)
	}
	for _, hosts := range [][]string{nil, {"127.0.0.1", "other.example.org"}} {
		o.Hosts = hosts
		r, err := Init(o)
		renewed := map[bool]int{true: 1}[hosts == nil]
		if err != nil || !slices.Equal(names(), []string{"other.example.org"}) ||
			len(r.Renewed) != renewed || len(r.Existing) != 7-renewed {
			t.Errorf("hosts %q: the certificate names %q, %v", hosts, names(), err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	o.Hosts = []string{"third.example.org"}
	if _, err := Init(o); err != nil || !slices.Equal(names(), o.Hosts) {
		t.Errorf("with another hub.toml the certificate names %q, %v", names(), err)
	}
}

// A host that was added to hub.toml is in the certificate after the next start.
func TestTheCertificateFollowsTheConfiguration(t *testing.T) {
	q := openHeadquarters(t)
	before := q.hub.identity.Chain()[0]
	q.restart()
	if !q.hub.identity.Chain()[0].Equal(before) {
		t.Error("a restart alone makes another certificate")
	}
	q.config.Hosts = append(q.config.Hosts, "hub.example.org")
	q.restart()
	if names := q.hub.identity.Chain()[0].DNSNames; len(names) != 1 ||
		names[0] != "hub.example.org" {
		t.Errorf("the certificate names %v", names)
	}
	q.clock.forward(61 * 24 * 3600 * 1e9)
	old := q.hub.identity.NotAfter()
	if err := q.hub.renewSelf(); err != nil || !q.hub.identity.NotAfter().After(old) {
		t.Errorf("after two thirds of its life it was not renewed: %v", err)
	}
}

// A suite that was edited in hub.toml is refused by Init and at the start. An older hub finds it in
// the keys of its sites.
func TestAnEditedSuiteIsRefused(t *testing.T) {
	for _, noted := range []bool{true, false} {
		q := openHeadquarters(t)
		q.centre("CA-RC")
		q.stop()
		path := config.HubFile(q.dir)
		text := contents(t, []string{path})
		edited := strings.Replace(text, `suite = "hybrid"`, `suite = "x25519"`, 1)
		if err := os.WriteFile(path, []byte(edited), 0o600); err != nil {
			t.Fatal(err)
		}
		if !noted {
			if err := os.Remove(filepath.Join(q.config.State, suiteFile)); err != nil {
				t.Fatal(err)
			}
		}
		wrong := q.config
		wrong.Suite = config.SuiteX25519
		store := q.openStore()
		_, err := New(Options{Config: wrong, Spool: store})
		if err == nil || !strings.Contains(err.Error(), `was made with "hybrid"`) {
			t.Errorf("noted %v: it starts with %v", noted, err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Init(InitOptions{Dir: q.dir, Name: "DC-HQ"}); noted && (err == nil ||
			!strings.Contains(err.Error(), `was made with "hybrid"`)) {
			t.Errorf("init says %v", err)
		}
		q.restart()
		if made, err := MadeWith(q.config.State); err != nil || made != config.SuiteHybrid {
			t.Errorf("noted %v: then it is %q, %v", noted, made, err)
		}
	}
}

// Init names a folder that it cannot write, and has written to no other.
func TestInitTriesTheFolders(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []InitOptions{
		{Dir: filepath.Join(file, "hub"), RootDir: filepath.Join(dir, "root")},
		{Dir: filepath.Join(dir, "hub"), RootDir: filepath.Join(file, "root")},
	} {
		o.Name, o.Hosts = "DC-HQ", []string{"127.0.0.1"}
		_, err := Init(o)
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("it says %v", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("it leaves behind %v, %v", left, err)
		}
	}
}
