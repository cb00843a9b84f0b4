package outbox

import (
	"strings"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/reason"
	"sealpost/internal/testkit"
	"sealpost/statement"
)

// noted returns the note on a message in a language, with plain ends of lines.
func noted(l reason.Language, m ledger.Outgoing, outcomes ...ledger.Outcome) string {
	return strings.ReplaceAll(render(explanation(m, outcomes), l), "\r\n", "\n")
}

func TestWhyNamesWhoHasItAndWhoHasNot(t *testing.T) {
	m := outgoing("data.csv", 1)
	m.ID = "FL-LAB_DAT_20251008_001"
	at := time.Date(2025, 10, 8, 12, 0, 0, 0, time.Local)
	outcomes := []ledger.Outcome{
		{Site: "CA-RC", Outcome: ledger.OutcomeDelivered},
		{Site: "SF-RC", Outcome: ledger.OutcomeRefused, Code: statement.CodeCiphertext},
		{Site: "NY-RC", Outcome: ledger.OutcomeDead, Code: recipientRemoved, Time: at},
		{Site: "UT-RC", Outcome: ledger.OutcomeDead, Code: "expired"},
	}
	if got, want := noted(reason.English, m, outcomes...), `data.csv (FL-LAB_DAT_20251008_001) `+
		`was not delivered to every recipient.

CA-RC has it, and has signed for it.
SF-RC has refused it for ever: it does not decrypt: it was damaged before it was published `+
		`(ciphertext-damaged).
NY-RC does not have it: the admin of the hub has removed NY-RC from the network on `+
		`2025-10-08 12:00:00 (recipient-removed).
UT-RC does not have it: it has waited at the hub for longer than the hub keeps it (expired).

Your file is safe: it lies beside this note.
To send it again to the sites that do not have it, copy it into the folder @SF-RC,UT-RC in `+
		`outbox; make that folder if it is not there.
To NY-RC no file can be sent. If it should have the file all the same, ask the admin of the hub; `+
		`once it is in the network again: sealpost agent resend FL-LAB_DAT_20251008_001 --to NY-RC
If you do not know why this happened, show this note to the admin of your site.
`; got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for code, part := range map[string]string{"max-attempts": "has tried to take it too often",
		"of-a-newer-hub": "the hub has given up delivering it (of-a-newer-hub)"} {
		outcomes[3].Code = code
		if got := noted(reason.English, m, outcomes...); !strings.Contains(got, part) {
			t.Errorf("of %s it says:\n%s", code, got)
		}
	}
	german := noted(reason.German, m, outcomes...)
	for _, part := range []string{"wurde nicht allen Empfängern zugestellt.",
		"NY-RC am 2025-10-08 12:00:00 aus dem Netz entfernt (recipient-removed).",
		"den Ordner @SF-RC,UT-RC in outbox", "Administrator Ihres Standorts."} {
		if !strings.Contains(german, part) {
			t.Errorf("without %q:\n%s", part, german)
		}
	}
	for _, l := range reason.Languages() {
		other := m
		other.ID = "FL-LAB_DAT_20251008_002"
		if text := noted(l, m, outcomes...); !isWhy(text, m) || isWhy(text, other) {
			t.Errorf("%s: the note is not recognised by its message", l)
		}
	}
	if !isWhy("data.csv (FL-LAB_DAT_20251008_001) was not delivered to everybody.\r\n", m) {
		t.Error("a note of an earlier version is not recognised")
	}
}

// A file that the hub's admin has requeued is not sent again, and others are.
func TestWhyOfARequeuedFile(t *testing.T) {
	m := outgoing("a", 1)
	at := time.Date(2025, 10, 8, 12, 0, 0, 0, time.Local)
	requeued := ledger.Outcome{Site: "CA-RC", Outcome: ledger.OutcomeDead,
		Code: ledger.CodeRequeued, Time: at}
	got := noted(reason.English, m, requeued)
	for _, part := range []string{"CA-RC does not have it yet", "on 2025-10-08 12:00:00",
		"Do not send it to CA-RC again", "if the hub is lost meanwhile"} {
		if !strings.Contains(got, part) {
			t.Errorf("without %q:\n%s", part, got)
		}
	}
	if strings.Contains(got, "copy it") {
		t.Errorf("it says to send it again:\n%s", got)
	}
	got = noted(reason.English, m, requeued,
		ledger.Outcome{Site: "NY-RC", Outcome: ledger.OutcomeDead, Code: "expired"})
	if !strings.Contains(got, "copy it into the folder @NY-RC") ||
		!strings.Contains(got, "Do not send it to CA-RC again") {
		t.Errorf("of two it says:\n%s", got)
	}
}

