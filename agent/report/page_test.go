package report

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"html"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/agent/inbox"
	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/internal/visible"
)

var updatePage = flag.Bool("update", false, "write the golden page anew")

// pageOf returns the whole page of a state at a fixed time.
func pageOf(s Snapshot, p *place, l reason.Language) string {
	f := newFile(p, Options{Site: "FL-LAB", Language: l, Contact: "Ann, +49 761 1234"})
	f.isPage = true
	_, says := f.render(s)
	return pageHead(f, s, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) + says
}

// busyLab is a state with something of everything, and with n failed and waiting messages.
func busyLab(n int) Snapshot {
	at := time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)
	standing := outbox.Standing{Counts: map[ledger.State]int64{ledger.Published: int64(n)},
		NotTaken: map[string]reason.Reason{},
		Uploads: []outbox.Upload{{Message: "FL-LAB_DAT_20260301_003", Name: "large.bin",
			Address: "fl-lab.dat", Done: 1 << 30, Size: 4 << 30, Rate: 100 << 20, Left: 30}},
		Copies: []outbox.Copy{{Message: "FL-LAB_DAT_20260301_004", Name: "apart.bin",
			Done: 1 << 20, Size: 1 << 30}},
		Delivered: []outbox.Message{{ID: "FL-LAB_DAT_20260301_001", Name: "a.csv",
			State: ledger.Delivered, Finished: at, Recipients: []outbox.Recipient{{Site: "CA-RC",
				Verified: true, Time: at}, {Site: "SF-RC", Verified: true, Time: at}}}},
		Failed: []outbox.Message{{ID: "FL-LAB_DAT_20260301_002", Name: "b.csv",
			State: ledger.Failed, Finished: at, Reason: reason.New("recalled")}}}
	for i := range n {
		standing.Waiting = append(standing.Waiting, outbox.Message{Name: "waits",
			ID: id.Message("FL-LAB_DAT_20260301_1")})
		if i >= 9 {
			break
		}
	}
	return Snapshot{Connected: true, Hub: "DC-HQ", Since: at,
		Outbox: &outbox.Status{Trays: []outbox.TrayStatus{{Name: "outbox", Dir: "/lab",
			Standing: standing}}},
		Inbox: &inbox.Status{Latest: []inbox.Message{{ID: "CA-RC_DAT_20260301_001",
			Sender: "CA-RC", Path: "CA-RC/c.csv", Size: 5, Received: at, Placed: true}}}}
}

