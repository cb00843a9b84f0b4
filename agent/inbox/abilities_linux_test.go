package inbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/agent/ledger"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
	"sealpost/internal/loopfs"
	"sealpost/internal/oddfs"
	"sealpost/statement"
)

var longName = strings.Repeat("n", 200) + ".csv"

// A disk that lacks something takes every file, under a name that decodes to the sender's.
func TestAnInboxOnADiskThatLacksSomething(t *testing.T) {
	for name, habits := range map[string]oddfs.Habits{
		"times": {NoTimes: true}, "modes": {NoModes: true}, "letters": {ASCII: true},
		"a safe rename": {NoLinks: true, NoFlags: true}, "long names": {NameMax: 143},
		"all": {NoTimes: true, NoModes: true, NoLinks: true, NoFlags: true, ASCII: true,
			NameMax: 143, FoldCase: true},
	} {
		t.Run(name, func(t *testing.T) {
			disk := oddfs.Mount(t, habits)
			b := inboxIn(t, filepath.Join(disk.Dir, "inbox"))
			f := entered(t, b)
			names := []string{"data.csv", "DATA.csv", "data.csv", "Müller.csv", longName,
				"ü" + longName}
			list := parcel(t, f, "FL-LAB", names...)
			check(t, b.placeFiles(t.Context(), f, list))
			check(t, f.failure("FL-LAB", ""))
			for n, p := range list {
				holds(t, filepath.Join(b.cfg.Dir, p.Path), names[n])
				if p.code != "" || p.isPlain {
					t.Errorf("%s is refused (%s), or placed as %s", p.Name, p.code, p.Path)
				}
				own := filepath.Base(p.Path)
				if n > 2 && len(p.Name) < 100 && decode(own) != p.Name ||
					habits.NameMax > 0 && len(own) > habits.NameMax {
					t.Errorf("%s is placed as %s", p.Name, own)
				}
			}
			if ready, err := restart(b, b.cfg.Dir).isReady(t.Context()); !ready || err != nil {
				t.Errorf("after a restart it receives: %v, %v", ready, err)
			}
		})
	}
}

// Real disks of other kinds take every file.
func TestAnInboxOnRealDisks(t *testing.T) {
	for _, kind := range []loopfs.Kind{loopfs.VFAT, loopfs.ExFAT, loopfs.ExFATFuse, loopfs.NTFS} {
		t.Run(string(kind), func(t *testing.T) {
			b := inboxIn(t, filepath.Join(loopfs.Mount(t, kind), "inbox"))
			f := entered(t, b)
			t.Logf("it is able to %+v", f.able)
			names := []string{"data.csv", "DATA.csv", "data.csv", "Müller.csv", "中文 😀.csv",
				longName}
			list := parcel(t, f, "FL-LAB", names...)
			check(t, b.placeFiles(t.Context(), f, list))
			check(t, f.failure("FL-LAB", ""))
			for n, p := range list {
				holds(t, filepath.Join(b.cfg.Dir, p.Path), names[n])
				if p.code != "" || p.isPlain {
					t.Errorf("%s is refused (%s), or placed as %s", p.Name, p.code, p.Path)
				}
			}
		})
	}
}

// The entries of a folder get names that the disk takes, too.
func TestAFolderOnADiskThatLacksSomething(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{ASCII: true, NameMax: 143, NoTimes: true, NoModes: true})
	b := inboxIn(t, filepath.Join(disk.Dir, "inbox"))
	f := entered(t, b)
	s := newSink(f.temp, f.form)
	defer s.close()
	check(t, errors.Join(s.Dir(0, "läuft", time.Unix(1, 0)), s.Dir(0, "läuft/"+longName,
		time.Unix(1, 0))))
	w, err := s.File(0, "läuft/"+longName+"/é", false, time.Unix(1, 0), 1)
	check(t, err)
	_, err = w.Write([]byte("x"))
	check(t, errors.Join(err, w.Close(), s.finish()))
	found, err := filepath.Glob(filepath.Join(b.temp(), "0", "n*~*.csv", "%C3%A9"))
	if len(found) != 1 || err != nil || len(s.refused) > 0 {
		t.Errorf("found %v, %v, refused %v", found, err, s.refused)
	}
}

