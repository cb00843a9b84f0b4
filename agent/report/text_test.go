package report

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/agent/inbox"
	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// part returns the paragraph of a status that begins so.
func part(t *testing.T, text, head string) string {
	t.Helper()
	for p := range strings.SplitSeq(text, "\r\n\r\n") {
		if strings.HasPrefix(strings.TrimPrefix(p, "\r\n"), head) {
			return strings.ReplaceAll(strings.Trim(p, "\r\n"), "\r\n", "\n")
		}
	}
	t.Errorf("nothing begins with %q:\n%s", head, text)
	return ""
}

func expectPart(t *testing.T, text, want string) {
	t.Helper()
	head, _, _ := strings.Cut(want, "\n")
	if got := part(t, text, head); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// A centre is closed. The list names each waiting file, the centre, the time, and the centres that
// have it.
func TestWhichFileWaitsForWhichCentre(t *testing.T) {
	since := time.Now().Add(-time.Hour)
	waiting := func(number, name string, at time.Time, r ...outbox.Recipient) outbox.Message {
		return outbox.Message{ID: id.Message("FL-LAB_DAT_20251008_" + number), Name: name,
			Published: at, Recipients: r}
	}
	has := outbox.Recipient{Site: "CA-RC", Outcome: ledger.OutcomeDelivered, Verified: true}
	o := standing(outbox.Standing{Counts: map[ledger.State]int64{ledger.Published: 15},
		Waiting: []outbox.Message{
			waiting("001", "x.txt", since, has, outbox.Recipient{Site: "SF-RC"}),
			waiting("002", "y.txt", since, outbox.Recipient{Site: "CA-RC"},
				outbox.Recipient{Site: "SF-RC"}),
			waiting("003", "z.txt", since, has, outbox.Recipient{Site: "NY-RC",
				Outcome: ledger.OutcomeDead, Code: "expired"},
				outbox.Recipient{Site: "UT-RC", Outcome: ledger.OutcomeDead,
					Code: "recipient-removed"},
				outbox.Recipient{Site: "SF-RC", Doubt: reason.Text("another key")}),
		}})
	want := strings.NewReplacer("TIME", reason.TimeText(since), "\\\n", "").Replace(`UNDER WAY
  15 files are at the hub, waiting for the receipts
  "x.txt" [FL-LAB_DAT_20251008_001] waits at the hub for SF-RC since TIME; CA-RC has it
  "y.txt" [FL-LAB_DAT_20251008_002] waits at the hub for CA-RC, SF-RC since TIME
  "z.txt" [FL-LAB_DAT_20251008_003] waits at the hub for SF-RC (its receipt is \
not believed) since TIME; CA-RC has it; NY-RC does not get it (again: 'sealpost agent resend \
FL-LAB_DAT_20251008_003 --to NY-RC'); UT-RC does not get it, as the admin of the \
hub has removed it (once it is in the network again: \
'sealpost agent resend FL-LAB_DAT_20251008_003 --to UT-RC')
  and 12 more
  Is it safe?   Yes. It lies in the folder sending until every site has signed for it.
  What next?    Each site gets it by itself as soon as sealpost runs there.
  Whom to ask?  The admin of your site, if it lasts: they can call the site.`)
	expectPart(t, Snapshot{Outbox: o}.text(tray, reason.English), want)
	o.Trays[0].Waiting[0].Expires = since.Add(48 * time.Hour)
	if text := (Snapshot{Outbox: o}).text(tray, reason.English); !strings.Contains(text,
		"CA-RC has it; if nothing fetches it, it fails on "+
			reason.TimeText(since.Add(48*time.Hour))) {
		t.Errorf("of one that ends soon it says:\n%s", text)
	}
	for i := range o.Trays[0].Waiting {
		o.Trays[0].Waiting[i].Published = time.Now()
	}
	if text := part(t, Snapshot{Outbox: o}.text(tray, reason.English),
		"UNDER WAY"); strings.Contains(text, "Is it safe?") ||
		!strings.Contains(text, "for SF-RC since") {
		t.Errorf("of what is there since a moment it says:\n%s", text)
	}
}

// Matters for an operator stand before those that pass by themselves. The list gives the number of
// the omitted ones.
func TestWhatMattersStandsFirst(t *testing.T) {
	now := time.Date(2025, 10, 8, 12, 0, 0, 0, time.UTC)
	notes := map[string]reason.Reason{"big.bin": reason.New("still-written", "since", now),
		"zz link.csv": reason.New("is-link"), "closed.csv": reason.New("may-not-read")}
	for i := range 20 {
		notes[fmt.Sprintf(".hidden%02d", i)] = reason.New("ignored-name")
	}
	o := standing(outbox.Standing{NotTaken: notes})
	got := part(t, Snapshot{Outbox: o}.text(tray, reason.English), "NOT TAKEN")
	want := []string{`"closed.csv": `, `"zz link.csv": `, `"big.bin": it is still being written`,
		`".hidden00": `}
	for i, line := range strings.Split(got, "\n")[1:5] {
		if !strings.HasPrefix(line, "  "+want[i]) {
			t.Errorf("line %d is %q, want %q", i, line, want[i])
		}
	}
	if !strings.Contains(got, "\n  and 13 more\n") {
		t.Errorf("it says:\n%s", got)
	}
}

// A file in another folder than outbox is not called unsent. While a folder is missing no file is
// said to lie there.
func TestNothingIsSaidThatWasNotSeen(t *testing.T) {
	standingOf := func(notes map[string]reason.Reason) *outbox.Status {
		return standing(outbox.Standing{NotTaken: notes,
			Blocked: map[string]reason.Reason{
				"fl-lab.dat": reason.Text("waiting for SF-RC to join")},
			Explained: []outbox.Message{{ID: "m", Name: "a", Reason: reason.Text("why")}},
			Counts:    map[ledger.State]int64{ledger.Published: 1},
			Waiting: []outbox.Message{{ID: "n", Name: "b", Published: time.Now().Add(-time.Hour),
				Recipients: []outbox.Recipient{{Site: "CA-RC"}}}}})
	}
	text := Snapshot{
		Outbox: standingOf(map[string]reason.Reason{filepath.Join("sending",
			"x"): reason.New("strange-sending")})}.text(tray, reason.English)
	if strings.Contains(text, "NOT TAKEN") ||
		strings.Contains(part(t, text, "OUT OF PLACE"), "not been sent") {
		t.Errorf("it says:\n%s", text)
	}
	if n := strings.Count(text, "in the folder sending"); n != 3 {
		t.Errorf("that files are in sending is said %d times:\n%s", n, text)
	}
	text = Snapshot{
		Outbox: standingOf(map[string]reason.Reason{
			"sending": reason.New("tray-gone", "n", 2)})}.text(tray, reason.English)
	if !strings.Contains(part(t, text, "FOLDER UNUSABLE"),
		`"sending": the folder is not the one`) ||
		strings.Contains(text, "in the folder sending") {
		t.Errorf("it says:\n%s", text)
	}
	if n := strings.Count(text, reason.New("safe-where-missing").String()); n != 3 {
		t.Errorf("where files lie is left open %d times:\n%s", n, text)
	}
	failed := standing(outbox.Standing{Failed: []outbox.Message{
		{ID: "m", Name: "a", Reason: reason.Text("no"), Folder: "sending/m"}}})
	if text := (Snapshot{Outbox: failed}).text(tray,
		reason.English); strings.Contains(text, "WHY.txt") {
		t.Errorf("of what is not moved yet it says:\n%s", text)
	}
}

// A delivered file that was edited differs from the delivered content, and the list reports it.
func TestAnEditedDeliveredFile(t *testing.T) {
	o := standing(outbox.Standing{
		Delivered: []outbox.Message{
			{ID: "m", Name: "a", Reason: reason.New("changed-in-sending"),
				Recipients: []outbox.Recipient{{Site: "CA-RC"}}},
			{ID: "n", Name: "b", Recipients: []outbox.Recipient{{Site: "CA-RC"}}}}})
	got := part(t, Snapshot{Outbox: o}.text(tray, reason.English), "DELIVERED last")
	for _, want := range []string{`"a" has reached CA-RC; ` +
		reason.New("changed-in-sending").String() + " [m]\n", `"b" has reached CA-RC [n]`} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
}

// A disk that is full or away is reported in the site's folder, too: the file beside it cannot
// tell.
func TestTheSitesFolderTellsOfDisks(t *testing.T) {
	s := Snapshot{Connected: true, Inbox: &inbox.Status{
		Full: reason.Text("/data/inbox: 0 B are free")}, Outbox: standing(outbox.Standing{})}
	s.Outbox.Trays = append(s.Outbox.Trays, outbox.TrayStatus{Name: "seq", Dir: "/seq",
		Standing: outbox.Standing{
			NotTaken: map[string]reason.Reason{"outbox": reason.New("folder-unreadable", "why",
				"no such file"), "own.csv": reason.New("is-link")},
			Queued:  map[string]int64{"fl-lab.seq": 1},
			Blocked: map[string]reason.Reason{"fl-lab.seq": reason.Text("why")}}})
	text := s.text(&place{dir: "tray", trays: []string{"outbox"}, disks: true}, reason.English)
	for _, want := range []string{"NO ROOM\r\n  What?         the disk of the inbox is too full",
		"/data/inbox: 0 B are free", "THE TRAY seq, in /seq\r\n\r\nFOLDER UNUSABLE",
		"no such file"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	for _, other := range []string{"own.csv", "fl-lab.seq", "RECEIVED"} {
		if strings.Contains(text, other) {
			t.Errorf("it tells of what is the other file's:\n%s", text)
		}
	}
	s.Inbox = &inbox.Status{Away: reason.Text("/data/inbox is not the folder that it was")}
	for _, p := range []*place{{dir: "tray", trays: []string{"outbox"}, disks: true},
		{dir: "site", disks: true, trays: []string{"outbox", "seq"}, inbox: "/data/inbox"},
		{dir: "/data", inbox: "/data/inbox"}} {
		expectPart(t, s.text(p, reason.English), `INBOX AWAY
  What?         the inbox cannot be used, so nothing is received: `+
			`/data/inbox is not the folder that it was
  Is it safe?   Yes. The hub keeps what is to come, and so does its sender.
  What next?    It is received by itself as soon as the inbox can be used again.
  Whom to ask?  The admin of this computer.`)
	}
	if text := s.text(&place{dir: "/data", inbox: "/data/inbox"},
		reason.English); strings.Contains(text, "FOLDER UNUSABLE") {
		t.Errorf("the file beside the inbox tells of a tray:\n%s", text)
	}
	if text := s.text(&place{dir: "site", disks: true, trays: []string{"outbox", "seq"},
		inbox: "/data/inbox"}, reason.English); !strings.Contains(text,
		"THE TRAY outbox, in tray") || !strings.Contains(text, "THE INBOX /data/inbox") {
		t.Errorf("it does not say of which folder it tells:\n%s", text)
	}
}

// A site that only receives has no outbox. No text asks its users to drop files or to look for
// files of theirs.
func TestAReceiverIsNotToldToDropFiles(t *testing.T) {
	for _, situation := range []reason.Situation{reason.NotConnected, reason.Intercepted,
		reason.ProxyShut, reason.RefusedByHub, reason.Stopped, reason.TakenOver} {
		for _, stopped := range []bool{false, true} {
			s := Snapshot{Trouble: reason.Text("why"), Apart: situation, Stopped: stopped,
				End: situation, Why: reason.Text("why"), Inbox: &inbox.Status{}}
			text := s.textWithProgress(&place{dir: "/site", inbox: "/site/inbox", disks: true},
				reason.English)
			for _, never := range []string{"dropping", "outbox", "sending", "tray"} {
				if strings.Contains(text, never) {
					t.Errorf("a receiver reads of %q:\n%s", never, text)
				}
			}
			s.Outbox = standing(outbox.Standing{})
			drops := strings.Contains(situation.Words().Safe.String(), "dropping")
			if text := s.textWithProgress(tray, reason.English); drops &&
				!strings.Contains(text, "go on dropping files") {
				t.Errorf("a sender does not read of it:\n%s", text)
			}
		}
	}
}

// A folder settles for half a minute: meanwhile it is under way.
func TestWhatSettlesIsUnderWay(t *testing.T) {
	s := Snapshot{Outbox: standing(outbox.Standing{Settling: 1})}
	text := s.text(tray, reason.English)
	if strings.Contains(text, "NOTHING IS UNDER WAY") {
		t.Errorf("it says:\n%s", text)
	}
	expectPart(t, text, `UNDER WAY
  1 file or folder is in outbox, to be taken once nothing changes there any more`)
}

// A status file has no text from outside that acts on a terminal, adds a line or hides characters.
func TestAStatusFileOfEvilText(t *testing.T) {
	text := func(evil string, l reason.Language, stopped bool) string {
		var s Snapshot
		testkit.Fill(&s, evil, reason.Text("of "+evil))
		s.Connected, s.Stopped = !stopped, stopped
		p := &place{dir: "/lab", trays: []string{evil, "other"}, inbox: "/data/" + evil,
			disks: true}
		return s.textWithProgress(p, l)
	}
	for _, l := range reason.Languages() {
		for _, stopped := range []bool{false, true} {
			lines := strings.Count(text("a", l, stopped), "\n")
			for _, evil := range testkit.EvilTexts() {
				got := text(evil, l, stopped)
				testkit.Harmless(t, got)
				if n := strings.Count(got, "\n"); n != lines || strings.Contains(got, "\t") {
					t.Errorf("%q makes %d lines of %d:\n%s", evil, n, lines, got)
				}
			}
		}
	}
}

// Each status file of a running or stopped agent has the contact of the site's admin.
func TestTheContactOfTheAdmin(t *testing.T) {
	for _, contact := range []string{"", "Ann, +49 761 1234"} {
		for _, stopped := range []bool{false, true} {
			f := newFile(&place{dir: "/lab"}, Options{Site: "FL-LAB", Contact: contact})
			text := heading(f, Snapshot{Stopped: stopped}, time.Now())
			line := "The admin of this site: " + contact + "\r\n"
			if strings.Contains(text, line) != (contact != "") {
				t.Errorf("stopped %t, contact %q:\n%s", stopped, contact, text)
			}
		}
	}
}

// The limits of the line stand with the link, as long as there is one.
func TestLimitsOfTheLine(t *testing.T) {
	s := Snapshot{Connected: true, Hub: "DC-HQ", Limits: []reason.Reason{
		reason.New("line-limits-up", "rate", reason.Size(5<<20), "until", nil)}}
	const says = "\r\n  sending is limited to 5.0 MiB/s\r\n"
	if text := s.text(tray, reason.English); !strings.Contains(text, says) {
		t.Errorf("it says:\n%s", text)
	}
	s.Connected, s.Trouble = false, reason.Text("no line")
	if text := s.text(tray, reason.English); strings.Contains(text, says) {
		t.Errorf("without a link it says:\n%s", text)
	}
}
