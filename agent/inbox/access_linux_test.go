package inbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sealpost/internal/id"
)

// arrive places a file, a program and a folder like an inbox, under a umask.
func arrive(t *testing.T, b *Inbox, umask int) {
	t.Helper()
	before := syscall.Umask(umask)
	defer syscall.Umask(before)
	f := entered(t, b)
	list := parcel(t, f, "FL-LAB", "data.csv", "program", "run")
	s := newSink(f.envelopes[list[0].from], f.form)
	defer s.close()
	dir := f.envelopes[list[0].from]
	check(t, errors.Join(dir.Remove("1"), dir.Remove("2")))
	w, err := s.File(1, "program", true, time.Unix(1, 0), 0)
	check(t, err)
	check(t, w.Close())
	check(t, errors.Join(s.Dir(2, "run", time.Unix(1, 0)), s.Dir(2, "run/sub", time.Unix(1, 0))))
	w, err = s.File(2, "run/sub/deep.csv", false, time.Unix(1, 0), 0)
	check(t, err)
	check(t, errors.Join(w.Close(), s.finish()))
	list[2].isFile = false
	check(t, b.placeFiles(t.Context(), f, list))
	if err := f.failure("FL-LAB", list[0].Envelope); err != nil {
		t.Fatal(err)
	}
}

// modes returns the mode and the group of each entry in an inbox, by path.
func modes(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	check(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && path != dir && !strings.Contains(path, tempDir+"/") {
			rel, _ := filepath.Rel(dir, path)
			if strings.HasSuffix(rel, recordSuffix) {
				rel = "record"
			}
			found[rel] = fmt.Sprintf("%04o %d", info.Mode().Perm(),
				info.Sys().(*syscall.Stat_t).Gid)
		}
		return err
	}))
	return found
}

func expectModes(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	have := modes(t, dir)
	for path, mode := range want {
		if have[path] != mode {
			t.Errorf("%s has %q, want %q", path, have[path], mode)
		}
	}
}

// Under any umask, exactly the configured readers may read received content. They may execute
// programs only if that is configured.
func TestReaders(t *testing.T) {
	for _, umask := range []int{0o000, 0o022, 0o007, 0o077} {
		for _, c := range []struct {
			readers                            Readers
			inbox                              os.FileMode
			file, program, dir, record, memory string
		}{
			{"", 0o750, "0640", "0750", "0750", "0640", "0750"},
			{Group, 0o755, "0640", "0750", "0750", "0640", "0750"},
			{Group, 0o770, "0660", "0770", "0770", "0640", "0750"},
			{Group, 0o770 | os.ModeSetgid, "0660", "0770", "0770", "0640", "0750"},
			{Group, 0o700, "0640", "0750", "0750", "0640", "0750"},
			{Owner, 0o770, "0600", "0700", "0700", "0600", "0700"},
			{Everyone, 0o755, "0644", "0755", "0755", "0644", "0755"},
			{Everyone, 0o777, "0664", "0775", "0775", "0644", "0755"},
		} {
			t.Run(fmt.Sprintf("%03o %s %v", umask, c.readers, c.inbox), func(t *testing.T) {
				group := os.Getegid()
				if os.Geteuid() == 0 {
					group = 4711
				}
				b := inboxAt(t)
				b.cfg.Readers, b.cfg.KeepExecutable = c.readers, umask != 0o022
				if !b.cfg.KeepExecutable {
					c.program = c.file
				}
				check(t, errors.Join(os.Chown(b.cfg.Dir, -1, group), os.Chmod(b.cfg.Dir, c.inbox)))
				arrive(t, b, umask)
				in := func(mode string) string { return fmt.Sprint(mode, " ", group) }
				expectModes(t, b.cfg.Dir, map[string]string{
					"FL-LAB": in(c.dir), "FL-LAB/data.csv": in(c.file),
					"FL-LAB/program": in(c.program), "FL-LAB/run": in(c.dir),
					"FL-LAB/run/sub": in(c.dir), "FL-LAB/run/sub/deep.csv": in(c.file),
					ownDir: in(c.memory), ownDir + "/FL-LAB": in(c.memory), "record": in(c.record),
					tempDir: in("0700"),
				})
			})
		}
	}
}

// A default access list of the inbox decides, also one set after the first message, and is not cut.
func TestAnAccessListOfTheInboxIsKept(t *testing.T) {
	b := inboxAt(t)
	dir := b.cfg.Dir
	entered(t, b).close()
	out, err := exec.Command("setfacl", "-m",
		"d:u::rwx,d:g::r-x,d:u:12345:rwx,d:g:54321:r-x,d:m::rwx,d:o::r-x", dir).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: no access lists here: %v %s", err, out)
	}
	check(t, os.Chmod(dir, 0o770))
	b = restart(b, dir)
	arrive(t, b, 0o077)
	for path, want := range map[string]string{
		"FL-LAB": "user::rwx user:12345:rwx group::r-x group:54321:r-x " +
			"mask::rwx other::---",
		"FL-LAB/data.csv": "user::rw- user:12345:rwx group::r-x group:54321:r-x " +
			"mask::rw- other::---",
		"FL-LAB/run/sub/deep.csv": "user::rw- user:12345:rwx group::r-x group:54321:r-x " +
			"mask::rw- other::---",
		ownDir: "user::rwx group::r-x other::---",
	} {
		out, err := exec.Command("getfacl", "-cpE", "--access",
			filepath.Join(dir, path)).CombinedOutput()
		if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != want {
			t.Errorf("%s: %v\nhave %s\nwant %s", path, err, got, want)
		}
	}
	check(t, exec.Command("setfacl", "-k", dir).Run())
	b = restart(b, dir)
	arrive(t, b, 0o077)
	matches, err := filepath.Glob(filepath.Join(dir, "FL-LAB", "data (*"))
	if err != nil || len(matches) != 1 {
		t.Fatalf("%v, %v", matches, err)
	}
	if out, err := exec.Command("getfacl", "-cpE", "--access",
		matches[0]).CombinedOutput(); err != nil || strings.Contains(string(out), "12345") {
		t.Errorf("without the list: %v\n%s", err, out)
	}
}