// A disk is tried once for each folder, also across restarts.
func TestADiskIsTriedOnce(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{NameMax: 143, NoTimes: true})
	b := inboxIn(t, filepath.Join(disk.Dir, "inbox"))
	first := entered(t, b).able
	want := beneath.Abilities{Modes: true, SafeRename: true, Unicode: true, NameMax: 143}
	if first != want {
		t.Fatalf("it is able to %+v", first)
	}
	disk.Set(oddfs.Habits{})
	if second := entered(t, restart(b, b.cfg.Dir)).able; second != first {
		t.Errorf("after a restart it is able to %+v", second)
	}
	want.Times, want.NameMax = true, maxName
	if other := entered(t, restart(b, filepath.Join(disk.Dir, "other"))).able; other != want {
		t.Errorf("another one is able to %+v", other)
	}
	// a ledger of before knows nothing of the disk
	h, err := b.loadHome(t.Context())
	check(t, err)
	h.Able = beneath.Abilities{}
	check(t, b.saveHome(t.Context(), h))
	if later := entered(t, restart(b, h.Path)).able; later != want {
		t.Errorf("after an upgrade it is able to %+v", later)
	}
}

// A disk without room is not taken for one that refuses names.
func TestAFullDiskIsNotTaken(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{})
	b := inboxIn(t, filepath.Join(disk.Dir, "inbox"))
	check(t, os.Mkdir(b.cfg.Dir, 0o755))
	disk.Fail(oddfs.Create, strings.Repeat("a", maxName), unix.ENOSPC)
	disk.Fail(oddfs.Create, "plain", unix.ENOSPC)
	expectUnusable(t, b, "is full")
	disk.Heal()
	expectHome(t, b)
	if able := entered(t, b).able; able.NameMax != maxName {
		t.Errorf("it is able to %+v", able)
	}
}

// A disk that refuses a name only when the file is placed gets it under the message id.
func TestARefusedNameBecomesTheMessageID(t *testing.T) {
	for _, op := range []oddfs.Op{oddfs.Lookup, oddfs.Rename} {
		t.Run(string(op), func(t *testing.T) {
			disk := oddfs.Mount(t, oddfs.Habits{})
			b := inboxIn(t, filepath.Join(disk.Dir, "inbox"))
			f := entered(t, b)
			list := parcel(t, f, "FL-LAB", "Müller.csv", "b.csv")
			disk.Fail(op, "Müller.csv", unix.ENAMETOOLONG)
			check(t, b.placeFiles(t.Context(), f, list))
			check(t, f.failure("FL-LAB", ""))
			holds(t, filepath.Join(b.cfg.Dir, "FL-LAB", string(list[0].ID)+".csv"), "Müller.csv")
			holds(t, filepath.Join(b.cfg.Dir, "FL-LAB", "b.csv"), "b.csv")
			if list[0].record.Content.Name != "Müller.csv" {
				t.Errorf("its record says %+v", list[0].record)
			}
		})
	}
}

// refuseName has a disk refuse each name that a message could get.
func refuseName(disk *oddfs.Disk, p *placement) {
	for _, name := range []string{p.Name, string(p.ID) + filepath.Ext(p.Name)} {
		disk.Fail(oddfs.Rename, name, unix.ENAMETOOLONG)
	}
}

// A message whose name the disk refuses is refused alone. A crash before that is decided leaves it
// to its next delivery.
func TestAMessageThatADiskNeverTakesIsRefusedAlone(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{})
	b := inboxIn(t, filepath.Join(disk.Dir, "inbox"))
	f := entered(t, b)
	list := parcel(t, f, "FL-LAB", "a.csv", "odd.csv", "z.csv")
	odd := list[1]
	refuseName(disk, odd)
	check(t, b.placeFiles(t.Context(), f, list))
	check(t, f.failure("FL-LAB", ""))
	for _, p := range list {
		if p != odd {
			holds(t, filepath.Join(b.cfg.Dir, "FL-LAB", p.Name), p.Name)
		}
		if (p.code != "") != (p == odd) {
			t.Errorf("%s has the code %q", p.Name, p.code)
		}
	}
	if odd.code != statement.CodeNameUnusable {
		t.Errorf("its code is %q", odd.code)
	}
	detail := b.refusalDetail(list, "").String()
	for _, part := range []string{"odd.csv", string(odd.ID), b.cfg.Dir, "refuses the name"} {
		if !strings.Contains(detail, part) {
			t.Errorf("%q lacks %s", detail, part)
		}
	}
	odd.never = &fs.PathError{Op: "write", Path: "odd.csv", Err: unix.EFBIG}
	list[0].code, list[0].never = statement.CodeNameUnusable, &fs.PathError{Op: "create", Path: "é",
		Err: unix.EINVAL}
	if says := b.refusalDetail(list, "").String(); !strings.Contains(says, "the size of some and") {
		t.Errorf("of two causes it says %q", says)
	}
	// the agent is killed here
	b = restart(b, b.cfg.Dir)
	f = entered(t, b)
	check(t, b.recover(t.Context(), f))
	d := &delivery{}
	d.Sender = odd.Sender
	d.Messages = append(d.Messages, messageOf(odd))
	check(t, b.resumePlacing(t.Context(), f, d))
	rows, err := b.rowsOf(t.Context(), odd.Sender, []id.UID{odd.UID})
	if len(rows) > 0 || err != nil {
		t.Errorf("its row is %+v, %v", rows, err)
	}
	if left, err := os.ReadDir(b.temp()); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	check(t, b.ledger.View(t.Context(), func(tx *ledger.Tx) error {
		for _, p := range []*placement{list[0], list[2]} {
			if row, err := tx.Received(p.Sender, p.UID); err != nil || !row.Placed {
				t.Errorf("%s: %+v, %v", p.Name, row, err)
			}
		}
		return nil
	}))
}

