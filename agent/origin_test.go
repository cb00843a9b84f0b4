package agent_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sealpost/agent"
	"sealpost/agent/ledger"
	"sealpost/internal/id"
)

// verifyOrigin runs the commands of docs/verify-an-origin.md in a folder.
func verifyOrigin(t *testing.T, dir string) (string, error) {
	t.Helper()
	var script strings.Builder
	for _, block := range shellBlock.FindAllSubmatch(read(t, "..", "docs", "verify-an-origin.md"),
		-1) {
		script.Write(block[1])
	}
	must(t, os.RemoveAll(filepath.Join(dir, "check")))
	shell := exec.Command("sh", "-e", "-u", "-c", script.String())
	shell.Dir = dir
	out, err := shell.CombinedOutput()
	return string(out), err
}

// origin exports the origin of a received message.
func (s *site) origin(message string, scope agent.OriginScope) (dir string, p agent.Proven) {
	s.w.t.Helper()
	dir = filepath.Join(s.w.t.TempDir(), "origin")
	p, err := agent.WriteOrigin(dir, scope, s.originPart(message))
	must(s.w.t, err)
	return dir, p
}

func (s *site) originPart(message string) func(after int) (agent.OriginPart, error) {
	return func(after int) (part agent.OriginPart, err error) {
		return part, s.call(agent.PathOrigin,
			agent.OriginRequest{Message: message, After: after}, &part)
	}
}

// TestTheSenderIsProvenWithoutSealpost verifies origins by the commands of the document alone. They
// are of a file, of one of several messages in an envelope, and of a folder with many entries.
func TestTheSenderIsProvenWithoutSealpost(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil || runtime.GOOS == "windows" {
		t.Skip("SKIPPED: openssl, or a Unix shell to call it from, is not installed")
	}
	_, lab, centre := labAndCentre(t)
	lab.drop(`odd "sent_timestamp":"x" 🧬.csv`, random(100_000))
	eventually(t, "it is delivered", func() bool { return len(lab.tray("delivered")) == 1 })
	single := string(lab.status().Outbox.Latest[0].ID)
	t.Run("file", func(t *testing.T) {
		dir, p := centre.origin(single, agent.OneMessage)
		out, err := verifyOrigin(t, dir)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, want := range []string{"leaf.pem: OK", "Verified OK", "site     FL-LAB\n",
			"network  " + string(lab.proof(single).Network), "site key " + string(
				lab.status().Fingerprint), `odd "sent_timestamp":"x" 🧬.csv`,
			"stated   " + single + " sent " + p.Message.Sent.UTC().Format("2006-01-02T15:04:05")} {
			if !strings.Contains(out, want) {
				t.Errorf("it does not print %q:\n%s", want, out)
			}
		}
		if !bytes.Equal(read(t, dir, "README.md"), read(t, "..", "docs", "verify-an-origin.md")) {
			t.Error("agent/verify-an-origin.md and docs/verify-an-origin.md differ")
		}
		flipEach(t, dir, "root.pem", "signature.jws", "entries", "digests", "message.json")
		if byUID, _ := centre.origin(string(p.Message.UID), agent.OneMessage); !bytes.Equal(
			read(t, byUID, "entries"), read(t, dir, "entries")) {
			t.Error("another origin by its uid")
		}
	})

	lab.stop()
	for n := range 20 {
		lab.drop(fmt.Sprintf("secret-%d.csv", n), random(100+n))
	}
	lab.start()
	eventually(t, "all are delivered", func() bool { return len(lab.tray("delivered")) == 21 })
	t.Run("one of several", func(t *testing.T) {
		found := false
		for _, m := range lab.status().Outbox.Latest {
			dir, p := centre.origin(string(m.ID), agent.OneMessage)
			if p.Together == 1 {
				continue
			}
			found = true
			out, err := verifyOrigin(t, dir)
			if err != nil || !strings.Contains(out, " "+m.Name+"\n") ||
				!strings.Contains(out, "no time of sending") {
				t.Fatalf("%v\n%s", err, out)
			}
			withholds(t, dir, m.Name)
			flipEach(t, dir, "entries", "digests")
			whole, _ := centre.origin(string(m.ID), agent.WholeEnvelope)
			if out, err := verifyOrigin(t, whole); err != nil ||
				!strings.Contains(out, "stated   "+string(m.ID)+" sent 2") {
				t.Errorf("%v\n%s", err, out)
			}
			break
		}
		if !found {
			t.Error("no envelope has several messages")
		}
	})

	const files = 800
	run := filepath.Join(t.TempDir(), "run.1")
	must(t, os.MkdirAll(filepath.Join(run, "a"), 0o755))
	for n := range files {
		must(t, os.WriteFile(filepath.Join(run, "a", fmt.Sprintf("%04d", n)), nil, 0o644))
	}
	must(t, os.Rename(run, filepath.Join(lab.dir, "outbox", "run.1")))
	eventually(t, "the folder is delivered", func() bool {
		return len(lab.tray("delivered")) == 22
	})
	t.Run("folder", func(t *testing.T) {
		dir, p := centre.origin(string(lab.status().Outbox.Latest[0].ID), agent.OneMessage)
		out, err := verifyOrigin(t, dir)
		if err != nil || !strings.Contains(out, " run.1/a/0799\n") || p.Message.Name != "run.1" {
			t.Fatalf("%v\n%s", err, out)
		}
		if n := bytes.Count(read(t, dir, "entries"), []byte{0}); n != files+2 {
			t.Errorf("%d entries", n)
		}
		flipEach(t, dir, "entries")
	})

	t.Run("what cannot be proven", func(t *testing.T) {
		centre.stop()
		l, err := ledger.Open(filepath.Join(centre.dir, "state", "ledger.db"))
		must(t, err)
		must(t, l.Update(t.Context(), func(tx *ledger.Tx) error {
			m, err := tx.ReceivedByID(id.Message(single))
			if err != nil {
				return err
			}
			return tx.DropOrigin(m[0].Envelope)
		}))
		must(t, l.Close())
		centre.start()
		for message, c := range map[string]struct {
			at   *site
			says string
		}{
			"FL-LAB_DAT_20200101_001": {centre, "CA-RC has no message"},
			"at the lab":              {lab, "this site does not receive"},
			single:                    {centre, "is not kept here: it came before"},
		} {
			dir := filepath.Join(t.TempDir(), "origin")
			_, err := agent.WriteOrigin(dir, agent.OneMessage, c.at.originPart(message))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s at %s: %v", message, c.at.dir, err)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("the folder was made all the same")
			}
		}
	})
}

// withholds checks that an exported origin has the names of no other files.
func withholds(t *testing.T, dir, own string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		text := bytes.ReplaceAll(read(t, dir, f.Name()), []byte(own), nil)
		if bytes.Contains(text, []byte("secret-")) {
			t.Errorf("%s shows other names", f.Name())
		}
	}
}

// flipEach flips one bit of each file, at its end and somewhere before, and wants every one to be
// found.
func flipEach(t *testing.T, dir string, names ...string) {
	t.Helper()
	for n, name := range names {
		good := read(t, dir, name)
		for _, at := range []int{len(good) / (n + 2), len(good) - 1} {
			spoilt := bytes.Clone(good)
			spoilt[at] ^= 1
			must(t, os.WriteFile(filepath.Join(dir, name), spoilt, 0o644))
			if out, err := verifyOrigin(t, dir); err == nil {
				t.Errorf("byte %d of %s is changed, and it verifies:\n%s", at, name, out)
			}
		}
		must(t, os.WriteFile(filepath.Join(dir, name), good, 0o644))
	}
}
