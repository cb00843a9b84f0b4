package agent_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/agent"
	"sealpost/agent/inbox"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// labAndCentre is the smallest network: one lab, one hub, one centre.
func labAndCentre(t *testing.T) (*world, *site, *site) {
	w := newWorld(t)
	centre := w.join("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	return w, w.join("FL-LAB", "send", "CA-RC"), centre
}

// A file arrives, and its receipt brings it to delivered/.
func TestAFileIsDelivered(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	content := random(10_000)
	lab.drop("data.csv", content)
	centre.expect("FL-LAB", "data.csv", content)
	eventually(t, "it lies in delivered", func() bool {
		return slices.Equal(lab.tray("delivered"), []string{"data.csv"})
	})
	if left := append(lab.tray("sending"), lab.tray("failed")...); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	m := lab.status().Outbox.Latest[0]
	if len(m.Recipients) != 1 || !m.Recipients[0].Verified ||
		m.Recipients[0].Outcome != "delivered" {
		t.Errorf("got %+v", m)
	}
	var receipts agent.Receipts
	must(t, lab.call(agent.PathReceipts, agent.MessageRequest{Message: string(m.ID)}, &receipts))
	if len(receipts.Receipts) != 1 || strings.Count(receipts.Receipts[0].JWS, ".") != 2 {
		t.Errorf("got %+v", receipts)
	}
}

func TestSizesAndNames(t *testing.T) {
	_, lab, centre := labAndCentre(t)
	lab.stop()
	lab.set("hidden", "true")
	lab.start()
	files := map[string][]byte{
		"empty": nil, "one byte": random(1), "inner.dots.csv": random(10),
		"emoji 🧬.txt": random(100), "it's.csv": random(1000),
		"64 KiB": random(64 << 10), "small": random(smallest), "just large": random(smallest + 1),
		"1 MiB": random(1 << 20), "40 MiB": random(40 << 20),
	}
	for name, content := range files {
		lab.drop(name, content)
	}
	lab.drop(`a "quoted" name`, []byte("q"))
	lab.drop(".leading dot", []byte("l"))
	for name, content := range files {
		centre.expect("FL-LAB", name, content)
	}
	centre.expect("FL-LAB", "a %22quoted%22 name", []byte("q"))
	centre.expect("FL-LAB", "%2Eleading dot", []byte("l"))
	eventually(t, "all lie in delivered", func() bool {
		return len(lab.tray("delivered")) == len(files)+2
	})
	if got := len(centre.inInbox()); got != len(files)+2 {
		t.Errorf("%d files in the inbox", got)
	}
}

const smallest = 768 << 10 // the largest file that is sealed in memory

func TestTheSameNameTwiceIsTwoFiles(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	lab.drop("data.csv", []byte("first"))
	eventually(t, "the first is taken", func() bool { return len(lab.status().Outbox.Latest) == 1 })
	centre.expect("FL-LAB", "data.csv", []byte("first"))
	lab.drop("data.csv", []byte("second"))
	eventually(t, "two files", func() bool { return len(centre.inInbox()) == 2 })
	second := string(lab.status().Outbox.Latest[0].ID)
	centre.expect("FL-LAB", fmt.Sprintf("data (%s).csv", second), []byte("second"))
	centre.expect("FL-LAB", "data.csv", []byte("first"))
}

// Nothing is sent to a site without an approval.
func TestOnlyApprovedSitesGetFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.join("CA-RC", "receive")
	other := w.join("SF-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC")
	w.bind("sf_rc_queue", "#")
	lab.drop("data.csv", []byte("secret"))
	eventually(t, "it waits", func() bool { return len(lab.status().Outbox.Blocked) == 1 })
	why := lab.status().Outbox.Blocked["fl-lab.dat"].String()
	if !strings.Contains(why, "now also leads to SF-RC") ||
		!strings.Contains(why, "sealpost agent approve CA-RC,SF-RC --route fl-lab.dat") {
		t.Errorf("it says %q", why)
	}
	if got := append(centre.inInbox(), other.inInbox()...); len(got) > 0 {
		t.Errorf("arrived all the same: %v", got)
	}
	must(t, lab.call(agent.PathApprove, agent.ApproveRequest{Sites: []string{"CA-RC", "SF-RC"}},
		nil))
	centre.expect("FL-LAB", "data.csv", []byte("secret"))
	other.expect("FL-LAB", "data.csv", []byte("secret"))
}

