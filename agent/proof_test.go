package agent_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/internal/id"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	must(t, err)
	return data
}

// verify runs the commands of docs/verify-a-receipt.md in a folder, for the receipt of CA-RC.
func verify(t *testing.T, dir string) (string, error) {
	t.Helper()
	return verifyOf(t, dir, "CA-RC")
}

func verifyOf(t *testing.T, dir, site string) (string, error) {
	t.Helper()
	var script strings.Builder
	for _, block := range shellBlock.FindAllSubmatch(read(t, "..", "docs", "verify-a-receipt.md"),
		-1) {
		script.Write(block[1])
	}
	shell := exec.Command("sh", "-e", "-u", "-c", script.String())
	shell.Dir, shell.Env = dir, append(os.Environ(), "site="+site)
	out, err := shell.CombinedOutput()
	return string(out), err
}

func (s *site) proof(message string) (p agent.Proof) {
	s.w.t.Helper()
	must(s.w.t, s.call(agent.PathProof, agent.MessageRequest{Message: message}, &p))
	return p
}

// A receipt is verified by the commands of the document, as they stand there, and by them alone.
func TestAReceiptIsVerifiedWithoutSealpost(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil || runtime.GOOS == "windows" {
		t.Skip("openssl, or a Unix shell to call it from, is not installed")
	}
	_, lab, _ := labAndCentre(t)
	lab.drop(`odd "uid":"x" 🧬.csv`, random(100_000))
	eventually(t, "it is delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	p := lab.proof(string(lab.status().Outbox.Latest[0].ID))
	dir := filepath.Join(t.TempDir(), "proof")
	sites, err := p.Write(dir, "")
	if err != nil || len(sites) != 1 || sites[0] != "CA-RC" {
		t.Fatalf("%v, %v", sites, err)
	}
	out, err := verify(t, dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"leaf.pem: OK", "Verified OK", "network  " + string(p.Network),
		"site key ", "CA-RC signed at ", `odd "uid":"x" 🧬.csv`} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not print %q:\n%s", want, out)
		}
	}
	if !bytes.Equal(read(t, dir, "README.md"), read(t, "..", "docs", "verify-a-receipt.md")) {
		t.Error("agent/verify-a-receipt.md and docs/verify-a-receipt.md differ")
	}
	for name, spoil := range map[string]func(file func(string) []byte) (string, []byte){
		"other content": func(file func(string) []byte) (string, []byte) {
			return "entries",
				append(file("entries"), 'x')
		},
		"another key": func(file func(string) []byte) (string, []byte) {
			return change("message.json", file, `"fingerprint_key":"`)
		},
		"another message": func(file func(string) []byte) (string, []byte) {
			return change("message.json", file, `"uid":"`)
		},
		"another receipt": func(file func(string) []byte) (string, []byte) {
			return change("CA-RC.jws", file, ".")
		},
		"another root": func(file func(string) []byte) (string, []byte) {
			_, other, _ := labAndCentre(t)
			return "root.pem", read(t, other.dir, "state", "chain.pem")
		},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := t.TempDir()
			must(t, os.CopyFS(spoilt, os.DirFS(dir)))
			must(t, os.RemoveAll(filepath.Join(spoilt, "check")))
			file, data := spoil(func(name string) []byte { return read(t, dir, name) })
			must(t, os.WriteFile(filepath.Join(spoilt, file), data, 0o644))
			if out, err := verify(t, spoilt); err == nil {
				t.Errorf("it verifies all the same:\n%s", out)
			}
		})
	}
}

