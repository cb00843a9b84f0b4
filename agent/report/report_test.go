package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sealpost/agent/inbox"
	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// standing is the status of a site with one tray.
func standing(s outbox.Standing) *outbox.Status {
	return &outbox.Status{
		Standing: s, Trays: []outbox.TrayStatus{{Name: "outbox", Dir: "tray", Standing: s}}}
}

// tray is the place of a site with one tray, in its own folder.
var tray = &place{dir: "tray", trays: []string{"outbox"}}

// memory remembers folders for a test.
type memory struct {
	mu      sync.Mutex // guards folders
	folders []string
	err     error
}

func (m *memory) Folders(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.folders, m.err
}

func (m *memory) Remember(_ context.Context, folders []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.folders = folders
	return m.err
}

// lab is a site whose state a test sets.
type lab struct {
	t       *testing.T
	dir     string
	mu      sync.Mutex // guards the fields below
	now     Snapshot
	changes uint64
	err     error
	cost    time.Duration // of a read
	reads   int
}

func (l *lab) read(context.Context) (Snapshot, error) {
	l.mu.Lock()
	cost := l.cost
	l.mu.Unlock()
	time.Sleep(cost) // in a bubble
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	return l.now, l.err
}

func (l *lab) count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes
}

func (l *lab) set(change func(*Snapshot)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.now)
	l.changes++
}

// says returns the text of the file, and its time.
func (l *lab) says() (text, asOf string) {
	l.t.Helper()
	content, err := os.ReadFile(filepath.Join(l.dir, "STATUS.txt"))
	// it is just being replaced
	for try := 0; err != nil && runtime.GOOS == "windows" && try < 1000; try++ {
		content, err = os.ReadFile(filepath.Join(l.dir, "STATUS.txt"))
	}
	if err != nil {
		l.t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(content), "\r\n")
	if head != "sealpost: how things stand at FL-LAB" {
		l.t.Errorf("it begins with %q", head)
	}
	asOf, text, _ = strings.Cut(rest, "\r\n")
	return text, asOf
}