// A file waits for a centre that has not joined.
func TestAFileWaitsForAJoin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite("CA-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "route")
	lab.drop("data.csv", []byte("early"))
	eventually(t, "it waits", func() bool {
		return lab.status().Outbox.Blocked["fl-lab.dat"].Code == "not-joined"
	})
	centre := w.join("CA-RC", "receive")
	centre.expect("FL-LAB", "data.csv", []byte("early"))
}

// Hub and agents may all be stopped and started again.
func TestRestartOfAll(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	centre.stop()
	first := random(3 << 20)
	lab.drop("first", first)
	eventually(t, "the hub has it", func() bool {
		m := lab.status().Outbox.Latest
		return len(m) == 1 && m[0].State == "published"
	})
	w.stopHub()
	lab.drop("second", []byte("second"))
	eventually(t, "the second is taken", func() bool { return len(lab.tray("sending")) == 2 })
	lab.stop()
	lab.drop("third", []byte("third"))
	w.startHub()
	lab.start()
	centre.start()
	centre.expect("FL-LAB", "first", first)
	centre.expect("FL-LAB", "second", []byte("second"))
	centre.expect("FL-LAB", "third", []byte("third"))
	eventually(t, "all lie in delivered", func() bool { return len(lab.tray("delivered")) == 3 })
	if got := centre.inInbox(); len(got) != 3 {
		t.Errorf("in the inbox: %v", got)
	}
}

// replaceHub destroys the hub and sets another one up, with the lab and the centre.
func (w *world) replaceHub(lab, centre id.Hash) {
	w.t.Helper()
	w.stopHub()
	must(w.t, os.RemoveAll(w.hubDir()))
	w.initHub()
	w.startHub()
	w.admit("CA-RC", "receive", centre)
	w.admit("FL-LAB", "send", lab)
	w.bind("ca_rc_queue", "fl-lab.*")
}

// TestHandedBackToALostHub reports no delivery as handed back to a hub that is gone.
func TestHandedBackToALostHub(t *testing.T) {
	t.Parallel() // it waits more than it works
	w, lab, centre := labAndCentre(t)
	labKey, centreKey := lab.status().Fingerprint, centre.status().Fingerprint
	inTheWay := filepath.Join(centre.dir, "inbox", "FL-LAB")
	must(t, os.WriteFile(inTheWay, nil, 0o600))
	lab.drop("data.csv", []byte("data"))
	const label = "HANDED BACK"
	eventually(t, "it is handed back", func() bool {
		return strings.Contains(centre.statusFile(), label)
	})
	w.replaceHub(labKey, centreKey)
	must(t, os.Remove(inTheWay))
	centre.expect("FL-LAB", "data.csv", []byte("data"))
	eventually(t, "nothing is said to be handed back", func() bool {
		return !strings.Contains(centre.statusFile(), label)
	})
}

func TestADestroyedHubLosesNothing(t *testing.T) {
	t.Parallel() // it waits more than it works
	w, lab, centre := labAndCentre(t)
	lab.drop("before", []byte("before"))
	centre.expect("FL-LAB", "before", []byte("before"))
	eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	labKey, centreKey := lab.status().Fingerprint, centre.status().Fingerprint
	centre.stop()
	big := random(5 << 20)
	lab.drop("waiting", big)
	eventually(t, "the hub has it", func() bool {
		return lab.status().Outbox.Latest[0].State == "published"
	})
	w.replaceHub(labKey, centreKey)
	centre.start()
	centre.expect("FL-LAB", "waiting", big)
	eventually(t, "all lie in delivered", func() bool { return len(lab.tray("delivered")) == 2 })
	if got := centre.inInbox(); len(got) != 2 {
		t.Errorf("in the inbox: %v", got)
	}
}