// An account in the inbox's group can read received files and their records, and others cannot.
func TestAccountsReadWhatHasArrived(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can be other accounts")
	}
	for _, umask := range []int{0o000, 0o077} {
		b := inboxAt(t)
		dir := b.cfg.Dir
		check(t, errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chown(dir, -1, 4711),
			os.Chmod(dir, 0o755)))
		arrive(t, b, umask)
		records, err := filepath.Glob(filepath.Join(b.records("FL-LAB"), "*"+recordSuffix))
		check(t, err)
		for _, path := range append(records, filepath.Join(dir, "FL-LAB", "data.csv"),
			filepath.Join(dir, "FL-LAB", "run", "sub", "deep.csv")) {
			for gid, may := range map[uint32]bool{4711: true, 4712: false} {
				cat := exec.Command("cat", path)
				cat.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345,
					Gid: gid}}
				if out, err := cat.CombinedOutput(); (err == nil) != may {
					t.Errorf("umask %03o: an account of group %d reads %s: %v %s", umask, gid, path,
						err, out)
				}
			}
		}
	}
}

// asService runs the calling test again as a service account with one more group. There it returns
// the inbox.
func asService(t *testing.T, dir string) (inbox string) {
	t.Helper()
	const variable = "SEALPOST_TEST_INBOX"
	if inbox := os.Getenv(variable); inbox != "" {
		return inbox
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can be other accounts")
	}
	work := t.TempDir()
	check(t, errors.Join(os.Chmod(filepath.Dir(work), 0o755), os.Chown(work, 12345, 12345)))
	program := filepath.Join(work, "test")
	text, err := os.ReadFile(os.Args[0])
	check(t, errors.Join(err, os.WriteFile(program, text, 0o755)))
	rerun := exec.Command(program, "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$")
	rerun.Env, rerun.Dir = append(os.Environ(), variable+"="+dir, "TMPDIR="+work), work
	rerun.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345,
		Groups: []uint32{4711}}}
	if out, err := rerun.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return ""
}

// A service account in the inbox's group gives that group to content, even without setgid on the
// folder.
func TestAServiceGivesTheInboxsGroup(t *testing.T) {
	for name, mode := range map[string]os.FileMode{"plain": 0o770,
		"setgid": 0o770 | os.ModeSetgid} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if os.Geteuid() == 0 {
				check(t, errors.Join(os.Chown(dir, -1, 4711), os.Chmod(dir, mode)))
			}
			if inbox := asService(t, dir); inbox != "" {
				arrive(t, inboxIn(t, inbox), 0o077)
				return
			}
			expectModes(t, dir, map[string]string{
				"FL-LAB": "0770 4711", "FL-LAB/data.csv": "0660 4711",
				"FL-LAB/run/sub": "0770 4711", "FL-LAB/run/sub/deep.csv": "0660 4711",
				ownDir: "0750 4711", ownDir + "/FL-LAB": "0750 4711", "record": "0640 4711",
				tempDir: "0700 4711",
			})
		})
	}
}

// An entry that the service may not rename makes the inbox wait and name it. After its removal the
// inbox continues.
func TestEntryThatCannotBeRenamed(t *testing.T) {
	dir := t.TempDir()
	check(t, errors.Join(os.Chmod(dir, 0o777|os.ModeSticky),
		os.WriteFile(filepath.Join(dir, ownDir), nil, 0o644)))
	if inbox := asService(t, dir); inbox != "" {
		b := inboxIn(t, inbox)
		expectUnusable(t, b, "remove it")
		return
	}
	check(t, os.Remove(filepath.Join(dir, ownDir)))
	expectHome(t, inboxIn(t, dir))
}

// An inbox of an earlier version, with private records, is opened to the group for reading only.
func TestAccessOfEarlierVersion(t *testing.T) {
	b := inboxAt(t)
	dir := b.cfg.Dir
	own := filepath.Join(dir, ownDir)
	write(t, filepath.Join(b.records("FL-LAB"), string(message)+recordSuffix),
		recordOf(t, id.Random128[id.UID]()))
	check(t, errors.Join(os.Mkdir(b.temp(), 0o700), os.Chmod(own, 0o700),
		os.Chmod(b.records("FL-LAB"), 0o777), os.Chmod(dir, 0o770)))
	entered(t, b)
	group := os.Getegid()
	expectModes(t, dir, map[string]string{ownDir: fmt.Sprint("0750 ", group),
		ownDir + "/FL-LAB": fmt.Sprint("0750 ", group), tempDir: fmt.Sprint("0700 ", group)})
	b.cfg.Readers = Owner
	entered(t, restart(b, dir))
	expectModes(t, dir, map[string]string{ownDir: fmt.Sprint("0700 ", group)})
}
