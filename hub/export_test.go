package hub

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/visible"
	"sealpost/spool"
)

// exported writes the export of a hub into a file.
func (q *headquarters) exported() (file string) {
	q.t.Helper()
	e := ask[Exported](q, ControlExport, Nothing{})
	file = filepath.Join(q.t.TempDir(), "DC-HQ.export")
	if err := os.WriteFile(file, []byte(e.Text), 0o600); err != nil {
		q.t.Fatal(err)
	}
	return file
}

// restored sets a new hub up from an export, under the root of an old one.
func (q *headquarters) restored(file string) *headquarters {
	q.t.Helper()
	dir := filepath.Join(q.t.TempDir(), "NEW-HQ")
	if _, err := Init(InitOptions{Dir: dir, Restore: file, RootDir: q.dir + "-root",
		Listen: freeAddress(q.t)}); err != nil {
		q.t.Fatal(err)
	}
	c, err := config.LoadHub(config.HubFile(dir))
	if err != nil {
		q.t.Fatal(err)
	}
	return &headquarters{t: q.t, dir: dir, config: c, log: &journal{}, clock: &clock{},
		wrap: q.wrap}
}

// at returns a site that calls another hub.
func (s *station) at(q *headquarters) *station {
	s.q.t.Helper()
	moved := *s
	moved.q = q
	moved.Client = api.NewClient(api.ClientOptions{Hubs: []string{q.config.Listen}, Site: s.site,
		UserAgent: "sealpost/test", TLS: moved.tls()})
	q.t.Cleanup(moved.CloseIdle)
	return &moved
}

// A new hub admits exactly the sites of the export, with their roles and routes.
func TestANewHubIsRestored(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.join("FL-LAB", "send", "fl-lab.dat", "fl-lab.seq")
	centre := q.centre("CA-RC", "fl-lab.*")
	removed := q.lab("PA-LAB")
	ask[Removed](q, ControlRemove, RemoveRequest{Site: "PA-LAB"})
	ask[Invited](q, ControlInvite, InviteRequest{Site: "SF-RC", Role: "receive"})
	q.bind("SF-RC", "#")
	ask[SiteUsage](q, ControlQuota, QuotaRequest{Site: "FL-LAB",
		Send: spool.Quota{Bytes: 5 << 20, Uploads: 3}})
	ask[SiteUsage](q, ControlQuota, QuotaRequest{Site: "CA-RC", Queue: spool.Quota{Messages: 7},
		ExpiresAfter: 50 * time.Hour})
	ask[SiteUsage](q, ControlQuota, QuotaRequest{Site: "SF-RC", ExpiresAfter: NeverExpires})
	file := q.exported()
	newer := q.lab("NY-LAB")
	before := ask[SitesAnswer](q, ControlSites, Nothing{})
	limits := ask[UsageAnswer](q, ControlUsage, Nothing{})
	q.stop()

	n := q.restored(file)
	n.start()
	t.Cleanup(n.stop)
	if last := ask[LastExport](n, ControlLastExport, Nothing{}); last.Made.IsZero() {
		t.Errorf("its last export is %+v", last)
	}
	for _, s := range []*station{lab, centre} {
		hello, err := s.at(n).Hello(t.Context())
		if err != nil {
			t.Fatalf("%s is not admitted: %v", s.site, err)
		}
		if s == lab && !slices.Equal(hello.MaySend, []string{"fl-lab.dat", "fl-lab.seq"}) {
			t.Errorf("FL-LAB may send under %v", hello.MaySend)
		}
	}
	if _, err := removed.at(n).Hello(t.Context()); !errors.Is(err, api.ErrRemoved) {
		t.Errorf("a removed site: %v", err)
	}
	if _, err := newer.at(n).Hello(t.Context()); !errors.Is(err, api.ErrNotAdmitted) {
		t.Errorf("a site that joined after the export: %v", err)
	}
	after := ask[SitesAnswer](n, ControlSites, Nothing{})
	for _, want := range before.Sites {
		i := slices.IndexFunc(after.Sites, func(s SiteStatus) bool { return s.Site == want.Site })
		if want.Site == "NY-LAB" {
			if i >= 0 {
				t.Error("NY-LAB is known")
			}
			continue
		}
		got := after.Sites[i]
		if got.State != want.State || got.Role != want.Role || got.Queue != want.Queue ||
			got.Fingerprint != want.Fingerprint || !slices.Equal(got.MaySend, want.MaySend) ||
			!got.Created.Equal(want.Created) || !got.Removed.Equal(want.Removed) {
			t.Errorf("it was %+v, and is %+v", want, got)
		}
		if got.KeyHash != "" {
			t.Errorf("%s has a recipient key that it did not bring", got.Site)
		}
	}
	for _, got := range ask[UsageAnswer](n, ControlUsage, Nothing{}).Sites {
		i := slices.IndexFunc(limits.Sites, func(u SiteUsage) bool { return u.Site == got.Site })
		if want := limits.Sites[i]; got.ExpiresAfter != want.ExpiresAfter ||
			got.OwnExpires != want.OwnExpires {
			t.Errorf("deliveries end as %+v, want %+v", got, want)
		}
		for _, pair := range [][2]*QuotaState{{got.Send, limits.Sites[i].Send},
			{got.Queue, limits.Sites[i].Queue}} {
			if pair[0] != nil && (pair[0].Allowed != pair[1].Allowed ||
				pair[0].Own != pair[1].Own) {
				t.Errorf("%s is limited by %+v, and was by %+v", got.Site, pair[0], pair[1])
			}
		}
	}
	for _, queue := range ask[QueuesAnswer](n, ControlQueues, Nothing{}).Queues {
		want := map[string][]string{"ca_rc_queue": {"fl-lab.*"}, "sf_rc_queue": {"#"}}[queue.Name]
		if !slices.Equal(queue.Bindings, want) {
			t.Errorf("%s receives %v, want %v", queue.Name, queue.Bindings, want)
		}
	}
}