// A note has no text from outside that acts on a terminal, adds a line or hides characters.
func TestWhyOfEvilText(t *testing.T) {
	at := time.Date(2025, 10, 8, 12, 0, 0, 0, time.Local)
	note := func(l reason.Language, evil string, isSealed bool) (m ledger.Outgoing, text string) {
		m = outgoing(evil, 1)
		m.ID, m.Reason = "FL-LAB_DAT_20251008_001", reason.Text(evil)
		if !isSealed {
			return m, render(explanation(m, nil), l)
		}
		return m, render(explanation(m, []ledger.Outcome{
			{Site: "CA-RC", Outcome: ledger.OutcomeRefused, Code: evil},
			{Site: "NY-RC", Outcome: ledger.OutcomeDead, Code: evil, Time: at}}), l)
	}
	for _, l := range reason.Languages() {
		for _, isSealed := range []bool{false, true} {
			_, harmless := note(l, "a", isSealed)
			for _, evil := range testkit.EvilTexts() {
				m, text := note(l, evil, isSealed)
				testkit.Harmless(t, text)
				if strings.Count(text, "\n") != strings.Count(harmless, "\n") || !isWhy(text, m) {
					t.Errorf("%q makes:\n%s", evil, text)
				}
			}
		}
	}
}

func TestWhyOfAFileThatWasNotSent(t *testing.T) {
	m := outgoing("a", 1)
	m.Reason = reason.New("larger-than-hub")
	got := noted(reason.English, m)
	if !strings.HasPrefix(got, "a ("+string(m.ID)+") was not sent.\n") ||
		!strings.Contains(got, "No recipient has it: it is larger than the hub accepts") ||
		!strings.Contains(got, "copy it into outbox.\n") {
		t.Errorf("got %s", got)
	}
	// A file for one site must not go to all because of the note.
	m.Dir = "@CA-RC"
	if got := noted(reason.English, m); !strings.Contains(got, "Not into outbox itself") {
		t.Errorf("got %s", got)
	}
	m.Reason = reason.New(reason.RecalledAfterLoss)
	if got := noted(reason.English, m); strings.Contains(got, "No recipient has it") ||
		!strings.Contains(got, "may have been sent") || !isWhy(got, m) {
		t.Errorf("after the loss of a ledger it says:\n%s", got)
	}
	// A removed site cannot be sent to, in a folder of its name or by the route.
	for _, dir := range []string{"", "@NY-RC"} {
		m.Dir = dir
		got := noted(reason.English, m, ledger.Outcome{Site: "NY-RC",
			Outcome: ledger.OutcomeDead, Code: recipientRemoved})
		if strings.Contains(got, "copy it") || strings.Contains(got, " on ") ||
			!strings.Contains(got, "sealpost agent resend "+string(m.ID)+" --to NY-RC") {
			t.Errorf("of a removed site it says %s", got)
		}
	}
}

// Every refusal code has its meaning in each language.
func TestRefusalsHaveMeanings(t *testing.T) {
	for _, c := range statement.Codes {
		if got := meaning(c.Code).String(); got != c.Meaning {
			t.Errorf("%s means %q", c.Code, got)
		}
		for _, l := range reason.Languages() {
			if got := meaning(c.Code); reason.Templates(l)[got.Code] == "" {
				t.Errorf("%s has no meaning in %s", c.Code, l)
			}
		}
	}
	if got := meaning("of-a-newer-site"); got != reason.Text("of-a-newer-site") {
		t.Errorf("got %+v", got)
	}
}
