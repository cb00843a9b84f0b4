package wine

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// centreInbox returns the inbox of the lab's files at the centre.
func (n *network) centreInbox() string { return filepath.Join(n.dir, "CA-RC", "inbox", "FL-LAB") }
func (n *network) labInbox() string    { return n.m.path(site + `\inbox\CA-RC`) }
func (n *network) outbox(at string) string {
	return map[string]string{"lab": n.m.path(site + `\outbox`),
		"centre": filepath.Join(n.dir, "CA-RC", "outbox")}[at]
}

// delivered returns the number of messages in a site's delivered/. Their receipts are verified.
func (n *network) delivered(at string) int {
	messages, err := filepath.Glob(filepath.Join(filepath.Dir(n.outbox(at)), "delivered", "*",
		"[^.]*"))
	must(n.t, err)
	return len(messages)
}

// make writes files and folders beside the outbox and returns them.
func (n *network) make(at string, size int, names ...string) map[string][sha256.Size]byte {
	n.t.Helper()
	folder, err := os.MkdirTemp(filepath.Dir(n.outbox(at)), "made-")
	must(n.t, err)
	drop(n.t, folder, size, names...)
	made := tree(n.t, folder)
	entries, err := os.ReadDir(folder)
	must(n.t, err)
	for _, e := range entries {
		must(n.t, os.Rename(filepath.Join(folder, e.Name()), filepath.Join(n.outbox(at), e.Name())))
		if e.IsDir() {
			must(n.t, os.WriteFile(filepath.Join(n.outbox(at), e.Name()+".done"), nil, 0o644))
		}
	}
	must(n.t, os.Remove(folder))
	return made
}

// expect waits until an inbox holds exactly this, and the sender has verified a receipt for each of
// count messages.
func (n *network) expect(inbox, sender string, want map[string][sha256.Size]byte, count int) {
	n.t.Helper()
	eventually(n.t, "all has arrived", func() bool { return len(tree(n.t, inbox)) >= len(want) })
	eventually(n.t, "all receipts are verified",
		func() bool { return n.delivered(sender) == count })
	if got := tree(n.t, inbox); !maps.Equal(got, want) {
		n.t.Errorf("in %s lies %d, want %d:\n%q\n%q", inbox, len(got), len(want), paths(got),
			paths(want))
	}
}

func paths(all map[string][sha256.Size]byte) (list []string) {
	for path := range all {
		list = append(list, path)
	}
	return list
}

func TestTheAgentOnWindows(t *testing.T) {
	n := newNetwork(t)
	n.lab()

	sent := n.make("lab", 20<<10, "data.csv", "Übersicht 🧬.csv", "study/a.csv",
		"study/deep/er/b.csv")
	maps.Copy(sent, n.make("lab", 40<<20, "huge.bin"))
	must(t, os.Chmod(n.outboxFile("from a disc.csv", sent), 0o444)) // Wine shows it as read-only
	n.expect(n.centreInbox(), "lab", sent, 5)

	hostile := map[string]string{"CON.csv": "%43ON.csv", "nul": "%6Eul",
		"colon: stream.csv": "colon%3A stream.csv", "question?.csv": "question%3F.csv",
		"trailing dot.": "trailing dot%2E", `back\slash.csv`: "back%5Cslash.csv",
		"plain.csv": "plain.csv"}
	want := map[string][sha256.Size]byte{}
	for name, becomes := range hostile {
		want[becomes] = n.make("centre", 1000, name)[name]
	}
	maps.Copy(want, n.make("centre", 3<<20, "folder/one.bin", "folder/two/three.bin"))
	n.expect(n.labInbox(), "centre", want, len(hostile)+1)

	status := n.m.sealpost("agent", "status", "--dir", site)
	if !strings.Contains(status, "connected since") {
		t.Errorf("the status says:\n%s", status)
	}
	huge, err := filepath.Glob(filepath.Join(filepath.Dir(n.outbox("lab")), "delivered", "*",
		"huge.bin"))
	must(t, err)
	id := filepath.Base(filepath.Dir(huge[0]))
	out := n.m.sealpost("agent", "receipts", id, "--dir", site)
	if !strings.Contains(out, "CA-RC") {
		t.Errorf("the receipts are:\n%s", out)
	}
	if out, _ := n.m.try("agent", "doctor", "--dir", site); !strings.Contains(out, "identity.key") {
		t.Errorf("the doctor says:\n%s", out)
	}
}