// A removal, a binding and an admission after the first start stay: the export is used once.
func TestAnExportIsRestoredOnce(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "fl-lab.*")
	file := q.exported()
	q.stop()
	n := q.restored(file)
	if _, err := Init(InitOptions{Dir: n.dir, Restore: file}); err != nil {
		t.Errorf("init, repeated: %v", err)
	}
	n.start()
	t.Cleanup(n.stop)
	if exists(filepath.Join(n.config.State, restoreFile)) {
		t.Error("the export is still in the state folder")
	}
	ask[Removed](n, ControlRemove, RemoveRequest{Site: "FL-LAB"})
	ask[Bound](n, ControlUnbind, BindRequest{Queue: "ca_rc_queue", Keys: []string{"fl-lab.*"}})
	n.restart()
	if _, err := lab.at(n).Hello(t.Context()); !errors.Is(err, api.ErrRemoved) {
		t.Errorf("the removed site: %v", err)
	}
	if b := ask[QueuesAnswer](n, ControlQueues, Nothing{}).Queues[0].Bindings; len(b) > 0 {
		t.Errorf("bound again to %v", b)
	}
	n.stop()
	_, err := Init(InitOptions{Dir: n.dir, Restore: file})
	if err == nil || !strings.Contains(err.Error(), "has run already") {
		t.Errorf("over a hub that has run: %v", err)
	}
}

// failsAfter is a store whose registry fails after some puts, as if the process had been killed.
type failsAfter struct {
	Store
	puts int
}

func (f *failsAfter) Put(ctx context.Context, kind, key string, version uint64,
	value []byte) (uint64, error) {
	if f.puts--; f.puts < 0 {
		return 0, errors.New("killed")
	}
	return f.Store.Put(ctx, kind, key, version, value)
}