func TestThousandSmallFilesShareEnvelopes(t *testing.T) {
	_, lab, centre := labAndCentre(t)
	const n = 1000
	content := func(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 500) }
	for i := range n {
		lab.drop(fmt.Sprintf("file %04d", i), content(i))
	}
	eventually(t, "all lie in delivered", func() bool { return len(lab.tray("delivered")) == n })
	for i := range n {
		centre.expect("FL-LAB", fmt.Sprintf("file %04d", i), content(i))
	}
	if got := len(centre.inInbox()); got != n {
		t.Errorf("%d files in the inbox", got)
	}
	envelopes := map[string]bool{}
	for _, m := range lab.status().Outbox.Latest {
		envelopes[string(m.Envelope)] = true
	}
	if len(envelopes) > 50 {
		t.Errorf("100 messages went in %d envelopes", len(envelopes))
	}
}

func TestWhatIsNotAFileIsLeftAloneAndSaid(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	must(t, os.Mkdir(filepath.Join(w.dir, "folder"), 0o755))
	must(t, os.Symlink("/etc/hostname", filepath.Join(w.dir, "folder", "link")))
	must(t, os.Rename(filepath.Join(w.dir, "folder"), filepath.Join(lab.dir, "outbox", "folder")))
	must(t, os.Symlink("/etc/hostname", filepath.Join(lab.dir, "outbox", "link")))
	lab.dropOld("draft.tmp")
	lab.drop("taken before.done", nil)
	lab.drop("good", []byte("good"))
	centre.expect("FL-LAB", "good", []byte("good"))
	eventually(t, "four are explained", func() bool {
		return len(lab.status().Outbox.NotTaken) == 4
	})
	if got := centre.inInbox(); !slices.Equal(got, []string{"FL-LAB/good"}) {
		t.Errorf("in the inbox: %v", got)
	}
}

// dropOld drops a file whose program has not written it for an hour.
func (s *site) dropOld(name string) {
	s.w.t.Helper()
	s.drop(name, []byte(name))
	old := time.Now().Add(-time.Hour)
	must(s.w.t, os.Chtimes(filepath.Join(s.dir, "outbox", name), old, old))
}

// tree makes a folder outside the outbox, so that it can be dropped whole.
func tree(t *testing.T, base string) string {
	t.Helper()
	root := filepath.Join(base, "run 7")
	for _, dir := range []string{"empty", "deep/er", "a-b"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for path, content := range map[string]string{"a": "x", "a-b/1": "one", "a.txt": "",
		"deep/er/data.csv": "data", "ünicode": "u", "deep/.hidden": "h"} {
		must(t, os.WriteFile(filepath.Join(root, path), []byte(content), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(root, "run.sh"), []byte("#!/bin/sh\n"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, ".DS_Store"), []byte("litter"), 0o644))
	old := time.Unix(1_500_000_000, 0)
	for _, path := range []string{"a", "deep/er", "deep", "empty", "."} {
		must(t, os.Chtimes(filepath.Join(root, path), old, old))
	}
	return root
}

func TestAFolderArrivesAsOneMessage(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	root := tree(t, w.dir)
	before := listing(t, root)
	for i, line := range before { // a name that is hidden is shown, and nothing arrives executable
		before[i] = strings.ReplaceAll(strings.ReplaceAll(line, "/.hidden", "/%2Ehidden"),
			"executable true", "executable false")
	}
	must(t, os.Rename(root, filepath.Join(lab.dir, "outbox", "run 7")))
	eventually(t, "it lies in delivered", func() bool {
		return slices.Equal(lab.tray("delivered"), []string{"run 7"})
	})
	if after := listing(t, filepath.Join(centre.dir, "inbox", "FL-LAB",
		"run 7")); !slices.Equal(before, after) {
		t.Errorf("dropped:\n%s\narrived:\n%s", strings.Join(before, "\n"),
			strings.Join(after, "\n"))
	}
	if m := lab.status().Outbox.Latest; len(m) != 1 {
		t.Errorf("%d messages", len(m))
	}
}

// listing describes the content of a folder, without the files that systems leave there.
func listing(t *testing.T, root string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() == ".DS_Store" {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		content := "folder"
		if !e.IsDir() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = fmt.Sprintf("%q executable %t", b, info.Mode()&0o111 != 0)
		}
		list = append(list, fmt.Sprintf("%s %s %s", rel,
			info.ModTime().UTC().Truncate(time.Second).Format(time.RFC3339), content))
		return nil
	})
	must(t, err)
	return list
}