// outboxFile makes one more file for a folder that users use, and notes it.
func (n *network) outboxFile(name string, sent map[string][sha256.Size]byte) string {
	n.t.Helper()
	path := filepath.Join(n.outbox("lab"), name)
	must(n.t, os.WriteFile(path+".tmp", []byte("read only"), 0o444))
	must(n.t, os.Rename(path+".tmp", path))
	sent[name] = sha256.Sum256([]byte("read only"))
	return path
}

func TestFilesThatOtherProgramsHaveOpen(t *testing.T) {
	n := newNetwork(t)
	held := n.make("lab", 1000, "being written.csv", "being read.csv")
	closeWritten := n.m.hold("write", "rwd", site+`\outbox\being written.csv`)
	closeRead := n.m.hold("read", "rw", site+`\outbox\being read.csv`)
	n.lab()
	eventually(t, "the agent answers", func() bool {
		_, code := n.m.try("agent", "status", "--dir", site)
		return code == 0
	})
	all := n.make("lab", 1000, "beside them.csv")
	n.expect(n.centreInbox(), "lab", all, 1)
	eventually(t, "people are told", func() bool {
		out := n.m.sealpost("agent", "status", "--dir", site)
		return strings.Contains(out, "still being written") &&
			strings.Contains(out, "another program has it open")
	})
	closeWritten()
	closeRead()
	maps.Copy(all, held)
	n.expect(n.centreInbox(), "lab", all, 3)
}

// The process may end between any two steps: at the fault points of the outbox and the inbox.
func TestKilledOnWindows(t *testing.T) {
	n := newNetwork(t)
	sent, received := map[string][sha256.Size]byte{}, map[string][sha256.Size]byte{}
	for i, point := range []string{"outbox-claimed", "outbox-moved", "outbox-sealed", "outbox-part",
		"outbox-published", "outbox-answered", "outbox-filed", "inbox-leased", "inbox-opened",
		"inbox-placing", "inbox-moved", "inbox-renamed", "inbox-placed", "inbox-settled"} {
		t.Log("killed at", point)
		maps.Copy(sent, n.make("lab", 20<<10, fmt.Sprintf("small %d.csv", i)))
		maps.Copy(sent, n.make("lab", 17<<20, fmt.Sprintf("large %d.bin", i)))
		maps.Copy(received, n.make("centre", 20<<10, fmt.Sprintf("answer %d.csv", i)))
		n.killLab(point)
	}
	kill := n.lab()
	n.expect(n.centreInbox(), "lab", sent, 2*14)
	n.expect(n.labInbox(), "centre", received, 14)
	kill()
}