// TestReceiptsOfALostHub shows and exports a receipt that a lost hub relayed, before the message is
// sent again and after.
func TestReceiptsOfALostHub(t *testing.T) {
	t.Parallel() // it waits more than it works
	w := newWorld(t)
	waits, signs := w.join("CA-RC", "receive"), w.join("SF-RC", "receive")
	w.bind("ca_rc_queue", "fl-lab.*")
	w.bind("sf_rc_queue", "fl-lab.*")
	lab := w.join("FL-LAB", "send", "CA-RC", "SF-RC")
	waitsKey, signsKey := waits.status().Fingerprint, signs.status().Fingerprint
	waits.stop()
	lab.drop("data.csv", []byte("content"))
	latest := func() agent.SentMessage { return lab.status().Outbox.Latest[0] }
	eventually(t, "SF-RC has signed", func() bool {
		m := lab.status().Outbox.Latest
		return len(m) == 1 && len(m[0].Recipients) == 2 && m[0].Recipients[1].Verified
	})
	lost := latest().Envelope
	signs.stop()
	w.replaceHub(lab.status().Fingerprint, waitsKey)
	w.admit("SF-RC", "receive", signsKey)
	w.bind("sf_rc_queue", "fl-lab.*")
	eventually(t, "it waits for the keys", func() bool { return latest().Envelope == "" })
	m := latest()
	if len(m.Recipients) != 1 || m.Recipients[0].Site != "SF-RC" || !m.Recipients[0].Verified {
		t.Errorf("taken again, of SF-RC's receipt: %+v", m.Recipients)
	}
	export := func(sites ...id.Site) string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "proof")
		if got, err := lab.proof(string(m.ID)).Write(dir, ""); err != nil ||
			!slices.Equal(got, sites) {
			t.Errorf("exported %v, %v; want %v", got, err, sites)
		}
		return dir
	}
	export("SF-RC")

	waits.start()
	eventually(t, "CA-RC has given its key", func() bool { return waits.status().Link.Connected })
	signs.start()
	eventually(t, "it is delivered", func() bool { return latest().State == "delivered" })
	p := lab.proof(string(m.ID))
	if len(p.Receipts) != 2 || p.Receipts[0].Envelope == lost || p.Receipts[1].Envelope != lost {
		t.Errorf("of two hubs: %+v", p.Receipts)
	}
	eventually(t, "it is moved", func() bool { return len(lab.tray("delivered")) == 1 })
	dir := export("CA-RC", "SF-RC")
	if _, err := exec.LookPath("openssl"); err != nil || runtime.GOOS == "windows" {
		return
	}
	for _, site := range []string{"CA-RC", "SF-RC"} {
		if out, err := verifyOf(t, dir, site); err != nil {
			t.Errorf("%s: %v\n%s", site, err, out)
		}
		must(t, os.RemoveAll(filepath.Join(dir, "check")))
	}
}

// A folder's entries are those that were sealed, in their order.
func TestAFolderIsProven(t *testing.T) {
	t.Parallel()
	_, lab, _ := labAndCentre(t)
	run := filepath.Join(t.TempDir(), "run.1")
	must(t, os.MkdirAll(filepath.Join(run, "a"), 0o755))
	for name, mode := range map[string]os.FileMode{"a/b": 0o644, "a.b": 0o755, "a-b": 0o644} {
		must(t, os.WriteFile(filepath.Join(run, name), []byte(name), mode))
	}
	must(t, os.Rename(run, filepath.Join(lab.dir, "outbox", "run.1")))
	eventually(t, "it is delivered", func() bool {
		return slices.Contains(lab.tray("delivered"), "run.1")
	})
	dir := filepath.Join(t.TempDir(), "proof")
	for _, m := range lab.status().Outbox.Latest {
		if m.Name == "run.1" {
			if _, err := lab.proof(string(m.ID)).Write(dir, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := bytes.Count(read(t, dir, "entries"), []byte{0}); n != 5 {
		t.Errorf("%d entries", n)
	}
}

// change changes the character after a mark.
func change(name string, file func(string) []byte, mark string) (string, []byte) {
	data := file(name)
	at := bytes.Index(data, []byte(mark)) + len(mark) + 20
	if data[at]++; data[at] > 'f' || data[at] == '9'+1 {
		data[at] = '0'
	}
	return name, data
}

func TestWhatCannotBeProven(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	centre.stop()
	lab.drop("data.csv", []byte("content"))
	eventually(t, "it is published", func() bool {
		m := lab.status().Outbox.Latest
		return len(m) == 1 && m[0].State == "published"
	})
	message := string(lab.status().Outbox.Latest[0].ID)
	dir := filepath.Join(t.TempDir(), "proof")
	if _, err := lab.proof(message).Write(dir, ""); err == nil ||
		!strings.Contains(err.Error(), "no verified receipt yet") {
		t.Errorf("without a receipt: %v", err)
	}
	centre.start()
	eventually(t, "it is delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	p := lab.proof(message)
	kept := filepath.Join(t.TempDir(), "kept")
	must(t, os.Rename(p.Record.Place, kept))
	if _, err := p.Write(dir, ""); err == nil ||
		!strings.Contains(err.Error(), "say with --content where it is") {
		t.Errorf("without the content: %v", err)
	}
	other := filepath.Join(t.TempDir(), "other")
	must(t, os.WriteFile(other, []byte("something else"), 0o644))
	if _, err := p.Write(dir, other); !errors.Is(err, agent.ErrContent) {
		t.Errorf("with other content: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made all the same")
	}
	if _, err := p.Write(dir, kept); err != nil {
		t.Errorf("with the content: %v", err)
	}
	if _, err := p.Write(dir, kept); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a folder that is there: %v", err)
	}
	if err := lab.call(agent.PathProof, agent.MessageRequest{Message: "FL-LAB_DAT_20200101_001"},
		nil); err == nil {
		t.Error("a message that never was has a proof")
	}
}