// A folder waits for its settle time or its marker.
func TestAFolderSettles(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	lab.stop()
	lab.set("folder_settle", `"1h"`)
	lab.start()
	must(t, os.Rename(tree(t, w.dir), filepath.Join(lab.dir, "outbox", "run 7")))
	lab.drop("file", []byte("file"))
	centre.expect("FL-LAB", "file", []byte("file"))
	if m := lab.status().Outbox.Latest; len(m) != 1 {
		t.Fatalf("the folder was not waited for: %+v", m)
	}
	lab.drop("run 7.done", nil)
	centre.expect("FL-LAB", "run 7/a", []byte("x"))
	eventually(t, "the marker is gone", func() bool {
		left, err := os.ReadDir(filepath.Join(lab.dir, "outbox"))
		return err == nil && len(left) == 0
	})
}

// A direct address reaches exactly the sites that it names, once they are approved.
func TestADirectAddress(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	other := w.join("SF-RC", "receive")
	must(t, os.Mkdir(filepath.Join(lab.dir, "outbox", "@SF-RC"), 0o755))
	lab.drop("@SF-RC/only you.txt", []byte("you"))
	eventually(t, "it waits for an approval", func() bool {
		return lab.status().Outbox.Blocked["@SF-RC"].Code == "needs-approval"
	})
	if routes := lab.status().Routes; len(routes) != 2 || routes[0].Address != "@SF-RC" ||
		routes[0].Sites[0].Approved || !routes[0].Sites[0].Proposed {
		t.Errorf("the routes are %+v", routes)
	}
	if _, err := lab.approve(agent.ApproveRequest{Route: "@SF-RC",
		Sites: []string{"SF-RC"}}); err != nil {
		t.Fatal(err)
	}
	other.expect("FL-LAB", "only you.txt", []byte("you"))
	eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	if got := centre.inInbox(); len(got) != 0 {
		t.Errorf("the other has %v", got)
	}
	if m := lab.status().Outbox.Latest[0]; m.Address != "@SF-RC" {
		t.Errorf("got %+v", m)
	}
}

// A file that changes before it is sealed is sent with its later content.
func TestAChangeBeforeSealing(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	w.stopHub()
	lab.stop()
	lab.start()
	lab.drop("data.csv", []byte("first"))
	eventually(t, "it is taken", func() bool { return len(lab.tray("sending")) == 1 })
	path, err := filepath.Glob(filepath.Join(lab.dir, "sending", "*", "data.csv"))
	must(t, err)
	must(t, os.WriteFile(path[0], []byte("second, and longer"), 0o644))
	w.startHub()
	centre.expect("FL-LAB", "data.csv", []byte("second, and longer"))
}

// A file that its user takes back before it is sealed is withdrawn.
func TestARemovalBeforeSealing(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	w.stopHub()
	lab.stop()
	lab.start()
	lab.drop("secret", []byte("never mind"))
	eventually(t, "it is taken", func() bool { return len(lab.tray("sending")) == 1 })
	path, err := filepath.Glob(filepath.Join(lab.dir, "sending", "*", "secret"))
	must(t, err)
	must(t, os.Remove(path[0]))
	w.startHub()
	eventually(t, "it is withdrawn", func() bool {
		return lab.status().Outbox.Latest[0].State == "withdrawn"
	})
	lab.drop("next", []byte("next"))
	centre.expect("FL-LAB", "next", []byte("next"))
	if got := centre.inInbox(); len(got) != 1 {
		t.Errorf("in the inbox: %v", got)
	}
}