// Content that is larger than the disk takes is verified and not kept. Other content of the
// envelope is written.
func TestTooLargeContentIsDropped(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{MaxFile: 5000})
	b := inboxIn(t, filepath.Join(disk.Dir, "inbox"))
	f := entered(t, b)
	s := newSink(f.temp, f.form)
	defer s.close()
	put := func(message int, path string, size int) {
		t.Helper()
		w, err := s.File(message, path, false, time.Unix(1, 0), int64(size))
		check(t, err)
		for range size / 1000 {
			if n, err := w.Write(make([]byte, 1000)); n != 1000 || err != nil {
				t.Fatalf("%s: %d bytes, %v", path, n, err)
			}
		}
		check(t, w.Close())
	}
	put(0, "small", 3000)
	put(1, "big", 9000)
	check(t, s.Dir(2, "run", time.Unix(1, 0)))
	put(2, "run/big", 9000)
	put(2, "run/small", 1000)
	check(t, s.Dir(2, "run/sub", time.Unix(1, 0)))
	put(3, "last", 3000)
	check(t, s.finish())
	for message, isRefused := range []bool{false, true, true, false} {
		if (s.refused[message] != nil) != isRefused {
			t.Errorf("message %d: %v", message, s.refused[message])
		}
	}
	for name, size := range map[string]int64{"0": 3000, "1": 0, "2/big": 0, "3": 3000} {
		if info, err := os.Stat(filepath.Join(b.temp(), name)); err != nil || info.Size() != size {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if _, err := os.Stat(filepath.Join(b.temp(), "2/small")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it goes on to write a refused folder: %v", err)
	}
	p := new(placement)
	if p.refuse(s.refused[1]); p.code != statement.CodeTooLarge {
		t.Errorf("its code is %q", p.code)
	}
}

// An error that may heal holds up its envelope, and no other one of the sender.
func TestAnErrorHoldsUpItsEnvelopeOnly(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{})
	b := inboxIn(t, filepath.Join(disk.Dir, "inbox"))
	f := entered(t, b)
	one := parcel(t, f, "FL-LAB", "a.csv")
	two := parcel(t, f, "FL-LAB", "b.csv")
	one[0].Envelope, two[0].Envelope = "one", "two"
	disk.Fail(oddfs.Rename, "a.csv", unix.EIO)
	check(t, b.placeFiles(t.Context(), f, append(one, two...)))
	holds(t, filepath.Join(b.cfg.Dir, "FL-LAB", "b.csv"), "b.csv")
	if err := f.failure("FL-LAB", "one"); !errors.Is(err, unix.EIO) || one[0].code != "" {
		t.Errorf("the first: %v, code %q", err, one[0].code)
	}
	check(t, f.failure("FL-LAB", "two"))
}

// The end of trouble is noticed only if the trouble was seen.
func TestTheEndOfTrouble(t *testing.T) {
	disk := oddfs.Mount(t, oddfs.Habits{})
	b := inboxIn(t, filepath.Join(disk.Dir, "inbox"))
	f := entered(t, b)
	sender := filepath.Join(b.cfg.Dir, "FL-LAB")
	look := func() bool {
		b.isMended = false
		b.lookAtTrouble(t.Context(), f)
		return b.isMended
	}
	d := &delivery{}
	d.Sender = "FL-LAB"
	for n, step := range []struct {
		do   func()
		want bool
	}{
		{func() { b.noteTrouble(d, localError{unix.EIO}) }, false}, // it has passed already
		{func() {
			b.noteTrouble(d, localError{unix.EDQUOT})
			disk.Fail(oddfs.Write, "", unix.EDQUOT)
		}, false},
		{func() {}, false},
		{disk.Heal, true},
		{func() {}, false},
		{func() {
			check(t, os.WriteFile(sender, nil, 0o600))
			_, err := b.volumeOf(t.Context(), f, "FL-LAB")
			b.noteTrouble(d, err)
		}, false},
		{func() { check(t, os.Remove(sender)) }, true},
		{func() { b.noteTrouble(d, errors.New("of the hub")) }, false},
	} {
		step.do()
		if got := look(); got != step.want {
			t.Errorf("step %d: trouble has ended: %v", n, got)
		}
	}
}
