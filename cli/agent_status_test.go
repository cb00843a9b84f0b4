package cli

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/agent/inbox"
	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

func printed(t *testing.T, s agent.Status) string {
	t.Helper()
	var b strings.Builder
	if err := printAgentStatus(&printer{&b, reason.English}, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheStatusNamesWhatWaitsAtTheHub(t *testing.T) {
	since := time.Now().Add(-time.Hour)
	s := agent.Status{
		Outbox: &outbox.Status{Standing: outbox.Standing{
			Counts: map[ledger.State]int64{ledger.Published: 3}, Waiting: []outbox.Message{
				{ID: "FL-LAB_DAT_20251008_001", Name: "x.txt", Published: since,
					Recipients: []outbox.Recipient{
						{Site: "CA-RC", Outcome: ledger.OutcomeDelivered},
						{Site: "SF-RC"}}},
			}}}}
	for _, want := range []string{
		"  FL-LAB_DAT_20251008_001 \"x.txt\" waits at the hub for SF-RC since " +
			reason.TimeText(since) + "; CA-RC has it\n  and 2 more\n",
		"  Is it safe? Yes. It lies in the folder sending until every site has signed for it. " +
			"What next?",
	} {
		if text := printed(t, s); !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	s.Outbox.Waiting[0].Published = time.Now()
	if text := printed(t, s); strings.Contains(text, "Is it safe?") ||
		!strings.Contains(text, "SF-RC") {
		t.Errorf("of what is there since a moment it says:\n%s", text)
	}
}

func TestTheStatusOfAnInboxWhoseDiskIsAway(t *testing.T) {
	otherDisk := reason.Text("/data/inbox is on another disk")
	text := printed(t, agent.Status{Inbox: &inbox.Status{Away: otherDisk,
		Released: map[id.Envelope]reason.Reason{
			"1": reason.New(reason.InboxAway, "dir", "/data/inbox", "why", "it is missing"),
			"2": reason.Text("the content is damaged")}}})
	if strings.Count(text, "HANDED BACK") != 1 || !strings.Contains(text, "content is damaged") {
		t.Errorf("it repeats that the inbox is away:\n%s", text)
	}
	if !strings.Contains(text, "INBOX AWAY    /data/inbox is on another disk\n") ||
		!strings.Contains(text, "The hub keeps what is to come") {
		t.Errorf("it says:\n%s", text)
	}
}

// The status puts entries that need no action apart from those that do.
func TestTheStatusGroupsNotes(t *testing.T) {
	notes := func(names map[string]reason.Reason) outbox.Standing {
		return outbox.Standing{NotTaken: names}
	}
	s := agent.Status{Outbox: &outbox.Status{Trays: []outbox.TrayStatus{
		{
			Name: "outbox", Standing: notes(map[string]reason.Reason{
				"old": reason.New(reason.LeftRepeat),
				".a":  reason.New("ignored-name"), ".git": reason.New("hidden-name"),
				"b.csv":                       reason.New("is-link"),
				filepath.Join("sending", "x"): reason.New("strange-sending")})},
		{
			Name: "seq", Standing: notes(map[string]reason.Reason{
				"sending": reason.New("tray-gone", "n", 1)})},
	}}}
	text := printed(t, s)
	at := 0
	for _, want := range []string{`FOLDER UNUSABLE seq: "sending": the folder`,
		`OUT OF PLACE  outbox: "sending`, `NOT TAKEN     outbox: "b.csv": `,
		`NOT TAKEN     outbox: ".a": `, reason.NotTaken.Words().Safe.String(),
		`SENT BEFORE   outbox: "old": it was sent before with this content`,
		reason.Repeated.Words().Safe.String(),
		`LEFT ALONE    outbox: ".git": a name that begins with a dot`,
		reason.LeftAlone.Words().Ask.String()} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("it does not say %q behind what comes first:\n%s", want, text)
		}
		at += i
	}
	if strings.Count(text, reason.NotTaken.Words().Safe.String()) != 1 {
		t.Errorf("it says of what was sent that it was not:\n%s", text)
	}
	delete(s.Outbox.Trays[0].NotTaken, ".a")
	s.Outbox.Trays = s.Outbox.Trays[:1]
	if text := printed(t, s); !strings.Contains(text, `NOT TAKEN     "b.csv": `) {
		t.Errorf("of the only tray it says:\n%s", text)
	}
}

// The code of a death is a word in each language.
func TestADeathInGerman(t *testing.T) {
	for code, want := range map[string]string{"expired": "aufgegeben(abgelaufen)",
		"of-a-newer-hub": "aufgegeben(of-a-newer-hub)"} {
		if got := (answer{outcome: "dead", code: code}).text().In(reason.German); got != want {
			t.Errorf("of %s it says %q", code, got)
		}
	}
}