// started runs a reporter in a bubble of its own time until the story ends.
func started(t *testing.T, story func(*lab)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := &lab{t: t, dir: dir, now: Snapshot{Connected: true, Hub: "DC-HQ", Since: time.Now(),
			Expires: time.Now().AddDate(0, 3, 0), Outbox: standing(outbox.Standing{})}}
		r := New(Options{Site: "FL-LAB", Folder: dir, Trays: []Tray{{"outbox", dir}},
			Inbox: filepath.Join(dir, "inbox"), Read: l.read, Changes: l.count, Memory: &memory{},
			Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		story(l)
		stop()
		if err := <-done; !errors.Is(err, l.err) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// A change is written within two seconds, and nothing without a change.
func TestAChangeIsWritten(t *testing.T) {
	started(t, func(l *lab) {
		text, first := l.says()
		if !strings.Contains(text, "NOTHING IS UNDER WAY") {
			t.Errorf("it says:\n%s", text)
		}
		time.Sleep(heartbeat - 2*idlePollInterval)
		if _, asOf := l.says(); asOf != first {
			t.Errorf("written at %s, though nothing has changed since %s", asOf, first)
		}
		l.set(func(s *Snapshot) {
			s.Outbox = standing(outbox.Standing{Counts: map[ledger.State]int64{ledger.Taken: 12},
				Queued: map[string]int64{"fl-lab.dat": 12}, Blocked: map[string]reason.Reason{
					"fl-lab.dat": reason.Text("waiting for SF-RC to join")}})
		})
		time.Sleep(2 * time.Second)
		text, _ = l.says()
		for _, want := range []string{"WAITING for fl-lab.dat (12 files)",
			"waiting for SF-RC to join", "Is it safe?   Yes.", "Whom to ask?",
			"12 files are waiting to be sent"} {
			if !strings.Contains(text, want) {
				t.Errorf("it does not say %q:\n%s", want, text)
			}
		}
	})
}

// A user sees why a file is not on its way yet, and where a failed one is explained.
func TestWhatIsHeldAndWhatHasFailedSayWhy(t *testing.T) {
	now := standing(outbox.Standing{
		Counts: map[ledger.State]int64{ledger.Taken: 2},
		Failed: []outbox.Message{{ID: "FL-LAB_DAT_20251008_001", Name: "a.csv",
			Folder: "failed/FL-LAB_DAT_20251008_001", Reason: reason.Text("it was recalled")}},
		NotTaken: map[string]reason.Reason{"b.csv": reason.Text("it is open")},
	})
	now.Trays[0].Hold = 2 * time.Minute
	text := Snapshot{Connected: true, Outbox: now}.text(tray, reason.English)
	for _, want := range []string{
		"  2 files are waiting to be sent; each is held for 2 min first, so that it can be " +
			"recalled\r\n",
		`"a.csv" was not sent: it was recalled; ` +
			`WHY.txt in failed/FL-LAB_DAT_20251008_001 says more`,
		"  \"b.csv\": it is open\r\n  Is it safe?   Yes.", "Whom to ask?",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}

// A message may have been sent before the ledger was lost. It is not said that it was not.
func TestARecallAfterALoss(t *testing.T) {
	m := outbox.Message{ID: "m", Name: "a.csv", Folder: "failed/m",
		Reason: reason.New(reason.RecalledAfterLoss)}
	text := Snapshot{Connected: true, Outbox: standing(outbox.Standing{
		Failed: []outbox.Message{m}})}.text(tray, reason.English)
	if strings.Contains(text, "was not sent") ||
		!strings.Contains(text, `"a.csv" was recalled and is not sent again: it may `) {
		t.Errorf("it says:\n%s", text)
	}
}

// While the agent runs its file is younger than its text warns of, and seldom written. After a kill
// it stays as it is.
func TestTheAgeOfTheFile(t *testing.T) {
	started(t, func(l *lab) {
		times := map[string]bool{}
		for range 24 * 60 {
			time.Sleep(time.Minute)
			text, asOf := l.says()
			if !strings.Contains(text, "If this time is more than 15 minutes ago, the agent is "+
				"not running, or it cannot write here") {
				t.Fatalf("it says:\n%s", text)
			}
			written, err := time.ParseInLocation("As of 2006-01-02 15:04:05.", asOf[:26],
				time.Local)
			if err != nil || time.Since(written) >= Old {
				t.Fatalf("%q is %s old, %v", asOf, time.Since(written), err)
			}
			times[asOf] = true
		}
		if len(times) > 24*6+2 { // with the first and the last
			t.Errorf("written %d times in a day in which nothing happened", len(times))
		}
	})
}

// Looks that take long are rare, and still the file does not grow old.
func TestASlowLedgerDoesNotMakeTheFileOld(t *testing.T) {
	started(t, func(l *lab) {
		l.set(func(*Snapshot) { l.cost = 20 * time.Second })
		for range 120 {
			time.Sleep(time.Minute)
			_, asOf := l.says()
			written, err := time.ParseInLocation("As of 2006-01-02 15:04:05.", asOf[:26],
				time.Local)
			if err != nil || time.Since(written) >= Old {
				t.Fatalf("%q is %s old, %v", asOf, time.Since(written), err)
			}
		}
	})
}

// After the clock is set back the file has no time in the future.
func TestAClockThatIsSetBack(t *testing.T) {
	dir := t.TempDir()
	f := newFile(&place{dir: dir}, Options{Site: "FL-LAB", Folder: dir})
	for _, now := range []time.Time{time.Now().Add(time.Hour), time.Now()} {
		if err := f.update(Snapshot{}, now); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "STATUS.txt"))
		if err != nil || !strings.Contains(string(text), "As of "+reason.TimeText(now)) {
			t.Errorf("it says:\n%s, %v", text, err)
		}
	}
}

func TestWhatIsNotWrittenDownIsNoticedToo(t *testing.T) {
	started(t, func(l *lab) {
		l.set(func(s *Snapshot) {
			s.Connected, s.Apart, s.Trouble = false, reason.NotConnected,
				reason.Text("connection refused")
		})
		l.mu.Lock()
		l.changes--
		l.mu.Unlock()
		time.Sleep(2 * idlePollInterval)
		if text, _ := l.says(); !strings.Contains(text, "NOT CONNECTED since") ||
			!strings.Contains(text, "connection refused") {
			t.Errorf("it says:\n%s", text)
		}
	})
}

func TestProgressIsToldOnceAMinute(t *testing.T) {
	started(t, func(l *lab) {
		writes := map[string]bool{}
		for i := range 300 {
			l.set(func(s *Snapshot) {
				s.Outbox = standing(outbox.Standing{
					Counts: map[ledger.State]int64{ledger.Sealed: 1},
					Uploads: []outbox.Upload{
						{Message: "FL-LAB_DAT_20251008_001", Name: "big.dat", Address: "fl-lab.dat",
							Done: int64(i) << 20, Size: 1 << 30, Rate: 1 << 20,
							Left: int64(1024 - i)}}})
			})
			time.Sleep(time.Second)
			_, asOf := l.says()
			writes[asOf] = true
		}
		if len(writes) < 5 || len(writes) > 7 {
			t.Errorf("written %d times in five minutes", len(writes))
		}
		if text, _ := l.says(); !strings.Contains(text,
			`"big.dat" to fl-lab.dat [FL-LAB_DAT_20251008_001]: `) ||
			!strings.Contains(text, "1.0 MiB/s, about ") ||
			!strings.Contains(text, "1 file is being encrypted and sent\r\n") ||
			strings.Contains(text, "not at the hub yet") {
			t.Errorf("it says:\n%s", text)
		}
	})
}

// The file of a busy site is written at most once a second.
func TestABusySite(t *testing.T) {
	started(t, func(l *lab) {
		reads := 0
		for i := range 1000 {
			l.set(func(s *Snapshot) {
				s.Outbox = standing(outbox.Standing{
					Counts: map[ledger.State]int64{ledger.Taken: int64(i)}})
			})
			time.Sleep(10 * time.Millisecond)
		}
		l.mu.Lock()
		reads = l.reads
		l.mu.Unlock()
		if reads < 9 || reads > 12 {
			t.Errorf("%d looks in ten seconds", reads)
		}
	})
}

func TestAtTheEndItSaysThatNobodyIsAtWork(t *testing.T) {
	var dir string
	started(t, func(l *lab) {
		dir = l.dir
		l.set(func(s *Snapshot) {
			s.Outbox = standing(outbox.Standing{
				Counts: map[ledger.State]int64{ledger.Published: 3}})
		})
	})
	text, err := os.ReadFile(filepath.Join(dir, "STATUS.txt"))
	if err != nil || !strings.Contains(string(text), "STOPPED\r\n") ||
		strings.Contains(string(text), "not running") || !strings.Contains(string(text),
		"3 files are at the hub") || strings.Contains(string(text), "CONNECTED to") {
		t.Errorf("it says:\n%s, %v", text, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAStateThatCannotBeReadEndsIt(t *testing.T) {
	started(t, func(l *lab) {
		l.set(func(*Snapshot) { l.err = errors.New("the ledger is gone") })
		time.Sleep(time.Minute)
	})
}

// Lists are bounded, and names are harmless.
func TestListsAndNames(t *testing.T) {
	notes, blocked := map[string]reason.Reason{}, map[string]reason.Reason{}
	released := map[id.Envelope]reason.Reason{}
	var sent []outbox.Message
	var got []inbox.Message
	for i := range 1000 {
		notes[fmt.Sprint("note", i)], blocked[fmt.Sprint("a.", i)] = reason.Text("why"),
			reason.Text("why")
		released[id.Envelope(fmt.Sprint(i))] = reason.Text("why")
		sent = append(sent, outbox.Message{ID: "m", Folder: "failed/m",
			Name: "line\nbreak \x1b[31m", Recipients: []outbox.Recipient{{Site: "CA-RC"},
				{Site: "SF-RC"}}})
		got = append(got, inbox.Message{Path: "FL-LAB/\u202etxt.exe", Sender: "FL-LAB"})
	}
	s := Snapshot{Clock: reason.Text("it is behind"), Expires: time.Now().Add(time.Hour),
		Pins: []Pin{{"CA-RC", reason.Text("another identity"), reason.Text("Call them.")}},
		Outbox: standing(outbox.Standing{NotTaken: notes, Blocked: blocked, Delivered: sent,
			Failed: sent, Explained: sent[:1]}),
		Inbox: &inbox.Status{Released: released,
			Refused: []inbox.Refused{
				{Envelope: "e", Sender: "FL-LAB", Detail: reason.Text("damaged")}}, Latest: got,
			Downloads: []inbox.Download{{Sender: "FL-LAB", Size: 4, Done: 1}}}}
	text := s.textWithProgress(&place{dir: "tray", trays: []string{"outbox"},
		inbox: filepath.Join("tray", "inbox")},
		reason.English)
	if n := strings.Count(text, "\r\n"); n > 250 {
		t.Errorf("%d lines", n)
	}
	for _, c := range strings.ReplaceAll(text, "\r\n", "") {
		if c < ' ' || c == '\u202e' {
			t.Errorf("a name brings %q into the file", c)
			break
		}
	}
	for _, want := range []string{"CLOCK", "CERTIFICATE", "NOT TRUSTED CA-RC", "HANDED BACK",
		"REFUSED", "has reached CA-RC, SF-RC", "25 % of 4 B", "RECEIVED last", "failed/m"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}