func TestThePageIsGolden(t *testing.T) {
	got := pageOf(busyLab(1), &place{dir: "/lab", trays: []string{"outbox"},
		inbox: "/lab/inbox"}, reason.English)
	golden := filepath.Join("testdata", "STATUS.html")
	if *updatePage {
		testkit.Must(t, os.MkdirAll("testdata", 0o755))
		testkit.Must(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	testkit.Must(t, err)
	if got != string(want) {
		t.Errorf("the page is\n%s", got)
	}
	_, style, _ := strings.Cut(got, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	if allowed := base64.StdEncoding.EncodeToString(sum[:]); !strings.Contains(
		html.UnescapeString(got), "style-src 'sha256-"+allowed+"'") {
		t.Errorf("a browser would ignore the style: its hash is %s", allowed)
	}
}

// A page has no script, no address to load, and no text from outside that is an element or acts.
func TestAPageOfEvilText(t *testing.T) {
	elements := regexp.MustCompile(`<[^>]*>`)
	page := func(evil string, l reason.Language) string {
		var s Snapshot
		testkit.Fill(&s, evil, reason.Text("of "+evil))
		s.Connected = true
		return pageOf(s, &place{dir: "/lab", trays: []string{evil, "other"},
			inbox: "/data/" + evil, disks: true}, l)
	}
	evil := append(testkit.EvilTexts(), `<script>alert(1)</script>`, `"><img src=//evil.example>`,
		`</title><body onload=x>`, `{{.}}`, `javascript:x`)
	for _, l := range reason.Languages() {
		want := elements.FindAllString(page("a", l), -1)
		for _, text := range evil {
			got := page(text, l)
			testkit.Harmless(t, got)
			if have := elements.FindAllString(got, -1); strings.Join(have, "") !=
				strings.Join(want, "") {
				t.Errorf("%q makes other elements:\n%s", text, got)
			}
		}
		for _, never := range []string{"<script", "src=", "href=", "url("} {
			if strings.Contains(strings.Join(want, "")+pageStyle, never) {
				t.Errorf("the page has %s", never)
			}
		}
	}
}

// Ten thousand files are a page of a few KB.
// The page and the text escape a name alike.
func TestNamesOfThePageAreThoseOfTheText(t *testing.T) {
	s := busyLab(1)
	list := s.Outbox.Trays[0].Failed
	for _, name := range []string{"bad\xff\xfe.csv", "a\u202egpj.exe", `b\c.csv`, `b\u202e.csv`} {
		list[0].Name = name
		shown := visible.Quote(name)
		text, page := s.text(tray, reason.English), html.UnescapeString(pageOf(s,
			&place{dir: "/lab", trays: []string{"outbox"}}, reason.English))
		if !strings.Contains(text, shown) || !strings.Contains(page, shown) {
			t.Errorf("%s is not in both:\n%s\n%s", shown, text, page)
		}
	}
}

func TestAPageStaysSmall(t *testing.T) {
	got := pageOf(busyLab(10_000), &place{dir: "/lab", trays: []string{"outbox"}}, reason.English)
	if len(got) > 16<<10 || !strings.Contains(got, "and 9990 more") &&
		!strings.Contains(got, "and 9,990 more") {
		t.Errorf("%d bytes:\n%s", len(got), got)
	}
}

// sends is the state of a lab that sends a large file.
func sends(u outbox.Upload) *outbox.Status {
	return standing(outbox.Standing{Counts: map[ledger.State]int64{ledger.Taken: 1},
		Uploads: []outbox.Upload{u}})
}

// A page lies beside the text. It follows a transfer, keeps off a user's file of its name, tells of
// the end of the agent, and goes when it is turned off.
func TestThePageBesideTheText(t *testing.T) {
	dir := t.TempDir()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		return string(text)
	}
	synctest.Test(t, func(t *testing.T) {
		upload := outbox.Upload{Name: "large.bin", Done: 1 << 20, Size: 8 << 20}
		l := &lab{t: t, dir: dir, now: Snapshot{Connected: true, Since: time.Now(),
			Expires: time.Now().AddDate(0, 3, 0), Outbox: sends(upload)}}
		run := func(page bool, story func()) {
			r := New(Options{Site: "FL-LAB", Folder: dir, Trays: []Tray{{"outbox", dir}},
				Page: page, Read: l.read, Changes: l.count, Memory: &memory{},
				Log: slog.New(slog.DiscardHandler)})
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			synctest.Wait()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			story()
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		run(true, func() {
			if !strings.Contains(read("STATUS.html"), `value="1048576"`) ||
				!strings.Contains(read("STATUS.txt"), "12 %") {
				t.Errorf("the page is\n%s", read("STATUS.html"))
			}
			l.mu.Lock()
			upload.Done = 4 << 20
			l.now.Outbox = sends(upload)
			l.mu.Unlock()
			time.Sleep(2 * idlePollInterval)
			synctest.Wait()
			if !strings.Contains(read("STATUS.html"), `value="4194304"`) ||
				strings.Contains(read("STATUS.txt"), "50 %") {
				t.Error("the page does not follow the transfer, or the text does")
			}
			own := filepath.Join(dir, "STATUS.html")
			testkit.Must(t, os.WriteFile(own, []byte("<html>my page</html>"), 0o644))
			l.set(func(s *Snapshot) { s.Hub = "OTHER-HUB" })
			time.Sleep(2 * idlePollInterval)
			synctest.Wait()
		})
		if read("STATUS.html") != "<html>my page</html>" ||
			!strings.Contains(read("STATUS (sealpost).html"), "STOPPED") {
			t.Errorf("at the end it says\n%s", read("STATUS (sealpost).html"))
		}
		run(false, func() {})
		if read("STATUS.html") != "<html>my page</html>" || read("STATUS (sealpost).html") != "" {
			t.Error("turned off, the page stays, or a user's is gone")
		}
	})
}

// BenchmarkPage writes a page of a busy lab.
func BenchmarkPage(b *testing.B) {
	f := newFile(&place{dir: b.TempDir(), trays: []string{"outbox"}}, Options{Site: "FL-LAB"})
	f.isPage = true
	s := busyLab(10_000)
	for i := 0; b.Loop(); i++ {
		s.Outbox.Trays[0].Uploads[0].Done += 1 << 20
		if err := f.update(s, time.Now().Add(time.Duration(i)*time.Second)); err != nil {
			b.Fatal(err)
		}
	}
}