// The newer of two agents of one site takes its queue.
func TestTheNewerAgentTakesTheQueue(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	twin := w.site(w.Site(centre.name, "receive", filepath.Join(w.dir, "CA-RC twin")))
	centre.stop()
	must(t, os.CopyFS(twin.dir, os.DirFS(centre.dir)))
	for _, secret := range []string{"identity.key", "recipient.key", "recipient.json"} {
		must(t, os.Chmod(filepath.Join(twin.dir, "state", secret), 0o600))
	}
	must(t, os.Chmod(filepath.Join(twin.dir, "state"), 0o700))
	centre.start()
	lab.drop("one", []byte("one"))
	centre.expect("FL-LAB", "one", []byte("one"))
	twin.start()
	if err := centre.Ended(); !errors.Is(err, api.ErrHeld) ||
		!strings.Contains(err.Error(), "another agent of CA-RC is running") {
		t.Errorf("it says %v", err)
	}
	if text := centre.statusFile(); !strings.Contains(text,
		"runs this site with the same keys, here or on another computer, so this one stopped at") ||
		strings.Contains(text, "it was stopped") ||
		!strings.Contains(text, "This file is replaced when sealpost is started again.") ||
		strings.Contains(text, "every few minutes") {
		t.Errorf("the status file of the displaced one says:\n%s", text)
	}
	if since := agent.TakenOver(filepath.Join(centre.dir, "state")); time.Since(since) > patience {
		t.Errorf("it is taken over since %s", since)
	}
	lab.drop("two", []byte("two"))
	twin.expect("FL-LAB", "two", []byte("two"))
	if since := agent.TakenOver(filepath.Join(twin.dir, "state")); !since.IsZero() {
		t.Errorf("the one that runs is taken over since %s", since)
	}
	centre.start()
	if since := agent.TakenOver(filepath.Join(centre.dir, "state")); !since.IsZero() {
		t.Errorf("started again it is taken over since %s", since)
	}
	if err := twin.Ended(); !errors.Is(err, api.ErrHeld) {
		t.Errorf("the older one ends with %v", err)
	}
}

