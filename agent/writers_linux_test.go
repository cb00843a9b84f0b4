package agent_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// pace is the pause of the writers below. It is shorter than the settle time, as with programs that
// write now and then, by the possible delay of a busy machine.
const pace = 200 * time.Millisecond

// writers are the ways in which programs write a file. Each writes content in ten pieces to a path
// in the outbox, slowly.
var writers = map[string]func(path string, pieces [][]byte) error{
	"growing": func(path string, pieces [][]byte) error {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		return errors.Join(slowly(f, pieces), f.Close())
	},
	"reopened": func(path string, pieces [][]byte) error { return reopened(path, pieces, 0) },
	// A file that is opened by a program which does not wait, as file servers do, is never refused
	// to it.
	"reopened without waiting": func(path string,
		pieces [][]byte) error {
		return reopened(path, pieces, syscall.O_NONBLOCK)
	},
	"written and renamed": func(path string, pieces [][]byte) error {
		f, err := os.Create(path + ".part")
		if err != nil {
			return err
		}
		return errors.Join(slowly(f, pieces), f.Close(), os.Rename(path+".part", path))
	},
	"renamed over": func(path string, pieces [][]byte) error { // which editors do to save
		if err := os.WriteFile(path, []byte("an earlier version"), 0o644); err != nil {
			return err
		}
		f, err := os.Create(path + ".tmp")
		if err != nil {
			return err
		}
		return errors.Join(f.Close(), os.WriteFile(path+".tmp", bytes.Join(pieces, nil), 0o644),
			os.Rename(path+".tmp", path))
	},
	"truncated and rewritten": func(path string, pieces [][]byte) error {
		for i := range pieces {
			if err := os.WriteFile(path, bytes.Join(pieces[:i+1], nil), 0o644); err != nil {
				return err
			}
			time.Sleep(pace)
		}
		return nil
	},
	"copied slowly": func(path string, pieces [][]byte) error {
		cp := exec.Command("cp", "/dev/stdin", path)
		in, err := cp.StdinPipe()
		if err == nil {
			err = cp.Start()
		}
		if err != nil {
			return err
		}
		return errors.Join(slowly(in, pieces), in.Close(), cp.Wait())
	},
	"mapped": mapped,
}

func slowly(w io.Writer, pieces [][]byte) error {
	for _, p := range pieces {
		if _, err := w.Write(p); err != nil {
			return err
		}
		time.Sleep(pace)
	}
	return nil
}

func reopened(path string, pieces [][]byte, flags int) error {
	for _, p := range pieces {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|flags, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(p)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		time.Sleep(pace)
	}
	return nil
}

// mapped writes through memory, with no open file, and is quiet for longer than the settle time in
// its middle.
func mapped(path string, pieces [][]byte) error {
	content := bytes.Join(pieces, nil)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	if err := f.Truncate(int64(len(content))); err != nil {
		return errors.Join(err, f.Close())
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, len(content), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_SHARED)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	copy(mem, pieces[0])
	time.Sleep(35 * pace)
	copy(mem, content)
	return syscall.Munmap(mem)
}