// A restoration that was interrupted at any point is finished by the next start.
func TestAnInterruptedRestorationIsFinished(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	centre := q.centre("CA-RC", "fl-lab.*")
	file := q.exported()
	q.stop()
	const puts = 5 // a queue, and a site and an invitation for each of two
	for done := range puts {
		n := q.restored(file)
		t.Cleanup(n.stop)
		store := n.openStore()
		_, err := New(Options{Config: n.config, Spool: &failsAfter{store, done}, Now: n.clock.now})
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("after %d puts: %v", done, err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		n.start()
		for _, s := range []*station{lab, centre} {
			if _, err := s.at(n).Hello(t.Context()); err != nil {
				t.Errorf("after %d puts %s: %v", done, s.site, err)
			}
		}
		n.stop()
	}
}

// A certificate that ended while there was no hub is issued again without a new invitation.
func TestARestoredSiteEnrolsAgain(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	file := q.exported()
	q.stop()
	n := q.restored(file)
	n.clock.forward(100 * 24 * time.Hour)
	n.start()
	t.Cleanup(n.stop)
	at := lab.at(n)
	if _, err := at.Hello(t.Context()); !errors.Is(err, api.ErrExpired) {
		t.Fatalf("with an old certificate: %v", err)
	}
	if err := n.stranger("FL-LAB").enroll(""); !errors.Is(err, api.ErrInvitation) {
		t.Errorf("another key: %v", err)
	}
	if err := at.enroll(""); err != nil {
		t.Fatalf("the site's own key: %v", err)
	}
	if _, err := lab.at(n).Hello(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestExportsThatAreNotRestored(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	q.centre("CA-RC", "fl-lab.*")
	good, err := os.ReadFile(q.exported())
	if err != nil {
		t.Fatal(err)
	}
	other := openHeadquarters(t)
	foreign, err := os.ReadFile(other.exported())
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := parseExport(good)
	if err != nil {
		t.Fatal(err)
	}
	signBy := func(by *certs.Identity, change func(*export)) []byte {
		x := e
		x.Site, x.Queue = slices.Clone(e.Site), slices.Clone(e.Queue)
		change(&x)
		text, err := x.sign(by)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	sign := func(change func(*export)) []byte { return signBy(q.hub.identity, change) }
	otherRoot := other.dir + "-root"
	for name, c := range map[string]struct {
		text  []byte
		spoil func(*InitOptions)
		says  string
	}{
		"empty": {nil, nil, "no export"},
		"a role was changed": {bytes.Replace(good, []byte(`"receive"`), []byte(`"both"`), 1), nil,
			"was changed after a hub had signed it"},
		"a hub's other text": {bytes.Replace(good, []byte("made ="), []byte("mode ="), 1),
			nil, "mode"},
		"cut": {good[:len(good)/2], nil, "no export"},
		"signed by a site": {signBy(lab.identity, func(*export) {}),
			nil, "no hub of this network signed it"},
		"of another network": {foreign, nil, "is of the network"},
		"with another root": {good, func(o *InitOptions) { o.RootDir = otherRoot },
			"is of the network"},
		"without the root":    {good, func(o *InitOptions) { o.RootDir += "-lost" }, "root.key"},
		"with another name":   {good, func(o *InitOptions) { o.Name = "NY-HQ" }, "DC-HQ"},
		"with another suite":  {good, func(o *InitOptions) { o.Suite = "x25519" }, "hybrid"},
		"a site that is none": {sign(func(x *export) { x.Site[0].Name = "../x" }), nil, "site"},
		"a site stands twice": {sign(func(x *export) { x.Site[1] = x.Site[0] }), nil, "twice"},
		"an unknown role":     {sign(func(x *export) { x.Site[0].Role = "admin" }), nil, "admin"},
		"a key that is none": {sign(func(x *export) { x.Site[0].Fingerprint = "x" }),
			nil, "no export"},
		"a queue that is none": {sign(func(x *export) { x.Queue[0].Name = "x" }), nil, "queue"},
		"a binding that is bad": {sign(func(x *export) { x.Queue[0].Bindings = []string{"a b"} }),
			nil, "a b"},
		"without a time": {sign(func(x *export) { x.Made = time.Time{} }), nil, "time"},
		"made after the certificate's end": {
			sign(func(x *export) { x.Made = time.Now().AddDate(5, 0, 0) }), nil,
			"no hub of this network signed it"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "export")
			if err := os.WriteFile(file, c.text, 0o600); err != nil {
				t.Fatal(err)
			}
			o := InitOptions{Dir: filepath.Join(dir, "hub"), Restore: file,
				RootDir: q.dir + "-root"}
			if c.spoil != nil {
				c.spoil(&o)
			}
			r, err := Init(o)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v, and made %v", err, r.Made)
			}
			if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
				t.Errorf("it leaves behind %v, %v", list, err)
			}
		})
	}
}

// An export in the state folder is verified again at the start.
func TestAnExportThatWasChangedInTheStateFolder(t *testing.T) {
	q := openHeadquarters(t)
	q.lab("FL-LAB")
	n := q.restored(q.exported())
	path := filepath.Join(n.config.State, restoreFile)
	text := contents(t, []string{path})
	if err := os.WriteFile(path, []byte(strings.Replace(text, `"send"`, `"both"`, 1)),
		0o600); err != nil {
		t.Fatal(err)
	}
	store := n.openStore()
	defer store.Close()
	_, err := New(Options{Config: n.config, Spool: store})
	if err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("it starts with %v", err)
	}
	if !exists(path) {
		t.Error("the export is gone")
	}
}