func TestEachMessageHasARecordForPrograms(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	content := random(1234)
	lab.drop("data?.csv", content)
	centre.expect("FL-LAB", "data%3F.csv", content)
	eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	sent := lab.status().Outbox.Latest[0]
	text, err := os.ReadFile(filepath.Join(centre.dir, "inbox", ".sealpost", "FL-LAB",
		string(sent.ID)+".json"))
	must(t, err)
	var got inbox.Record
	must(t, json.Unmarshal(text, &got))
	sum := sha256.Sum256(content)
	want := inbox.Record{
		Message: sent.ID, UID: sent.UID, Sender: "FL-LAB", Sent: sent.Claimed,
		Path: "FL-LAB/data%3F.csv", Received: got.Received, Signer: lab.status().Fingerprint,
		Content: inbox.RecordContent{Name: "data?.csv", Type: "file", Size: 1234,
			SHA256: id.Hash(hex.EncodeToString(sum[:])), Digest: got.Content.Digest},
	}
	if got != want || got.Received.Before(sent.Claimed) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	left, err := os.ReadDir(filepath.Join(centre.dir, "inbox", ".sealpost", "tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

// While a file lies in the place of sending/, nothing is claimed, and it is said.
func TestAFileInThePlaceOfSending(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	sending := filepath.Join(lab.dir, "sending")
	must(t, os.Remove(sending))
	must(t, os.WriteFile(sending, []byte("in the way"), 0o644))
	lab.drop("data.csv", []byte("data"))
	eventually(t, "it is said", func() bool {
		return strings.HasPrefix(lab.status().Outbox.NotTaken["sending"].String(),
			"the folder cannot be read")
	})
	must(t, os.Remove(sending))
	must(t, os.Mkdir(sending, 0o755))
	centre.expect("FL-LAB", "data.csv", []byte("data"))
	eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	if m := lab.status().Outbox.Latest; len(m) != 1 {
		t.Errorf("%d messages were claimed", len(m))
	}
}

// A held message can be recalled, and is otherwise sent in time.
func TestHeldMessages(t *testing.T) {
	t.Parallel() // it waits more than it works
	_, lab, centre := labAndCentre(t)
	const hold = 20 * time.Second // enough for a user, and for a busy machine
	lab.stop()
	lab.set("hold", fmt.Sprintf("%q", hold))
	lab.start()
	lab.drop("mistake", []byte("oops"))
	lab.drop("meant", []byte("meant"))
	eventually(t, "both are taken", func() bool { return lab.status().Outbox.Counts["taken"] == 2 })
	for _, m := range lab.status().Outbox.Latest {
		if held := m.HeldUntil.Sub(m.Claimed); held.Round(time.Second) != hold {
			t.Errorf("%s says that it is held for %s", m.Name, held)
		}
		if m.Name == "mistake" {
			must(t, lab.call(agent.PathRecall, agent.MessageRequest{Message: string(m.ID)}, nil))
		}
	}
	centre.expect("FL-LAB", "meant", []byte("meant"))
	eventually(t, "the mistake lies in failed",
		func() bool { return slices.Equal(lab.tray("failed"), []string{"WHY.txt", "mistake"}) })
	if got := centre.inInbox(); len(got) != 1 {
		t.Errorf("in the inbox: %v", got)
	}
	eventually(t, "both are final", func() bool { return len(lab.status().Outbox.Counts) == 0 })
	m := lab.status().Outbox.Latest
	if held := m[0].Finished.Sub(m[0].Claimed); m[0].Name == "meant" && held < hold {
		t.Errorf("it was held for %s", held)
	}
	if !m[0].HeldUntil.IsZero() || !m[1].HeldUntil.IsZero() {
		t.Errorf("they are held still: %+v", m)
	}
	for _, name := range []string{string(m[0].ID), string(m[1].ID), "FL-LAB_DAT_20200101_001"} {
		if err := lab.call(agent.PathRecall, agent.MessageRequest{Message: name}, nil); err == nil {
			t.Errorf("%s was recalled", name)
		}
	}
}

// A finished message can be sent again to one site.
func TestResendToOneSite(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	other := w.join("SF-RC", "receive")
	content := random(2 << 20)
	lab.drop("data.csv", content)
	centre.expect("FL-LAB", "data.csv", content)
	eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	first := string(lab.status().Outbox.Latest[0].ID)
	must(t, lab.call(agent.PathApprove, agent.ApproveRequest{Route: "@SF-RC",
		Sites: []string{"SF-RC"}}, nil))
	must(t, lab.call(agent.PathResend, agent.ResendRequest{Message: first, To: "sf-rc"}, nil))
	other.expect("FL-LAB", "data.csv", content)
	eventually(t, "delivered", func() bool { return len(lab.tray("delivered")) == 2 })
	if got := centre.inInbox(); len(got) != 1 {
		t.Errorf("the first centre has %v", got)
	}
	if err := lab.call(agent.PathResend, agent.ResendRequest{Message: first, To: "no body"},
		nil); err == nil {
		t.Error("it was sent to nobody")
	}
}

// Large files are made durable two at a time. Those for which there is no place do not wait for the
// next sweep, which may be far away.
func TestManyLargeFiles(t *testing.T) {
	w, lab, centre := labAndCentre(t)
	lab.stop()
	lab.set("sweep", `"24h"`)
	lab.start()
	lab.drop("first", []byte("the first sweep is over"))
	centre.expect("FL-LAB", "first", []byte("the first sweep is over"))
	for i := range 6 {
		path := filepath.Join(w.dir, fmt.Sprintf("large %d", i))
		must(t, os.WriteFile(path, nil, 0o644))
		must(t, os.Truncate(path, 16<<20))
		must(t, os.Rename(path, filepath.Join(lab.dir, "outbox", filepath.Base(path))))
	}
	eventually(t, "all of them are delivered",
		func() bool { return len(lab.tray("delivered")) == 7 })
}