// A file is taken when its writer has finished.
func TestAWriterFinishes(t *testing.T) {
	t.Parallel()
	lab, centre := labThatSweeps(t, "300ms", "settle", `"3s"`)
	contents := map[string][]byte{}
	var g errgroup.Group
	for name, write := range writers {
		pieces := make([][]byte, 10)
		for i := range pieces {
			pieces[i] = random(1000)
		}
		contents[name] = bytes.Join(pieces, nil)
		g.Go(func() error {
			if err := write(lab.outbox(name), pieces); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	lab.says("mapped", "it is still being written, since 20")
	first := lab.status().Outbox.NotTaken["mapped"].String()
	if later := lab.status().Outbox.NotTaken["mapped"].String(); later != first {
		t.Errorf("first it was %q, then %q", first, later)
	}
	must(t, g.Wait())
	for name, content := range contents {
		centre.expect("FL-LAB", name, content)
	}
	if latest := lab.status().Outbox.Latest; len(latest) != len(writers) {
		t.Errorf("%d messages were made of %d files: %+v", len(latest), len(writers), latest)
	}
}

// appended is a program that opens a file, adds a line, closes it, and does so again after a pause.
func (s *site) appended(name string, pause time.Duration, lines ...string) {
	s.w.t.Helper()
	for i, line := range lines {
		if i > 0 {
			time.Sleep(pause)
		}
		f, err := os.OpenFile(s.outbox(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		must(s.w.t, err)
		_, err = f.WriteString(line)
		must(s.w.t, errors.Join(err, f.Close()))
	}
}

// The pauses are longer than the settle time, but not two and a quarter times as long.
func TestAWriterThatPauses(t *testing.T) {
	t.Parallel() // it waits more than it works
	lab, centre := labThatSweeps(t, "300ms", "settle", `"2s"`)
	lab.appended("run.csv", 3*time.Second, "1\n", "2\n", "3\n", "4\n")
	centre.expect("FL-LAB", "run.csv", []byte("1\n2\n3\n4\n"))
	if latest := lab.status().Outbox.Latest; len(latest) != 1 {
		t.Errorf("it arrives in pieces: %+v", latest)
	}
}

// Nothing tells beforehand of a pause that is longer. The file was taken in it, and the rest is
// waited for.
func TestAFileTakenTooEarly(t *testing.T) {
	t.Parallel() // it waits more than it works
	lab, centre := labThatSweeps(t, "300ms", "settle", `"300ms"`)
	lab.appended("run.csv", 0, "1\n")
	centre.expect("FL-LAB", "run.csv", []byte("1\n"))
	time.Sleep(2 * time.Second)
	lab.appended("run.csv", 2*time.Second, "2\n", "3\n", "4\n")
	lab.says("run.csv", "after a pause of")
	eventually(t, "the rest arrives", func() bool { return len(centre.inInbox()) == 2 })
	if latest := lab.status().Outbox.Latest; len(latest) != 2 || latest[0].Size != 6 {
		t.Errorf("the rest arrives in pieces: %+v", latest)
	}
}

// A document waits while its editor's lock file lies beside it, and goes when the editor is closed.
func TestADocumentAndItsEditor(t *testing.T) {
	t.Parallel()
	_, lab, centre := labAndCentre(t)
	lab.drop("~$report.docx", []byte("user"))
	for _, draft := range []string{"half", "half a draft"} {
		lab.drop("report.docx", []byte(draft))
		lab.says("report.docx",
			`(Microsoft Office), whose lock file "~$report.docx" lies beside it`)
	}
	lab.drop("another.docx", []byte("whole"))
	centre.expect("FL-LAB", "another.docx", []byte("whole"))
	lab.drop("report.docx", []byte("the report"))
	must(t, os.Remove(lab.outbox("~$report.docx")))
	centre.expect("FL-LAB", "report.docx", []byte("the report"))
	lab.saysNothing()
}

// A file is disturbed while it is being sent. It cannot be read for a while, because another
// program has locked it or its owner has taken the right away; it is removed; or a folder is in its
// place. Each is reported, and the others go on.
func TestAFileThatIsDisturbedMidway(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	w.stopHub()
	lab.stop()
	lab.start() // it seals nothing before it knows the hub
	place := map[string]string{}
	for _, name := range []string{"removed", "replaced by a folder", "replaced by a link",
		"untouched"} {
		lab.drop(name, []byte(name))
		lab.takes(name)
		found, err := filepath.Glob(filepath.Join(lab.dir, "sending", "*", name))
		must(t, err)
		place[name] = found[0]
	}
	for _, name := range []string{"removed", "replaced by a folder", "replaced by a link"} {
		must(t, os.Remove(place[name]))
	}
	must(t, os.Mkdir(place["replaced by a folder"], 0o755))
	must(t, os.Symlink("/etc/hostname", place["replaced by a link"]))
	w.startHub()
	centre.expect("FL-LAB", "untouched", []byte("untouched"))
	eventually(t, "what was removed is withdrawn",
		func() bool { return lab.sent("removed").State == "withdrawn" })
	for _, name := range []string{"replaced by a folder", "replaced by a link"} {
		eventually(t, name+" is said", func() bool { return !lab.sent(name).Reason.IsZero() })
		// in one step: a file that is in no place for an instant is withdrawn
		back := filepath.Join(lab.dir, "back")
		must(t, os.WriteFile(back, []byte("it is back"), 0o644))
		must(t, unix.Renameat2(unix.AT_FDCWD, back, unix.AT_FDCWD, place[name],
			unix.RENAME_EXCHANGE))
		must(t, os.Remove(back))
		centre.expect("FL-LAB", name, []byte("it is back"))
	}
	if left := lab.tray("failed"); len(left) > 0 {
		t.Errorf("failed: %v", left)
	}
	for _, name := range centre.inInbox() {
		if strings.Contains(name, "removed") {
			t.Errorf("%s arrived", name)
		}
	}
}