// An export has no secret: no key, no invitation, no statement of a site.
func TestAnExportHoldsNoSecret(t *testing.T) {
	q := openHeadquarters(t)
	q.centre("CA-RC", "fl-lab.*")
	invited := ask[Invited](q, ControlInvite, InviteRequest{Site: "SF-RC", Role: "receive"})
	inv := q.hub.dir.view().invitations["SF-RC"]
	text := ask[Exported](q, ControlExport, Nothing{}).Text
	for _, secret := range []string{invited.Secret, string(inv.Hash), "PRIVATE KEY",
		q.hub.dir.view().sites["CA-RC"].Statement} {
		if secret == "" || strings.Contains(text, secret) {
			t.Errorf("the export holds %q", secret)
		}
	}
	if !strings.Contains(text, `name = "CA-RC"`) || !strings.Contains(text, "--root") {
		t.Errorf("it reads\n%s", text)
	}
}

// The standard output escapes nothing in an export, so it is signed there too.
func TestAnExportIsPlainText(t *testing.T) {
	q := openHeadquarters(t)
	q.centre("CA-RC", "fl-lab.*")
	if text := ask[Exported](q, ControlExport, Nothing{}).Text; visible.Lines(text) != text {
		t.Errorf("the output of %q is another", text)
	}
}

// A large network fits into an export.
func TestAnExportOfManySites(t *testing.T) {
	q := openHeadquarters(t)
	bindings := make([]string, 50)
	for i := range bindings {
		bindings[i] = strings.Repeat("word.", 20) + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	q.hub.dir.change.Lock()
	for i := range 400 {
		name := id.Site("RC-" + string(rune('A'+i%26)) + string(rune('A'+i/26)))
		for _, err := range []error{
			q.hub.dir.putSite(t.Context(), site{Name: name, Role: config.RoleReceive,
				Key: q.network(), Created: q.clock.now()}),
			q.hub.dir.putQueue(t.Context(), queue{Name: name.Queue(), Site: name,
				Bindings: bindings})} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	q.hub.dir.change.Unlock()
	file := q.exported()
	n := q.restored(file)
	n.start()
	t.Cleanup(n.stop)
	if got := len(ask[SitesAnswer](n, ControlSites, Nothing{}).Sites); got != 400 {
		t.Errorf("%d sites are restored", got)
	}
}

// The hub knows whether its last export still tells of all sites and routes.
func TestTheLastExport(t *testing.T) {
	q := openHeadquarters(t)
	expect := func(when string, isMade, isChanged bool) {
		t.Helper()
		got := ask[LastExport](q, ControlLastExport, Nothing{})
		if got.Made.IsZero() == isMade || got.Changed != isChanged {
			t.Errorf("%s: %+v", when, got)
		}
	}
	expect("an empty network", false, false)
	q.centre("CA-RC", "fl-lab.*")
	expect("never exported", false, true)
	q.exported()
	expect("exported", true, false)
	q.restart()
	expect("after a restart", true, false)
	for when, change := range map[string]func(){
		"a binding": func() { q.bind("CA-RC", "pa-lab.*") },
		"a site":    func() { q.lab("FL-LAB") },
		"a removal": func() { ask[Removed](q, ControlRemove, RemoveRequest{Site: "CA-RC"}) },
		"a damaged note": func() {
			if err := os.WriteFile(filepath.Join(q.config.State, exportedFile), []byte("{"),
				0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		change()
		if got := ask[LastExport](q, ControlLastExport, Nothing{}); !got.Changed {
			t.Errorf("%s: %+v", when, got)
		}
		q.exported()
		expect("exported after "+when, true, false)
	}
}

// With a copy of the old authority the root is not needed.
func TestRestoredWithTheOldAuthority(t *testing.T) {
	q := openHeadquarters(t)
	lab := q.lab("FL-LAB")
	file := q.exported()
	q.stop()
	dir := filepath.Join(t.TempDir(), "NEW-HQ")
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"issuing.key", "issuing.pem", "root.pem"} {
		text := contents(t, []string{filepath.Join(q.config.State, name)})
		if err := os.WriteFile(filepath.Join(dir, "state", name), []byte(text),
			0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Init(InitOptions{Dir: dir, Restore: file, Listen: freeAddress(t)}); err != nil {
		t.Fatal(err)
	}
	if exists(dir + "-root") {
		t.Error("it makes a root")
	}
	c, err := config.LoadHub(config.HubFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	n := &headquarters{t: t, dir: dir, config: c, log: &journal{}, clock: &clock{}, wrap: q.wrap}
	n.start()
	t.Cleanup(n.stop)
	if _, err := lab.at(n).Hello(t.Context()); err != nil {
		t.Error(err)
	}
}
