package words

import (
	"strings"
	"testing"
	"time"

	"sealpost/internal/progress"
)

func TestWhyNamesWhoHasItAndWhoHasNot(t *testing.T) {
	got := Why("data.csv", "FL-LAB_DAT_20251008_001", "", false, []Answer{
		{"CA-RC", "delivered", "", ""}, {"SF-RC", "refused", "it does not decrypt", "ciphertext-damaged"}, {"NY-RC", "dead", "", "recipient-removed"}, {"UT-RC", "dead", "", "expired"},
	})
	want := strings.ReplaceAll(`data.csv (FL-LAB_DAT_20251008_001) was not delivered to everybody.

CA-RC has it, and has signed for it.
SF-RC has refused it for ever: it does not decrypt (ciphertext-damaged).
NY-RC does not have it: the admin of the hub has removed NY-RC from the network (recipient-removed).
UT-RC does not have it: the hub has given up delivering it (expired).

Your file is safe: it lies beside this note.
To send it again to those who do not have it, copy it into the folder @SF-RC,UT-RC in outbox; make that folder if it is not there.
To NY-RC nothing can be sent. If it should have the file all the same, ask the admin of the hub; once it is in the network again: sealpost agent resend FL-LAB_DAT_20251008_001 --to NY-RC
If you do not know why this happened, show this note to the admin of your site.
`, "\n", "\r\n")
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	got = Why("a", "m", "it is too large", false, nil)
	if !strings.Contains(got, "Nobody has it: it is too large.\r\n") || !strings.Contains(got, "copy it into outbox.\r\n") {
		t.Errorf("got %s", got)
	}
	if strings.Contains(got, "to everybody") || !strings.HasPrefix(got, "a (m) was not sent.") {
		t.Errorf("of a file that was not sent it says %s", got)
	}
	// A site that was removed is nobody to address again, in a folder of its name or by the route.
	for _, direct := range []bool{false, true} {
		got := Why("a", "m", "", direct, []Answer{{"NY-RC", "dead", "", "recipient-removed"}})
		if strings.Contains(got, "copy it") || !strings.Contains(got, "ask the admin of the hub; once it is in the network again: sealpost agent resend m --to NY-RC") {
			t.Errorf("of a removed site it says %s", got)
		}
	}
	// What was meant for one site must not go to all because the note says where to copy it.
	if got := Why("a", "m", RecalledAfterLoss, true, nil); strings.Contains(got, "Nobody has it") ||
		!strings.Contains(got, "may have been sent") || !IsWhy(got, "a", "m") {
		t.Errorf("after the loss of a ledger it says:\n%s", got)
	}
	if got := Why("a", "m", "recalled", true, nil); !strings.Contains(got, "Not into outbox itself") {
		t.Errorf("got %s", got)
	}
}

func TestAmounts(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Size(0), "0 B"}, {Size(1023), "1023 B"}, {Size(1536), "1.5 KiB"}, {Size(5 << 40), "5.0 TiB"}, {Size(5000 << 40), "5000.0 TiB"},
		{Duration(0), "1 s"}, {Duration(59 * time.Second), "59 s"}, {Duration(90 * time.Second), "2 min"}, {Duration(5 * time.Hour), "5 hours"}, {Duration(100 * time.Hour), "4 days"},
		{Time(time.Time{}), ""}, {Count(1, "file", "files"), "1 file"}, {Count(0, "file", "files"), "0 files"},
		{Progress(progress.State{Done: 1 << 20, Size: 4 << 20, Rate: 1 << 20, Left: 3 * time.Second}), "25 % of 4.0 MiB, 1.0 MiB/s, about 3 s left"},
		{Progress(progress.State{Done: 1 << 20, Size: 4 << 20}), "25 % of 4.0 MiB, standing still or just begun"},
		{Progress(progress.State{Done: 4 << 20, Size: 4 << 20}), "100 % of 4.0 MiB"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// Who takes the folder of several messages for a message is told how to find the one that is meant.
func TestAFolderOfSeveralIsNoMessage(t *testing.T) {
	if text := MessageUnknown("FL-LAB", "FL-LAB_DAT_20251008_001-204").Error(); !strings.Contains(text, "001 to 204") || !strings.Contains(text, "agent find") {
		t.Error(text)
	}
	if text := MessageUnknown("FL-LAB", "FL-LAB_DAT_20251008_001").Error(); !strings.Contains(text, "has no message") {
		t.Error(text)
	}
}