func TestTheServiceOnWindows(t *testing.T) {
	n := newNetwork(t)
	m := n.m
	if out, code := m.try("agent", "start", "--name", "FL-LAB"); code == 0 ||
		!strings.Contains(out, "is not installed as a service") {
		t.Errorf("start of what is not there: %d, %s", code, out)
	}
	const grant = `outbox" /grant "*S-1-5-32-545:(OI)(CI)M"`
	if out := m.sealpost("agent", "install", "--dir", site); !strings.Contains(out, grant) {
		t.Errorf("install says:\n%s", out)
	}
	m.sealpost("agent", "install", "--dir", site)
	m.sealpost("agent", "start", "--name", "FL-LAB")
	out := m.sealpost("agent", "status", "--name", "FL-LAB")
	if !strings.Contains(out, "installed, running") || !strings.Contains(out, "Folder:   "+site) {
		t.Errorf("status says: %s", out)
	}
	if out, code := m.try("agent", "install", "--dir", site, "--name", "second"); code == 0 ||
		!strings.Contains(out, "sealpost-agent@FL-LAB serves it already") {
		t.Errorf("install of a folder that is taken: %d, %s", code, out)
	}
	m.sealpost("agent", "status", "--dir", site) // start has waited until it serves
	sent := n.make("lab", 1000, "by the service.csv")
	n.expect(n.centreInbox(), "lab", sent, 1)
	m.sealpost("agent", "restart", "--name", "FL-LAB")
	maps.Copy(sent, n.make("lab", 1000, "by the service again.csv"))
	n.expect(n.centreInbox(), "lab", sent, 2)
	m.sealpost("agent", "stop", "--name", "FL-LAB")
	if out, code := m.try("agent", "status", "--name", "FL-LAB"); code != 3 ||
		!strings.Contains(out, "installed, not running") {
		t.Errorf("status after stop: %d, %s", code, out)
	}
	if text, err := os.ReadFile(m.path(site + `\STATUS.txt`)); err != nil ||
		!strings.Contains(string(text), "STOPPED") {
		t.Errorf("it did not end as it should: %v\n%s", err, text)
	}
	edit(t, m.path(site+`\agent.toml`), `role = "both"`, `role = "nobody"`)
	if out, code := m.try("agent", "start", "--name", "FL-LAB"); code == 0 ||
		!strings.Contains(out, "Event Viewer") {
		t.Errorf("start with a bad configuration: %d, %s", code, out)
	}
	edit(t, m.path(site+`\agent.toml`), `role = "nobody"`, `role = "both"`)
	m.sealpost("agent", "start", "--name", "FL-LAB")
	m.sealpost("agent", "uninstall", "--name", "FL-LAB")
	if out, _ := m.try("agent", "status", "--name", "FL-LAB"); !strings.Contains(out,
		"not installed") {
		t.Errorf("status after uninstall: %s", out)
	}
	if _, err := os.Stat(m.path(site + `\state\identity.key`)); err != nil {
		t.Error(err)
	}
}

// A share is written as \\server\share. Only the user that has connected a drive letter knows it.
func TestSharesAndMappedDrives(t *testing.T) {
	n := newNetwork(t, connectShare)
	m, share := n.m, n.m.shareOf()
	config := m.path(site + `\agent.toml`)
	edit(t, config, `dir = "."`, `dir = 'N:\tray'`)
	if out, code := m.try("agent", "install", "--dir", site); code == 0 ||
		!strings.Contains(out, "N: is a drive that is connected for you") {
		t.Errorf("install with a mapped drive: %d, %s", code, out)
	}
	if out, _ := m.try("agent", "status", "--name", "FL-LAB"); !strings.Contains(out,
		"not installed") {
		t.Errorf("status after that: %s", out)
	}
	edit(t, config, `dir = 'N:\tray'`, `dir = '\\nas\lab\tray'`)
	m.sealpost("agent", "install", "--dir", site)
	m.sealpost("agent", "start", "--name", "FL-LAB")
	must(t, os.WriteFile(filepath.Join(share, "tray", "outbox", "on a share.csv"),
		[]byte("on a share"), 0o644))
	eventually(t, "it has arrived", func() bool {
		text, _ := os.ReadFile(filepath.Join(n.centreInbox(), "on a share.csv"))
		return string(text) == "on a share"
	})
	eventually(t, "its receipt is verified", func() bool {
		entries, _ := os.ReadDir(filepath.Join(share, "tray", "delivered"))
		return len(entries) == 1
	})
	m.sealpost("agent", "uninstall", "--name", "FL-LAB") // stops first
}
